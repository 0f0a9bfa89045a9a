//! Binary numbers with a point, as texts and back.
//!
//! Takes the bytes of numeric, or a floating-point number; gives the text that PostgreSQL writes. Must not know what it
//! is for.

/// Digits of a number in base 10,000.
const GROUP_DIGITS: usize = 4;
const NEGATIVE: u16 = 0x4000;
/// Digits before or behind the point at most, as PostgreSQL has it for numbers that are computed.
const DIGITS_MAX: usize = 16_383;

/// The shortest text that is read as the same number; with an exponent where PostgreSQL writes one (float8out,
/// float4out).
pub(super) fn float_text(number: f64, is_single: bool) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let scientific = if is_single { format!("{:e}", number as f32) } else { format!("{number:e}") };
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let plain_up_to = if is_single { 6 } else { 15 };
    match (-4..plain_up_to).contains(&exponent) {
        true if is_single => (number as f32).to_string(),
        true => number.to_string(),
        false => format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs()),
    }
}

/// The text of a numeric's bytes: counts of groups, weight of the first, sign, digits behind the point, and the groups.
pub(super) fn numeric_text(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(2 * at..2 * at + 2)?.try_into().ok()?));
    let (count, weight, sign, scale) = (usize::from(word(0)?), word(1)?.cast_signed(), word(2)?, usize::from(word(3)?));
    match sign {
        0 | NEGATIVE => {}
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    if bytes.len() != 8 + 2 * count || scale > DIGITS_MAX {
        return None;
    }
    let group = |power: i32| {
        let index = usize::try_from(i32::from(weight) - power).ok();
        index.filter(|index| *index < count).and_then(|index| word(4 + index)).unwrap_or_default()
    };
    let whole: String = (0..=i32::from(weight).max(0)).rev().map(|power| format!("{:04}", group(power))).collect();
    let whole = whole.trim_start_matches('0');
    let groups = scale.div_ceil(GROUP_DIGITS);
    let fraction: String = (1..=groups as i32).map(|power| format!("{:04}", group(-power))).collect();
    let sign = if sign == NEGATIVE { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{}{point}{}", if whole.is_empty() { "0" } else { whole }, fraction.get(..scale)?))
}

/// The bytes of a numeric's text, which has no exponent.
pub(super) fn numeric_bytes(text: &str) -> Option<Vec<u8>> {
    let special = match text {
        "NaN" => Some(0xc000_u16),
        "Infinity" => Some(0xd000),
        "-Infinity" => Some(0xf000),
        _ => None,
    };
    if let Some(sign) = special {
        return Some([0, 0, sign, 0].iter().flat_map(|word| word.to_be_bytes()).collect());
    }
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (NEGATIVE, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() > 8 * DIGITS_MAX || fraction.len() > DIGITS_MAX {
        return None;
    }
    let width = whole.len().next_multiple_of(GROUP_DIGITS);
    let padded = format!("{whole:0>width$}");
    let tail = fraction.len().next_multiple_of(GROUP_DIGITS);
    let all = format!("{padded}{fraction:0<tail$}");
    let groups: Vec<u16> = all.as_bytes().chunks(GROUP_DIGITS).map(group).collect::<Option<_>>()?;
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let weight = match first < last {
        true => i16::try_from(width / GROUP_DIGITS).ok()? - 1 - i16::try_from(first).ok()?,
        false => 0,
    };
    let head = [u16::try_from(last - first).ok()?, weight.cast_unsigned(), sign, u16::try_from(fraction.len()).ok()?];
    Some(head.iter().chain(&groups[first..last]).flat_map(|word| word.to_be_bytes()).collect())
}

fn group(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| 10 * value + u16::from(digit - b'0')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_written_as_postgresql_writes_them() {
        for (number, text) in [
            (12.5, "12.5"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (-1.5e300, "-1.5e+300"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float_text(number, false), text);
        }
        assert_eq!(float_text(f64::from(0.1_f32), true), "0.1");
        assert_eq!(float_text(1e6, true), "1e+06");
    }

    #[test]
    fn numerics_are_what_the_server_sends() {
        // SELECT numeric_send(1234567.8900), (-0.0012), 0, 10000
        for (text, words) in [
            ("1234567.8900", &[3_u16, 1, 0, 4, 123, 4567, 8900][..]),
            ("-0.0012", &[1, 0xffff, 0x4000, 4, 12]),
            ("0", &[0, 0, 0, 0]),
            ("10000", &[1, 1, 0, 0, 1]),
        ] {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(numeric_bytes(text), Some(bytes.clone()), "{text}");
            assert_eq!(numeric_text(&bytes).as_deref(), Some(text));
        }
    }

    proptest! {
        #[test]
        fn numerics_come_back(text in "-?([1-9][0-9]{0,20}|0)(\\.[0-9]{1,12})?") {
            let bytes = numeric_bytes(&text).unwrap();
            prop_assert_eq!(numeric_text(&bytes), Some(text));
        }

        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..24), text in "[-.0-9e]{0,12}") {
            numeric_text(&bytes);
            numeric_bytes(&text);
        }
    }
}
