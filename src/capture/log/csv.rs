//! Cutting csvlog bytes into records and fields.
//!
//! Takes bytes from the start of a line and gives the extents of one record's fields, asks for more bytes, or says that
//! the line is none of a csvlog. Strict where the server is (a closing quote is followed by a comma or a line's end), so
//! that a record which was cut short cannot swallow the ones behind it. Must not know files, or what a column means.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use super::decoder::RECORD_BYTES_MAX;
use super::marks::Marks;
use super::scan::find;

/// The columns of a csvlog: up to PostgreSQL 8.4, 9.0 to 12, 13, and 14 to 18.
pub const COLUMNS: [usize; 4] = [22, 23, 24, 26];

/// What stands at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A record of `length` bytes over `lines` lines, its line end included; the fields hold its extents.
    Record { length: usize, lines: u64 },
    /// No record starts here: skip `length` bytes, one line.
    Foreign { length: usize },
    /// The input ends within a record.
    Truncated { length: usize, lines: u64 },
    /// The bytes end within a record and the input goes on.
    NeedMore,
}

/// The extents of a record's fields. Kept between records, so that cutting one allocates nothing.
#[derive(Debug, Default)]
pub struct Fields {
    extents: [Extent; COLUMNS[3]],
    count: usize,
    /// The record ended in CR LF, and so did every line break within it.
    carriage_returns: bool,
    /// How the last record began: most share their second with the one before.
    second: [u8; SECOND_BYTES],
}

/// A field is shorter than a record, and a record shorter than `RECORD_BYTES_MAX` and what was read last.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    start: u32,
    end: u32,
    doubled_quotes: bool,
}

impl Extent {
    fn plain(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, doubled_quotes: false }
    }

    fn of<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        &record[self.start as usize..self.end as usize]
    }
}

impl Fields {
    /// The number of fields.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes the next field; whoever calls sees to it that there is space.
    fn push(&mut self, extent: Extent) {
        self.extents[self.count] = extent;
        self.count += 1;
    }

    fn extent(&self, index: usize) -> Option<&Extent> {
        self.extents[..self.count].get(index)
    }

    /// Whether the bytes start like `2026-11-22 15:09:15`; none if there are too few to say.
    fn starts_with_timestamp(&mut self, bytes: &[u8]) -> Option<bool> {
        let Some(second) = bytes.first_chunk() else { return starts_with_timestamp(bytes) };
        if *second == self.second {
            return Some(true);
        }
        let is_timestamp = starts_with_timestamp(bytes);
        if is_timestamp == Some(true) {
            self.second = *second;
        }
        is_timestamp
    }

    /// Field `index` of the record that these extents were cut from, unquoted; empty where there is none.
    pub fn get<'a>(&self, record: &'a [u8], index: usize) -> Cow<'a, [u8]> {
        let Some(extent) = self.extent(index) else { return Cow::Borrowed(&[]) };
        let raw = extent.of(record);
        // A server that ends its lines in CR LF wrote every line feed of a statement as CR LF too.
        let carriage_return = self.carriage_returns && memchr(b'\r', raw).is_some();
        match (carriage_return, extent.doubled_quotes) {
            (false, false) => Cow::Borrowed(raw),
            (false, true) => Cow::Owned(without(raw, *b"\"\"", b'"')),
            (true, false) => Cow::Owned(without(raw, *b"\r\n", b'\n')),
            (true, true) => Cow::Owned(without(&without(raw, *b"\r\n", b'\n'), *b"\"\"", b'"')),
        }
    }

    /// Field `index` as it stands, for columns that the server never quotes.
    pub fn raw<'a>(&self, record: &'a [u8], index: usize) -> &'a [u8] {
        self.extent(index).map_or(&[], |extent| extent.of(record))
    }
}

/// Cuts the record at the start of `bytes`, which must be the start of a line and not empty. `at_end` says that no more
/// bytes will come; `columns` is the number that this file's records had so far.
pub fn cut(bytes: &[u8], at_end: bool, columns: Option<usize>, fields: &mut Fields) -> Cut {
    fields.count = 0;
    fields.carriage_returns = false;
    match fields.starts_with_timestamp(bytes) {
        Some(true) => {}
        None if !at_end => return Cut::NeedMore,
        _ => return foreign(bytes, at_end),
    }
    let mut marks = Marks::of(bytes);
    let mut at = 0;
    loop {
        let extent = match bytes.get(at) {
            Some(b',') => Some((Extent::plain(at, at), at)),
            Some(b'"') => quoted(bytes, &mut marks, at + 1),
            _ => bare(bytes, &mut marks, at),
        };
        let Some((extent, after)) = extent else {
            return unfinished(bytes, at_end, columns, fields, at);
        };
        fields.push(extent);
        match bytes.get(after) {
            Some(b',') if fields.count < COLUMNS[3] => at = after + 1,
            Some(b'\n') => return finished(bytes, &mut marks, after + 1, at_end, fields),
            Some(b'\r') => match bytes.get(after + 1) {
                Some(b'\n') => {
                    fields.carriage_returns = true;
                    return finished(bytes, &mut marks, after + 2, at_end, fields);
                }
                None => return unfinished(bytes, at_end, columns, fields, bytes.len()),
                Some(_) => return foreign(bytes, at_end),
            },
            None => return unfinished(bytes, at_end, columns, fields, bytes.len()),
            Some(_) => return foreign(bytes, at_end),
        }
    }
}

/// A quoted field whose text starts at `start`, and the position behind its closing quote.
fn quoted(bytes: &[u8], marks: &mut Marks<'_>, start: usize) -> Option<(Extent, usize)> {
    let mut doubled_quotes = false;
    let mut at = start;
    loop {
        let quote = marks.quote(at)?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some((Extent { doubled_quotes, ..Extent::plain(start, quote) }, quote + 1));
        }
        doubled_quotes = true;
        at = quote + 2;
    }
}

/// A field without quotes, which ends before a comma or a line end.
fn bare(bytes: &[u8], marks: &mut Marks<'_>, start: usize) -> Option<(Extent, usize)> {
    let end = marks.comma_or_feed(start)?;
    let end = if bytes[end] == b'\n' && end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
    Some((Extent::plain(start, end), end))
}

fn finished(bytes: &[u8], marks: &mut Marks<'_>, length: usize, at_end: bool, fields: &Fields) -> Cut {
    if COLUMNS.contains(&fields.count()) {
        Cut::Record { length, lines: marks.feeds_before(length) }
    } else {
        foreign(bytes, at_end)
    }
}

/// The bytes ran out at or behind `at`, where the last field starts.
fn unfinished(bytes: &[u8], at_end: bool, columns: Option<usize>, fields: &mut Fields, at: usize) -> Cut {
    if !at_end {
        return if bytes.len() < RECORD_BYTES_MAX { Cut::NeedMore } else { foreign(bytes, at_end) };
    }
    let is_bare = bytes.get(at).map_or(bytes.ends_with(b","), |byte| *byte != b'"');
    if is_bare && fields.count < COLUMNS[3] {
        fields.push(Extent::plain(at, bytes.len()));
    }
    // Whole but for its line end, which an editor may have taken away.
    if columns == Some(fields.count()) {
        return Cut::Record { length: bytes.len(), lines: lines(bytes).max(1) };
    }
    Cut::Truncated { length: bytes.len(), lines: lines(bytes).max(1) }
}

fn foreign(bytes: &[u8], at_end: bool) -> Cut {
    match memchr(b'\n', bytes) {
        Some(end) => Cut::Foreign { length: end + 1 },
        None if at_end || bytes.len() >= RECORD_BYTES_MAX => Cut::Foreign { length: bytes.len() },
        None => Cut::NeedMore,
    }
}

/// The text with one byte for each of these pairs, the first of which are their own.
fn without(text: &[u8], pair: [u8; 2], one: u8) -> Vec<u8> {
    let mut shorter = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, pair[0]) {
        let is_pair = rest.get(at + 1) == Some(&pair[1]);
        shorter.extend_from_slice(&rest[..at]);
        shorter.push(if is_pair { one } else { pair[0] });
        rest = &rest[at + 1 + usize::from(is_pair)..];
    }
    shorter.extend_from_slice(rest);
    shorter
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Bytes of a time up to its second.
const SECOND_BYTES: usize = 19;

/// Whether the bytes start like `2026-11-22 15:09:15`; none if there are too few to say.
fn starts_with_timestamp(bytes: &[u8]) -> Option<bool> {
    const SHAPE: &[u8; SECOND_BYTES] = b"dddd-dd-dd dd:dd:dd";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    if !bytes.iter().zip(SHAPE).all(fits) {
        return Some(false);
    }
    (bytes.len() >= SHAPE.len()).then_some(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: &str = "2026-11-22 15:09:15.123 UTC";

    /// A record of 26 columns with this message.
    fn record(message: &str) -> String {
        format!("{START},{}\"{}\"{}\n", ",".repeat(12), message.replace('"', "\"\""), ",".repeat(12))
    }

    fn message(bytes: &[u8]) -> (Cut, Vec<u8>) {
        let mut fields = Fields::default();
        let cut = cut(bytes, true, None, &mut fields);
        (cut, fields.get(bytes, 13).into_owned())
    }

    #[test]
    fn a_record_ends_where_its_last_field_ends() {
        let text = "statement: select \"a,b\"\n  from t";
        let bytes = record(text) + &record("next");
        let (cut, message) = message(bytes.as_bytes());
        assert_eq!(cut, Cut::Record { length: record(text).len(), lines: 2 });
        assert_eq!(message, text.as_bytes());
    }

    #[test]
    fn carriage_returns_that_the_server_added_are_taken_away() {
        let bytes = record("select 1\nfrom t\r\r\n").replace('\n', "\r\n");
        assert_eq!(message(bytes.as_bytes()).1, b"select 1\nfrom t\r\r\n");
        assert_eq!(message(record("select '\r\n'").as_bytes()).1, b"select '\r\n'");
    }

    #[test]
    fn a_record_cut_short_does_not_swallow_the_next() {
        let cut_short = &record("statement: select 1")[..55];
        let bytes = format!("{cut_short}\n{}", record("whole"));
        assert_eq!(message(bytes.as_bytes()).0, Cut::Foreign { length: cut_short.len() + 1 });
        assert_eq!(message(&bytes.as_bytes()[cut_short.len() + 1..]).1, b"whole");
    }

    #[test]
    fn other_lines_are_foreign_and_an_end_in_a_record_is_told() {
        assert_eq!(message(b"LOG:  something\nmore").0, Cut::Foreign { length: 16 });
        assert_eq!(message(b"2026-11-22 15:09:15.123 UTC [1] LOG:  x\n").0, Cut::Foreign { length: 40 });
        let whole = record("statement: select 1\nfrom t");
        for end in [10, 30, 50, 60] {
            let mut fields = Fields::default();
            let bytes = &whole.as_bytes()[..end];
            assert!(matches!(cut(bytes, true, Some(26), &mut fields), Cut::Truncated { .. } | Cut::Foreign { .. }));
            assert_eq!(cut(bytes, false, Some(26), &mut fields), Cut::NeedMore);
        }
        let without_line_end = &whole.as_bytes()[..whole.len() - 1];
        let mut fields = Fields::default();
        assert!(matches!(cut(without_line_end, true, Some(26), &mut fields), Cut::Record { .. }));
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_a_record(text in "[a\",\n\r; é]{0,20}", split in 0_usize..200) {
            let bytes = record(&text) + START;
            let split = split.min(bytes.len() - START.len());
            let mut fields = Fields::default();
            let early = cut(&bytes.as_bytes()[..split], false, None, &mut fields);
            let whole = cut(bytes.as_bytes(), false, None, &mut fields);
            prop_assert!(split == 0 || early == Cut::NeedMore || early == whole);
            let length = bytes.len() - START.len();
            let is_whole = matches!(whole, Cut::Record { length: found, .. } if found == length);
            prop_assert!(is_whole);
            let message = fields.get(bytes.as_bytes(), 13);
            prop_assert_eq!(message.as_ref(), text.as_bytes());
        }
    }
}
