//! The statements of a workload, values apart: how often, how long, with what result.
//!
//! Takes requests and gives the leading statements at the end. Must not know how they are shown.

use std::collections::{HashMap, HashSet};

use super::{STATEMENT_CHARS_MAX, STATEMENTS_MAX, StatementInfo, Sums};
use crate::sql::fold;
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::workload::live::Statement;
use crate::workload::reader::Reader;
use crate::workload::record::Request;

/// Statements by fingerprint.
#[derive(Default)]
pub(super) struct Statements {
    distinct: HashSet<Fingerprint>,
    followed: HashMap<Fingerprint, Followed>,
    executions_not_followed: u64,
}

struct Followed {
    class: StatementClass,
    sql: Box<str>,
    executions: u64,
    timed: u64,
    sums: Sums,
}

impl Statements {
    pub(super) fn take(&mut self, request: &Request, reader: &Reader) {
        let mut results = request.results.iter();
        let mut executed = request.executed().into_iter().peekable();
        while let Some(reference) = executed.next() {
            // The text of the last one (most often the only one) may hold several statements: the rest is its own.
            let count = if executed.peek().is_some() { 1 } else { usize::MAX };
            let own = results.by_ref().take(count);
            let (mut sums, mut is_timed) = (Sums::default(), false);
            for result in own {
                sums.add(&Sums::of(result));
                is_timed |= result.total_us.is_some();
            }
            let Some(statement) = reader.statement(reference) else { continue };
            self.distinct.insert(statement.fingerprint);
            match self.followed(statement) {
                Some(followed) => {
                    followed.executions += 1;
                    followed.timed += u64::from(is_timed);
                    followed.sums.add(&Sums { errors: sums.errors.min(1), ..sums });
                }
                None => self.executions_not_followed += 1,
            }
        }
    }

    fn followed(&mut self, statement: Statement<'_>) -> Option<&mut Followed> {
        let is_new = !self.followed.contains_key(&statement.fingerprint);
        if is_new && self.followed.len() < STATEMENTS_MAX {
            let sql = cut(&fold(&statement.text.text()));
            let (class, sums) = (statement.class, Sums::default());
            self.followed.insert(statement.fingerprint, Followed { class, sql, executions: 0, timed: 0, sums });
        }
        self.followed.get_mut(&statement.fingerprint)
    }

    pub(super) fn distinct(&self) -> u64 {
        self.distinct.len() as u64
    }

    pub(super) fn executions_not_followed(&self) -> u64 {
        self.executions_not_followed
    }

    /// All that were followed, the leading ones first.
    pub(super) fn into_top(self, executions: u64) -> Vec<StatementInfo> {
        let info = |(fingerprint, followed): (Fingerprint, Followed)| StatementInfo {
            fingerprint,
            class: followed.class,
            sql: followed.sql.into(),
            executions: followed.executions,
            share: followed.executions as f64 / executions.max(1) as f64,
            mean_us: (followed.timed > 0).then(|| followed.sums.total_us as f64 / followed.timed as f64),
            sums: followed.sums,
        };
        let mut top: Vec<StatementInfo> = self.followed.into_iter().map(info).collect();
        top.sort_by_key(|statement| {
            (std::cmp::Reverse((statement.sums.total_us, statement.executions)), statement.fingerprint)
        });
        top
    }
}

fn cut(text: &str) -> Box<str> {
    match text.char_indices().nth(STATEMENT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
