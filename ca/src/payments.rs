//! What a card remembers of its payments, in words.

use tapvault_proto::{card::LogEntry, token::Channel};

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

/// The way it was to be paid.
#[must_use]
pub const fn way(channel: Channel) -> &'static str {
    match channel {
        Channel::Nfc => "tap",
        Channel::Qr => "code",
        Channel::InApp => "in-app",
        Channel::Wallet => "wallet",
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
        let date = match entry.channel {
            Channel::Nfc => format!("  {year:02x}-{month:02x}-{day:02x} by the terminal"),
            _ => String::new(),
        };
        // What a code is charged with, the card never learns.
        let amount = match entry.channel {
            Channel::Qr => "amount not known".into(),
            _ => {
                format!("{}.{:02} (currency {:04x})", entry.amount / 100, entry.amount % 100, entry.currency)
            }
        };
        let (way, holder) = (way(entry.channel), holder(entry.ctq));
        let offline = if entry.offline { "  approved offline" } else { "" };
        lines.push(format!("{:5}  {way}  {amount}{date}{offline}  holder: {holder}", entry.atc));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_missing_is_a_line() {
        let paid = |key_version, atc, ctq, channel| LogEntry {
            channel,
            key_version,
            atc,
            amount: 12_305,
            currency: 0x0156,
            date: [0x26, 0x11, 0x26],
            kind: 0,
            ctq,
            offline: false,
        };
        let entries = [
            paid(1, 1, [0, 0], Channel::Nfc),
            paid(1, 2, [0, 0x80], Channel::InApp),
            paid(1, 17, [0x80, 0], Channel::Nfc),
            paid(2, 1, [0x40, 0], Channel::Nfc),
            paid(2, 2, [0, 0x80], Channel::Qr),
            LogEntry { offline: true, ..paid(2, 3, [0, 0], Channel::Nfc) },
        ];
        let text = describe(&entries);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "1  tap  123.05 (currency 0156)  26-11-26 by the terminal  holder: nobody asked",
                "2  in-app  123.05 (currency 0156)  holder: wallet PIN",
                "up to 14 not recorded",
                "17  tap  123.05 (currency 0156)  26-11-26 by the terminal  holder: online PIN",
                "1  tap  123.05 (currency 0156)  26-11-26 by the terminal  holder: signature",
                "2  code  amount not known  holder: wallet PIN",
                "3  tap  123.05 (currency 0156)  26-11-26 by the terminal  approved offline  holder: nobody asked",
            ]
        );
    }
}
