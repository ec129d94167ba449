//! Amounts as people read them.

use iso_currency::Currency;

/// An amount in minor units with the decimals and the letters of its currency, and the currency's name: `12.00 CNY` and
/// `Renminbi (Chinese) yuan`. `currency` is as in tag 5F2A, a digit in each half of a byte: `0x0156`. A number that ISO
/// 4217 gives to no currency, or to one without a minor unit, is shown as it came: nobody knows its decimals.
#[must_use]
pub fn text(minor: u64, currency: u16) -> (String, String) {
    let known = digits(currency).and_then(Currency::from_numeric);
    let decimals = known.and_then(|known| Some((known, known.exponent()?)));
    let Some((known, exponent)) = decimals else {
        return (format!("{minor} smallest units"), format!("number {currency:04X}, not known here"));
    };
    let unit = 10_u64.pow(exponent.into());
    let width = usize::from(exponent);
    let code = known.code();
    let amount = match exponent {
        0 => format!("{minor} {code}"),
        _ => format!("{}.{:0width$} {code}", minor / unit, minor % unit),
    };
    (amount, known.name().to_owned())
}

/// The number that four digits say, unless one is none.
fn digits(bcd: u16) -> Option<u16> {
    let digits = [12, 8, 4, 0].map(|shift| bcd >> shift & 0xF);
    digits.iter().all(|digit| *digit <= 9).then(|| digits.iter().fold(0, |number, digit| number * 10 + digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::LONGEST;

    #[test]
    fn the_decimals_are_the_currencys() {
        for (minor, currency, amount, name) in [
            (1200, 0x0156, "12.00 CNY", "Renminbi (Chinese) yuan"),
            (5, 0x0156, "0.05 CNY", "Renminbi (Chinese) yuan"),
            (0, 0x0156, "0.00 CNY", "Renminbi (Chinese) yuan"),
            (999_999_999_999, 0x0978, "9999999999.99 EUR", "Euro"),
            (u64::MAX, 0x0978, "184467440737095516.15 EUR", "Euro"),
            (1200, 0x0392, "1200 JPY", "Japanese yen"),
            (1234, 0x0048, "1.234 BHD", "Bahraini dinar"),
            (12_345, 0x0990, "1.2345 CLF", "Unidad de Fomento"),
            (7, 0, "7 smallest units", "number 0000, not known here"),
            (7, 0x1156, "7 smallest units", "number 1156, not known here"),
            // 0156 in a digit of 16.
            (7, 0x009C, "7 smallest units", "number 009C, not known here"),
            // Gold has no minor unit.
            (7, 0x0959, "7 smallest units", "number 0959, not known here"),
        ] {
            assert_eq!(text(minor, currency), (amount.to_owned(), name.to_owned()));
        }
    }

    #[test]
    fn every_currency_fits_its_line_and_brings_no_control_character_along() {
        for currency in 0..=u16::MAX {
            let (amount, name) = text(u64::MAX, currency);
            for shown in [format!("up to {amount}"), name] {
                assert!(!shown.chars().any(char::is_control), "{shown}");
                assert!(shown.chars().count() <= LONGEST, "{shown}");
            }
        }
    }
}
