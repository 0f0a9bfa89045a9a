//! The values of a captured request that may be ids, with where they are sent.
//!
//! Takes what was sent with the workload's texts; gives literals of texts and bound parameters in the order of the messages. Must
//! not know what was returned before.

use std::collections::HashMap;
use std::sync::Arc;

use super::id_marks::PatchTarget;
use super::id_value::IdValue;
use super::returned_ids::id_of;
use super::texts::{Statement, Texts};
use crate::sql::{self, NamedValue, TokenKind, ValuePlace};
use crate::workload::record::{Message, Parameter, Sent, WireMessage};

/// A value that a client sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentValue<'a> {
    pub value: IdValue,
    pub message: u32,
    pub target: PatchTarget,
    statement: &'a Statement,
}

impl<'a> SentValue<'a> {
    /// The column that it is a value of; none for a literal that is no value of a row.
    pub fn named(&self) -> Option<&'a NamedValue> {
        let place = match self.target {
            PatchTarget::Text { start, length } => {
                ValuePlace::Literal(start as usize..start as usize + length as usize)
            }
            PatchTarget::Parameter(index) => ValuePlace::Parameter(usize::from(index) + 1),
        };
        let mut here = self.statement.named_values().iter().filter(|named| named.place == place);
        let first = here.next()?;
        // A parameter may stand in several places.
        Some(if first.column.is_some() { first } else { here.find(|named| named.column.is_some()).unwrap_or(first) })
    }
}

/// Calls `see` with each value. Texts that cannot be read have none.
pub(super) fn each_sent_value(sent: &Sent, texts: &Texts, see: &mut impl FnMut(SentValue<'_>)) {
    match sent {
        Sent::Simple { sql } => {
            if let Some(statement) = texts.get(sql) {
                literals(&statement, 0, see);
            }
        }
        Sent::Execute(execute) => {
            if let Some(statement) = texts.get(&execute.sql) {
                parameters(&statement, 0, &execute.parameters, see);
            }
        }
        Sent::Messages(messages) => in_messages(messages, texts, see),
    }
}

fn in_messages(messages: &[WireMessage], texts: &Texts, see: &mut impl FnMut(SentValue<'_>)) {
    let mut bound: HashMap<&str, (u32, &[Parameter])> = HashMap::new();
    for (at, message) in (0..).zip(messages) {
        match message {
            WireMessage::Named(Message::Query { sql }) => {
                if let Some(statement) = texts.get(sql) {
                    literals(&statement, at, see);
                }
            }
            WireMessage::Named(Message::Bind { portal, parameters, .. }) => {
                bound.insert(portal, (at, parameters));
            }
            WireMessage::Named(Message::Execute { portal, sql: Some(sql), .. }) => {
                // A portal that is read in parts was bound once.
                if let (Some((at, values)), Some(statement)) = (bound.remove(portal.as_str()), texts.get(sql)) {
                    parameters(&statement, at, values, see);
                }
            }
            _ => {}
        }
    }
}

fn parameters(statement: &Arc<Statement>, message: u32, values: &[Parameter], see: &mut impl FnMut(SentValue<'_>)) {
    for (index, value) in (0..=u16::MAX).zip(values) {
        if let Some((value, _)) = id_of(value) {
            see(SentValue { value, message, target: PatchTarget::Parameter(index), statement });
        }
    }
}

fn literals(statement: &Arc<Statement>, message: u32, see: &mut impl FnMut(SentValue<'_>)) {
    let Ok(text) = std::str::from_utf8(&statement.sql) else { return };
    for token in sql::tokens(text) {
        let plain = match token.kind {
            TokenKind::Number => Some(token.text),
            TokenKind::String => token.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')),
            _ => None,
        };
        let value = plain.and_then(|plain| IdValue::from_text(plain.as_bytes()));
        let (Some(value), Ok(start), Ok(length)) = (value, token.start.try_into(), token.text.len().try_into()) else {
            continue;
        };
        see(SentValue { value, message, target: PatchTarget::Text { start, length }, statement });
    }
}
