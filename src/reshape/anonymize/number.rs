//! Numbers as they are written: `-42`, `007`, `12.50`, `1.5e3`.
//!
//! Takes a text that is a number and gives its digits by value, and the same notation with other digits. PostgreSQL
//! stores `1e5`, `100000` and `100000.0` as one value, so what is mapped is the value. Must not know keys.

/// Whole numbers of up to so many digits are mapped with all their digits; of longer ones the zeros at the end stay.
pub(super) const WHOLE_DIGITS_MAX: i64 = 30;

/// Longer exponents are beyond every type of numbers.
const EXPONENT_DIGITS_MAX: usize = 6;

/// A number other than zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    /// The sign, and zeros and a point before the first digit that counts.
    before: &'a str,
    /// From the first digit that counts to the exponent.
    mantissa: &'a str,
    exponent: &'a str,
    /// The digits that are mapped.
    pub(super) digits: String,
    /// Whether zeros may stand at their end.
    pub(super) is_whole: bool,
}

impl<'a> Number<'a> {
    /// Reads what `form` found to be a number.
    pub(super) fn read(text: &'a str) -> Self {
        let (number, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        let from = number.find(|character: char| matches!(character, '1'..='9')).unwrap_or(number.len());
        let (before, mantissa) = number.split_at(from);
        let leading = match (before.find('.'), mantissa.find('.')) {
            (Some(point), _) => point as i64 - before.len() as i64 + 1,
            (None, point) => point.unwrap_or(mantissa.len()) as i64,
        };
        let point = leading + exponent_of(exponent);
        let mut digits = mantissa.replace('.', "").trim_end_matches('0').to_owned();
        let is_whole = digits.len() as i64 <= point;
        if is_whole && point <= WHOLE_DIGITS_MAX {
            digits.extend(std::iter::repeat_n('0', point as usize - digits.len()));
        }
        Self { before, mantissa, exponent, is_whole: is_whole && point <= WHOLE_DIGITS_MAX, digits }
    }

    /// The number with other digits, written alike; digits that the notation had no place for follow behind a point.
    pub(super) fn with(&self, digits: &str) -> String {
        let mut digits = digits.chars();
        let mut image: String =
            self.mantissa.chars().map(|one| if one == '.' { one } else { digits.next().unwrap_or('0') }).collect();
        let behind = digits.as_str();
        if !behind.is_empty() && !image.contains('.') && !self.before.contains('.') {
            image.push('.');
        }
        [self.before, &image, behind, self.exponent].concat()
    }
}

fn exponent_of(exponent: &str) -> i64 {
    let written = exponent.get(1..).unwrap_or_default();
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, written.strip_prefix('+').unwrap_or(written)),
    };
    let digits = digits.trim_start_matches('0');
    sign * if digits.len() > EXPONENT_DIGITS_MAX { 999_999 } else { digits.parse().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digits_follow_from_the_value() {
        for (text, digits, is_whole) in [
            ("42", "42", true),
            ("-007", "7", true),
            ("12.00", "12", true),
            ("1e2", "100", true),
            ("0.15E3", "150", true),
            ("1500e-2", "15", true),
            ("100.50", "1005", false),
            ("0.050", "5", false),
            (".5", "5", false),
            ("5.", "5", true),
            ("1e-5", "1", false),
            ("15e300", "15", false),
            ("1e999999999999", "1", false),
        ] {
            let number = Number::read(text);
            assert_eq!((number.digits.as_str(), number.is_whole), (digits, is_whole), "{text}");
        }
    }

    #[test]
    fn other_digits_are_written_alike() {
        for (text, digits, image) in [
            ("-007", "3", "-003"),
            ("12.00", "34", "34.00"),
            ("1e5", "384723", "3.84723e5"),
            ("15e2", "3847", "38.47e2"),
            ("1.5e3", "3847", "3.847e3"),
            ("0.1500e2", "38", "0.3800e2"),
            ("1500e-2", "38", "3800e-2"),
            ("100.50", "2345", "234.50"),
            ("5.", "7", "7."),
            (".01e5", "3847", ".03847e5"),
        ] {
            assert_eq!(Number::read(text).with(digits), image, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_with_its_own_digits_has_its_value(text in "-?(0{0,2}[1-9][0-9]{0,9}(\\.[0-9]{0,5})?|\\.0{0,3}[1-9][0-9]{0,4})(e[+-]?[0-9])?") {
            let number = Number::read(&text);
            let same = number.with(&number.digits);
            prop_assert_eq!(same.parse::<f64>(), text.parse::<f64>());
            prop_assert_eq!(Number::read(&same).digits, number.digits);
        }
    }
}
