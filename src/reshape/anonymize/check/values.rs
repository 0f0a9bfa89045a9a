//! Two lists of parameters or returned values, side by side.
//!
//! Takes the old and the new values with what is known of their statement and gives each pair as texts. Must not judge them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::kept::{self, Class};
use super::super::plan::Plan;
use super::super::statement::{is_kept_value, starts_with_date};
use super::super::tally::Site;
use super::super::text_bytes::readable;
use super::super::{binary, text_bytes};
use super::statement::Pair;
use crate::workload::record::{Parameter, ParameterBytes};

/// The pairs of an execution's parameters; none where there are not as many.
pub(super) fn parameters(left: &[Parameter], right: &[Parameter], plan: &Plan) -> Option<Vec<Pair>> {
    let pair = |(index, (left, right)): (usize, (&Parameter, &Parameter))| {
        let oid = plan.type_oid(index);
        let (text, image) = (as_text(left, oid), as_text(right, oid));
        let (Some((site, mut left)), Some((_, mut right))) = (text, image) else { return None };
        let kept = plan.kept(index).filter(|kept| is_kept_value(*kept, &left)).map(|kept| kept.class);
        let is_date = oid.is_some_and(binary::is_date) && site == Site::TextParameter;
        if is_date && starts_with_date(&left) && starts_with_date(&right) {
            left.truncate(10);
            right.truncate(10);
        }
        let in_words = (is_date && !starts_with_date(&left)).then_some(kept::DATE_WORDS);
        let stays: Option<Class> = kept.or_else(|| oid.and_then(binary::kept_type)).or(in_words);
        Some(Pair { site, stays, left, right })
    };
    (left.len() == right.len()).then(|| left.iter().zip(right).enumerate().filter_map(pair).collect())
}

/// The pairs of returned values, where the new ones are there: those without a known type are left out.
pub(super) fn returned(left: &[Parameter], right: &[Parameter]) -> Vec<Pair> {
    let pair = |(left, right): (&Parameter, &Parameter)| {
        let ((_, left), (_, right)) = as_text(left, None).zip(as_text(right, None))?;
        Some(Pair { site: Site::ReturnedValue, stays: None, left, right })
    };
    left.iter().zip(right).filter_map(pair).collect()
}

/// A value as text: a binary one as its type's output function writes it, or else as its digits. None of NULL.
fn as_text(value: &Parameter, oid: Option<u32>) -> Option<(Site, String)> {
    match value {
        Parameter::Null => None,
        Parameter::Text(text) => Some((Site::TextParameter, text.clone())),
        Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => {
            let bytes = STANDARD.decode(encoded).unwrap_or_default();
            Some((Site::TextParameter, readable(&bytes).0.into_owned()))
        }
        Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => {
            let bytes = STANDARD.decode(encoded).unwrap_or_default();
            let text = oid.and_then(|oid| binary::text(oid, &bytes));
            Some((Site::BinaryParameter, text.unwrap_or_else(|| format!("\\x{}", text_bytes::hex(&bytes)))))
        }
    }
}
