//! What a sample says about availability: for which class it is an attempt, and whether it went well.
//!
//! Takes one sample, gives at most one attempt with the classes that it speaks for. Must not know about windows.

use crate::samples::sample::{Outcome, Sample};
use crate::words::class::SampleClass;

/// Something that was sent and what became of it. Attempts compare in the order in which they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt {
    pub sent_us: u64,
    /// Waiting behind another tenant's statement taken off; never after `sent_us`.
    pub due_us: u64,
    pub done_us: u64,
    pub deadline_us: u64,
    pub ended: Ended,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    /// Answered in time, with no error or the captured one.
    Good,
    /// Answered, but after its deadline.
    Late,
    /// Given up without an answer, or an error that says that the server could not serve, over a connection that lived.
    Unserved,
    /// A connection failure: refused, timed out or lost.
    Disconnected,
}

/// For which of the classes an attempt speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Reads,
    Writes,
    /// A failed try to connect.
    Both,
    /// A bad attempt in neither class: it still blocks what waits behind it in its session.
    Neither,
}

impl Attempt {
    pub fn is_good(&self) -> bool {
        self.ended == Ended::Good
    }

    /// The moment from which a bad attempt is known as bad: it failed, or its deadline passed.
    pub fn seen_bad_us(&self) -> u64 {
        self.done_us.min(self.sent_us.saturating_add(self.deadline_us))
    }
}

/// What a sample says, if anything. What was never sent is no attempt; neither is an error such as a violated
/// constraint or a missing column, which is a finding about the statement and not about the server.
pub(super) fn attempt(sample: &Sample) -> Option<(Speaks, Attempt)> {
    let sent_us = sample.sent_us?;
    let ended = ended(sample, sent_us)?;
    let speaks = match (sample.class, ended) {
        (SampleClass::Read, _) => Speaks::Reads,
        (SampleClass::Write | SampleClass::Commit, _) => Speaks::Writes,
        // Until its COMMIT a write is not durable, and a session that opened has served nobody yet.
        (SampleClass::WriteInTransaction | SampleClass::Connect, Ended::Good) => return None,
        (SampleClass::WriteInTransaction, _) => Speaks::Writes,
        (SampleClass::Connect, _) => Speaks::Both,
        (SampleClass::Transaction | SampleClass::Session | SampleClass::Other, Ended::Good) => return None,
        (SampleClass::Transaction | SampleClass::Session | SampleClass::Other, _) => Speaks::Neither,
    };
    let due_us = sample.due_us.saturating_add(sample.other_tenant_wait_us).min(sent_us);
    let done_us = sample.done_us.max(sent_us);
    Some((speaks, Attempt { sent_us, due_us, done_us, deadline_us: sample.deadline_us, ended }))
}

fn ended(sample: &Sample, sent_us: u64) -> Option<Ended> {
    let in_time = sample.done_us <= sent_us.saturating_add(sample.deadline_us);
    match sample.outcome {
        Outcome::Ok => Some(Ended::Good),
        Outcome::ExpectedError if in_time => Some(Ended::Good),
        Outcome::ExpectedError | Outcome::Late => Some(Ended::Late),
        Outcome::Indeterminate if in_time => Some(Ended::Disconnected),
        Outcome::Indeterminate => Some(Ended::Unserved),
        Outcome::Failed => failed(sample, in_time),
        Outcome::Expired | Outcome::Skipped => None,
    }
}

fn failed(sample: &Sample, in_time: bool) -> Option<Ended> {
    let writes = matches!(sample.class, SampleClass::Write | SampleClass::WriteInTransaction | SampleClass::Commit);
    match sample.sqlstate {
        // A COMMIT whose connection was lost is indeterminate, so this one answered ROLLBACK: its transaction had
        // failed before, and what failed it has a sample of its own.
        None if sample.class == SampleClass::Commit => None,
        _ if sample.class == SampleClass::Connect => Some(Ended::Disconnected),
        None if in_time => Some(Ended::Disconnected),
        // Past its deadline the client hung up: the connection did not fail, it was left.
        None => Some(Ended::Unserved),
        Some(code) if code.is_connection_failure() => Some(Ended::Disconnected),
        Some(code) if code.is_unavailable() || (writes && code.is_read_only()) => Some(Ended::Unserved),
        Some(_) if in_time => None,
        Some(_) => Some(Ended::Late),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::samples::sample::{ResultCheck, SampleKind};
    use crate::words::ids::Fingerprint;

    /// A request of tenant 0 in database 0 that was sent when due; times in milliseconds, the deadline is a second.
    pub(in crate::analysis) fn request(class: SampleClass, outcome: Outcome, sent_ms: u64, done_ms: u64) -> Sample {
        Sample {
            kind: SampleKind::Request,
            class,
            outcome,
            result: ResultCheck::Unknown,
            event: 0,
            session: 0,
            copy: 0,
            tenant: Some(0),
            database: 0,
            endpoint: 0,
            fingerprint: Fingerprint(1),
            due_us: sent_ms * 1_000,
            ready_us: Some(sent_ms * 1_000),
            sent_us: Some(sent_ms * 1_000),
            first_us: None,
            done_us: done_ms * 1_000,
            deadline_us: 1_000_000,
            order_wait_us: 0,
            other_tenant_wait_us: 0,
            sqlstate: None,
            message: None,
            rows: 0,
            bytes: 0,
            attempt: 1,
        }
    }

    fn failed(class: SampleClass, code: &str) -> Option<(Speaks, Ended)> {
        let sqlstate = (!code.is_empty()).then(|| code.parse().unwrap());
        let sample = Sample { sqlstate, ..request(class, Outcome::Failed, 10, 20) };
        attempt(&sample).map(|(speaks, attempt)| (speaks, attempt.ended))
    }

    #[test]
    fn a_server_that_cannot_serve_is_told_from_a_statement_that_cannot_be_served() {
        assert_eq!(failed(SampleClass::Read, "57P01"), Some((Speaks::Reads, Ended::Disconnected)));
        assert_eq!(failed(SampleClass::Read, ""), Some((Speaks::Reads, Ended::Disconnected)));
        assert_eq!(failed(SampleClass::Write, "55P03"), Some((Speaks::Writes, Ended::Unserved)));
        assert_eq!(failed(SampleClass::Write, "57014"), Some((Speaks::Writes, Ended::Unserved)));
        assert_eq!(failed(SampleClass::Write, "23505"), None);
        assert_eq!(failed(SampleClass::Read, "42703"), None);
    }

    #[test]
    fn a_read_only_server_fails_writes_alone() {
        assert_eq!(failed(SampleClass::WriteInTransaction, "25006"), Some((Speaks::Writes, Ended::Unserved)));
        assert_eq!(failed(SampleClass::Read, "25006"), None);
    }

    #[test]
    fn a_failed_try_to_connect_speaks_for_both_classes_and_a_good_one_for_none() {
        assert_eq!(failed(SampleClass::Connect, "57P03"), Some((Speaks::Both, Ended::Disconnected)));
        assert_eq!(failed(SampleClass::Connect, "53300"), Some((Speaks::Both, Ended::Disconnected)));
        assert_eq!(attempt(&request(SampleClass::Connect, Outcome::Ok, 10, 20)), None);
    }

    #[test]
    fn a_write_within_a_transaction_can_only_fail() {
        assert_eq!(attempt(&request(SampleClass::WriteInTransaction, Outcome::Ok, 10, 20)), None);
        let (speaks, late) = attempt(&request(SampleClass::WriteInTransaction, Outcome::Late, 10, 2_000)).unwrap();
        assert_eq!((speaks, late.ended), (Speaks::Writes, Ended::Late));
    }

    #[test]
    fn a_commit_that_rolled_back_says_nothing_and_one_that_was_lost_says_the_connection_was() {
        assert_eq!(failed(SampleClass::Commit, ""), None);
        let (_, lost) = attempt(&request(SampleClass::Commit, Outcome::Indeterminate, 10, 20)).unwrap();
        assert_eq!(lost.ended, Ended::Disconnected);
    }

    #[test]
    fn a_client_that_hung_up_at_its_deadline_saw_no_connection_failure() {
        let (_, given_up) = attempt(&request(SampleClass::Read, Outcome::Failed, 0, 1_001)).unwrap();
        assert_eq!(given_up.ended, Ended::Unserved);
    }

    #[test]
    fn an_error_that_came_after_the_deadline_is_a_late_answer() {
        let sample = Sample {
            sqlstate: Some("23505".parse().unwrap()),
            ..request(SampleClass::Write, Outcome::Failed, 10, 1_500)
        };
        assert_eq!(attempt(&sample).unwrap().1.ended, Ended::Late);
    }

    #[test]
    fn what_was_never_sent_is_no_attempt() {
        let sample = Sample { sent_us: None, ..request(SampleClass::Read, Outcome::Expired, 10, 1_010) };
        assert_eq!(attempt(&sample), None);
    }

    #[test]
    fn waiting_behind_another_tenant_is_taken_off() {
        let sample =
            Sample { due_us: 0, other_tenant_wait_us: 8_000, ..request(SampleClass::Read, Outcome::Late, 10, 2_000) };
        assert_eq!(attempt(&sample).unwrap().1.due_us, 8_000);
    }
}
