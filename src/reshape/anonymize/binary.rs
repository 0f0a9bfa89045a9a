//! Values in PostgreSQL's binary format, mapped as their texts are.
//!
//! Takes a value's bytes with the oid of its type; gives the bytes of another value of that type, the one that its text
//! would be mapped to. Must not know where values come from. Formats are those of the types' send functions.

use super::kept;
use super::number_format::{float_text, numeric_bytes, numeric_text};
use super::text_bytes::hex;
use super::value::{Fate, Mapping, Watch};

/// What a type's binary format is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Its bytes are its text.
    Text,
    /// A byte with the version before the text.
    Jsonb,
    Integer,
    Float,
    Numeric,
    /// Hundredths.
    Money,
    Date,
    Timestamp,
    Bytea,
    Uuid,
    Inet,
    Mac,
    Array,
    /// Stays; the class says why.
    Kept(&'static str),
}

/// By the oids of pg_type, which are the same in every version.
fn format(oid: u32) -> Option<Format> {
    Some(match oid {
        16 => Format::Kept(kept::BOOLEAN),
        17 => Format::Bytea,
        18 | 19 | 25 | 114 | 142 | 1042 | 1043 | 705 => Format::Text,
        20 | 21 | 23 => Format::Integer,
        24 | 26..=29 | 2202..=2206 | 3220 | 3734 | 3769 | 4089 | 4096 | 4191 | 5069 => Format::Kept(kept::CATALOG),
        650 | 869 => Format::Inet,
        700 | 701 => Format::Float,
        774 | 829 => Format::Mac,
        790 => Format::Money,
        1082 => Format::Date,
        1083 | 1186 | 1266 => Format::Kept(kept::INTERVAL),
        1114 | 1184 => Format::Timestamp,
        1560 | 1562 => Format::Kept(kept::BITS),
        1700 => Format::Numeric,
        2950 => Format::Uuid,
        3802 => Format::Jsonb,
        _ if is_array(oid) => Format::Array,
        _ => return None,
    })
}

fn is_array(oid: u32) -> bool {
    matches!(oid, 143 | 199 | 651 | 775 | 791 | 1000..=1016 | 1021 | 1022 | 1028 | 1040 | 1041 | 1115)
        || matches!(oid, 1182 | 1183 | 1185 | 1187 | 1231 | 1270 | 1561 | 1563 | 2951 | 3807)
}

/// What a text value of a type stays for.
pub(super) fn kept_type(oid: u32) -> Option<&'static str> {
    match format(oid) {
        Some(Format::Kept(class)) => Some(class),
        _ => None,
    }
}

/// Whether a type's texts are dates.
pub(super) fn is_date(oid: u32) -> bool {
    matches!(format(oid), Some(Format::Date | Format::Timestamp))
}

/// Whether a type's values are whole numbers.
pub(super) fn is_integer(oid: u32) -> bool {
    format(oid) == Some(Format::Integer)
}

/// The bytes for a value's bytes; none where the type is not known or the bytes are not of it.
pub(super) fn map(oid: u32, bytes: &[u8], mapping: &Mapping, watch: &mut dyn Watch) -> Option<Vec<u8>> {
    match format(oid)? {
        Format::Kept(class) => {
            watch.value(Fate::Place(class), "", "");
            Some(bytes.to_vec())
        }
        Format::Text => Some(mapping.text(std::str::from_utf8(bytes).ok()?, watch).into_bytes()),
        Format::Jsonb => {
            let (version, text) = bytes.split_first()?;
            let image = mapping.text(std::str::from_utf8(text).ok()?, watch);
            Some([&[*version], image.as_bytes()].concat())
        }
        Format::Array => map_array(bytes, mapping, watch),
        Format::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            let moved = i64::from(days) + moved_days(i64::from(days), mapping, watch);
            Some(i32::try_from(moved).unwrap_or(days).to_be_bytes().to_vec())
        }
        Format::Timestamp => {
            let us = i64::from_be_bytes(bytes.try_into().ok()?);
            let moved = us.checked_add(moved_days(us.div_euclid(DAY_US), mapping, watch) * DAY_US);
            Some(moved.unwrap_or(us).to_be_bytes().to_vec())
        }
        _ => of_text(oid, &mapping.text(&text(oid, bytes)?, watch), bytes),
    }
}

const DAY_US: i64 = 86_400_000_000;

/// The days by which a day, counted from 2000-01-01, is moved; none for infinity and for years that have more than four
/// digits or lie before our era.
fn moved_days(day: i64, mapping: &Mapping, watch: &mut dyn Watch) -> i64 {
    let epoch = jiff::civil::date(2000, 1, 1);
    let date = i32::try_from(day).ok().and_then(|days| epoch.checked_add(jiff::Span::new().try_days(days).ok()?).ok());
    let Some(date) = date.filter(|date| date.year() > 0) else {
        watch.value(Fate::Alone, "", "");
        return 0;
    };
    let image = mapping.text(&date.to_string(), watch);
    let moved: Option<jiff::civil::Date> = image.parse().ok();
    moved.and_then(|moved| date.until(moved).ok()).map_or(0, |span| i64::from(span.get_days()))
}

/// A value's text, as the type's output function writes it.
pub(super) fn text(oid: u32, bytes: &[u8]) -> Option<String> {
    let text = match format(oid)? {
        Format::Text => std::str::from_utf8(bytes).ok()?.to_owned(),
        Format::Jsonb => std::str::from_utf8(bytes.get(1..)?).ok()?.to_owned(),
        Format::Integer => integer(bytes)?.to_string(),
        Format::Float => match *bytes {
            [_, _, _, _] => float_text(f64::from(f32::from_be_bytes(bytes.try_into().ok()?)), true),
            _ => float_text(f64::from_be_bytes(bytes.try_into().ok()?), false),
        },
        Format::Numeric => numeric_text(bytes)?,
        Format::Money => {
            let cents = integer(bytes)?;
            let sign = if cents < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
        }
        Format::Bytea => format!("\\x{}", hex(bytes)),
        Format::Uuid => {
            let hex = hex(bytes);
            let part = |from: usize, to: usize| hex.get(from..to);
            [part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-")
        }
        Format::Inet => inet_text(bytes)?,
        Format::Mac => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
        Format::Date | Format::Timestamp | Format::Array | Format::Kept(_) => return None,
    };
    Some(text)
}

/// The bytes of a text, in the size of the bytes that were there before.
fn of_text(oid: u32, text: &str, before: &[u8]) -> Option<Vec<u8>> {
    match format(oid)? {
        Format::Integer => sized(text.parse().ok()?, before.len()),
        Format::Float if before.len() == 4 => Some(text.parse::<f32>().ok()?.to_be_bytes().to_vec()),
        Format::Float => Some(text.parse::<f64>().ok()?.to_be_bytes().to_vec()),
        Format::Numeric => numeric_bytes(text),
        Format::Money => sized(text.replace('.', "").parse().ok()?, before.len()),
        Format::Bytea => unhex(text.strip_prefix("\\x")?),
        Format::Uuid => unhex(&text.replace('-', "")),
        Format::Mac => unhex(&text.replace(':', "")),
        Format::Inet => inet_bytes(text, before),
        _ => None,
    }
}

fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        2 => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        _ => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

fn sized(number: i64, size: usize) -> Option<Vec<u8>> {
    match size {
        2 => Some(i16::try_from(number).ok()?.to_be_bytes().to_vec()),
        4 => Some(i32::try_from(number).ok()?.to_be_bytes().to_vec()),
        _ => Some(number.to_be_bytes().to_vec()),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Family, bits of the mask, whether it is a cidr, length, address.
fn inet_text(bytes: &[u8]) -> Option<String> {
    let (head, address) = bytes.split_at_checked(4)?;
    let address = match address.len() {
        4 => std::net::IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        _ => std::net::IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
    };
    let is_whole = usize::from(head[1]) == 8 * (bytes.len() - 4) && head[2] == 0;
    Some(if is_whole { address.to_string() } else { format!("{address}/{}", head[1]) })
}

fn inet_bytes(text: &str, before: &[u8]) -> Option<Vec<u8>> {
    let address = text.split('/').next()?.parse().ok()?;
    let octets = match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    (octets.len() + 4 == before.len()).then(|| [&before[..4], &octets].concat())
}

/// Dimensions, whether there are NULLs, the elements' type, length and lower bound of each dimension, and then the elements,
/// each with its length.
fn map_array(bytes: &[u8], mapping: &Mapping, watch: &mut dyn Watch) -> Option<Vec<u8>> {
    let number = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let dimensions = usize::try_from(number(0)?).ok().filter(|dimensions| *dimensions <= 6)?;
    let oid = u32::try_from(number(8)?).ok()?;
    let mut at = 12 + 8 * dimensions;
    let mut image = bytes.get(..at)?.to_vec();
    while at < bytes.len() {
        let length = number(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            watch.value(Fate::Null, "", "");
            image.extend_from_slice(&length.to_be_bytes());
            continue;
        };
        let element = map(oid, bytes.get(at..at.checked_add(length)?)?, mapping, watch)?;
        image.extend_from_slice(&i32::try_from(element.len()).ok()?.to_be_bytes());
        image.extend_from_slice(&element);
        at += length;
    }
    Some(image)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use postgres_protocol::types;
    use proptest::prelude::*;

    use super::super::key::Key;
    use super::*;

    fn mapping() -> Mapping {
        Mapping::new(Key::new([9; 32]), [])
    }

    fn image(oid: u32, bytes: &[u8]) -> Vec<u8> {
        map(oid, bytes, &mapping(), &mut ()).unwrap()
    }

    #[test]
    fn a_value_is_mapped_as_its_text_is() {
        let text_of = |text: &str| mapping().text(text, &mut ());
        assert_eq!(text(23, &image(23, &4711_i32.to_be_bytes())).unwrap(), text_of("4711"));
        assert_eq!(text(20, &image(20, &4711_i64.to_be_bytes())).unwrap(), text_of("4711"));
        assert_eq!(text(21, &image(21, &(-4711_i16).to_be_bytes())).unwrap(), text_of("-4711"));
        assert_eq!(text(701, &image(701, &12.5_f64.to_be_bytes())).unwrap(), text_of("12.5"));
        assert_eq!(image(25, b"Ann Brown"), text_of("Ann Brown").into_bytes());
        assert_eq!(image(3802, b"\x01{\"a\": 4711}"), format!("\u{1}{}", text_of("{\"a\": 4711}")).into_bytes());
        let uuid = "123e4567-e89b-42d3-a456-426614174000";
        let bytes = unhex(&uuid.replace('-', "")).unwrap();
        assert_eq!(text(2950, &image(2950, &bytes)).unwrap(), text_of(uuid));
        let numeric = numeric_bytes("-1234567.8900").unwrap();
        assert_eq!(text(1700, &image(1700, &numeric)).unwrap(), text_of("-1234567.8900"));
        assert_eq!(text(869, &image(869, &[2, 24, 0, 4, 10, 1, 2, 3])).unwrap(), text_of("10.1.2.3/24"));
        assert_eq!(text(790, &image(790, &1250_i64.to_be_bytes())).unwrap(), text_of("12.50"));
        assert_eq!(image(16, &[1]), [1]);
        assert_eq!(map(99_999, &[1], &mapping(), &mut ()), None);
        assert_eq!(map(23, &[1], &mapping(), &mut ()), None);
    }

    #[test]
    fn dates_move_as_their_texts_do() {
        let moved = mapping().text("2026-01-31", &mut ());
        let day = |text: &str| {
            let date: jiff::civil::Date = text.parse().unwrap();
            jiff::civil::date(2000, 1, 1).until(date).unwrap().get_days()
        };
        assert_eq!(image(1082, &day("2026-01-31").to_be_bytes()), day(&moved).to_be_bytes());
        let us = |text: &str, us: i64| i64::from(day(text)) * DAY_US + us;
        assert_eq!(image(1184, &us("2026-01-31", 7).to_be_bytes()), us(&moved, 7).to_be_bytes());
        for infinity in [i64::MAX, i64::MIN] {
            assert_eq!(image(1114, &infinity.to_be_bytes()), infinity.to_be_bytes());
        }
        assert_eq!(image(1082, &i32::MAX.to_be_bytes()), i32::MAX.to_be_bytes());
    }

    #[test]
    fn the_elements_of_an_array_are_mapped_and_its_shape_stays() {
        let mut bytes = bytes::BytesMut::new();
        let dimension = types::ArrayDimension { len: 3, lower_bound: 1 };
        let elements = [Some(5_i32), None, Some(4711)];
        types::array_to_sql(
            [dimension],
            23,
            elements,
            |element, buffer| {
                let Some(element) = element else { return Ok(postgres_protocol::IsNull::Yes) };
                types::int4_to_sql(element, buffer);
                Ok(postgres_protocol::IsNull::No)
            },
            &mut bytes,
        )
        .unwrap();
        let image = image(1007, &bytes);
        assert_eq!((image.len(), &image[..20]), (bytes.len(), &bytes[..20]));
        assert_eq!(text(23, &image[24..28]).unwrap(), mapping().text("5", &mut ()));
        assert_eq!(image[28..32], (-1_i32).to_be_bytes());
        assert_eq!(text(23, &image[36..]).unwrap(), mapping().text("4711", &mut ()));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_mapped(
            oid in prop_oneof![Just(1007_u32), Just(1700), Just(869), Just(2950), Just(3802), 0..4000_u32],
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Some(image) = map(oid, &bytes, &mapping(), &mut ()) {
                prop_assert_eq!(map(oid, &bytes, &mapping(), &mut ()), Some(image));
            }
        }
    }
}
