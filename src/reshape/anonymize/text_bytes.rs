//! Texts that may not be UTF-8, as characters and back.
//!
//! Takes bytes and gives a text in which every byte of another encoding is a character of its own; takes such a text and
//! gives bytes. Must not know what the text means. SQL's signs are the same in every encoding that a server may have.

use std::borrow::Cow;

/// The text of bytes, and whether they are in another encoding than UTF-8.
pub(super) fn readable(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(bytes.iter().copied().map(char::from).collect()), true),
    }
}

/// The bytes of a text, in the encoding that [`readable`] found.
pub(super) fn bytes(text: String, is_other: bool) -> Vec<u8> {
    match is_other {
        false => text.into_bytes(),
        true => text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect(),
    }
}

/// Hexadecimal digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for text in [&b"caf\xc3\xa9"[..], b"caf\xe9", b""] {
            let (read, is_other) = readable(text);
            assert_eq!(bytes(read.into_owned(), is_other), text);
        }
    }
}
