//! What carries a server's lines: syslog and Heroku's logplex.
//!
//! Takes a line and gives what its carrier tells and the server's own line behind it. Understands RFC 3164 (with and
//! without a year), RFC 5424 and logplex, the escapes of control characters (`#011`), and the server's own numbers of
//! messages and pieces (`[7-2]`). Must not know log_line_prefix.

use std::borrow::Cow;

use super::timestamp::days_since_epoch;

/// What a carrier tells of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    pub time: CarrierTime,
    pub process: Option<u32>,
    /// Which piece of its message it is, from 1.
    pub piece: Option<u32>,
    pub text: Cow<'a, [u8]>,
}

/// A carrier's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierTime {
    /// Microseconds since the epoch.
    Epoch(i64),
    /// `Feb 11 13:15:39` of an unknown year, in an unknown zone.
    WithoutYear { month: i64, day: i64, second_of_day: i64 },
}

/// Finds the years of times that have none: a log goes on from year to year.
#[derive(Clone, Copy, Debug)]
pub struct Years {
    /// No line is younger, microseconds since the epoch.
    now_us: i64,
    current: Option<(i64, i64)>,
}

const DAY_US: i64 = 86_400_000_000;

impl Years {
    /// For a log that was last written at `now_us`.
    pub fn new(now_us: i64) -> Self {
        Self { now_us, current: None }
    }

    /// Microseconds since the epoch, and whether the zone is unknown.
    pub fn epoch_us(&mut self, time: CarrierTime) -> (i64, bool) {
        let (month, day, second_of_day) = match time {
            CarrierTime::Epoch(time_us) => return (time_us, false),
            CarrierTime::WithoutYear { month, day, second_of_day } => (month, day, second_of_day),
        };
        let at = |year| (days_since_epoch(year, month, day) * 86_400 + second_of_day) * 1_000_000;
        let year = match self.current {
            // From December to January; a month back is disorder.
            Some((year, last_month)) if month + 6 < last_month => year + 1,
            Some((year, last_month)) if last_month + 6 < month => year - 1,
            Some((year, _)) => year,
            None => {
                let this_year = 1970 + self.now_us.div_euclid(DAY_US) * 400 / 146_097;
                // A day's grace: the zone is not known.
                if at(this_year) <= self.now_us + DAY_US { this_year } else { this_year - 1 }
            }
        };
        self.current = Some((year, month));
        (at(year), true)
    }
}

/// Reads a carried line; none for one that nothing carries.
pub fn read(line: &[u8]) -> Option<Carried<'_>> {
    let (has_priority, rest) = match line.strip_prefix(b"<") {
        Some(rest) => {
            let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
            (true, &rest[end + 1..])
        }
        None => (false, line),
    };
    if let Some(rest) = rest.strip_prefix(b"1 ").filter(|_| has_priority) {
        return rfc5424(rest);
    }
    let (time, rest) = time(rest)?;
    let (process, rest) = tag(rest)?;
    Some(carried(time, process, rest))
}

/// `TIME HOST APP PROCID MSGID SD MSG`, behind the version.
fn rfc5424(rest: &[u8]) -> Option<Carried<'_>> {
    let (time, rest) = time(rest)?;
    let (_host, rest) = word(rest)?;
    let (_program, rest) = word(rest)?;
    let (process, rest) = word(rest)?;
    let (_id, rest) = word(rest)?;
    // Heroku leaves the structured data out, and names the database where it would stand.
    let rest = match rest.first()? {
        b'-' => rest.get(1..)?,
        _ => structured_data(rest)?,
    };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
    Some(carried(time, number(process.strip_prefix(b"postgres.").unwrap_or(process)), rest))
}

/// What stands behind `[id key="value" ...]...`; a message's own brackets hold no `=`.
fn structured_data(rest: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while rest.get(at) == Some(&b'[') {
        let mut is_quoted = false;
        let mut end = None;
        let mut bytes = rest.iter().enumerate().skip(at);
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'\\' if is_quoted => drop(bytes.next()),
                b'"' => is_quoted = !is_quoted,
                b']' if !is_quoted => {
                    end = Some(index + 1);
                    break;
                }
                _ => {}
            }
        }
        let end = end?;
        if memchr::memchr(b'=', &rest[at..end]).is_none() {
            break;
        }
        at = end;
    }
    Some(&rest[at..])
}

fn word(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', &rest[..rest.len().min(256)])?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// `Feb 11 13:15:39`, `2019 Feb 11 13:15:39` or `2019-02-11T13:15:39.123+01:00`, and what follows its space.
fn time(rest: &[u8]) -> Option<(CarrierTime, &[u8])> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    if rest.get(10) == Some(&b'T') && rest[0].is_ascii_digit() {
        let (time, rest) = word(rest)?;
        return Some((CarrierTime::Epoch(rfc3339_us(time)?), rest));
    }
    let month = MONTHS.iter().position(|month| rest.starts_with(*month))? as i64 + 1;
    let time = rest.get(3..15)?;
    let two = |at: usize| match (time[at], time[at + 1]) {
        (b' ', low @ b'0'..=b'9') => Some(i64::from(low - b'0')),
        (high @ b'0'..=b'9', low @ b'0'..=b'9') => Some(i64::from(high - b'0') * 10 + i64::from(low - b'0')),
        _ => None,
    };
    if (time[0], time[3], time[6], time[9]) != (b' ', b' ', b':', b':') {
        return None;
    }
    let (day, hour, minute, second) = (two(1)?, two(4)?, two(7)?, two(10)?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let second_of_day = hour * 3_600 + minute * 60 + second;
    Some((CarrierTime::WithoutYear { month, day, second_of_day }, rest.get(15..)?.strip_prefix(b" ")?))
}

/// `2019-02-11T13:15:39.123+01:00` as microseconds since the epoch.
pub fn rfc3339_us(text: &[u8]) -> Option<i64> {
    let time: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(time.as_microsecond())
}

/// `[HOST] PROGRAM[PROCESS]: ` or `app[postgres.PROCESS]: `: the process, and what follows.
fn tag(rest: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let window = &rest[..rest.len().min(256)];
    let end = memchr::memmem::find(window, b"]:")?;
    let start = memchr::memrchr(b'[', &rest[..end])?;
    // No more than a host stands before the program.
    if rest[..start].iter().filter(|byte| **byte == b' ').count() > 1 {
        return None;
    }
    let process = &rest[start + 1..end];
    let process = number(process.strip_prefix(b"postgres.").unwrap_or(process))?;
    let rest = &rest[end + 2..];
    Some((Some(process), rest.strip_prefix(b" ").unwrap_or(rest)))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn carried(time: CarrierTime, process: Option<u32>, rest: &[u8]) -> Carried<'_> {
    let rest = database_name(rest).unwrap_or(rest);
    let (piece, rest) = piece(rest).map_or((None, rest), |(piece, rest)| (Some(piece), rest));
    Carried { time, process, piece, text: without_escapes(rest) }
}

/// `[DATABASE_COLOR] `, which logplex puts there, before the piece's number.
fn database_name(rest: &[u8]) -> Option<&[u8]> {
    let inner = rest.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', &inner[..inner.len().min(64)])?;
    let is_name = inner[0].is_ascii_alphabetic()
        && inner[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    let rest = inner[end + 1..].strip_prefix(b" ")?;
    (is_name && piece(rest).is_some()).then_some(rest)
}

/// `[7-2] `: the second piece of message 7.
fn piece(rest: &[u8]) -> Option<(u32, &[u8])> {
    let inner = rest.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', &inner[..inner.len().min(24)])?;
    let dash = memchr::memchr(b'-', &inner[..end])?;
    let (message, piece) = (number(&inner[..dash]), number(&inner[dash + 1..end])?);
    let rest = &inner[end + 1..];
    message.map(|_| (piece, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// Control characters that syslog wrote as `#011`.
fn without_escapes(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(text, b"#01").is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'#', rest) {
        plain.extend_from_slice(&rest[..at]);
        let (byte, length) = match rest.get(at + 1..at + 4) {
            Some(b"011") => (b'\t', 4),
            Some(b"012") => (b'\n', 4),
            Some(b"015") => (b'\r', 4),
            _ => (b'#', 1),
        };
        plain.push(byte);
        rest = &rest[at + length..];
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(line: &str) -> (Option<u32>, Option<u32>, String) {
        let carried = read(line.as_bytes()).unwrap();
        (carried.process, carried.piece, String::from_utf8_lossy(&carried.text).into_owned())
    }

    #[test]
    fn every_carrier_gives_process_piece_and_line() {
        for (line, expected) in [
            ("Feb 11 13:15:40 pc postgres[10819]: [7-2] #011   x", (Some(10819), Some(2), "\t   x")),
            ("<134>Feb  1 13:15:40 pc postgres[7]: db=a LOG:  x", (Some(7), None, "db=a LOG:  x")),
            ("2019-02-11T13:15:40.123456+01:00 pc pg[7]: [1-1] LOG:  x", (Some(7), Some(1), "LOG:  x")),
            ("<134>1 2019-02-11T13:15:40Z pc postgres 7 - - [3-1] LOG:  x", (Some(7), Some(1), "LOG:  x")),
            ("<134>1 2019-02-11T13:15:40Z pc postgres 7 - [a@1 b=\"]\"] [3-1] LOG:  x", (Some(7), Some(1), "LOG:  x")),
            (
                "2022-07-01T12:00:00+00:00 app[postgres.99]: [BRONZE] [9-1]  sql_error_code = 00000 LOG:  x",
                (Some(99), Some(1), " sql_error_code = 00000 LOG:  x"),
            ),
        ] {
            assert_eq!(parts(line), (expected.0, expected.1, expected.2.to_owned()), "{line}");
        }
        for line in ["2019-02-11 13:15:40 UTC [7]: LOG:  x", "LOG:  x", "", "<", "Feb"] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn years_are_counted_back_from_the_last_and_on_from_the_first() {
        // 2026-02-01.
        let mut years = Years::new(20_485 * DAY_US);
        let mut year = |month| {
            let time_us = years.epoch_us(CarrierTime::WithoutYear { month, day: 3, second_of_day: 0 }).0;
            jiff::Timestamp::from_microsecond(time_us).unwrap().strftime("%Y").to_string()
        };
        assert_eq!([year(12), year(12), year(1)], ["2025", "2025", "2026"]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0_usize..90) {
            let line = b"<134>1 2019-02-11T13:15:40Z pc postgres 7 - [a b=\"c\"] [3-1] LOG:  x #011";
            read(&bytes);
            read(&[&line[..cut.min(line.len())], &bytes].concat());
        }
    }
}
