//! What follows from a statement's text, found out once for each definition of the workload.
//!
//! Takes the workload's texts and gives bytes to send and the deeds of their statements. Holds at most the definitions
//! that a workload may have live. Must not know sessions.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::deeds::{Deeds, KnownDeeds};
use super::transaction::Deed;
use crate::sql::{self, NamedValue, TouchedRows};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::workload::record::{SqlRef, SqlText, Text};

/// A statement text as it is sent, and what it does.
#[derive(Debug)]
pub(super) struct Statement {
    pub sql: Box<[u8]>,
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    pub parameter_types: Box<[u32]>,
    pub does: Arc<Deeds>,
    touched: OnceCell<Box<[TouchedRows]>>,
    named: OnceCell<Box<[NamedValue]>>,
}

impl Statement {
    /// The text, with replacement characters for what is not UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.sql)
    }

    /// The rows that it touches, found out at the first call.
    pub fn touched_rows(&self) -> &[TouchedRows] {
        self.touched.get_or_init(|| {
            let touches = self.does.deeds.iter().any(|deed| matches!(deed, Deed::Read | Deed::Write));
            if touches { sql::touched_rows(&self.text()).into() } else { Box::default() }
        })
    }

    /// The columns of its literals and parameters, found out at the first call.
    pub fn named_values(&self) -> &[NamedValue] {
        self.named.get_or_init(|| sql::named_values(&self.text()).into())
    }

    /// The names of the prepared statements that it executes by SQL's EXECUTE.
    pub fn executes_prepared(&self) -> Vec<String> {
        let text = self.text();
        sql::split(&text).into_iter().filter_map(sql::prepared_call).map(|call| call.name).collect()
    }

    /// The text with its literals folded, for people; cut to `chars_max`.
    pub fn folded(&self, chars_max: usize) -> String {
        let folded = sql::fold(&self.text());
        match folded.char_indices().nth(chars_max) {
            Some((end, _)) => format!("{}...", &folded[..end]),
            None => folded,
        }
    }
}

/// The workload's live definitions. As in the file, a later line may give an id another text.
#[derive(Debug, Default)]
pub(super) struct Texts {
    defined: HashMap<u32, Option<Arc<Statement>>>,
    known: RefCell<KnownDeeds>,
}

impl Texts {
    pub fn define(&mut self, line: &SqlText) {
        let statement = self.statement(&line.text, line.fingerprint, line.class, &line.parameter_types);
        self.defined.insert(line.id, statement.map(Arc::new));
    }

    /// None where the id is not defined or the text is not readable.
    pub fn get(&self, reference: &SqlRef) -> Option<Arc<Statement>> {
        match reference {
            SqlRef::Id(id) => self.defined.get(id).cloned().flatten(),
            SqlRef::Inline(sql) => {
                self.statement(&sql.text, sql.fingerprint, sql.class, &sql.parameter_types).map(Arc::new)
            }
        }
    }

    /// None for base64 that is none.
    fn statement(
        &self,
        text: &Text,
        fingerprint: Fingerprint,
        class: StatementClass,
        parameter_types: &[u32],
    ) -> Option<Statement> {
        let sql = bytes_of(text)?.into_boxed_slice();
        let does = self.known.borrow_mut().of(&sql, class);
        Some(Statement {
            sql,
            fingerprint,
            class,
            parameter_types: parameter_types.into(),
            does,
            touched: OnceCell::new(),
            named: OnceCell::new(),
        })
    }
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

fn bytes_of(text: &Text) -> Option<Vec<u8>> {
    match text {
        Text::Text(text) => Some(text.as_bytes().to_vec()),
        Text::Base64(encoded) => from_base64(encoded),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> Statement {
        Texts::default().statement(&Text::Text(sql.into()), Fingerprint(1), sql::classify(sql), &[]).unwrap()
    }

    #[test]
    fn a_prepared_statement_is_executed_by_its_name() {
        assert_eq!(statement("BEGIN; /* x */ EXECUTE \"Q 1\"(1); execute P").executes_prepared(), ["Q 1", "p"]);
        assert!(statement("EXPLAIN SELECT execute FROM t").executes_prepared().is_empty());
    }

    #[test]
    fn a_folded_text_is_cut_between_characters() {
        assert_eq!(statement("SELECT äöü").folded(8), "select ä...");
    }
}
