//! What became of one probe.
//!
//! Takes how it ended and gives its outcome, and for a write what the client knows of it. Pure. Must not know about
//! sockets or about the other probes.

use std::time::Duration;

use crate::facts::WriteOutcome;
use crate::pgwire::backend::ServerError;
use crate::samples::sample::Outcome;
use crate::server::{ConnectError, ReplySummary};
use crate::words::class::SampleClass;

/// How a probe ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The whole answer came, in time or `late`.
    Answered { reply: ReplySummary, late: bool },
    /// Its connection had ended before anything could be sent.
    NotSent(ConnectError),
    /// Its connection ended while the answer was awaited.
    Lost(ConnectError),
    /// Nobody waits for it any longer.
    GivenUp { after: Duration },
}

impl Ending {
    /// The outcome of the sample.
    pub(super) fn outcome(&self, class: SampleClass) -> Outcome {
        match self {
            Self::Answered { reply, .. } if reply.error.is_some() => Outcome::Failed,
            Self::Answered { late: true, .. } => Outcome::Late,
            Self::Answered { .. } => Outcome::Ok,
            Self::NotSent(_) => Outcome::Failed,
            // A server that is shut down may have committed before it said so.
            Self::Lost(_) | Self::GivenUp { .. } if class == SampleClass::Write => Outcome::Indeterminate,
            Self::Lost(_) | Self::GivenUp { .. } => Outcome::Failed,
        }
    }

    /// What is known of a write: an answer counts, however late it came.
    pub(super) fn write_outcome(&self) -> WriteOutcome {
        match self {
            Self::Answered { reply, .. } if reply.error.is_none() && reply.tag.rows() == Some(1) => {
                WriteOutcome::Acknowledged
            }
            Self::Answered { .. } | Self::NotSent(_) => WriteOutcome::Failed,
            Self::Lost(_) | Self::GivenUp { .. } => WriteOutcome::Indeterminate,
        }
    }

    /// What the server said, where it said something.
    pub(super) fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Answered { reply, .. } => reply.error.as_ref(),
            Self::NotSent(error) | Self::Lost(error) => error.server_error(),
            Self::GivenUp { .. } => None,
        }
    }

    /// One line about a probe that was not answered well.
    pub(super) fn message(&self) -> Option<Box<str>> {
        match self {
            Self::Answered { reply, .. } => reply.error.as_ref().map(|error| error.message.clone()),
            Self::NotSent(error) | Self::Lost(error) => Some(error.message()),
            Self::GivenUp { after } => Some(format!("no answer within {} ms", after.as_millis()).into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::pgwire::backend::{CommandTag, TransactionStatus};

    fn answered(tag: &[u8], error: Option<&[u8]>, late: bool) -> Ending {
        let now = Instant::now();
        let reply = ReplySummary {
            first_at: now,
            done_at: now,
            rows: 0,
            bytes: 0,
            statements: 1,
            tag: CommandTag::parse(tag).unwrap(),
            error: error.map(|body| ServerError::parse(body).unwrap()),
            same_rows: None,
            status: TransactionStatus::Idle,
        };
        Ending::Answered { reply, late }
    }

    #[test]
    fn a_late_write_is_late_and_acknowledged() {
        let ending = answered(b"INSERT 0 1\0", None, true);
        assert_eq!(ending.outcome(SampleClass::Write), Outcome::Late);
        assert_eq!(ending.write_outcome(), WriteOutcome::Acknowledged);
    }

    #[test]
    fn a_refused_write_failed_for_certain() {
        let ending = answered(b"\0", Some(b"SERROR\0C25006\0Mread-only\0\0"), true);
        assert_eq!(ending.outcome(SampleClass::Write), Outcome::Failed);
        assert_eq!(ending.write_outcome(), WriteOutcome::Failed);
        assert_eq!(ending.message().unwrap(), "read-only".into());
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_indeterminate_and_a_read_is_not() {
        let error = ConnectError::Lost { reason: "reset".into(), server: None };
        for ending in [Ending::Lost(error.clone()), Ending::GivenUp { after: Duration::from_secs(30) }] {
            assert_eq!(ending.outcome(SampleClass::Write), Outcome::Indeterminate);
            assert_eq!(ending.write_outcome(), WriteOutcome::Indeterminate);
            assert_eq!(ending.outcome(SampleClass::Read), Outcome::Failed);
        }
        let ending = Ending::NotSent(error);
        assert_eq!(ending.outcome(SampleClass::Write), Outcome::Failed);
        assert_eq!(ending.write_outcome(), WriteOutcome::Failed);
    }
}
