//! A parameter of any source as a log shows it, so that binary values of the wire can be compared with a log's texts.
//!
//! Takes a value and its type; gives a quoted text, or none where the type is not known or not one of these.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgrehearse::workload::record::{Parameter, ParameterBytes};

/// A value as a log shows it; `oid` is 0 where the type is not known.
pub fn shown(parameter: &Parameter, oid: u32) -> Option<String> {
    let text = match parameter {
        Parameter::Null => return Some("NULL".to_owned()),
        Parameter::Text(text) => text.clone(),
        Parameter::Bytes(ParameterBytes::TextBase64(text)) => text.clone(),
        Parameter::Bytes(ParameterBytes::BinaryBase64(text)) => of_binary(&STANDARD.decode(text).unwrap(), oid)?,
    };
    Some(format!("'{text}'"))
}

/// The text of a value in binary format, as the type's output function writes it.
fn of_binary(bytes: &[u8], oid: u32) -> Option<String> {
    Some(match oid {
        16 => if bytes == [0] { "f" } else { "t" }.to_owned(),
        17 => bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
        20 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        21 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        23 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        25 | 1043 => String::from_utf8(bytes.to_vec()).ok()?,
        1007 => array(bytes)?,
        1082 => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            (jiff::civil::date(2000, 1, 1) + jiff::Span::new().days(days)).to_string()
        }
        1700 => numeric(bytes)?,
        _ => return None,
    })
}

/// An array of one dimension without NULL.
fn array(bytes: &[u8]) -> Option<String> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (dimensions, element) = (number(0)?, number(8)?);
    if dimensions > 1 {
        return None;
    }
    let count = if dimensions == 0 { 0 } else { number(12)? };
    let mut at = 20;
    let mut elements = Vec::new();
    for _ in 0..count {
        let length = number(at)? as usize;
        elements.push(of_binary(bytes.get(at + 4..at + 4 + length)?, element)?);
        at += 4 + length;
    }
    Some(format!("{{{}}}", elements.join(",")))
}

/// Digits to the base of 10,000, of which the first has the weight of 10,000 to the power of `weight`.
fn numeric(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(i16::from_be_bytes(bytes.get(2 * at..2 * at + 2)?.try_into().ok()?));
    let (digits, weight, sign, scale) = (word(0)?, word(1)?, word(2)?, word(3)?);
    let digit = |place: i16| match usize::try_from(place) {
        Ok(place) if place < digits as usize => word(4 + place),
        _ => Some(0),
    };
    let mut text = if sign == 0 { String::new() } else { "-".to_owned() };
    let mut whole = String::new();
    for place in 0..=weight.max(0) {
        whole.push_str(&format!("{:04}", if weight < 0 { 0 } else { digit(place)? }));
    }
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut fraction = String::new();
        for place in 0..=scale / 4 {
            fraction.push_str(&format!("{:04}", digit(weight + 1 + place)?));
        }
        text.push('.');
        text.push_str(&fraction[..scale as usize]);
    }
    Some(text)
}
