//! COPY data, row by row and field by field, whatever pieces it comes in.
//!
//! Takes pieces of a COPY's data and a function that gives another value for each field; gives the rows that are whole
//! with these values, written as they were. Must not know what the values become.

use super::copy_options::{CopyFormat, CopyOptions};

/// What is kept of a row that is not whole yet, at most.
pub(super) const ROW_BYTES_MAX: usize = 16 << 20;

/// Another value for a field; none stands for NULL, both ways.
pub(super) type MapField<'a> = dyn FnMut(Option<&[u8]>) -> Option<Vec<u8>> + 'a;

/// A row is longer than [`ROW_BYTES_MAX`], or binary data is not in its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadRow;

/// The data of a COPY as it comes.
#[derive(Clone, Debug)]
pub(super) struct CopyRows {
    pub(super) options: CopyOptions,
    /// The beginning of a row.
    rest: Vec<u8>,
    /// How much of it was searched for the row's end, and whether that was inside quotes.
    searched: usize,
    in_quotes: bool,
    is_first: bool,
}

impl CopyRows {
    pub(super) fn new(options: CopyOptions) -> Self {
        Self { options, rest: Vec::new(), searched: 0, in_quotes: false, is_first: true }
    }

    /// Takes the next piece; with `is_end`, what is left is a row, too.
    pub(super) fn take(&mut self, data: &[u8], is_end: bool, map: &mut MapField<'_>) -> Result<Vec<u8>, BadRow> {
        self.rest.extend_from_slice(data);
        let mut written = Vec::with_capacity(data.len());
        let rest = std::mem::take(&mut self.rest);
        let mut start = 0;
        while let Some(length) = self.row_length(&rest[start..])? {
            self.row(&rest[start..start + length], &mut written, map)?;
            start += length;
        }
        if is_end && start < rest.len() {
            self.row(&rest[start..], &mut written, map)?;
            start = rest.len();
        }
        self.rest = rest[start..].to_vec();
        if self.rest.len() > ROW_BYTES_MAX { Err(BadRow) } else { Ok(written) }
    }

    /// The length of the first row with its end; none where it is not whole.
    fn row_length(&mut self, data: &[u8]) -> Result<Option<usize>, BadRow> {
        let CopyOptions { format, quote, escape, .. } = self.options;
        if format == CopyFormat::Binary {
            return if self.is_first { Ok(binary_header(data)) } else { binary_row(data) };
        }
        let mut at = self.searched;
        while at < data.len() {
            let byte = data[at];
            let skips = match format {
                CopyFormat::Csv => self.in_quotes && escape != quote && byte == escape,
                _ => byte == b'\\',
            };
            if skips {
                if at + 1 == data.len() {
                    break;
                }
                at += 2;
                continue;
            }
            at += 1;
            if format == CopyFormat::Csv && byte == quote {
                self.in_quotes = !self.in_quotes;
            } else if byte == b'\n' && !self.in_quotes {
                (self.searched, self.in_quotes) = (0, false);
                return Ok(Some(at));
            }
        }
        self.searched = at;
        Ok(None)
    }

    fn row(&mut self, row: &[u8], written: &mut Vec<u8>, map: &mut MapField<'_>) -> Result<(), BadRow> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        (self.searched, self.in_quotes) = (0, false);
        if self.options.format == CopyFormat::Binary {
            return map_binary(row, is_first, written, map);
        }
        let body_length = row.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let (body, end) = row.split_at(body_length);
        if is_first && self.options.has_header || body == b"\\." {
            written.extend_from_slice(row);
            return Ok(());
        }
        for (number, field) in self.fields(body).into_iter().enumerate() {
            if number > 0 {
                written.push(self.options.delimiter);
            }
            match self.options.format {
                CopyFormat::Csv => self.map_csv(field, written, map),
                _ => self.map_text(field, written, map),
            }
        }
        written.extend_from_slice(end);
        Ok(())
    }

    fn fields<'a>(&self, body: &'a [u8]) -> Vec<&'a [u8]> {
        let CopyOptions { format, delimiter, quote, escape, .. } = self.options;
        let (mut fields, mut start, mut at, mut in_quotes) = (Vec::new(), 0, 0, false);
        while at < body.len() {
            let byte = body[at];
            let skips = match format {
                CopyFormat::Csv => in_quotes && escape != quote && byte == escape,
                _ => byte == b'\\',
            };
            if skips {
                at += 1;
            } else if format == CopyFormat::Csv && byte == quote {
                in_quotes = !in_quotes;
            } else if byte == delimiter && !in_quotes {
                fields.push(&body[start..at]);
                start = at + 1;
            }
            at += 1;
        }
        fields.push(&body[start..]);
        fields
    }

    fn map_text(&self, field: &[u8], written: &mut Vec<u8>, map: &mut MapField<'_>) {
        let value = (field != self.options.null).then(|| without_backslashes(field));
        let Some(image) = map(value.as_deref()) else {
            return written.extend_from_slice(&self.options.null);
        };
        for byte in image {
            let escaped = match byte {
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x08 => b'b',
                0x0b => b'v',
                0x0c => b'f',
                b'\\' => b'\\',
                other if other == self.options.delimiter => other,
                other => {
                    written.push(other);
                    continue;
                }
            };
            written.extend_from_slice(&[b'\\', escaped]);
        }
    }

    fn map_csv(&self, field: &[u8], written: &mut Vec<u8>, map: &mut MapField<'_>) {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let was_quoted = field.contains(&quote);
        let value = (was_quoted || field != self.options.null).then(|| self.without_quotes(field));
        let Some(image) = map(value.as_deref()) else {
            return written.extend_from_slice(&self.options.null);
        };
        let is_special = |byte: &u8| [delimiter, quote, b'\n', b'\r'].contains(byte);
        if !was_quoted && image != self.options.null && !image.iter().any(is_special) {
            return written.extend_from_slice(&image);
        }
        written.push(quote);
        for byte in image {
            if byte == quote || byte == escape {
                written.push(escape);
            }
            written.push(byte);
        }
        written.push(quote);
    }

    fn without_quotes(&self, field: &[u8]) -> Vec<u8> {
        let CopyOptions { quote, escape, .. } = self.options;
        let (mut value, mut at, mut in_quotes) = (Vec::with_capacity(field.len()), 0, false);
        while at < field.len() {
            let (byte, next) = (field[at], field.get(at + 1).copied());
            let is_escaped = in_quotes && byte == escape && next.is_some_and(|next| next == quote || next == escape);
            at += 1;
            if is_escaped {
                value.extend(next);
                at += 1;
            } else if byte == quote {
                in_quotes = !in_quotes;
            } else {
                value.push(byte);
            }
        }
        value
    }
}

/// Follows the escapes of the text format.
fn without_backslashes(field: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let byte = field[at];
        at += 1;
        let Some(escaped) = field.get(at).copied().filter(|_| byte == b'\\') else {
            value.push(byte);
            continue;
        };
        let digits = |from: usize, radix: u32, most: usize| {
            field[from..].iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count()
        };
        let code = |from: usize, length: usize, radix: u32| {
            let text = std::str::from_utf8(&field[from..from + length]).unwrap_or_default();
            u32::from_str_radix(text, radix).unwrap_or_default() as u8
        };
        at += 1;
        value.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'0'..=b'7' => {
                let length = digits(at - 1, 8, 3);
                at += length - 1;
                code(at - length, length, 8)
            }
            b'x' if digits(at, 16, 2) > 0 => {
                let length = digits(at, 16, 2);
                at += length;
                code(at - length, length, 16)
            }
            other => other,
        });
    }
    value
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and an extension with its length.
fn binary_header(data: &[u8]) -> Option<usize> {
    let fixed = SIGNATURE.len() + 4;
    let extension = u32::from_be_bytes(data.get(fixed..fixed + 4)?.try_into().ok()?);
    let length = fixed + 4 + usize::try_from(extension).ok()?;
    (data.len() >= length).then_some(length)
}

/// A count of fields, and each with its length; a count of -1 is the end.
fn binary_row(data: &[u8]) -> Result<Option<usize>, BadRow> {
    let Some(count) = data.get(..2) else { return Ok(None) };
    let count = i16::from_be_bytes([count[0], count[1]]);
    let mut length = 2;
    for _ in 0..count.max(0) {
        let Some(bytes) = data.get(length..length + 4) else { return Ok(None) };
        let field = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        length += 4 + usize::try_from(field.max(0)).map_err(|_| BadRow)?;
        if length > ROW_BYTES_MAX {
            return Err(BadRow);
        }
    }
    Ok((data.len() >= length).then_some(length))
}

fn map_binary(row: &[u8], is_header: bool, written: &mut Vec<u8>, map: &mut MapField<'_>) -> Result<(), BadRow> {
    if is_header {
        written.extend_from_slice(row);
        return if row.starts_with(SIGNATURE) { Ok(()) } else { Err(BadRow) };
    }
    let (count, mut rest) = row.split_at_checked(2).ok_or(BadRow)?;
    written.extend_from_slice(count);
    while let Some((length, behind)) = rest.split_at_checked(4) {
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let field = usize::try_from(length).ok();
        let (value, behind) = behind.split_at_checked(field.unwrap_or_default()).ok_or(BadRow)?;
        match map(field.map(|_| value)) {
            Some(image) => {
                written.extend_from_slice(&i32::try_from(image.len()).map_err(|_| BadRow)?.to_be_bytes());
                written.extend_from_slice(&image);
            }
            None => written.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(BadRow) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::copy_options::copy_options;
    use super::*;

    fn rows(statement: &str) -> CopyRows {
        CopyRows::new(copy_options(statement).pop().unwrap())
    }

    /// What the rows become in pieces of a size when every value is written backwards, and the values.
    fn reversed(statement: &str, data: &[u8], size: usize) -> (Vec<u8>, Vec<Option<Vec<u8>>>) {
        let (mut rows, mut written, mut values) = (rows(statement), Vec::new(), Vec::new());
        let mut map = |value: Option<&[u8]>| {
            values.push(value.map(<[u8]>::to_vec));
            value.map(|value| value.iter().rev().copied().collect())
        };
        for piece in data.chunks(size) {
            written.extend(rows.take(piece, false, &mut map).unwrap());
        }
        written.extend(rows.take(b"", true, &mut map).unwrap());
        (written, values)
    }

    #[test]
    fn text_is_read_and_written_as_postgresql_does() {
        let (written, values) = reversed("COPY t FROM STDIN", b"a\\tb\t\\N\t\\x41\\101\\\\\r\nlast", 3);
        assert_eq!(written, b"b\\ta\t\\N\t\\\\AA\r\ntsal");
        assert_eq!(values, [Some(b"a\tb".to_vec()), None, Some(b"AA\\".to_vec()), Some(b"last".to_vec())]);
        assert_eq!(reversed("COPY t FROM STDIN", b"\\.\n", 1).0, b"\\.\n");
    }

    #[test]
    fn csv_keeps_its_quotes_and_gets_those_it_needs() {
        let csv = "COPY t FROM STDIN CSV HEADER";
        let (written, values) = reversed(csv, b"id,name\n12,,\"a \"\"b\"\"\nc\",\"\"\n", 1);
        assert_eq!(written, b"id,name\n21,,\"c\n\"\"b\"\" a\",\"\"\n");
        assert_eq!(values, [Some(b"12".to_vec()), None, Some(b"a \"b\"\nc".to_vec()), Some(Vec::new())]);
    }

    #[test]
    fn binary_rows_have_fields_with_lengths() {
        let mut data = [SIGNATURE, &[0; 8]].concat();
        data.extend_from_slice(b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff");
        data.extend_from_slice(b"\xff\xff");
        let (written, values) = reversed("COPY t FROM STDIN BINARY", &data, 5);
        assert_eq!(values, [Some(b"ab".to_vec()), None]);
        assert_eq!(written.len(), data.len());
        assert!(written.windows(2).any(|pair| pair == b"ba"));
        let mut other = rows("COPY t FROM STDIN BINARY");
        assert_eq!(other.take(&[0; 40], true, &mut |_| None), Err(BadRow));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            data in "([a-c\t\n\r,\"\\\\N.]){0,60}",
            size in 1..9_usize,
            statement in prop_oneof![
                Just("COPY t FROM STDIN"),
                Just("COPY t FROM STDIN CSV"),
                Just("COPY t FROM STDIN CSV ESCAPE '\\'"),
            ],
        ) {
            let whole = reversed(statement, data.as_bytes(), data.len().max(1));
            prop_assert_eq!(reversed(statement, data.as_bytes(), size), whole);
        }
    }
}
