//! The quick way to read a server's own JSON line.
//!
//! A jsonlog's lines are flat objects of known members without spaces between them. Takes a line and gives its row, or none
//! where it is anything else, which the general way then reads. Must not know what the fields mean.

use std::borrow::Cow;

use super::json::{Number, Row, Text};
use super::scan::{find, find_either};

/// Reads a line; none where it is not of this plain form, though it may be JSON.
pub fn read(line: &[u8]) -> Option<Row<'_>> {
    let mut row = Row::default();
    let mut seen = 0_u32;
    let mut rest = line.strip_prefix(b"{")?;
    loop {
        let (key, after) = plain_string(rest.strip_prefix(b"\"")?)?;
        let value = after.strip_prefix(b":")?;
        let after = match value.first()? {
            b'"' => {
                let (text, after) = string(&value[1..])?;
                match member(&mut row, key)? {
                    (Member::Text(member), place) => {
                        // A member that comes twice is an error of the general way.
                        if seen & place != 0 {
                            return None;
                        }
                        seen |= place;
                        *member = Text(text);
                    }
                    (Member::Other, _) => {}
                    (Member::Number(_), _) => return None,
                }
                after
            }
            _ => {
                let (number, after) = integer(value)?;
                match member(&mut row, key)? {
                    (Member::Number(member), place) => {
                        if seen & place != 0 {
                            return None;
                        }
                        seen |= place;
                        *member = Number(u32::try_from(number).unwrap_or(0));
                    }
                    (Member::Other, _) => {}
                    (Member::Text(_), _) => return None,
                }
                after
            }
        };
        match after.split_first()? {
            (b',', after) => rest = after,
            (b'}', b"") => return Some(row),
            _ => return None,
        }
    }
}

enum Member<'r, 'a> {
    Text(&'r mut Text<'a>),
    Number(&'r mut Number),
    Other,
}

/// The field that a member is, with a bit of its own; none for those that an envelope has.
fn member<'r, 'a>(row: &'r mut Row<'a>, key: &[u8]) -> Option<(Member<'r, 'a>, u32)> {
    let text = |text: &'r mut Text<'a>, place: u32| (Member::Text(text), 1 << place);
    Some(match key {
        b"timestamp" => text(&mut row.timestamp, 0),
        b"user" => text(&mut row.user, 1),
        b"dbname" => text(&mut row.dbname, 2),
        b"pid" => (Member::Number(&mut row.pid), 1 << 3),
        b"remote_host" => text(&mut row.remote_host, 4),
        b"session_id" => text(&mut row.session_id, 5),
        b"ps" => text(&mut row.ps, 6),
        b"session_start" => text(&mut row.session_start, 7),
        b"error_severity" => text(&mut row.error_severity, 8),
        b"state_code" => text(&mut row.state_code, 9),
        b"message" => text(&mut row.message, 10),
        b"detail" => text(&mut row.detail, 11),
        b"context" => text(&mut row.context, 12),
        b"statement" => text(&mut row.statement, 13),
        b"application_name" => text(&mut row.application_name, 14),
        b"backend_type" => text(&mut row.backend_type, 15),
        b"leader_pid" => (Member::Number(&mut row.leader_pid), 1 << 16),
        b"remote_port" | b"line_num" | b"vxid" | b"txid" | b"query_id" | b"hint" | b"internal_query"
        | b"internal_position" | b"cursor_position" | b"func_name" | b"file_name" | b"file_line_num" => {
            (Member::Other, 0)
        }
        _ => return None,
    })
}

/// A string without escapes, behind its opening quote, and what follows it.
fn plain_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find(bytes, b'"')?;
    let text = &bytes[..end];
    (find(text, b'\\').is_none() && !holds_control(text)).then(|| (text, &bytes[end + 1..]))
}

/// A string behind its opening quote, and what follows it. Of escapes, those that a server writes.
fn string(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut text = Cow::Borrowed(&bytes[..0]);
    let mut rest = bytes;
    loop {
        let end = find_either(rest, b'"', b'\\')?;
        let piece = &rest[..end];
        if holds_control(piece) {
            return None;
        }
        match &mut text {
            Cow::Borrowed(b"") => text = Cow::Borrowed(piece),
            _ => text.to_mut().extend_from_slice(piece),
        }
        if rest[end] == b'"' {
            return Some((text, &rest[end + 1..]));
        }
        text.to_mut().push(match rest.get(end + 1)? {
            byte @ (b'"' | b'\\' | b'/') => *byte,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => b'\x08',
            b'f' => b'\x0c',
            _ => return None,
        });
        rest = &rest[end + 2..];
    }
}

/// Whether a byte is there that stands in no string of JSON.
fn holds_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte < 0x20))
}

/// An integer, and what follows it.
fn integer(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (is_negative, digits) = bytes.strip_prefix(b"-").map_or((false, bytes), |digits| (true, digits));
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let has_leading_zero = length > 1 && digits[0] == b'0';
    if length == 0 || length > 18 || has_leading_zero || matches!(digits.get(length), Some(b'.' | b'e' | b'E')) {
        // The general way knows numbers of all kinds.
        return None;
    }
    let number = digits[..length].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some((if is_negative { -number } else { number }, &digits[length..]))
}
