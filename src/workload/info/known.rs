//! How much the source of a workload knew of its requests.
//!
//! Takes requests and counts what stands beside what was sent. Must not know which source it was.

use std::collections::HashMap;

use serde::Serialize;

use crate::sql::{TokenKind, tokens};
use crate::workload::reader::Reader;
use crate::workload::record::{Request, Sent, SqlRef};

/// Of how many requests something is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Requests that have a result at all.
    pub results: u64,
    pub times: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Requests whose result rows have a digest.
    pub digests: u64,
    /// Executions whose text holds a parameter, and those of them whose values are known.
    pub parameters_wanted: u64,
    pub parameters: u64,
    /// Requests by the extended protocol, and those of them whose exact messages are known.
    pub extended: u64,
    pub exact_messages: u64,
}

/// The counting.
#[derive(Default)]
pub(super) struct KnownCounts {
    known: Known,
    /// Whether a defined text holds a parameter.
    has_parameter: HashMap<u32, bool>,
}

impl KnownCounts {
    /// The id has another text from here on.
    pub(super) fn redefine(&mut self, id: u32) {
        self.has_parameter.remove(&id);
    }

    pub(super) fn take(&mut self, request: &Request, reader: &Reader) {
        let results = &request.results;
        self.known.results += u64::from(!results.is_empty());
        self.known.times += u64::from(results.iter().any(|result| result.total_us.is_some()));
        self.known.rows += u64::from(results.iter().any(|result| result.rows.is_some()));
        self.known.bytes += u64::from(results.iter().any(|result| result.bytes.is_some()));
        self.known.digests += u64::from(results.iter().any(|result| result.digest.is_some()));
        self.known.extended += u64::from(!matches!(request.sent, Sent::Simple { .. }));
        self.known.exact_messages += u64::from(match &request.sent {
            Sent::Simple { .. } => false,
            Sent::Execute(execute) => execute.parse.is_some(),
            Sent::Messages(_) => true,
        });
        if matches!(request.sent, Sent::Simple { .. }) {
            return;
        }
        for executed in request.sent.executions() {
            if self.has_parameter(executed.sql, reader) {
                self.known.parameters_wanted += 1;
                self.known.parameters += u64::from(!executed.parameters.is_empty());
            }
        }
    }

    pub(super) fn into_known(self) -> Known {
        self.known
    }

    fn has_parameter(&mut self, sql: &SqlRef, reader: &Reader) -> bool {
        let looked_at = || reader.statement(sql).is_some_and(|statement| holds_parameter(&statement.text.text()));
        match sql {
            SqlRef::Id(id) => *self.has_parameter.entry(*id).or_insert_with(looked_at),
            SqlRef::Inline(_) => looked_at(),
        }
    }
}

fn holds_parameter(text: &str) -> bool {
    text.contains('$') && tokens(text).any(|token| token.kind == TokenKind::Parameter)
}
