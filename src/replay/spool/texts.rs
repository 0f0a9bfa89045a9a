//! What follows from a statement's text, found out once for each definition of the workload.
//!
//! Takes the workload's texts and gives bytes to send and the deeds of their statements. Holds at most the definitions
//! that a workload may have live. Must not know sessions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::transaction::Deed;
use crate::sql;
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::workload::record::{SqlRef, SqlText, Text};

/// A statement text as it is sent, and what it does.
#[derive(Debug)]
pub(super) struct Statement {
    pub sql: Vec<u8>,
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    pub parameter_types: Vec<u32>,
    pub deeds: Vec<Deed>,
    pub changes_session: bool,
    /// It waits for data of the client, which only a wire capture has.
    pub copies_from_client: bool,
}

impl Statement {
    /// None for base64 that is none.
    fn new(text: &Text, fingerprint: Fingerprint, class: StatementClass, parameter_types: &[u32]) -> Option<Self> {
        let sql = bytes_of(text)?;
        let readable = String::from_utf8_lossy(&sql);
        let parts = sql::split(&readable);
        Some(Self {
            deeds: match parts[..] {
                [only] => vec![deed(only, class)],
                _ => parts.iter().map(|part| deed(part, sql::classify(part))).collect(),
            },
            changes_session: parts.iter().any(|part| sql::session_effect(part).is_some()),
            copies_from_client: parts.iter().any(|part| sql::copies_from_client(part)),
            fingerprint,
            class,
            parameter_types: parameter_types.to_vec(),
            sql,
        })
    }

    /// The text, with replacement characters for what is not UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.sql)
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
}

impl Texts {
    pub fn define(&mut self, line: &SqlText) {
        let statement = Statement::new(&line.text, line.fingerprint, line.class, &line.parameter_types);
        self.defined.insert(line.id, statement.map(Arc::new));
    }

    /// None where the id is not defined or the text is not readable.
    pub fn get(&self, reference: &SqlRef) -> Option<Arc<Statement>> {
        match reference {
            SqlRef::Id(id) => self.defined.get(id).cloned().flatten(),
            SqlRef::Inline(sql) => Statement::new(&sql.text, sql.fingerprint, sql.class, &[]).map(Arc::new),
        }
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

fn deed(statement: &str, class: StatementClass) -> Deed {
    if let Some(control) = sql::transaction_control(statement) {
        return Deed::Control(control);
    }
    match class {
        StatementClass::Read => Deed::Read,
        StatementClass::Write | StatementClass::Ddl => Deed::Write,
        StatementClass::Copy if copies_into_table(statement) => Deed::Write,
        StatementClass::Copy => Deed::Read,
        StatementClass::Session => Deed::Session,
        StatementClass::Transaction | StatementClass::Other => Deed::Other,
    }
}

/// Whether a COPY reads into a table: FROM stands outside of any parentheses.
fn copies_into_table(statement: &str) -> bool {
    let mut depth = 0_usize;
    sql::tokens(statement).any(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && token.is_word("from")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> Statement {
        Statement::new(&Text::Text(sql.into()), Fingerprint(1), sql::classify(sql), &[]).unwrap()
    }

    #[test]
    fn copy_writes_only_into_a_table() {
        assert_eq!(statement("COPY t (a, b) FROM '/tmp/x'").deeds, [Deed::Write]);
        assert_eq!(statement("COPY (SELECT a FROM t) TO STDOUT").deeds, [Deed::Read]);
        assert!(statement("COPY t FROM STDIN").copies_from_client);
    }

    #[test]
    fn each_statement_of_a_text_has_its_deed() {
        let deeds = statement("BEGIN; UPDATE t SET a = 1; SELECT 1; COMMIT").deeds;
        assert_eq!(deeds.len(), 4);
        assert_eq!(deeds[1..3], [Deed::Write, Deed::Read]);
    }

    #[test]
    fn a_prepared_statement_is_executed_by_its_name() {
        assert_eq!(statement("BEGIN; /* x */ EXECUTE \"Q 1\"(1); execute P").executes_prepared(), ["Q 1", "p"]);
        assert!(statement("EXPLAIN SELECT execute FROM t").executes_prepared().is_empty());
    }

    #[test]
    fn settings_are_told_from_reads() {
        assert!(statement("SET search_path = a, b").changes_session);
        assert!(!statement("SELECT 1").changes_session);
    }

    #[test]
    fn a_folded_text_is_cut_between_characters() {
        assert_eq!(statement("SELECT äöü").folded(8), "select ä...");
    }
}
