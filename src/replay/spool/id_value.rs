//! A value that may be an id: an integer or a uuid, whatever way it was written or bound.
//!
//! Takes and gives the protocol's text and binary forms. Must not know where a value comes from.

/// An id. Forms that say more than the value (`007`, `5.0`, a uuid without hyphens) are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdValue {
    Integer(i64),
    Uuid(u128),
}

const UUID_CHARS: usize = 36;

/// Where the hyphens of a uuid's text stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl IdValue {
    /// Reads the text form as PostgreSQL writes it.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if text.len() == UUID_CHARS {
            let is_formed = |(at, byte): (usize, u8)| match HYPHENS.contains(&at) {
                true => byte == b'-',
                false => byte.is_ascii_hexdigit(),
            };
            let digits = || text.replace('-', "");
            let is_uuid = text.bytes().enumerate().all(is_formed);
            return is_uuid.then(|| u128::from_str_radix(&digits(), 16).ok().map(Self::Uuid)).flatten();
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        text.parse().ok().filter(|_| is_plain).map(Self::Integer)
    }

    /// Reads what may be a binary int2, int4, int8 or uuid, or a uuid as a text: nothing tells other types of these lengths apart.
    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        Some(match *bytes {
            [a, b] => Self::Integer(i16::from_be_bytes([a, b]).into()),
            [a, b, c, d] => Self::Integer(i32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Self::Integer(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            // A text is the same in both formats.
            _ if bytes.len() == UUID_CHARS => return Self::from_text(bytes),
            _ => Self::Uuid(u128::from_be_bytes(bytes.try_into().ok()?)),
        })
        .filter(|value| *value != Self::Integer(0))
    }

    /// The text form.
    pub fn text(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Uuid(uuid) => {
                let digits = format!("{uuid:032x}");
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                parts.join("-")
            }
        }
    }

    /// The binary form in so many bytes; none where it has no such form.
    pub fn binary(self, length: usize) -> Option<Vec<u8>> {
        match (self, length) {
            (Self::Integer(integer), 2) => Some(i16::try_from(integer).ok()?.to_be_bytes().to_vec()),
            (Self::Integer(integer), 4) => Some(i32::try_from(integer).ok()?.to_be_bytes().to_vec()),
            (Self::Integer(integer), 8) => Some(integer.to_be_bytes().to_vec()),
            (Self::Uuid(uuid), 16) => Some(uuid.to_be_bytes().to_vec()),
            (Self::Uuid(_), UUID_CHARS) => Some(self.text().into_bytes()),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_plain_forms_are_ids() {
        assert_eq!(IdValue::from_text(b"42"), Some(IdValue::Integer(42)));
        assert_eq!(IdValue::from_text(b"-7"), Some(IdValue::Integer(-7)));
        for text in ["", "0", "007", "+5", "5.0", "x", "99999999999999999999", "0001020304050607-0809-0a0b0c0d0e0f-x"] {
            assert_eq!(IdValue::from_text(text.as_bytes()), None, "{text}");
        }
        let uuid = IdValue::from_text(b"00010203-0405-0607-0809-0A0B0C0D0E0F").unwrap();
        assert_eq!(uuid.text(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(uuid.binary(16).unwrap(), (0..16).collect::<Vec<u8>>());
    }

    #[test]
    fn what_does_not_fit_has_no_binary_form() {
        assert_eq!(IdValue::Integer(70_000).binary(2), None);
        assert_eq!(IdValue::Integer(1).binary(16), None);
        assert_eq!(IdValue::Uuid(1).binary(8), None);
    }

    proptest! {
        #[test]
        fn an_id_survives_both_forms(integer in prop::num::i64::ANY.prop_filter("no id", |n| *n != 0), uuid: u128) {
            for (value, length) in [(IdValue::Integer(integer), 8), (IdValue::Uuid(uuid), 16), (IdValue::Uuid(uuid), 36)] {
                prop_assert_eq!(IdValue::from_text(value.text().as_bytes()), Some(value));
                prop_assert_eq!(IdValue::from_binary(&value.binary(length).unwrap()), Some(value));
            }
        }

        #[test]
        fn garbage_is_no_panic(garbage: Vec<u8>) {
            IdValue::from_text(&garbage);
            IdValue::from_binary(&garbage);
        }
    }
}
