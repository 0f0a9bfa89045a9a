//! What an answer is worth: the outcome of a request and whether the result is the captured one.
//!
//! Takes what the capture knows and what came back; the definitions are those of the sample's `Outcome`. Pure.

use crate::replay::spool::RequestFacts;
use crate::samples::sample::{Difference, Outcome, ResultCheck};
use crate::server::ReplySummary;
use crate::words::class::SampleClass;

/// The outcome of a request that was answered, `in_time` if before its deadline.
pub(super) fn of_reply(facts: &RequestFacts, reply: &ReplySummary, in_time: bool) -> (Outcome, ResultCheck) {
    const ENDED_OTHERWISE: ResultCheck = ResultCheck::Differs(Some(Difference::Sqlstate));
    let answered = if in_time { Outcome::Ok } else { Outcome::Late };
    match (&reply.error, facts.captured.sqlstate) {
        (Some(error), Some(captured)) if error.sqlstate == captured => {
            (if in_time { Outcome::ExpectedError } else { Outcome::Late }, ResultCheck::Same)
        }
        (Some(_), _) => (Outcome::Failed, ENDED_OTHERWISE),
        (None, Some(_)) => (answered, ENDED_OTHERWISE),
        // An aborted transaction answers COMMIT with ROLLBACK and without an error.
        (None, None) if facts.part.commits && reply.tag.command() == "ROLLBACK" => (Outcome::Failed, ENDED_OTHERWISE),
        (None, None) => (answered, of_rows(facts, reply)),
    }
}

/// Whether a read-only session kept a request from writing.
pub(super) fn is_refused(reply: &ReplySummary) -> bool {
    reply.error.as_ref().is_some_and(|error| error.sqlstate.is_read_only())
}

/// The outcome of a request that wrote unseen in a replay that is to change nothing: nothing was to be had but the error.
pub(super) fn of_refused(in_time: bool) -> (Outcome, ResultCheck) {
    (if in_time { Outcome::ExpectedError } else { Outcome::Late }, ResultCheck::Unknown)
}

/// The outcome of a request that was sent and has no answer: lost with its connection, or given up.
pub(super) fn without_answer(class: SampleClass) -> Outcome {
    match class {
        SampleClass::Write | SampleClass::Commit => Outcome::Indeterminate,
        _ => Outcome::Failed,
    }
}

/// Rows that a request returned or touched.
pub(super) fn rows_of(reply: &ReplySummary) -> u64 {
    reply.rows.max(reply.tag.rows().unwrap_or_default())
}

fn of_rows(facts: &RequestFacts, reply: &ReplySummary) -> ResultCheck {
    match facts.captured.rows {
        Some(rows) if rows != rows_of(reply) => ResultCheck::Differs(Some(Difference::Rows)),
        Some(_) if reply.same_rows == Some(false) => ResultCheck::Differs(Some(Difference::Digest)),
        Some(_) => ResultCheck::Same,
        None => ResultCheck::Unknown,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::pgwire::backend::{CommandTag, ServerError, TransactionStatus};
    use crate::replay::copies::Owner;
    use crate::replay::spool::{Captured, TransactionPart};
    use crate::words::ids::Fingerprint;
    use crate::words::sqlstate::SqlState;

    fn facts(captured: Captured, commits: bool) -> RequestFacts {
        RequestFacts {
            t_us: 0,
            event: 0,
            tenant: None,
            owner: Owner::Session,
            class: SampleClass::Read,
            part: TransactionPart { commits, ..TransactionPart::default() },
            changes_session: false,
            writes: false,
            has_ids: false,
            fingerprint: Fingerprint(1),
            at: None,
            captured,
        }
    }

    fn reply(tag: &str, error: Option<SqlState>) -> ReplySummary {
        let error = error.map(|sqlstate| ServerError { severity: "ERROR".into(), sqlstate, message: "".into() });
        ReplySummary {
            first_at: Instant::now(),
            done_at: Instant::now(),
            rows: 0,
            bytes: 0,
            statements: 1,
            tag: CommandTag::parse(format!("{tag}\0").as_bytes()).unwrap(),
            error,
            same_rows: None,
            status: TransactionStatus::Idle,
        }
    }

    const FAILED: Captured = Captured { total_us: 0, sqlstate: Some(SqlState::SYNTAX_ERROR), rows: None, digest: None };
    const KNOWN: Captured = Captured { total_us: 0, sqlstate: None, rows: Some(3), digest: None };

    const ENDED_OTHERWISE: ResultCheck = ResultCheck::Differs(Some(Difference::Sqlstate));
    const OTHER_ROWS: ResultCheck = ResultCheck::Differs(Some(Difference::Rows));
    const OTHER_CONTENTS: ResultCheck = ResultCheck::Differs(Some(Difference::Digest));

    #[test]
    fn an_error_is_expected_only_where_the_capture_had_the_same() {
        let error = reply("", Some(SqlState::SYNTAX_ERROR));
        assert_eq!(of_reply(&facts(FAILED, false), &error, true), (Outcome::ExpectedError, ResultCheck::Same));
        let other = reply("", Some(SqlState::QUERY_CANCELED));
        assert_eq!(of_reply(&facts(FAILED, false), &other, true), (Outcome::Failed, ENDED_OTHERWISE));
        assert_eq!(of_reply(&facts(KNOWN, false), &error, true), (Outcome::Failed, ENDED_OTHERWISE));
        let fine = reply("SELECT 0", None);
        assert_eq!(of_reply(&facts(FAILED, false), &fine, true), (Outcome::Ok, ENDED_OTHERWISE));
    }

    #[test]
    fn a_late_answer_is_late_whatever_it_says() {
        assert_eq!(of_reply(&facts(KNOWN, false), &reply("UPDATE 3", None), false), (Outcome::Late, ResultCheck::Same));
        let error = reply("", Some(SqlState::SYNTAX_ERROR));
        assert_eq!(of_reply(&facts(FAILED, false), &error, false).0, Outcome::Late);
    }

    #[test]
    fn a_commit_that_rolled_back_failed() {
        let facts = facts(Captured::default(), true);
        assert_eq!(of_reply(&facts, &reply("COMMIT", None), true).0, Outcome::Ok);
        assert_eq!(of_reply(&facts, &reply("ROLLBACK", None), true).0, Outcome::Failed);
    }

    #[test]
    fn rows_are_compared_where_the_capture_knows_them() {
        assert_eq!(of_reply(&facts(KNOWN, false), &reply("UPDATE 3", None), true).1, ResultCheck::Same);
        assert_eq!(of_reply(&facts(KNOWN, false), &reply("INSERT 0 4", None), true).1, OTHER_ROWS);
        let other = ReplySummary { same_rows: Some(false), ..reply("SELECT 3", None) };
        assert_eq!(of_reply(&facts(KNOWN, false), &other, true).1, OTHER_CONTENTS, "as many, but others");
        let unknown = facts(Captured::default(), false);
        assert_eq!(of_reply(&unknown, &reply("SELECT 4", None), true).1, ResultCheck::Unknown);
    }
}
