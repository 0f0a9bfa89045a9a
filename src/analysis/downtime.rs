//! Finds the outages of one stream of attempts: one tenant's own, or one fate group's probes, of one class.
//!
//! Takes attempts and gives outages with the evidence for their edges. The definitions are those of the README's
//! section on downtime; where they leave room, this is what holds:
//!
//! - A bad attempt that a success *overtook* (sent later, answered before the bad one was known as bad) moves no edge:
//!   the service was up after it was sent. So a report that a shutdown cuts off adds nothing to an outage.
//! - A success that was answered only after a bad attempt was known as bad does not stand before that attempt.
//! - Of the three successive good attempts that end an outage the first answered counts. Fewer will do when no bad
//!   attempt follows within a deadline: the next one then begins an outage of its own.
//! - A late answer is an answer: it ends an outage in which nothing was sent after it, even if nothing follows.
//!
//! Must not know tenants, fate groups or phases.

use super::attempts::{Attempt, Ended};
use super::spans::{Span, Spans};

/// Successive good attempts that end an outage.
const GOOD_ATTEMPTS_TO_END: usize = 3;

/// A stretch in which no attempt succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub started_us: u64,
    /// `None`: no answer ended it.
    pub ended_us: Option<u64>,
    /// The last moment at which it was seen: the end, or that of the last bad attempt.
    pub seen_until_us: u64,
    /// When its last bad attempt was sent.
    pub last_bad_sent_us: u64,
    /// When something was surely seen failing or unanswered.
    pub at_least: Spans,
    /// When the last success before was sent; `None` without one.
    pub success_before_us: Option<u64>,
    /// When the first success after was answered; `None` without one.
    pub success_after_us: Option<u64>,
    /// What passed without any attempt between its end and the success after it.
    pub unobserved: Spans,
}

impl Outage {
    /// From its start until it was last seen.
    pub fn span(&self) -> Span {
        Span::new(self.started_us, self.seen_until_us)
    }

    /// Makes this the union of two outages that touch.
    pub fn absorb(&mut self, other: &Self) {
        self.started_us = self.started_us.min(other.started_us);
        self.ended_us = self.ended_us.zip(other.ended_us).map(|(mine, others)| mine.max(others));
        self.seen_until_us = self.seen_until_us.max(other.seen_until_us);
        self.last_bad_sent_us = self.last_bad_sent_us.max(other.last_bad_sent_us);
        other.at_least.iter().for_each(|span| self.at_least.add(span));
        other.unobserved.iter().for_each(|span| self.unobserved.add(span));
        self.success_before_us = self.success_before_us.zip(other.success_before_us).map(|(a, b)| a.min(b));
        self.success_after_us = self.success_after_us.zip(other.success_after_us).map(|(a, b)| a.max(b));
    }
}

/// A success of the fate group's probes that two more follow: it ends an outage of connection failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revival {
    pub sent_us: u64,
    pub done_us: u64,
}

/// Sorts attempts into the order in which they were sent, and leaves out bad ones that a success overtook.
pub(super) fn in_order(mut attempts: Vec<Attempt>) -> Vec<Attempt> {
    attempts.sort_unstable();
    attempts.dedup();
    // The earliest answer to a good attempt that was sent later, walking backwards.
    let mut earliest_answer_us = u64::MAX;
    let mut kept = Vec::with_capacity(attempts.len());
    let mut at = attempts.len();
    while at > 0 {
        let sent_us = attempts[at - 1].sent_us;
        let first = attempts[..at].partition_point(|attempt| attempt.sent_us < sent_us);
        let overtaken = |bad: &Attempt| earliest_answer_us < bad.seen_bad_us();
        kept.extend(attempts[first..at].iter().rev().filter(|attempt| attempt.is_good() || !overtaken(attempt)));
        let answers = attempts[first..at].iter().filter(|attempt| attempt.is_good()).map(|good| good.done_us);
        earliest_answer_us = answers.fold(earliest_answer_us, u64::min);
        at = first;
    }
    kept.reverse();
    kept
}

/// The revivals of a stream that is in order.
pub(super) fn revivals(ordered: &[Attempt]) -> Vec<Revival> {
    ordered
        .windows(GOOD_ATTEMPTS_TO_END)
        .filter(|run| run.iter().all(Attempt::is_good))
        .map(|run| Revival { sent_us: run[0].sent_us, done_us: run[0].done_us })
        .collect()
}

/// The outages of a stream that is in order, in order and without overlaps. `revivals` are those of the fate group when
/// the stream is a tenant's own, in order of sending.
pub(super) fn outages(ordered: &[Attempt], revivals: &[Revival]) -> Vec<Outage> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = ordered[at..].iter().position(|attempt| !attempt.is_good()).map(|ahead| at + ahead) {
        let (outage, next) = follow(ordered, first, revivals);
        at = next;
        // Ended by the very answer that came before it: nothing was down.
        if outage.span().len_us() > 0 {
            found.push(outage);
        }
    }
    merge_touching(found)
}

/// Makes outages that touch one, in order of their starts.
pub(super) fn merge_touching(mut outages: Vec<Outage>) -> Vec<Outage> {
    outages.sort_by_key(|outage| (outage.started_us, outage.seen_until_us));
    let mut merged: Vec<Outage> = Vec::new();
    for outage in outages {
        match merged.last_mut() {
            Some(last) if last.span().touches(outage.span()) => last.absorb(&outage),
            _ => merged.push(outage),
        }
    }
    merged
}

/// Follows the outage that begins with the bad attempt at `first`, and says where to look on.
fn follow(ordered: &[Attempt], first: usize, revivals: &[Revival]) -> (Outage, usize) {
    let mut bad = BadAttempts::new(&ordered[first]);
    let mut good: Vec<&Attempt> = Vec::new();
    let mut next = ordered.len();
    for (at, attempt) in ordered.iter().enumerate().skip(first + 1) {
        let revived = bad.revival(revivals).is_some_and(|revival| revival.done_us <= attempt.sent_us);
        let enough = good.len() == GOOD_ATTEMPTS_TO_END
            || good.iter().map(|good| good.done_us).min().is_some_and(|answered_us| {
                !attempt.is_good() && attempt.sent_us > answered_us.saturating_add(bad.deadline_us)
            });
        if revived || enough {
            next = at;
            break;
        }
        if attempt.is_good() {
            good.push(attempt);
        } else {
            // A flap: the outage goes on.
            good.clear();
            bad.add(attempt);
        }
    }
    (bad.outage(last_success(&ordered[..first], &ordered[first]), &good, revivals), next)
}

/// The last success in order of sending that stands before a bad attempt.
fn last_success<'a>(before: &'a [Attempt], bad: &Attempt) -> Option<&'a Attempt> {
    before.iter().rev().find(|attempt| attempt.is_good() && attempt.done_us <= bad.seen_bad_us())
}

/// What is known of the bad attempts of one outage.
struct BadAttempts {
    first: Attempt,
    last_sent_us: u64,
    /// The last moment at which one was seen failing or unanswered.
    done_us: u64,
    /// The last moment at which one became known as bad.
    seen_bad_us: u64,
    last_late_us: Option<u64>,
    /// The deadline of the last.
    deadline_us: u64,
    all_disconnected: bool,
}

impl BadAttempts {
    fn new(first: &Attempt) -> Self {
        let mut bad = Self {
            first: *first,
            last_sent_us: first.sent_us,
            done_us: first.done_us,
            seen_bad_us: 0,
            last_late_us: None,
            deadline_us: first.deadline_us,
            all_disconnected: true,
        };
        bad.add(first);
        bad
    }

    fn add(&mut self, attempt: &Attempt) {
        self.last_sent_us = attempt.sent_us;
        self.done_us = self.done_us.max(attempt.done_us);
        self.seen_bad_us = self.seen_bad_us.max(attempt.seen_bad_us());
        self.deadline_us = attempt.deadline_us;
        self.all_disconnected &= attempt.ended == Ended::Disconnected;
        if attempt.ended == Ended::Late {
            self.last_late_us = self.last_late_us.max(Some(attempt.done_us));
        }
    }

    /// The success of the probes that ends these, if they are connection failures only.
    fn revival(&self, revivals: &[Revival]) -> Option<Revival> {
        if !self.all_disconnected {
            return None;
        }
        let from = revivals.partition_point(|revival| revival.sent_us < self.last_sent_us);
        revivals[from..].iter().find(|revival| revival.done_us >= self.seen_bad_us).copied()
    }

    fn outage(&self, before: Option<&Attempt>, good: &[&Attempt], revivals: &[Revival]) -> Outage {
        let answered = good.iter().map(|good| (good.done_us, good.sent_us)).min();
        let revived = self.revival(revivals).map(|revival| (revival.done_us, revival.sent_us));
        let success = answered.into_iter().chain(revived).min();
        let late_us = self.last_late_us.filter(|&late_us| self.last_sent_us <= late_us);
        let started_us = self.first.due_us.max(before.map_or(0, |success| success.done_us));

        let unseen = success.is_some_and(|(_, sent_us)| sent_us > self.done_us.saturating_add(self.deadline_us));
        let ended_us = match success {
            Some(_) if unseen => Some(late_us.unwrap_or(self.done_us)),
            Some((done_us, _)) => Some(late_us.map_or(done_us, |late_us| late_us.min(done_us))),
            None => late_us,
        };
        let ended_us = ended_us.map(|ended_us| ended_us.max(started_us));
        let seen_until_us = ended_us.unwrap_or(self.done_us).max(started_us);
        let sure_from_us = self.first.sent_us.max(before.map_or(0, |success| success.done_us));
        let unobserved = success.filter(|_| unseen).map(|(done_us, _)| Span::new(seen_until_us, done_us));
        Outage {
            started_us,
            ended_us,
            seen_until_us,
            last_bad_sent_us: self.last_sent_us,
            at_least: Spans::from_iter([Span::new(sure_from_us, seen_until_us.min(self.done_us))]),
            success_before_us: before.map(|success| success.sent_us),
            success_after_us: success.map(|(done_us, _)| done_us.max(seen_until_us)),
            unobserved: unobserved.into_iter().collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An attempt that was sent when due; times in milliseconds, the deadline is a second.
    fn attempt(ended: Ended, sent_ms: u64, done_ms: u64) -> Attempt {
        Attempt {
            sent_us: sent_ms * 1_000,
            due_us: sent_ms * 1_000,
            done_us: done_ms * 1_000,
            deadline_us: 1_000_000,
            ended,
        }
    }

    fn good(sent_ms: u64, done_ms: u64) -> Attempt {
        attempt(Ended::Good, sent_ms, done_ms)
    }

    /// Attempts every `every_ms` that are answered within a millisecond while `up`, and judged by `down` else.
    fn every(every_ms: usize, until_ms: u64, up: impl Fn(u64) -> bool, down: impl Fn(u64) -> Attempt) -> Vec<Attempt> {
        (0..until_ms).step_by(every_ms).map(|at| if up(at) { good(at, at + 1) } else { down(at) }).collect()
    }

    /// (started, ended, at least, at most) in milliseconds.
    fn found(attempts: Vec<Attempt>, revivals: &[Revival]) -> Vec<(u64, Option<u64>, u64, Option<u64>)> {
        outages(&in_order(attempts), revivals)
            .into_iter()
            .map(|outage| {
                let at_most =
                    outage.success_before_us.zip(outage.success_after_us).map(|(from, to)| (to - from) / 1_000);
                (
                    outage.started_us / 1_000,
                    outage.ended_us.map(|us| us / 1_000),
                    outage.at_least.len_us() / 1_000,
                    at_most,
                )
            })
            .collect()
    }

    #[test]
    fn a_freeze_counts_in_full_although_its_last_attempts_were_answered_in_time() {
        // The server stands still from 10 s to 13 s and then answers everything that waits.
        let frozen = |at| {
            let ended = if at < 12_000 { Ended::Late } else { Ended::Good };
            attempt(ended, at, 13_000)
        };
        let attempts = every(50, 20_000, |at| !(10_000..13_000).contains(&at), frozen);
        assert_eq!(found(attempts, &[]), [(10_000, Some(13_000), 3_000, Some(3_050))]);
    }

    #[test]
    fn a_restart_that_refuses_connections_counts_up_to_the_first_answer() {
        let refused = |at| attempt(Ended::Disconnected, at, at);
        let attempts = every(50, 20_000, |at| !(10_000..12_000).contains(&at), refused);
        assert_eq!(found(attempts, &[]), [(10_000, Some(12_001), 1_950, Some(2_051))]);
    }

    #[test]
    fn a_report_that_the_shutdown_cuts_off_adds_nothing() {
        let refused = |at| attempt(Ended::Disconnected, at, at);
        let mut attempts = every(50, 80_000, |at| !(60_000..62_000).contains(&at), refused);
        attempts.push(attempt(Ended::Disconnected, 20, 60_000));
        assert_eq!(found(attempts, &[]), [(60_000, Some(62_001), 1_950, Some(2_051))]);
    }

    #[test]
    fn a_lone_lock_timeout_gives_the_deadline_and_not_a_minute() {
        let attempts = vec![good(0, 1), attempt(Ended::Unserved, 60_000, 61_000), good(120_000, 120_001)];
        assert_eq!(found(attempts.clone(), &[]), [(60_000, Some(61_000), 1_000, Some(120_001))]);
        let outage = &outages(&in_order(attempts), &[])[0];
        assert_eq!(outage.unobserved.len_us(), 59_001_000);
    }

    #[test]
    fn two_timeouts_of_a_quiet_stream_that_worked_in_between_are_two_outages() {
        let attempts = vec![
            attempt(Ended::Unserved, 1_000, 2_000),
            good(2_500, 2_501),
            attempt(Ended::Unserved, 62_000, 63_000),
            good(63_001, 63_002),
        ];
        assert_eq!(
            found(attempts, &[]),
            [(1_000, Some(2_501), 1_000, None), (62_000, Some(63_002), 1_000, Some(63_002 - 2_500))]
        );
    }

    #[test]
    fn stuck_sessions_that_are_answered_one_after_another_are_one_outage() {
        let mut attempts =
            every(500, 10_000, |at| !(4_000..=9_000).contains(&at), |at| attempt(Ended::Late, at, 9_000 + at / 100));
        attempts.push(attempt(Ended::Late, 4_100, 9_700));
        assert_eq!(found(attempts, &[]), [(4_000, Some(9_501), 5_501, Some(6_001))]);
    }

    #[test]
    fn the_last_late_answer_ends_an_outage_that_nothing_follows() {
        let attempts = vec![good(0, 1), attempt(Ended::Late, 500, 5_000), attempt(Ended::Late, 700, 5_020)];
        assert_eq!(found(attempts, &[]), [(500, Some(5_020), 4_520, None)]);
    }

    #[test]
    fn what_no_answer_ended_is_open() {
        let attempts = vec![good(0, 1), attempt(Ended::Disconnected, 500, 500), attempt(Ended::Disconnected, 900, 905)];
        assert_eq!(found(attempts, &[]), [(500, None, 405, None)]);
    }

    #[test]
    fn one_stuck_connection_among_working_ones_is_no_outage() {
        let mut attempts = every(50, 20_000, |_| true, |_| unreachable!());
        attempts.push(attempt(Ended::Late, 5_010, 9_000));
        assert_eq!(found(attempts, &[]), []);
    }

    #[test]
    fn a_probe_ends_an_outage_of_connection_failures_only() {
        let revivals = [Revival { sent_us: 2_000_000, done_us: 2_010_000 }];
        let refused =
            vec![good(0, 1), attempt(Ended::Disconnected, 500, 501), attempt(Ended::Disconnected, 1_500, 1_501)];
        assert_eq!(found(refused, &revivals), [(500, Some(2_010), 1_001, Some(2_010))]);
        let locked = vec![good(0, 1), attempt(Ended::Unserved, 500, 1_500)];
        assert_eq!(found(locked, &revivals), [(500, None, 1_000, None)]);
    }

    #[test]
    fn connection_failures_with_a_working_server_between_them_are_two_outages() {
        let revivals =
            [Revival { sent_us: 2_000_000, done_us: 2_010_000 }, Revival { sent_us: 72_000_000, done_us: 72_001_000 }];
        let attempts = vec![
            good(0, 1),
            attempt(Ended::Disconnected, 1_500, 1_501),
            attempt(Ended::Disconnected, 71_500, 71_501),
            good(90_000, 90_001),
        ];
        let starts: Vec<_> =
            found(attempts, &revivals).into_iter().map(|(started, ended, ..)| (started, ended)).collect();
        assert_eq!(starts, [(1_500, Some(2_010)), (71_500, Some(72_001))]);
    }

    #[test]
    fn a_long_request_that_was_answered_in_time_hides_no_outage() {
        let frozen = |at| attempt(if at < 12_000 { Ended::Late } else { Ended::Good }, at, 13_000);
        let mut attempts = every(50, 20_000, |at| !(10_000..13_000).contains(&at), frozen);
        attempts.push(Attempt { deadline_us: 10_000_000, ..good(9_990, 14_000) });
        assert_eq!(found(attempts, &[]), [(10_000, Some(13_000), 3_000, Some(3_050))]);
    }

    fn any_attempts() -> impl Strategy<Value = Vec<Attempt>> {
        let ended = prop_oneof![Just(Ended::Good), Just(Ended::Late), Just(Ended::Unserved), Just(Ended::Disconnected)];
        let one = (ended, 0..20_000_u64, 0..50_u64, 0..4_000_u64).prop_map(|(ended, sent_ms, wait_ms, took_ms)| {
            let took_ms = match ended {
                Ended::Good => took_ms % 1_000,
                Ended::Late => 1_001 + took_ms,
                Ended::Unserved | Ended::Disconnected => took_ms,
            };
            Attempt {
                due_us: (sent_ms * 1_000).saturating_sub(wait_ms * 1_000),
                ..attempt(ended, sent_ms, sent_ms + took_ms)
            }
        });
        proptest::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn bounds_hold_and_outages_do_not_overlap(attempts in any_attempts(), probes in any_attempts()) {
            let revivals = revivals(&in_order(probes));
            let found = outages(&in_order(attempts), &revivals);
            for outage in &found {
                let length_us = outage.span().len_us();
                prop_assert!(outage.at_least.len_us() <= length_us);
                if let Some((from, to)) = outage.success_before_us.zip(outage.success_after_us) {
                    prop_assert!(from <= outage.started_us && outage.seen_until_us <= to);
                }
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].seen_until_us < pair[1].started_us);
            }
        }

        #[test]
        fn the_order_of_arrival_changes_nothing(attempts in any_attempts(), seed in any::<u64>()) {
            let mut shuffled = attempts.clone();
            shuffled.sort_by_key(|attempt| (attempt.sent_us ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            prop_assert_eq!(outages(&in_order(attempts), &[]), outages(&in_order(shuffled), &[]));
        }
    }
}
