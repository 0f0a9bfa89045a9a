//! Reads values that a workload file writes in more than one form: the JSON type says which.
//!
//! serde's `untagged` keeps a copy of each value to try the forms on, one after the other; a workload has several such
//! values in every request. Takes a deserializer and gives the value. Must not know what it is for.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

use super::record::{InlineSql, Parameter, ParameterBytes, SqlRef};

impl<'de> Deserialize<'de> for SqlRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SqlRefForms)
    }
}

struct SqlRefForms;

impl<'de> Visitor<'de> for SqlRefForms {
    type Value = SqlRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of a `sql` line or a statement text of its own")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<SqlRef, E> {
        u32::try_from(id).map(SqlRef::Id).map_err(|_| E::invalid_value(Unexpected::Unsigned(id), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SqlRef, A::Error> {
        InlineSql::deserialize(MapAccessDeserializer::new(map)).map(|inline| SqlRef::Inline(Box::new(inline)))
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParameterForms)
    }
}

struct ParameterForms;

impl<'de> Visitor<'de> for ParameterForms {
    type Value = Parameter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a text, or an object with `text_base64` or `binary_base64`")
    }

    fn visit_unit<E: Error>(self) -> Result<Parameter, E> {
        Ok(Parameter::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Parameter, E> {
        Ok(Parameter::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Parameter, A::Error> {
        ParameterBytes::deserialize(MapAccessDeserializer::new(map)).map(Parameter::Bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parameter(json: &str) -> Result<Parameter, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn sql(json: &str) -> Result<SqlRef, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_parameter_is_null_a_text_or_bytes() {
        assert_eq!(parameter("null"), Ok(Parameter::Null));
        assert_eq!(parameter(r#""a\"b""#), Ok(Parameter::Text("a\"b".into())));
        let bytes = |bytes| Ok(Parameter::Bytes(bytes));
        assert_eq!(parameter(r#"{"binary_base64":"AAE="}"#), bytes(ParameterBytes::BinaryBase64("AAE=".into())));
        assert_eq!(parameter(r#"{"text_base64":"/w=="}"#), bytes(ParameterBytes::TextBase64("/w==".into())));
    }

    #[test]
    fn a_statement_is_an_id_or_its_text() {
        assert_eq!(sql("7"), Ok(SqlRef::Id(7)));
        let written = r#"{"text":"SELECT 1","fingerprint":"00000000000000ab","class":"read"}"#;
        let read = sql(written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn another_form_is_refused_with_the_forms_there_are() {
        let refused = parameter("12").unwrap_err();
        assert!(refused.contains("null, a text, or an object with `text_base64` or `binary_base64`"), "{refused}");
        let refused = parameter(r#"{"hex":"00"}"#).unwrap_err();
        assert!(refused.contains("unknown variant `hex`"), "{refused}");
        let refused = sql("4294967296").unwrap_err();
        assert!(refused.contains("the id of a `sql` line or a statement text of its own"), "{refused}");
        let refused = sql(r#"{"text":"SELECT 1"}"#).unwrap_err();
        assert!(refused.contains("missing field `fingerprint`"), "{refused}");
    }
}
