//! The numbers and byte strings that records of a spool are made of.
//!
//! Writes integers as little-endian base 128 (most are small) and byte strings with their length in front; reads them
//! back by borrowing. Must not know what a record means. Reading never panics: what does not fit is `None`.

/// Appends an integer: seven bits a byte, the lowest first, the top bit set where more follow.
pub(super) fn put_int(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an integer that may be negative, so that small magnitudes stay short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_int(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends the length, then the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub fn int(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub fn signed(&mut self) -> Option<i64> {
        let value = self.int()?;
        Some(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int()?).ok()?;
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_can_be_taken(value: u64, signed: i64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_int(&mut out, value);
            put_signed(&mut out, signed);
            put_bytes(&mut out, &bytes);
            let mut take = Take(&out);
            prop_assert_eq!(take.int(), Some(value));
            prop_assert_eq!(take.signed(), Some(signed));
            prop_assert_eq!(take.bytes(), Some(&bytes[..]));
            prop_assert!(take.0.is_empty());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(garbage: Vec<u8>) {
            let mut take = Take(&garbage);
            while take.bytes().is_some() {}
            let mut take = Take(&garbage);
            while take.int().is_some() {}
        }
    }
}
