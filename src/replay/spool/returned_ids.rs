//! The values of a captured answer that may be ids, with where they come from.
//!
//! Takes a request with what it returned; gives values with the column of RETURNING, or the sequence, that gave them. Must not
//! know what was returned before.

use std::sync::Arc;

use super::id_names::is_id_like;
use super::id_value::IdValue;
use super::texts::{Texts, from_base64};
use crate::sql;
use crate::workload::record::{Outcome, Parameter, ParameterBytes, Request};

/// What gave an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A column of RETURNING; the table is that which the statement writes.
    Column { table: Option<Arc<str>>, column: Arc<str> },
    /// A sequence: its name without schema and `_seq`; none where only the server knows it.
    Sequence(Option<Arc<str>>),
}

/// A request's results with the statements that gave them.
pub(super) struct Returning<'a> {
    results: &'a [Outcome],
    /// A text for each result.
    statements: Vec<String>,
}

impl<'a> Returning<'a> {
    pub fn of(request: &'a Request, texts: &super::texts::Texts) -> Self {
        Self { results: &request.results, statements: statements_of(request, texts) }
    }

    /// Calls `see` with the number of the result, row and column of each value in a column of ids, the value where it can be an
    /// id, and what gave it.
    pub fn each(&self, see: &mut impl FnMut(u32, u32, u16, Option<(IdValue, bool)>, &Origin)) {
        for ((statement, result), text) in (0..).zip(self.results).zip(&self.statements) {
            let columns = result.returned_columns.len();
            if columns == 0 {
                continue;
            }
            let origins: Vec<Option<Origin>> = origins(result, text);
            for (row, values) in (0..).zip(result.returned.chunks_exact(columns)) {
                for ((column, value), origin) in (0..).zip(values).zip(&origins) {
                    if let Some(origin) = origin {
                        see(statement, row, column, id_of(value), origin);
                    }
                }
            }
        }
    }
}

/// What gave each column; none for one that holds no ids.
fn origins(result: &Outcome, text: &str) -> Vec<Option<Origin>> {
    let tag = result.command_tag.as_deref().unwrap_or_default();
    let is_alone = result.returned_columns.len() == 1;
    if tag.starts_with("SELECT") {
        let sequence = sequence_of(text);
        let holds_ids = |name: &String| is_alone || is_id_like(name);
        let origin = |name| holds_ids(name).then(|| Origin::Sequence(sequence.clone()));
        return result.returned_columns.iter().map(origin).collect();
    }
    let table: Option<Arc<str>> = sql::written_table(text).map(Into::into);
    // An INSERT that returns one value returns what its client does not know.
    let is_news = is_alone && tag.starts_with("INSERT");
    let holds_uuids = |at: usize| result.returned.iter().skip(at).step_by(result.returned_columns.len()).any(is_uuid);
    let origin = |(at, name): (usize, &String)| {
        let column = || Origin::Column { table: table.clone(), column: name.as_str().into() };
        (is_news || is_id_like(name) || holds_uuids(at)).then(column)
    };
    result.returned_columns.iter().enumerate().map(origin).collect()
}

fn is_uuid(value: &Parameter) -> bool {
    matches!(id_of(value), Some((IdValue::Uuid(_), _)))
}

/// The sequence that nextval or currval names.
fn sequence_of(text: &str) -> Option<Arc<str>> {
    let words: Vec<_> = sql::tokens(text).without_comments().collect();
    let call =
        words.windows(3).find(|three| three[0].is_any_word(&["nextval", "currval"]) && three[1].is_symbol("("))?;
    let name = call[2].text.strip_prefix('\'')?.strip_suffix('\'')?;
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name).trim_matches('"');
    Some(name.strip_suffix("_seq").unwrap_or(name).into())
}

/// The value, and whether it is a binary one.
pub(super) fn id_of(value: &Parameter) -> Option<(IdValue, bool)> {
    match value {
        Parameter::Null => None,
        Parameter::Text(text) => Some((IdValue::from_text(text.as_bytes())?, false)),
        Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => {
            Some((IdValue::from_text(&from_base64(encoded)?)?, false))
        }
        Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => {
            Some((IdValue::from_binary(&from_base64(encoded)?)?, true))
        }
    }
}

/// The texts of the statements that the results are of, in order.
fn statements_of(request: &Request, texts: &Texts) -> Vec<String> {
    let mut statements = Vec::new();
    for sql in request.executed() {
        let Some(statement) = texts.get(sql) else { break };
        statements.extend(sql::split(&statement.text()).into_iter().map(str::to_owned));
    }
    statements
}
