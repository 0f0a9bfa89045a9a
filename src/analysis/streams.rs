//! Collects the attempts of one stream: what one tenant sent to one fate group, or what probed that group.
//!
//! Takes samples in any order, gives the attempts of each class and the time held. Long runs of successes far from
//! anything bad are thinned out, so that memory follows the trouble and not the traffic. Must not know about outages.

use std::collections::{BTreeMap, BTreeSet};

use super::attempts::{Attempt, Speaks, attempt};
use super::spans::{Span, Spans};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::words::class::SampleClass;

/// How far from anything bad a success must be to be left out: no attempt stays unanswered for longer.
const HORIZON_US: u64 = 120_000_000;

/// Attempts of a class below which thinning is not worth the time.
const THIN_FROM: usize = 4_096;

/// A request that stays unanswered for longer than this, or than half of its deadline, is held.
const HELD_US: u64 = 1_000_000;

/// A class of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    Write,
}

/// When anything bad was under way anywhere in the run, coarsely.
#[derive(Clone, Debug, Default)]
pub(super) struct BadTimes {
    /// Numbers of stretches of [`Self::STRETCH_US`].
    stretches: BTreeSet<u64>,
}

impl BadTimes {
    const STRETCH_US: u64 = 60_000_000;

    fn add(&mut self, attempt: &Attempt) {
        self.stretches.extend(attempt.sent_us / Self::STRETCH_US..=attempt.done_us / Self::STRETCH_US);
    }

    fn any_near(&self, attempt: &Attempt) -> bool {
        let from = attempt.sent_us.saturating_sub(HORIZON_US) / Self::STRETCH_US;
        let to = attempt.done_us.saturating_add(HORIZON_US) / Self::STRETCH_US;
        self.stretches.range(from..=to).next().is_some()
    }
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    reads: Thinned,
    writes: Thinned,
    held: Spans,
    sessions: BTreeMap<(u32, u16), Blocked>,
}

/// What happened in one session while it was blocked.
#[derive(Clone, Debug, Default)]
struct Blocked {
    bad: Vec<Attempt>,
    /// Time in which requests of the class waited and were then never sent.
    unsent_reads: Spans,
    unsent_writes: Spans,
}

impl Stream {
    /// Adds a sample; `bad_times` learns of anything bad.
    pub fn push(&mut self, sample: &Sample, newest_done_us: u64, bad_times: &mut BadTimes) {
        if let Some((speaks, attempt)) = attempt(sample) {
            if !attempt.is_good() {
                bad_times.add(&attempt);
                self.session(sample).bad.push(attempt);
            }
            if matches!(speaks, Speaks::Reads | Speaks::Both) {
                self.reads.push(attempt, newest_done_us, bad_times);
            }
            if matches!(speaks, Speaks::Writes | Speaks::Both) {
                self.writes.push(attempt, newest_done_us, bad_times);
            }
        } else if sample.kind == SampleKind::Request {
            self.push_unsent(sample);
        }
        self.push_held(sample);
    }

    fn session(&mut self, sample: &Sample) -> &mut Blocked {
        self.sessions.entry((sample.session, sample.copy)).or_default()
    }

    /// Notes a request that was never sent. Probes are left out: any free connection takes the next.
    fn push_unsent(&mut self, sample: &Sample) {
        if !matches!(sample.outcome, Outcome::Expired | Outcome::Skipped) {
            return;
        }
        let waited = Span::new(sample.due_us, sample.done_us.max(sample.due_us + 1));
        match sample.class {
            SampleClass::Read => self.session(sample).unsent_reads.add(waited),
            SampleClass::Write | SampleClass::WriteInTransaction | SampleClass::Commit => {
                self.session(sample).unsent_writes.add(waited);
            }
            SampleClass::Transaction | SampleClass::Session | SampleClass::Other | SampleClass::Connect => (),
        }
    }

    fn push_held(&mut self, sample: &Sample) {
        let (Some(sent_us), Outcome::Ok | Outcome::ExpectedError) = (sample.sent_us, sample.outcome) else { return };
        let held = sample.done_us.saturating_sub(sent_us) > HELD_US.min(sample.deadline_us / 2);
        if held && sample.kind != SampleKind::Connect {
            self.held.add(Span::new(sent_us, sample.done_us));
        }
    }

    /// The time in which a request stayed unanswered for long and was then answered in time.
    pub fn held(&self) -> &Spans {
        &self.held
    }

    /// The attempts of a class, in no order. A request that was never sent is no attempt, but the bad attempt of its
    /// own session that it waited behind stands for its class too: a session that hangs in a read serves no write.
    pub fn attempts(&self, class: Class) -> Vec<Attempt> {
        let own = match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
        };
        let mut attempts = own.attempts.clone();
        for session in self.sessions.values() {
            let unsent = match class {
                Class::Read => &session.unsent_reads,
                Class::Write => &session.unsent_writes,
            };
            let blocking = |bad: &&Attempt| unsent.touching(Span::new(bad.sent_us, bad.done_us)).next().is_some();
            attempts.extend(session.bad.iter().filter(blocking));
        }
        attempts
    }
}

/// Attempts of which long runs of successes keep only their ends.
#[derive(Clone, Debug, Default)]
struct Thinned {
    attempts: Vec<Attempt>,
    /// The number at which thinning is worth another try.
    thin_at: usize,
}

impl Thinned {
    fn push(&mut self, attempt: Attempt, newest_done_us: u64, bad_times: &BadTimes) {
        self.attempts.push(attempt);
        if self.attempts.len() >= self.thin_at.max(THIN_FROM) {
            self.thin(newest_done_us, bad_times);
            self.thin_at = self.attempts.len() * 2;
        }
    }

    fn thin(&mut self, newest_done_us: u64, bad_times: &BadTimes) {
        self.attempts.sort_unstable();
        let idle = |attempt: &Attempt| {
            attempt.is_good()
                && attempt.done_us.saturating_add(HORIZON_US) < newest_done_us
                && !bad_times.any_near(attempt)
        };
        let idle: Vec<bool> = self.attempts.iter().map(idle).collect();
        let mut at = 0;
        self.attempts.retain(|_| {
            let inner = idle[at] && at > 0 && idle[at - 1] && idle.get(at + 1) == Some(&true);
            at += 1;
            !inner
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempts::tests::request;
    use super::*;

    fn stream(samples: &[Sample]) -> (Stream, BadTimes) {
        let (mut stream, mut bad_times) = (Stream::default(), BadTimes::default());
        for sample in samples {
            stream.push(sample, sample.done_us, &mut bad_times);
        }
        (stream, bad_times)
    }

    #[test]
    fn a_session_that_hangs_in_a_read_serves_no_write() {
        let hangs = request(SampleClass::Read, Outcome::Late, 100, 5_000);
        let waits =
            Sample { sent_us: None, ready_us: None, ..request(SampleClass::Write, Outcome::Expired, 300, 1_300) };
        assert_eq!(stream(&[hangs.clone(), waits.clone()]).0.attempts(Class::Write).len(), 1);
        let elsewhere = Sample { session: 7, ..waits };
        assert_eq!(
            stream(&[hangs, elsewhere]).0.attempts(Class::Write).len(),
            0,
            "another session's wait proves nothing"
        );
    }

    #[test]
    fn a_pause_within_the_deadline_is_held() {
        let slow = Sample { deadline_us: 5_000_000, ..request(SampleClass::Read, Outcome::Ok, 1_000, 3_000) };
        let next = Sample { deadline_us: 5_000_000, ..request(SampleClass::Read, Outcome::Ok, 2_500, 3_001) };
        assert_eq!(stream(&[slow, next]).0.held().len_us(), 2_000_000, "half a second is no hold");
    }

    #[test]
    fn memory_follows_the_trouble_and_not_the_traffic() {
        let mut samples: Vec<Sample> =
            (0..200_000).map(|at| request(SampleClass::Read, Outcome::Ok, at * 10, at * 10 + 1)).collect();
        samples[100_000].outcome = Outcome::Late;
        samples[100_000].done_us += 2_000_000;
        let (stream, _) = stream(&samples);
        let attempts = stream.attempts(Class::Read);
        assert!(attempts.len() < 100_000, "{} of 200,000 are kept", attempts.len());
        let near = attempts.iter().filter(|attempt| attempt.sent_us.abs_diff(1_000_000_000) <= 120_000_000).count();
        assert_eq!(near, 24_001, "nothing near the bad one is left out");
    }
}
