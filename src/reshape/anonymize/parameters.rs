//! Values that are sent or returned by themselves: bound parameters, what RETURNING gave, arguments of function calls.
//!
//! Takes values with what is known of their statement and maps each in its format. Must not know where they go.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::plan::Plan;
use super::statement::{is_kept_value, starts_with_date};
use super::tally::{Site, Tally};
use super::text_bytes::{bytes, readable};
use super::value::Mapping;
use super::{binary, kept};
use crate::reshape::error::ReshapeError;
use crate::workload::record::{Parameter, ParameterBytes};

/// What becomes of values whose type is not known: binary ones, which no one can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// The workload is refused.
    #[default]
    Refuse,
    /// They become NULL.
    Null,
}

/// The error for a value that cannot be mapped.
pub(super) fn refused(line: u64, what: &str) -> ReshapeError {
    ReshapeError::Asked {
        primary: format!("line {line} of the workload holds {what}"),
        hint: "--unknown null makes NULL of values that cannot be anonymized, and counts them".to_owned(),
    }
}

/// How values are mapped, and where they are counted.
pub(super) struct Parameters<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) unknown: Unknown,
    pub(super) line: u64,
    pub(super) tally: &'a mut Tally,
}

impl Parameters<'_> {
    /// Maps the parameters of one execution.
    pub(super) fn map(&mut self, parameters: &mut [Parameter], plan: &Plan) -> Result<(), ReshapeError> {
        for (index, parameter) in parameters.iter_mut().enumerate() {
            self.one(parameter, index, plan)?;
        }
        Ok(())
    }

    fn one(&mut self, parameter: &mut Parameter, index: usize, plan: &Plan) -> Result<(), ReshapeError> {
        let (stays, oid) = (plan.kept(index), plan.type_oid(index));
        match parameter {
            Parameter::Null => self.tally.keep("NULL"),
            Parameter::Text(text) => {
                if let Some(kept) = stays.filter(|kept| is_kept_value(*kept, text)) {
                    self.tally.keep(kept.class);
                } else {
                    self.tally.site = Site::TextParameter;
                    *text = self.text(text, oid);
                }
            }
            Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => {
                self.tally.site = Site::TextParameter;
                *encoded = self.other_text(encoded);
            }
            Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => {
                if let Some(kept) = stays.filter(|kept| !kept.only_numbers || oid.is_none_or(binary::is_integer)) {
                    self.tally.keep(kept.class);
                    return Ok(());
                }
                self.tally.site = Site::BinaryParameter;
                let image = STANDARD
                    .decode(&*encoded)
                    .ok()
                    .zip(oid)
                    .and_then(|(bytes, oid)| binary::map(oid, &bytes, self.mapping, self.tally));
                match (image, self.unknown) {
                    (Some(image), _) => *encoded = STANDARD.encode(image),
                    (None, Unknown::Null) => {
                        self.tally.nulled += 1;
                        *parameter = Parameter::Null;
                    }
                    (None, Unknown::Refuse) => {
                        return Err(refused(
                            self.line,
                            &format!("a binary parameter, ${}, whose type is not known", index + 1),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str, oid: Option<u32>) -> String {
        if let Some(class) = oid.and_then(binary::kept_type) {
            self.tally.keep(class);
            return text.to_owned();
        }
        if oid.is_some_and(binary::is_date) {
            if starts_with_date(text) {
                let (date, rest) = text.split_at(10);
                return self.mapping.text(date, self.tally) + rest;
            }
            if self.mapping.text(text, &mut ()) != text {
                self.tally.keep(kept::DATE_WORDS);
                return text.to_owned();
            }
        }
        self.mapping.text(text, self.tally)
    }

    /// A text in another encoding than UTF-8.
    fn other_text(&mut self, encoded: &str) -> String {
        let original = STANDARD.decode(encoded).unwrap_or_default();
        let (text, is_other) = readable(&original);
        STANDARD.encode(bytes(self.mapping.text(&text, self.tally), is_other))
    }

    /// Maps what RETURNING gave, and says whether it can: binary values have no known type.
    pub(super) fn returned(&mut self, values: &mut [Parameter]) -> bool {
        if values.iter().any(|value| matches!(value, Parameter::Bytes(ParameterBytes::BinaryBase64(_)))) {
            return false;
        }
        self.tally.site = Site::ReturnedValue;
        for value in values {
            match value {
                Parameter::Null => self.tally.keep("NULL"),
                Parameter::Text(text) => *text = self.mapping.text(text, self.tally),
                Parameter::Bytes(ParameterBytes::TextBase64(encoded) | ParameterBytes::BinaryBase64(encoded)) => {
                    *encoded = self.other_text(encoded);
                }
            }
        }
        true
    }

    /// A message that has no form of its own, such as a FunctionCall: nothing is known of its arguments.
    pub(super) fn raw(&mut self, tag: char, body: &str) -> Result<String, ReshapeError> {
        if self.unknown == Unknown::Refuse {
            return Err(refused(self.line, &format!("a message of type '{tag}', whose values are not known")));
        }
        self.tally.nulled += 1;
        let call = STANDARD.decode(body).ok().filter(|_| tag == 'F').and_then(|body| without_arguments(&body));
        Ok(STANDARD.encode(call.unwrap_or_default()))
    }
}

/// A FunctionCall whose arguments are NULL: the function, their formats, their values, the result's format.
fn without_arguments(body: &[u8]) -> Option<Vec<u8>> {
    let count = |at: usize| Some(usize::from(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?)));
    let arguments_at = 6 + 2 * count(4)?;
    let arguments = count(arguments_at)?;
    let format = body.get(body.len().checked_sub(2)?..)?;
    Some([body.get(..arguments_at + 2)?, &[0xff; 4].repeat(arguments), format].concat())
}
