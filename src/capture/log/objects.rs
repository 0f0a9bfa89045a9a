//! Cutting JSON objects out of a text, wherever they stand: one a line, spread over lines, in a list, or in the list of an
//! object around them.
//!
//! Takes bytes and gives the extent of the next object. Knows the lists in which clouds put log entries: `records` (Azure),
//! `events` and `logEvents` (CloudWatch), `entries` (Cloud Logging). An object that was cut short cannot swallow the ones
//! behind it, since no text holds a raw line end, and nobody who writes an object over several lines starts an inner one
//! at a line's start. Must not know what an object's fields mean.

use memchr::{memchr, memchr3};

use super::decoder::RECORD_BYTES_MAX;

/// Fields of an outer object whose lists hold the rows.
const LISTS: [&[u8]; 4] = [b"records", b"events", b"logEvents", b"entries"];

/// What stands at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// An object of this many bytes.
    Object { bytes: usize },
    /// White space, brackets and commas, or what surrounds the rows in an outer object.
    Between { bytes: usize },
    /// A line that is no JSON, or its rest.
    Foreign { bytes: usize },
    /// An object that ends too early.
    Truncated { bytes: usize },
    /// The bytes end within an object and the input goes on.
    NeedMore,
}

/// Where in the text the bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Top,
    List {
        in_object: bool,
    },
    /// Behind the list of an outer object, this many brackets deep.
    Rest {
        depth: u32,
        in_text: bool,
        /// The byte before; 0 for one that was escaped.
        before: u8,
    },
}

/// Cuts objects out of one text.
#[derive(Debug, Default)]
pub struct Objects {
    place: Place,
}

impl Objects {
    /// Whether no list is open.
    pub fn is_at_top(&self) -> bool {
        self.place == Place::Top
    }

    /// Cuts what stands at the start of `bytes`, which is not empty. `at_end` says that no more bytes will come.
    pub fn cut(&mut self, bytes: &[u8], at_end: bool) -> Cut {
        match self.place {
            // An object at a line's start is none of the outer object's.
            Place::Rest { before: b'\n', .. } if bytes[0] == b'{' => self.place = Place::Top,
            Place::Rest { depth, in_text, before } => {
                return Cut::Between { bytes: self.skip_rest(bytes, depth, in_text, before) };
            }
            _ => {}
        }
        match bytes[0] {
            b'{' => self.object(bytes, at_end),
            b'[' if self.is_at_top() => {
                self.place = Place::List { in_object: false };
                Cut::Between { bytes: 1 }
            }
            b']' => {
                self.place = match self.place {
                    Place::List { in_object: true } => Place::Rest { depth: 1, in_text: false, before: b']' },
                    _ => Place::Top,
                };
                Cut::Between { bytes: 1 }
            }
            byte if is_between(byte) => {
                Cut::Between { bytes: bytes.iter().take_while(|byte| is_between(**byte)).count() }
            }
            _ => match memchr(b'\n', bytes) {
                Some(end) => Cut::Foreign { bytes: end + 1 },
                None if at_end || bytes.len() >= RECORD_BYTES_MAX => Cut::Foreign { bytes: bytes.len() },
                None => Cut::NeedMore,
            },
        }
    }

    fn object(&mut self, bytes: &[u8], at_end: bool) -> Cut {
        match scan(bytes) {
            Scan::Whole(end) => Cut::Object { bytes: end },
            Scan::List(start) if self.is_at_top() => {
                self.place = Place::List { in_object: true };
                Cut::Between { bytes: start }
            }
            // The list of an inner object is a field like others.
            Scan::List(_) => match scan_whole(bytes) {
                Scan::Whole(end) => Cut::Object { bytes: end },
                Scan::Broken(end) => Cut::Truncated { bytes: end },
                _ => unfinished(bytes, at_end),
            },
            Scan::Broken(end) => Cut::Truncated { bytes: end },
            Scan::Unfinished => unfinished(bytes, at_end),
        }
    }

    /// Skips what follows a list in its object, as far as it is there.
    fn skip_rest(&mut self, bytes: &[u8], mut depth: u32, mut in_text: bool, mut before: u8) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            if depth == 0 || (*byte == b'{' && before == b'\n') {
                self.place = Place::Top;
                return at;
            }
            let is_escaped = in_text && before == b'\\';
            before = if is_escaped { 0 } else { *byte };
            match byte {
                b'\n' => in_text = false,
                _ if is_escaped => {}
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text => depth -= 1,
                _ => {}
            }
        }
        self.place = match depth {
            0 => Place::Top,
            _ => Place::Rest { depth, in_text, before },
        };
        bytes.len()
    }
}

fn unfinished(bytes: &[u8], at_end: bool) -> Cut {
    match at_end || bytes.len() >= RECORD_BYTES_MAX {
        true => Cut::Truncated { bytes: bytes.len() },
        false => Cut::NeedMore,
    }
}

fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b','
}

/// What a scan from an object's first bracket came to.
enum Scan {
    /// The object ends before here.
    Whole(usize),
    /// The first row of one of the known lists starts here.
    List(usize),
    /// The object breaks off: something else starts here.
    Broken(usize),
    Unfinished,
}

fn scan(bytes: &[u8]) -> Scan {
    scan_for(bytes, true)
}

fn scan_whole(bytes: &[u8]) -> Scan {
    scan_for(bytes, false)
}

fn scan_for(bytes: &[u8], lists: bool) -> Scan {
    let (mut at, mut depth) = (0, 0_u32);
    while let Some(found) = memchr3(b'"', b'{', b'}', &bytes[at..]) {
        let here = at + found;
        at = here + 1;
        match bytes[here] {
            b'{' if depth > 0 && bytes[here - 1] == b'\n' => return Scan::Broken(here),
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Scan::Whole(at);
                }
            }
            _ => {
                match text_end(bytes, at) {
                    TextEnd::At(end) => at = end,
                    TextEnd::Broken(end) => return Scan::Broken(end),
                    TextEnd::Unfinished => return Scan::Unfinished,
                }
                if lists && depth == 1 && LISTS.contains(&&bytes[here + 1..at - 1]) {
                    match row_start(bytes, at) {
                        Some(start) if start < bytes.len() => return Scan::List(start),
                        Some(_) => return Scan::Unfinished,
                        None => {}
                    }
                }
            }
        }
    }
    Scan::Unfinished
}

enum TextEnd {
    /// Behind the closing quote.
    At(usize),
    /// A line end, which no text holds: behind it.
    Broken(usize),
    Unfinished,
}

/// Where the text ends whose first character stands at `at`.
fn text_end(bytes: &[u8], mut at: usize) -> TextEnd {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr3(b'"', b'\\', b'\n', rest)) {
        let here = at + found;
        match bytes[here] {
            b'"' => return TextEnd::At(here + 1),
            b'\n' => return TextEnd::Broken(here + 1),
            // An escape never hides a line end.
            _ if bytes.get(here + 1) == Some(&b'\n') => return TextEnd::Broken(here + 2),
            _ => at = here + 2,
        }
    }
    TextEnd::Unfinished
}

/// Where the first object of a list starts, `: [` standing before it; the number of bytes where they end before that.
fn row_start(bytes: &[u8], at: usize) -> Option<usize> {
    let mut wanted = b":[{".iter();
    let mut next = wanted.next();
    for (index, byte) in bytes.iter().enumerate().skip(at) {
        match next {
            Some(b'{') if *byte == b'{' => return Some(index),
            Some(one) if one == byte => next = wanted.next(),
            _ if byte.is_ascii_whitespace() => {}
            _ => return None,
        }
    }
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is cut out of a text that comes in pieces of this many bytes.
    fn cuts(text: &[u8], piece_bytes: usize) -> Vec<(Cut, &[u8])> {
        let mut objects = Objects::default();
        let (mut start, mut end) = (0, 0);
        let mut cuts = Vec::new();
        while start < text.len() {
            let cut = if start < end { objects.cut(&text[start..end], end == text.len()) } else { Cut::NeedMore };
            let bytes = match cut {
                Cut::NeedMore => {
                    assert!(end < text.len(), "nothing is taken at the end");
                    end = (end + piece_bytes).min(text.len());
                    continue;
                }
                Cut::Object { bytes } | Cut::Between { bytes } | Cut::Foreign { bytes } | Cut::Truncated { bytes } => {
                    bytes
                }
            };
            assert!(bytes > 0 && start + bytes <= end);
            if !matches!(cut, Cut::Between { .. }) {
                cuts.push((cut, &text[start..start + bytes]));
            }
            start += bytes;
        }
        cuts
    }

    fn objects(text: &str) -> Vec<String> {
        let of = |(cut, text): (Cut, &[u8])| match cut {
            Cut::Object { .. } => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        cuts(text.as_bytes(), usize::MAX).into_iter().map(of).collect()
    }

    #[test]
    fn objects_are_found_wherever_clouds_put_them() {
        for text in [
            "{\"a\":1}\n{\"a\":2}\n",
            "[{\"a\":1},{\"a\":2}]",
            "[\n  {\"a\":1},\n  {\"a\":2}\n]\n",
            "{\"records\":[{\"a\":1},{\"a\":2}]}\n",
            "{\"records\": [{\"a\":1}]}\n{\"records\": [{\"a\":2}]}\n",
            "{\"messageType\":\"DATA\",\"filters\":[\"x\"],\"logEvents\":[{\"a\":1}]}{\"logEvents\":[{\"a\":2}],\"x\":{\"y\":[\"}\"]}}",
            "{\n \"events\": [\n{\"a\":1},\n{\"a\":2}\n],\n \"searchedLogStreams\": [{\"s\": \"\\\"]}\"}]\n}\n",
        ] {
            assert_eq!(objects(text), ["{\"a\":1}", "{\"a\":2}"], "{text}");
        }
        assert_eq!(
            objects("{\"a\": {\"records\": [{}]},\n \"b\": \"}\\\"{\"}"),
            ["{\"a\": {\"records\": [{}]},\n \"b\": \"}\\\"{\"}"]
        );
        assert_eq!(objects("[{\"x\":1,\"events\":[{}]}]"), ["{\"x\":1,\"events\":[{}]}"]);
    }

    #[test]
    fn what_is_cut_short_swallows_nothing() {
        let whole = "{\"a\":1}";
        for (text, broken) in [
            ("{\"a\":\"x\n{\"a\":1}\n", "Truncated { bytes: 8 }"),
            ("{\"a\":{\"b\":\n{\"a\":1}\n", "Truncated { bytes: 11 }"),
            ("no JSON\n{\"a\":1}\n", "Foreign { bytes: 8 }"),
        ] {
            assert_eq!(objects(text), [broken, whole], "{text}");
        }
        assert_eq!(objects("{\"a\":1}\n{\"a\":"), [whole, "Truncated { bytes: 5 }"]);
    }

    proptest! {
        #[test]
        fn pieces_never_change_what_is_cut(
            text in "(\\[|\\]|\\{|\\}|,|:|\"|\n|\\\\|a|\"events\":\\[\\{|\\{\"a\":1\\}){0,24}",
            piece_bytes in 1_usize..9,
        ) {
            prop_assert_eq!(cuts(text.as_bytes(), piece_bytes), cuts(text.as_bytes(), usize::MAX));
        }
    }
}
