//! Dates as cards and terminals write them.

/// The date of a moment, in seconds since 1970 UTC: YYMMDD in BCD.
#[must_use]
pub fn date(seconds: u64) -> [u8; 3] {
    let (mut year, mut day) = (1970, seconds / 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Four centuries have the same days over and over: no moment takes long.
    day %= 146_097;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    [year % 100, month, day + 1].map(|number| u8::try_from(number / 10 * 16 + number % 10).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, [0x70, 0x01, 0x01]),
            (951_782_400, [0x00, 0x02, 0x29]),
            (951_868_800, [0x00, 0x03, 0x01]),
            (1_704_067_199, [0x23, 0x12, 0x31]),
            (1_704_067_200, [0x24, 0x01, 0x01]),
            (1_795_564_799, [0x26, 0x11, 0x24]),
            (1_795_564_800, [0x26, 0x11, 0x25]),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
        assert_ne!(date(u64::MAX), [0; 3]);
    }
}
