//! The pools of replayed clients: who may have a connection, and which ones nobody has at the moment.
//!
//! One pool for each database and user, over all workers. A slot is the right to one connection; sessions get slots in the
//! order in which they asked. An idle connection takes up no slot, but it counts: who gets a slot takes an idle connection,
//! opens one if there is room for it, or has an idle one of another kind closed first. So no more than `size` are ever open.
//! Must not know sessions, nor what is said on a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::Target;
use crate::scenario::resolved::Pool;
use crate::server::{Connection, Login};

/// A connection between two sessions, and the server that it leads to.
pub(super) type Idle = (Connection, Target);

/// The pools of one replay.
#[derive(Debug)]
pub(super) struct Pools {
    profile: Pool,
    /// By the database and user that the server knows.
    shared: Mutex<HashMap<(String, String), Arc<Shared>>>,
    /// Workers that have not ended.
    workers: AtomicUsize,
}

/// One pool.
#[derive(Debug)]
pub(super) struct Shared {
    slots: Arc<Semaphore>,
    lot: Mutex<Lot<Login, Idle>>,
}

impl Pools {
    /// None where each session has a connection of its own.
    pub fn new(profile: Option<Pool>, workers: usize) -> Option<Arc<Self>> {
        let of = |profile| Self { profile, shared: Mutex::default(), workers: AtomicUsize::new(workers) };
        profile.map(|profile| Arc::new(of(profile)))
    }

    pub fn profile(&self) -> &Pool {
        &self.profile
    }

    /// The pool that this login belongs to.
    pub fn of(&self, login: &Login) -> Arc<Shared> {
        let key = (login.database.clone(), login.user.clone());
        Arc::clone(locked(&self.shared).entry(key).or_insert_with(|| Arc::new(Shared::new(self.profile.size as usize))))
    }

    /// Takes out what nobody had since `since_us`.
    pub fn take_unused(&self, since_us: u64) -> Vec<Connection> {
        let shared = locked(&self.shared);
        shared.values().flat_map(|shared| locked(&shared.lot).take_unused(since_us)).map(|(idle, _)| idle).collect()
    }

    /// A worker has ended: after the last of them nobody needs what is idle.
    pub fn worker_ended(&self) -> Vec<Connection> {
        let was_last = self.workers.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last { self.take_unused(u64::MAX) } else { Vec::new() }
    }
}

impl Shared {
    fn new(size: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(size)), lot: Mutex::new(Lot::new(size)) }
    }

    /// Waits for a slot, behind those who asked before. Cancel-safe.
    pub async fn slot(self: Arc<Self>) -> Slot {
        // Nobody closes it.
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok();
        Slot { shared: self, counts: false, _permit: permit }
    }
}

/// The right to one connection, and what it was used for.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Shared>,
    /// A connection is counted for it.
    counts: bool,
    /// Goes after the connection was counted out.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// What the connection of this slot is to be; asked again when that one came to nothing.
    pub fn claim(&mut self, login: &Login) -> Claim<Idle> {
        let claim = locked(&self.shared.lot).claim(login, self.counts);
        self.counts = true;
        claim
    }

    /// Leaves the connection to whoever comes next.
    pub fn put(mut self, login: Login, idle: Idle, now_us: u64) {
        locked(&self.shared.lot).put(login, idle, now_us);
        self.counts = false;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.counts {
            locked(&self.shared.lot).open -= 1;
        }
    }
}

/// What a slot's connection is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim<I> {
    /// This one.
    Idle(I),
    /// A new one.
    New,
    /// A new one, once this one, which is of no use for the login, has been closed.
    Instead(I),
}

/// The connections of one pool.
#[derive(Debug)]
struct Lot<K, I> {
    size: usize,
    /// Connections that there are or that are being opened.
    open: usize,
    /// With what they were opened, and since when nobody has them; the last one was used last.
    idle: Vec<(K, I, u64)>,
}

impl<K: PartialEq, I> Lot<K, I> {
    fn new(size: usize) -> Self {
        Self { size, open: 0, idle: Vec::new() }
    }

    /// For one who has a slot, and perhaps (`counts`) a connection that came to nothing.
    fn claim(&mut self, key: &K, counts: bool) -> Claim<I> {
        let others = self.open - usize::from(counts);
        if let Some(place) = self.idle.iter().rposition(|(known, _, _)| known == key) {
            self.open = others;
            return Claim::Idle(self.idle.remove(place).1);
        }
        // Others with slots are fewer than `size`, so that what is open up to it is idle.
        if others < self.size || self.idle.is_empty() {
            self.open = others + 1;
            return Claim::New;
        }
        self.open = others;
        Claim::Instead(self.idle.remove(0).1)
    }

    fn put(&mut self, key: K, idle: I, now_us: u64) {
        self.idle.push((key, idle, now_us));
    }

    fn take_unused(&mut self, since_us: u64) -> Vec<I> {
        let unused: Vec<_> = self.idle.extract_if(.., |(_, _, put_us)| *put_us <= since_us).collect();
        self.open -= unused.len();
        unused.into_iter().map(|(_, idle, _)| idle).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two connections that two sessions left, one after the other.
    fn two_idle(size: usize) -> Lot<&'static str, u32> {
        let mut lot = Lot::new(size);
        assert_eq!([lot.claim(&"a", false), lot.claim(&"a", false)], [Claim::New, Claim::New]);
        lot.put("a", 1, 10);
        lot.put("a", 2, 20);
        lot
    }

    #[test]
    fn what_was_used_last_is_handed_on_first() {
        let mut lot = two_idle(3);
        assert_eq!([lot.claim(&"a", false), lot.claim(&"a", false)], [Claim::Idle(2), Claim::Idle(1)]);
        assert_eq!((lot.open, lot.claim(&"a", false), lot.open), (2, Claim::New, 3));
    }

    #[test]
    fn a_full_pool_closes_what_is_idle_before_it_opens_another_kind() {
        let mut lot = Lot::new(2);
        assert_eq!([lot.claim(&"a", false), lot.claim(&"b", false)], [Claim::New, Claim::New]);
        lot.put("a", 1, 10);
        assert_eq!((lot.claim(&"c", false), lot.open), (Claim::Instead(1), 2));
    }

    #[test]
    fn a_connection_that_came_to_nothing_makes_room_for_its_slot_s_next() {
        let mut lot = Lot::new(1);
        assert_eq!(lot.claim(&"a", false), Claim::New);
        lot.put("a", 1, 10);
        assert_eq!(lot.claim(&"a", false), Claim::Idle(1));
        assert_eq!((lot.claim(&"a", true), lot.open), (Claim::New, 1));
    }

    #[test]
    fn what_nobody_used_for_long_is_taken_out() {
        let mut lot = two_idle(2);
        assert_eq!((lot.take_unused(10), lot.open), (vec![1], 1));
        assert_eq!((lot.take_unused(u64::MAX), lot.open), (vec![2], 0));
    }
}
