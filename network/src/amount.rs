//! Amounts as people write them.

/// Minor units of yuan and fen: `12`, `12.5` or `12.50`, up to 12 digits in all.
///
/// # Errors
/// A text for the command line.
pub fn amount(text: &str) -> Result<u64, String> {
    let wrong = || "an amount such as 12.00, up to 9999999999.99".to_owned();
    let (units, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(units) || !digits(cents) || units.len() > 10 || cents.len() > 2 {
        return Err(wrong());
    }
    let units: u64 = units.parse().map_err(|_| wrong())?;
    let cents: u64 = format!("{cents:0<2}").parse().map_err(|_| wrong())?;
    Ok(units * 100 + cents)
}

/// Minor units as people read them: `12.50`.
#[must_use]
pub fn shown(minor: u64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, minor) in
            [("12.00", 1200), ("12", 1200), ("12.5", 1250), ("0.01", 1), ("9999999999.99", 999_999_999_999)]
        {
            assert_eq!(amount(text), Ok(minor), "{text}");
            assert_eq!(amount(&shown(minor)), Ok(minor), "{text}");
        }
        for bad in ["", ".", "12.", ".5", "-1", "1.234", "1e3", "1,00", "10000000000"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }
}
