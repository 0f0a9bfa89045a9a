//! What a session prepared by SQL, so that an EXECUTE is looked at as the statement that it executes.
//!
//! Takes a session's statements in order and gives executions. Bounded. Must not know rules.

use std::collections::HashMap;

use super::execution::{Execution, Value};
use crate::sql::{SessionEffect, prepared_body, prepared_call, session_effect};

/// Statements that are remembered for one session, and the bytes of the longest.
const STATEMENTS_MAX: usize = 256;
const STATEMENT_BYTES_MAX: usize = 16 << 10;

/// A session's statements that PREPARE made, by name.
#[derive(Debug, Default)]
pub(super) struct PreparedBySql(HashMap<String, Box<str>>);

impl PreparedBySql {
    /// Follows a statement that succeeded.
    pub fn follow(&mut self, statement: &str) {
        // PREPARE, DEALLOCATE and DISCARD begin like this, and comments; hardly anything else does.
        let first = statement.trim_start().bytes().next().unwrap_or_default();
        if !b"pPdD/-".contains(&first) {
            return;
        }
        match session_effect(statement) {
            Some(SessionEffect::Prepare { name }) => {
                let body = prepared_body(statement).filter(|body| body.len() <= STATEMENT_BYTES_MAX);
                match body.filter(|_| self.0.len() < STATEMENTS_MAX) {
                    Some(body) => drop(self.0.insert(name, body.into())),
                    None => drop(self.0.remove(&name)),
                }
            }
            Some(SessionEffect::Deallocate { name }) => drop(self.0.remove(&name)),
            Some(SessionEffect::DeallocateAll | SessionEffect::DiscardAll) => self.0.clear(),
            _ => {}
        }
    }

    /// What those of the executions that are an EXECUTE of a known statement execute.
    pub fn executed(&self, executions: &[Execution<'_>]) -> Vec<Execution<'_>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let execution = |given: &Execution<'_>| {
            let call = prepared_call(&given.sql)?;
            let body = self.0.get(&call.name)?;
            let value = |argument: Option<String>| match argument {
                Some(text) => Value::Text(text.into_bytes().into()),
                None => Value::Null,
            };
            let parameters = call.arguments.into_iter().map(value).collect();
            Some(Execution { sql: body.as_ref().into(), parameters, ..Execution::default() })
        };
        executions.iter().filter(|given| !given.is_prepared_only).filter_map(execution).collect()
    }
}
