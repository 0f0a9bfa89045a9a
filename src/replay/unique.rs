//! Values that no two copies may share: those of unique columns, another for each copy and round.
//!
//! Takes the columns of the scenario and a value; gives the value for a variant, different for each and the same each time,
//! so that what a copy writes it finds again. Pure. Must not know where values stand.

use std::collections::BTreeSet;

use crate::sql::NamedValue;

/// The bits of a UUID that change: its last twelve digits.
const UUID_BITS: u128 = (1 << 48) - 1;

/// An odd number, so that no two variants change a UUID alike (the golden ratio, as splitmix64 has it).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Type oids of PostgreSQL's catalog.
mod oid {
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const UUID: u32 = 2950;
    pub const TEXTS: [u32; 3] = [25, 1042, 1043];
}

/// The columns, and by how much their numbers grow from one variant to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueColumns {
    /// Table and column.
    columns: BTreeSet<(String, String)>,
    stride: u64,
}

impl UniqueColumns {
    pub fn new(columns: impl IntoIterator<Item = (String, String)>, stride: u64) -> Self {
        Self { columns: columns.into_iter().collect(), stride }
    }

    /// Whether the value is, or may be, that of one of the columns.
    pub fn has(&self, value: &NamedValue) -> bool {
        let Some(column) = &value.column else { return false };
        value.tables.iter().any(|table| self.columns.contains(&(table.clone(), column.clone())))
    }

    /// A value as text in this variant: a whole number grows, a UUID changes its last digits, any other text gets an end.
    /// None for a number that would be too large.
    pub fn text(&self, value: &str, variant: u64) -> Option<String> {
        if let Some(uuid) = uuid_of(value) {
            return Some(with_digits(value, changed(uuid, variant)));
        }
        if let Ok(number) = value.trim().parse::<i64>() {
            return self.number(number, variant).map(|number| number.to_string());
        }
        Some(format!("{value}-{variant}"))
    }

    /// A binary value of this type (0 where it is not known) in this variant. None where it cannot be told what it is.
    pub fn binary(&self, value: &[u8], type_oid: u32, variant: u64) -> Option<Vec<u8>> {
        match (type_oid, value.len()) {
            (oid::INT2, 2) => {
                let number = self.number(i16::from_be_bytes(value.try_into().ok()?).into(), variant)?;
                i16::try_from(number).ok().map(|number| number.to_be_bytes().into())
            }
            (oid::INT4 | 0, 4) => {
                let number = self.number(i32::from_be_bytes(value.try_into().ok()?).into(), variant)?;
                i32::try_from(number).ok().map(|number| number.to_be_bytes().into())
            }
            (oid::INT8 | 0, 8) => self
                .number(i64::from_be_bytes(value.try_into().ok()?), variant)
                .map(|number| number.to_be_bytes().into()),
            (oid::UUID | 0, 16) => {
                Some(changed(u128::from_be_bytes(value.try_into().ok()?), variant).to_be_bytes().into())
            }
            (type_oid, _) if oid::TEXTS.contains(&type_oid) => {
                self.text(std::str::from_utf8(value).ok()?, variant).map(String::into_bytes)
            }
            _ => None,
        }
    }

    /// Away from zero, so that positive numbers stay so and negative ones, too.
    fn number(&self, number: i64, variant: u64) -> Option<i64> {
        let grown = i64::try_from(self.stride.checked_mul(variant)?).ok()?;
        if number < 0 { number.checked_sub(grown) } else { number.checked_add(grown) }
    }
}

fn changed(uuid: u128, variant: u64) -> u128 {
    uuid ^ (u128::from(variant.wrapping_mul(SPREAD)) & UUID_BITS)
}

/// The UUID that a text is, in one of its usual forms.
fn uuid_of(text: &str) -> Option<u128> {
    let has_form = match text.len() {
        36 => [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-'),
        32 => true,
        _ => false,
    };
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let is_hexadecimal = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if has_form && is_hexadecimal { u128::from_str_radix(&digits, 16).ok() } else { None }
}

/// The UUID's digits in the places of the text's, and in its case.
fn with_digits(text: &str, uuid: u128) -> String {
    let is_upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let digits = if is_upper { format!("{uuid:032X}") } else { format!("{uuid:032x}") };
    let mut digits = digits.chars();
    text.chars().map(|old| if old == '-' { old } else { digits.next().unwrap_or(old) }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unique() -> UniqueColumns {
        UniqueColumns::new([("orders".to_owned(), "id".to_owned())], 1_000)
    }

    #[test]
    fn each_kind_of_value_changes_in_its_own_way() {
        let text = |value: &str| unique().text(value, 2);
        assert_eq!(text("5").as_deref(), Some("2005"));
        assert_eq!(text("-5").as_deref(), Some("-2005"));
        assert_eq!(text("9223372036854775807"), None, "too large");
        assert_eq!(text("ada@example.com").as_deref(), Some("ada@example.com-2"));
        assert_eq!(text("1.5").as_deref(), Some("1.5-2"));
        let uuid = "7D444840-9DC0-11D1-B245-5FFDCE74FAD2";
        let other = text(uuid).unwrap();
        assert_eq!((other.len(), &other[..24]), (36, &uuid[..24]));
        assert_ne!(other, uuid);
    }

    #[test]
    fn binary_values_keep_their_type() {
        let binary = |value: &[u8], oid| unique().binary(value, oid, 1);
        assert_eq!(binary(&5_i32.to_be_bytes(), 23).as_deref(), Some(&1_005_i32.to_be_bytes()[..]));
        assert_eq!(binary(&5_i64.to_be_bytes(), 0).as_deref(), Some(&1_005_i64.to_be_bytes()[..]));
        assert_eq!(binary(&i16::MAX.to_be_bytes(), 21), None, "too large");
        assert_eq!(binary(b"five", 25).as_deref(), Some(&b"five-1"[..]));
        assert_eq!(binary(&[0; 16], 2950).map(|uuid| uuid.len()), Some(16));
        assert_eq!(binary(&[1, 2, 3], 0), None);
        assert_eq!(binary(&5_f64.to_be_bytes(), 701), None, "no key");
    }

    proptest! {
        #[test]
        fn no_two_variants_of_a_value_are_the_same(value in "\\PC{0,40}", one in 0..1_000_u64, other in 0..1_000_u64) {
            let unique = unique();
            prop_assert_eq!(unique.text(&value, one) == unique.text(&value, other), one == other);
        }

        #[test]
        fn numbers_below_the_stride_never_meet(a in 0..1_000_i64, b in 0..1_000_i64, one in 1..100_u64, other in 1..100_u64) {
            let text = |number: i64, variant| unique().text(&number.to_string(), variant).unwrap();
            prop_assert_eq!(text(a, one) == text(b, other), (a, one) == (b, other));
        }

        #[test]
        fn binary_and_text_change_alike(number: i32, uuid: u128, variant in 1..100_u64) {
            let unique = unique();
            let bytes = unique.binary(&i64::from(number).to_be_bytes(), 20, variant).unwrap();
            let read = i64::from_be_bytes(bytes.try_into().unwrap());
            prop_assert_eq!(unique.text(&number.to_string(), variant), Some(read.to_string()));
            let bytes = unique.binary(&uuid.to_be_bytes(), 2950, variant).unwrap();
            let read = u128::from_be_bytes(bytes.try_into().unwrap());
            prop_assert_eq!(unique.text(&format!("{uuid:032x}"), variant), Some(format!("{read:032x}")));
        }
    }
}
