//! Dates: all moved by the same number of whole weeks, so that their order, their distances and their weekdays stay.
//!
//! Takes dates as written or as the protocol counts them. Must not know where a date stands. The direction is back:
//! what was in the past when it was captured stays in the past. Only the date moves; the time of day stays.

use super::key::Key;

const WEEKS_MIN: u64 = 26;
const WEEKS_SPAN: u64 = 104;

/// The days by which the key moves dates back.
pub(super) fn days_back(key: &Key) -> i32 {
    let weeks = WEEKS_MIN + key.number(&[b"d"]) % WEEKS_SPAN;
    7 * weeks as i32
}

/// The year, month and day that a text begins with: `2026-01-31`; none where there is no such day.
pub(super) fn date(text: &str) -> Option<(i32, u32, u32)> {
    let bytes = text.as_bytes();
    let is_date = bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_date {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let exists = year > 0 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    exists.then_some((year as i32, month, day))
}

/// Whether a text is a time of day: `10:30`, `10:30:00.5`, with or without a zone such as `Z`, `+02`, ` +05:30`, ` UTC`.
pub(super) fn is_time(text: &str) -> bool {
    let Some(rest) = after_two_digits(text).and_then(|rest| rest.strip_prefix(':')).and_then(after_two_digits) else {
        return false;
    };
    let rest = match rest.strip_prefix(':') {
        Some(seconds) => match after_two_digits(seconds) {
            Some(rest) => rest,
            None => return false,
        },
        None => rest,
    };
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let behind = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
            if behind.len() == fraction.len() {
                return false;
            }
            behind
        }
        None => rest,
    };
    is_zone(rest)
}

fn after_two_digits(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let digits = bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_digit);
    digits.then(|| &text[2..])
}

fn is_zone(text: &str) -> bool {
    let zone = text.strip_prefix(' ').unwrap_or(text);
    if text.is_empty() || matches!(zone, "Z" | "UTC" | "GMT") {
        return true;
    }
    let Some(mut rest) = zone.strip_prefix(['+', '-']).and_then(after_two_digits) else { return false };
    // Minutes, and the seconds of historical zones.
    for _ in 0..2 {
        rest = after_two_digits(rest.strip_prefix(':').unwrap_or(rest)).unwrap_or(rest);
    }
    rest.is_empty()
}

/// Moves a date of the years 1 to 9999 back; one that would leave them stays.
pub(super) fn moved(date: (i32, u32, u32), days_back: i32) -> String {
    let (year, month, day) = match day_number(date) - days_back {
        number if number >= 0 => from_day_number(number),
        _ => date,
    };
    format!("{year:04}-{month:02}-{day:02}")
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of March of the year 0 are none: years begin in March, so that the leap day is their last.
const FIRST_OF_JANUARY_1: i32 = 306;

/// Days since 0001-01-01.
fn day_number((year, month, day): (i32, u32, u32)) -> i32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_year = (153 * month as i32 + 2) / 5 + day as i32 - 1;
    365 * year + year / 4 - year / 100 + year / 400 + in_year - FIRST_OF_JANUARY_1
}

fn from_day_number(number: i32) -> (i32, u32, u32) {
    let number = number + FIRST_OF_JANUARY_1;
    let century = (4 * number + 3) / 146_097;
    let in_century = number - 146_097 * century / 4;
    let year = (4 * in_century + 3) / 1_461;
    let in_year = in_century - 1_461 * year / 4;
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let year = 100 * century + year;
    if month < 10 { (year, month as u32 + 3, day as u32) } else { (year + 1, month as u32 - 9, day as u32) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_counts_them() {
        assert_eq!(day_number((1, 1, 1)), 0);
        assert_eq!(day_number((2000, 1, 1)), 730_119);
        assert_eq!(moved((2024, 3, 7), 7), "2024-02-29");
        assert_eq!(moved((2001, 1, 1), 366), "2000-01-01");
        assert_eq!(moved((1, 1, 5), 7), "0001-01-05");
        for number in 0..800_000 {
            assert_eq!(day_number(from_day_number(number)), number);
        }
    }

    #[test]
    fn only_dates_that_exist_are_dates() {
        assert_eq!(date("2024-02-29 10:00"), Some((2024, 2, 29)));
        for text in ["2023-02-29", "0000-01-01", "2024-13-01", "2024-1-1", "20240101", "2024-01-0ä"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn times_have_minutes_and_perhaps_seconds_and_a_zone() {
        for text in [
            "10:30",
            "10:30:00",
            "10:30:00.123456",
            "10:30Z",
            "10:30:00+02",
            "10:30:00-05:30",
            "10:30+0530",
            "10:30 +05:30:15",
            "10:30 UTC",
        ] {
            assert!(is_time(text), "{text}");
        }
        for text in ["", "10", "1:30", "10:30:", "10:30:00.", "10:30 ", "10:30+2", "10:30:00+02:3"] {
            assert!(!is_time(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(text in "\\PC{0,12}|[-0-9:+.ZT ]{0,20}") {
            date(&text);
            is_time(&text);
        }
    }
}
