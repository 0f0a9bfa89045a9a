//! Which requests have to wait for which commits, so that transactions that touch the same rows keep their captured order.
//!
//! Takes the requests of all sessions in the order of their sending, with the rows that they touch as far as the capture shows
//! them; gives for each session the commits of others that its requests come after. A write comes after the commits that were
//! complete before its own transaction's, a read after those that were complete when it was sent. Bounded: of each row the last
//! commits are remembered, and rows long not touched are forgotten. Must not know files.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::request::RequestFacts;
use super::rows::Rows;
use crate::sql::RowAccess;

/// Rows of a generation: when so many were touched, those that were not touched since the one before are forgotten.
const ROWS_MAX: usize = 32_768;

/// Commits that are remembered of a row.
const COMMITS_MAX: usize = 4;

/// Commits that one request waits for.
const WAITS_MAX: usize = 8;

/// Rows of one transaction that are followed, and waits of its reads.
const TOUCHES_MAX: usize = 1_024;

/// A commit of another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// The session's number among all of the workload, in the order of their opening.
    pub number: u32,
    /// The request that committed.
    pub event: u64,
}

/// A request's waits.
pub(super) type Waits = (u64, Vec<Wait>);

/// A request as it was captured.
pub(super) struct Seen<'a> {
    pub number: u32,
    pub event: u64,
    pub sent_us: u64,
    pub done_us: u64,
    pub rows: &'a [Rows],
    /// Requests of other sessions that it comes after whatever their rows are.
    pub also_after: &'a [Wait],
    /// A transaction block is open after it.
    pub stays_open: bool,
    /// It ended its transaction, and what that wrote is there.
    pub commits: bool,
}

impl<'a> Seen<'a> {
    /// The request with these facts.
    pub fn of(number: u32, facts: &RequestFacts, rows: &'a [Rows], also_after: &'a [Wait]) -> Self {
        let RequestFacts { event, t_us, part, captured, .. } = *facts;
        let stands_alone = !part.inside && !part.stays_open && captured.sqlstate.is_none();
        Self {
            number,
            event,
            sent_us: t_us,
            done_us: t_us.saturating_add(captured.total_us),
            rows,
            also_after,
            // COMMIT AND CHAIN ends one block and opens another.
            stays_open: part.stays_open && !part.commits,
            commits: part.commits || stands_alone,
        }
    }
}

/// What is known of the transactions so far.
#[derive(Debug, Default)]
pub(super) struct CommitOrder {
    open: HashMap<u32, Transaction>,
    /// Transactions whose end was sent, by the time at which it was complete.
    ending: BinaryHeap<Reverse<(u64, u64, u32)>>,
    ended: HashMap<u32, Ended>,
    touched: Touched,
}

#[derive(Debug, Default)]
struct Transaction {
    writes: Vec<(u64, Rows)>,
    waits: Vec<(u64, Wait)>,
}

#[derive(Debug)]
struct Ended {
    transaction: Transaction,
    event: u64,
    done_us: u64,
    commits: bool,
}

impl CommitOrder {
    /// Takes the next request; `give` is called with a session's number and its waits, those of a session in order.
    pub fn take<E>(&mut self, seen: &Seen<'_>, give: &mut impl FnMut(u32, Waits) -> Result<(), E>) -> Result<(), E> {
        // What a session sends next comes after its transaction, even where the clocks of a log say something else.
        self.settle_until(seen.sent_us.max(self.done_us(seen.number)), give)?;
        let transaction = self.open.entry(seen.number).or_default();
        let room = TOUCHES_MAX.saturating_sub(transaction.waits.len());
        transaction.waits.extend(seen.also_after.iter().take(room).map(|wait| (seen.event, *wait)));
        for rows in seen.rows {
            if rows.access == RowAccess::Read {
                let room = TOUCHES_MAX.saturating_sub(transaction.waits.len());
                let waits = self.touched.before(rows, seen.number).into_iter().take(room);
                transaction.waits.extend(waits.map(|wait| (seen.event, wait)));
            } else if transaction.writes.len() < TOUCHES_MAX {
                transaction.writes.push((seen.event, rows.clone()));
            }
        }
        if !seen.stays_open
            && let Some(transaction) = self.open.remove(&seen.number)
        {
            self.ending.push(Reverse((seen.done_us, seen.event, seen.number)));
            let Seen { event, done_us, commits, .. } = *seen;
            self.ended.insert(seen.number, Ended { transaction, event, done_us, commits });
        }
        Ok(())
    }

    /// The session is at its end.
    pub fn close<E>(&mut self, number: u32, give: &mut impl FnMut(u32, Waits) -> Result<(), E>) -> Result<(), E> {
        self.open.remove(&number);
        self.settle_until(self.done_us(number), give)
    }

    /// When the session's last transaction was complete, if that is not settled.
    fn done_us(&self, number: u32) -> u64 {
        self.ended.get(&number).map_or(0, |ended| ended.done_us)
    }

    /// Settles what was complete by then, in the order in which it was.
    fn settle_until<E>(&mut self, t_us: u64, give: &mut impl FnMut(u32, Waits) -> Result<(), E>) -> Result<(), E> {
        while let Some(Reverse((done_us, event, number))) = self.ending.peek().copied()
            && done_us <= t_us
        {
            self.ending.pop();
            if self.ended.get(&number).is_some_and(|ended| ended.event == event) {
                self.settle(number, give)?;
            }
        }
        Ok(())
    }

    /// A session's transaction is complete: what it came after is known, and it counts as a commit before what follows.
    fn settle<E>(&mut self, number: u32, give: &mut impl FnMut(u32, Waits) -> Result<(), E>) -> Result<(), E> {
        let Some(Ended { transaction, event, commits, .. }) = self.ended.remove(&number) else { return Ok(()) };
        let Transaction { writes, mut waits } = transaction;
        for (at, rows) in &writes {
            waits.extend(self.touched.before(rows, number).into_iter().map(|wait| (*at, wait)));
        }
        for (_, rows) in writes.iter().filter(|_| commits) {
            self.touched.commit(rows, Wait { number, event });
        }
        for waits in by_request(waits) {
            give(number, waits)?;
        }
        Ok(())
    }
}

/// The waits of each request, in order; of one session only the last commit.
fn by_request(mut waits: Vec<(u64, Wait)>) -> Vec<Waits> {
    waits.sort_unstable();
    let mut requests: Vec<Waits> = Vec::new();
    for (event, wait) in waits {
        match requests.last_mut() {
            Some((last, list)) if *last == event => match list.last_mut() {
                Some(known) if known.number == wait.number => *known = wait,
                _ => list.push(wait),
            },
            _ => requests.push((event, vec![wait])),
        }
    }
    for (_, list) in &mut requests {
        // The latest commits are those that may not be there yet.
        list.sort_unstable_by_key(|wait| Reverse(wait.event));
        list.truncate(WAITS_MAX);
    }
    requests
}

/// The last commits of each row.
#[derive(Debug, Default)]
struct Touched {
    young: HashMap<u64, Vec<Commit>>,
    old: HashMap<u64, Vec<Commit>>,
}

#[derive(Clone, Debug)]
struct Commit {
    wait: Wait,
    rows: Rows,
}

impl Touched {
    /// The last commits of other sessions that touched these rows, at most [`WAITS_MAX`].
    fn before(&self, rows: &Rows, number: u32) -> Vec<Wait> {
        let commits_of = |key: &u64| self.young.get(key).or_else(|| self.old.get(key)).into_iter().flatten();
        let is_before = move |commit: &&Commit| commit.wait.number != number && commit.rows.conflicts_with(rows);
        let mut waits: Vec<_> = rows.keys().flat_map(commits_of).filter(is_before).map(|commit| commit.wait).collect();
        waits.sort_unstable_by_key(|wait| Reverse(wait.event));
        waits.dedup();
        waits.truncate(WAITS_MAX);
        waits
    }

    fn commit(&mut self, rows: &Rows, wait: Wait) {
        if self.young.len() >= ROWS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        for key in rows.keys() {
            let old = &mut self.old;
            let commits = self.young.entry(*key).or_insert_with(|| old.remove(key).unwrap_or_default());
            // A session's later commit stands for its earlier ones on the very same rows.
            commits.retain(|commit| commit.wait.number != wait.number || commit.rows != *rows);
            if commits.len() == COMMITS_MAX {
                commits.remove(0);
            }
            commits.push(Commit { wait, rows: rows.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Session, microseconds of sending and completion, rows, whether the block stays open, whether it commits.
    type Request = (u32, u64, u64, Vec<Rows>, bool, bool);

    fn row(access: RowAccess, id: u64) -> Rows {
        Rows::new(access, &[(1, id)])
    }

    /// The waits of the events, in which each request's event is its place.
    fn waits(requests: &[Request]) -> Vec<(u64, Vec<u64>)> {
        let mut order = CommitOrder::default();
        let mut all = Vec::new();
        let mut give = |_: u32, (event, waits): Waits| -> Result<(), std::convert::Infallible> {
            let mut events: Vec<_> = waits.iter().map(|wait| wait.event).collect();
            events.sort_unstable();
            all.push((event, events));
            Ok(())
        };
        for (event, (number, sent_us, done_us, rows, stays_open, commits)) in requests.iter().enumerate() {
            let (event, number, sent_us, done_us) = (event as u64, *number, *sent_us, *done_us);
            let (stays_open, commits) = (*stays_open, *commits);
            let seen = Seen { number, event, sent_us, done_us, rows, also_after: &[], stays_open, commits };
            let Ok(()) = order.take(&seen, &mut give);
        }
        for number in 0..10 {
            let Ok(()) = order.close(number, &mut give);
        }
        all.sort();
        all
    }

    use RowAccess::{Insert, Read, Write};

    #[test]
    fn the_write_that_waited_for_a_lock_waits_for_the_commit() {
        let requests = [
            (1, 0, 1, vec![row(Write, 5)], true, false),
            // Sent before the other one's commit: it waited for the row.
            (2, 2, 9, vec![row(Write, 5)], true, false),
            (1, 5, 8, vec![], false, true),
            (2, 10, 11, vec![], false, true),
        ];
        assert_eq!(waits(&requests), [(1, vec![2])]);
    }

    #[test]
    fn a_read_waits_for_what_was_committed_when_it_was_sent() {
        let requests = [
            (1, 0, 5, vec![row(Write, 5)], false, true),
            (2, 3, 4, vec![row(Read, 5)], false, true),
            (3, 6, 7, vec![row(Read, 5)], false, true),
            (4, 6, 7, vec![row(Read, 6)], false, true),
        ];
        assert_eq!(waits(&requests), [(2, vec![0])]);
    }

    #[test]
    fn what_was_rolled_back_is_waited_for_by_nobody() {
        let requests = [(1, 0, 1, vec![row(Write, 5)], false, false), (2, 3, 4, vec![row(Write, 5)], false, true)];
        assert_eq!(waits(&requests), []);
    }

    #[test]
    fn inserts_do_not_wait_for_each_other_but_writes_wait_for_them() {
        let requests = [
            (1, 0, 1, vec![row(Insert, 5)], false, true),
            (2, 3, 4, vec![row(Insert, 5)], false, true),
            (3, 5, 6, vec![row(Write, 5)], false, true),
        ];
        assert_eq!(waits(&requests), [(2, vec![0, 1])]);
    }

    #[test]
    fn rows_that_differ_in_one_column_are_others() {
        let of = |id: u64| Rows::new(Write, &[(1, 7), (2, id)]);
        let all = Rows::new(Read, &[(1, 7)]);
        let requests = [
            (1, 0, 1, vec![of(1)], false, true),
            (2, 3, 4, vec![of(2)], false, true),
            (3, 5, 6, vec![all], false, true),
        ];
        assert_eq!(waits(&requests), [(2, vec![0, 1])]);
    }

    #[test]
    fn commits_count_in_the_order_of_their_completion() {
        let requests = [(1, 0, 9, vec![row(Write, 5)], false, true), (2, 1, 5, vec![row(Write, 5)], false, true)];
        assert_eq!(waits(&requests), [(0, vec![1])], "the second one was first");
    }

    #[test]
    fn rows_long_not_touched_are_forgotten() {
        let mut touched = Touched::default();
        for id in 0..3 * ROWS_MAX as u64 {
            touched.commit(&row(Write, id), Wait { number: 1, event: id });
        }
        assert!(touched.young.len() + touched.old.len() <= 2 * ROWS_MAX);
        assert_eq!(touched.before(&row(Write, 0), 2).len(), 0);
        assert_eq!(touched.before(&row(Write, 3 * ROWS_MAX as u64 - 1), 2).len(), 1);
    }
}
