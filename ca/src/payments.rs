//! What a card remembers of its payments, in words.

use tapvault_proto::card::LogEntry;

/// How the holder was verified, by the card transaction qualifiers, tag 9F6C.
#[must_use]
pub const fn holder([terminal, phone]: [u8; 2]) -> &'static str {
    if phone & 0x80 != 0 {
        "wallet PIN"
    } else if terminal & 0x80 != 0 {
        "online PIN"
    } else if terminal & 0x40 != 0 {
        "signature"
    } else {
        "nobody asked"
    }
}

/// A line for each payment, oldest first, and one for each gap between two of the same keys.
#[must_use]
pub fn describe(entries: &[LogEntry]) -> String {
    let mut lines = Vec::new();
    let mut last: Option<(u8, u16)> = None;
    for entry in entries {
        let before = last.filter(|(keys, _)| *keys == entry.key_version);
        let missing = before.map_or(0, |(_, atc)| entry.atc.saturating_sub(atc).saturating_sub(1));
        if missing > 0 {
            lines.push(format!("      up to {missing} not recorded"));
        }
        last = Some((entry.key_version, entry.atc));
        let [year, month, day] = entry.date;
        lines.push(format!(
            "{:5}  {}.{:02} (currency {:04x})  {year:02x}-{month:02x}-{day:02x} by the terminal  holder: {}",
            entry.atc,
            entry.amount / 100,
            entry.amount % 100,
            entry.currency,
            holder(entry.ctq)
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_missing_is_a_line() {
        let paid = |key_version, atc, ctq| LogEntry {
            key_version,
            atc,
            amount: 12_305,
            currency: 0x0156,
            date: [0x26, 0x11, 0x26],
            kind: 0,
            ctq,
        };
        let entries =
            [paid(1, 1, [0, 0]), paid(1, 2, [0, 0x80]), paid(1, 17, [0x80, 0]), paid(2, 1, [0x40, 0])];
        let text = describe(&entries);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "1  123.05 (currency 0156)  26-11-26 by the terminal  holder: nobody asked",
                "2  123.05 (currency 0156)  26-11-26 by the terminal  holder: wallet PIN",
                "up to 14 not recorded",
                "17  123.05 (currency 0156)  26-11-26 by the terminal  holder: online PIN",
                "1  123.05 (currency 0156)  26-11-26 by the terminal  holder: signature",
            ]
        );
    }
}
