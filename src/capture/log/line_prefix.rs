//! `log_line_prefix`: reading what a server put before each of its lines.
//!
//! Takes the setting's text and gives a pattern; takes a line and gives the values of its escapes, the severity and the
//! message. Names of users, databases and applications hold whatever their owners like, so where a value could end at
//! several places, the one is taken at which the rest of the line still makes sense. Must not know other lines.

use super::entry::{SessionKey, Severity};
use super::scan::find;
use super::timestamp::{Clock, LogTime};
use crate::words::sqlstate::SqlState;

/// Ends of values that are tried for one line: many values with many possible ends make more ways than are worth it.
const TRIES_MAX: usize = 512;

/// Bytes of a line in which its prefix must end.
const PREFIX_BYTES_MAX: usize = 2_048;

/// A `log_line_prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePrefix {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    /// The letter behind `%`; values may be padded with spaces.
    Escape {
        letter: u8,
        padded: bool,
    },
    /// `%q`: a process without a session writes nothing from here on.
    SessionOnly,
}

/// Why a text is no `log_line_prefix`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"%{found}\" is no escape of log_line_prefix")]
pub struct UnknownEscape {
    pub found: String,
}

/// The values of a line's escapes; what the prefix does not hold is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Header<'a> {
    pub user: &'a [u8],
    pub database: &'a [u8],
    pub application_name: &'a [u8],
    pub client: &'a [u8],
    pub backend_type: &'a [u8],
    pub command_tag: &'a [u8],
    pub process: Option<u32>,
    pub session: Option<SessionKey>,
    pub started: Option<LogTime<'a>>,
    pub time: Option<LogTime<'a>>,
    /// Microseconds since the epoch.
    pub epoch_us: Option<i64>,
    pub sqlstate: Option<SqlState>,
    /// The line ended its prefix at `%q`.
    pub without_session: bool,
}

/// What a line is: an entry of its own, or more about the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Entry(Severity),
    Detail,
    Context,
    Statement,
    /// HINT, QUERY, LOCATION and BACKTRACE, which no workload needs.
    Remark,
}

/// A line taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    pub header: Header<'a>,
    pub label: Label,
    pub text: &'a [u8],
}

/// An attempt to take a line apart.
struct Attempt<'c> {
    /// Ends of values that were tried.
    tries: usize,
    clock: &'c mut Clock,
}

impl LinePrefix {
    /// Reads the setting's text.
    ///
    /// # Errors
    /// An escape that no server knows.
    pub fn parse(text: &str) -> Result<Self, UnknownEscape> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if *byte != b'%' {
                push_literal(&mut parts, *byte);
                continue;
            }
            let padding = rest.iter().take_while(|byte| **byte == b'-' || byte.is_ascii_digit()).count();
            match rest.get(padding) {
                Some(b'%') => push_literal(&mut parts, b'%'),
                Some(b'q') => parts.push(Part::SessionOnly),
                Some(letter) if b"abcdehilmnprstuvxQLP".contains(letter) => {
                    parts.push(Part::Escape { letter: *letter, padded: padding > 0 });
                }
                other => {
                    let found = other.map_or(String::new(), |letter| char::from(*letter).to_string());
                    return Err(UnknownEscape { found });
                }
            }
            rest = &rest[padding + 1..];
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds one of these escapes.
    pub fn holds(&self, letters: &[u8]) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Escape { letter, .. } if letters.contains(letter)))
    }

    /// Whether it says which lines are of sessions: by `%q`, or by a value that only sessions have.
    pub fn tells_sessions(&self) -> bool {
        self.parts.contains(&Part::SessionOnly) || self.holds(b"udahrLb")
    }

    /// The number of its parts, which tells the more exact of two.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Takes a line apart; none where it does not start with this prefix and a severity.
    pub fn read<'a>(&self, line: &'a [u8]) -> Option<Line<'a>> {
        self.read_with(&mut Clock::default(), line)
    }

    /// As [`LinePrefix::read`], with the clock of the lines before.
    pub fn read_with<'a>(&self, clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
        let mut header = Header::default();
        let (label, text) = self.read_from(0, line, 0, &mut header, &mut Attempt { tries: 0, clock })?;
        Some(Line { header, label, text })
    }

    /// Reads the parts from this one on, and what stands behind the prefix. What it leaves in the header counts only if it
    /// finds all.
    fn read_from<'a>(
        &self,
        part: usize,
        line: &'a [u8],
        at: usize,
        header: &mut Header<'a>,
        attempt: &mut Attempt<'_>,
    ) -> Option<(Label, &'a [u8])> {
        let rest = &line[at..];
        match self.parts.get(part) {
            None => label(rest),
            Some(Part::Literal(literal)) => {
                let length = literal_length(literal, rest, self.is_last(part))?;
                self.read_from(part + 1, line, at + length, header, attempt)
            }
            Some(Part::SessionOnly) => {
                let before = *header;
                self.read_from(part + 1, line, at, header, attempt).or_else(|| {
                    *header = before;
                    let found = label(rest);
                    header.without_session = found.is_some();
                    found
                })
            }
            Some(Part::Escape { letter, padded: false }) => {
                let mut end = self.first_end(part, *letter, rest)?;
                if is_single(*letter) {
                    set(header, *letter, &rest[..end], attempt.clock)?;
                    return self.read_from(part + 1, line, at + end, header, attempt);
                }
                // What a try leaves in the header, the next one writes over: both read the same parts.
                loop {
                    attempt.tries += 1;
                    if attempt.tries > TRIES_MAX {
                        return None;
                    }
                    let found = set(header, *letter, &rest[..end], attempt.clock)
                        .and_then(|()| self.read_from(part + 1, line, at + end, header, attempt));
                    if found.is_some() {
                        return found;
                    }
                    end = self.next_end(part, *letter, rest, end)?;
                }
            }
            Some(Part::Escape { letter, padded: true }) => self.read_padded((part, *letter), line, at, header, attempt),
        }
    }

    /// As `read_from`, for a part whose value is padded with spaces, before it or behind it.
    fn read_padded<'a>(
        &self,
        (part, letter): (usize, u8),
        line: &'a [u8],
        at: usize,
        header: &mut Header<'a>,
        attempt: &mut Attempt<'_>,
    ) -> Option<(Label, &'a [u8])> {
        let spaces = line[at..].iter().take_while(|byte| **byte == b' ').count();
        let value = &line[at + spaces..];
        let mut end = shortest_end(letter, value)?;
        let before = *header;
        loop {
            attempt.tries += 1;
            if attempt.tries > TRIES_MAX {
                return None;
            }
            let after = end + value[end..].iter().take_while(|byte| **byte == b' ').count();
            // Padding is spaces, and so may be what follows it.
            for after in (end..=after).rev() {
                *header = before;
                let found = set(header, letter, value[..end].trim_ascii_end(), attempt.clock)
                    .and_then(|()| self.read_from(part + 1, line, at + spaces + after, header, attempt));
                if found.is_some() {
                    return found;
                }
            }
            end = self.next_end(part, letter, value, end)?;
        }
    }

    fn is_last(&self, part: usize) -> bool {
        part + 1 == self.parts.len()
    }

    /// The first place at which the value of a part without padding could end.
    fn first_end(&self, part: usize, letter: u8, value: &[u8]) -> Option<usize> {
        match self.parts.get(part + 1) {
            Some(Part::Literal(_)) if is_free(letter) => self.free_end(part, value, 0),
            _ => shortest_end(letter, value),
        }
    }

    /// The next place at which the value of a part could end.
    fn next_end(&self, part: usize, letter: u8, value: &[u8], end: usize) -> Option<usize> {
        if is_free(letter) { self.free_end(part, value, end + 1) } else { longer_end(letter, value, end) }
    }

    /// The first place from `from` on at which a value that holds any character could end.
    fn free_end(&self, part: usize, value: &[u8], from: usize) -> Option<usize> {
        let window = &value[..value.len().min(PREFIX_BYTES_MAX)];
        let behind = window.get(from..)?;
        let found = match self.parts.get(part + 1) {
            Some(Part::Literal(literal)) if !self.is_last(part + 1) => find_text(behind, literal),
            // Spaces at the prefix's end may be missing: then a label follows.
            Some(Part::Literal(literal)) => match literal.trim_ascii_end() {
                b"" => behind.iter().position(|byte| *byte == literal[0] || byte.is_ascii_uppercase()),
                trimmed => find_text(behind, trimmed),
            },
            _ => (!behind.is_empty()).then_some(0),
        };
        found.map(|found| from + found)
    }
}

/// Whether the bytes start with a text, which is mostly one byte long.
fn starts_with(bytes: &[u8], text: &[u8]) -> bool {
    match text {
        [byte] => bytes.first() == Some(byte),
        _ => bytes.starts_with(text),
    }
}

/// The position of a short text that is not empty.
fn find_text(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        from += find(&bytes[from..], text[0])?;
        if starts_with(&bytes[from..], text) {
            return Some(from);
        }
        from += 1;
    }
}

fn push_literal(parts: &mut Vec<Part>, byte: u8) {
    match parts.last_mut() {
        Some(Part::Literal(literal)) => literal.push(byte),
        _ => parts.push(Part::Literal(vec![byte])),
    }
}

/// The length of a literal at the start of `rest`. A space at the prefix's end may have been taken away by whatever
/// carried the line.
fn literal_length(literal: &[u8], rest: &[u8], is_last: bool) -> Option<usize> {
    if starts_with(rest, literal) {
        return Some(literal.len());
    }
    let trimmed = literal.trim_ascii_end();
    (is_last && rest.starts_with(trimmed)).then_some(trimmed.len())
}

/// Whether a value of this escape may hold any character.
fn is_free(letter: u8) -> bool {
    b"uadrhLbi".contains(&letter)
}

/// The length of the shortest value of an escape at the start of the bytes; none where none fits.
fn shortest_end(letter: u8, value: &[u8]) -> Option<usize> {
    let run = |fits: fn(&u8) -> bool| value.iter().take_while(|byte| fits(byte)).count();
    let digits = |length: usize| (length > 0).then_some(length);
    match letter {
        b't' | b'm' | b's' => timestamp_length(value, letter == b'm'),
        b'p' | b'l' => digits(run(u8::is_ascii_digit)),
        b'n' => digits(run(|byte| byte.is_ascii_digit() || *byte == b'.')),
        b'c' => digits(run(|byte| byte.is_ascii_hexdigit() || *byte == b'.')),
        b'e' => (run(u8::is_ascii_alphanumeric) == 5).then_some(5),
        b'Q' => digits(run(|byte| byte.is_ascii_digit() || *byte == b'-')),
        // A process without a transaction or a leader has none.
        b'x' | b'P' => Some(run(u8::is_ascii_digit)),
        b'v' => Some(run(|byte| byte.is_ascii_digit() || *byte == b'/' || *byte == b'-')),
        _ => Some(0),
    }
}

/// A zone's abbreviation may be followed by a literal that looks like a part of it: `%t-%c`, `%t:%r`.
fn longer_end(letter: u8, value: &[u8], end: usize) -> Option<usize> {
    if !matches!(letter, b't' | b'm' | b's') {
        return None;
    }
    let next = *value.get(end)?;
    (next.is_ascii_alphanumeric() || b"+-:".contains(&next)).then_some(end + 1)
}

/// The length of `2026-11-22 15:09:15[.123] ZONE` with the shortest zone that makes sense.
fn timestamp_length(value: &[u8], milliseconds: bool) -> Option<usize> {
    const SHAPE: &[u8; 19] = b"dddd-dd-dd dd:dd:dd";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    if value.len() < SHAPE.len() || !value.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let mut end = SHAPE.len();
    if milliseconds {
        let fraction = value.get(end + 1..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if value[end] != b'.' || !(1..=6).contains(&fraction) {
            return None;
        }
        end += 1 + fraction;
    }
    let Some(zone) = value[end..].strip_prefix(b" ") else { return Some(end) };
    let length = match zone.first() {
        Some(b'+' | b'-') => 1 + zone[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => zone.iter().take_while(|byte| byte.is_ascii_alphabetic()).count(),
    };
    Some(if length > 1 { end + 1 + length } else { end })
}

/// Whether a value of this escape ends at one place alone.
fn is_single(letter: u8) -> bool {
    !is_free(letter) && !matches!(letter, b't' | b'm' | b's')
}

/// Takes a value over; none where it is no value of its escape.
fn set<'a>(header: &mut Header<'a>, letter: u8, value: &'a [u8], clock: &mut Clock) -> Option<()> {
    let known = || if value == b"[unknown]" { b"".as_slice() } else { value };
    match letter {
        b'u' => header.user = known(),
        b'd' => header.database = known(),
        b'a' => header.application_name = known(),
        b'r' | b'h' => header.client = value,
        b'L' if header.client.is_empty() => header.client = value,
        b'b' => header.backend_type = value,
        b'i' => header.command_tag = value,
        b'p' => header.process = Some(number(value)?),
        b'c' => header.session = Some(SessionKey::parse(value)?),
        b's' => header.started = Some(LogTime::parse(value)?),
        b't' | b'm' => header.time = Some(clock.read(value)?),
        b'n' => header.epoch_us = Some(epoch_us(value)?),
        b'e' => header.sqlstate = Some(SqlState::new(value)?),
        _ => {}
    }
    Some(())
}

fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, byte| number.checked_mul(10)?.checked_add(u32::from(byte - b'0')))
}

/// `1795360155.123` as microseconds.
fn epoch_us(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// The severity or label at the start of the bytes, and the message behind it.
pub fn label(bytes: &[u8]) -> Option<(Label, &[u8])> {
    let colon = bytes[..bytes.len().min(10)].iter().position(|byte| *byte == b':')?;
    let label = match &bytes[..colon] {
        b"DETAIL" => Label::Detail,
        b"CONTEXT" => Label::Context,
        b"STATEMENT" => Label::Statement,
        b"HINT" | b"QUERY" | b"LOCATION" | b"BACKTRACE" => Label::Remark,
        word => Label::Entry(Severity::parse(word)?),
    };
    let rest = &bytes[colon + 1..];
    // Two spaces; some carriers of lines leave one.
    let text = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" ")).or(rest.is_empty().then_some(rest))?;
    Some((label, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_of_production_are_read() {
        for (prefix, line, user, process) in [
            ("%t:%r:%u@%d:[%p]:", "2020-03-11 20:40:50 CET:1.2.3.4(5):al@shop:[7]:LOG:  x", "al", Some(7)),
            ("%t-%c-", "2021-12-28 14:02:34 UTC-61cb198a.40-LOG:  x", "", None),
            (
                "%m [%p] %q[user=%u,db=%d,app=%a] ",
                "2020-03-11 20:40:50.123 CET [7] [user=al,db=shop,app=a] [1]: b, c] LOG:  x",
                "al",
                Some(7),
            ),
            (
                "%m [%p][%b][%v][%x] %q[user=%u,db=%d,app=%a] ",
                "2020-03-11 20:40:50.123 CET [7][client backend][3/4][0] [user=al,db=shop,app=psql] LOG:  x",
                "al",
                Some(7),
            ),
            (
                "%p-%s-%c-%l-%h-%u-%d-%m ",
                "7-2020-03-11 20:40:50 CET-6009c305.7-9-[local]-al-shop-2020-03-11 20:40:50.123 CET LOG:  x",
                "al",
                Some(7),
            ),
            ("%n [%p] %-10u|", "1583955650.123 [7] al        |LOG:  x", "al", Some(7)),
            (
                "%m %r %u %a [%c] [%p] ",
                "2020-03-11 20:40:50.1 +05 1.2.3.4(5) al my app [6009c305.7] [7] LOG:  x",
                "al",
                Some(7),
            ),
        ] {
            let read = LinePrefix::parse(prefix).unwrap();
            let line = read.read(line.as_bytes()).unwrap_or_else(|| panic!("{prefix}"));
            assert_eq!(
                (line.text, line.header.user, line.header.process),
                (b"x".as_slice(), user.as_bytes(), process),
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_process_without_a_session_ends_its_prefix_at_q() {
        let prefix = LinePrefix::parse("%m [%p] %q%u@%d ").unwrap();
        let line = prefix.read(b"2020-03-11 20:40:50.123 CET [7] LOG:  checkpoint starting: time").unwrap();
        assert!(line.header.without_session);
        assert!(!prefix.read(b"2020-03-11 20:40:50.123 CET [7] a@b LOG:  x").unwrap().header.without_session);
        assert_eq!(LinePrefix::parse("%m %y").unwrap_err().found, "y");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(prefix in "[%a-zQ0-9 \\[\\]@,-]{0,24}", bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(prefix) = LinePrefix::parse(&prefix) {
                prefix.read(&bytes);
                prefix.read(&[b"2020-03-11 20:40:50.123 CET [7] ", bytes.as_slice(), b"LOG:  x"].concat());
            }
        }
    }
}
