//! A session's share in a pool: the slot that it waits for, the connection that it takes over, and what it leaves.
//!
//! Takes and gives connections that are whole and between two requests. Without a pool it has nothing to do. Must not know a
//! session's requests.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::pool::{Claim, Idle, Pools, Shared, Slot};
use super::worker::Context;
use crate::server::{Connection, Login};

/// A server gets this long to end a session that was closed; then its place counts as free.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What one session has of its pool.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// None where the session has a connection of its own.
    pool: Option<Arc<Shared>>,
    slot: Option<Slot>,
}

impl Lease {
    /// Nothing yet, for sessions with this login.
    pub fn new(pools: Option<&Arc<Pools>>, login: &Login) -> Self {
        Self { pool: pools.map(|pools| pools.of(login)), slot: None }
    }

    /// Waits for a slot unless there is one; `queued_us` says since when. Cancel-safe.
    pub async fn wait_for_slot(&mut self, queued_us: &Cell<Option<u64>>, context: &Context) {
        if let (Some(pool), None) = (&self.pool, &self.slot) {
            queued_us.set(Some(context.schedule.now_us()));
            self.slot = Some(Arc::clone(pool).slot().await);
            queued_us.set(None);
        }
    }

    /// The idle connection that the slot is for, which was alive just now; none where one is to be opened.
    pub async fn take_over(&mut self, login: &Login, context: &Context) -> Option<Idle> {
        let slot = self.slot.as_mut()?;
        loop {
            match slot.claim(login) {
                Claim::New => return None,
                Claim::Idle((mut connection, target)) => {
                    if connection.settle_here().is_ok() && connection.lost_already().await.is_none() {
                        return Some((connection, target));
                    }
                }
                Claim::Instead((mut connection, _)) => {
                    if connection.settle_here().is_ok() {
                        close(connection, context).await;
                    }
                    return None;
                }
            }
        }
    }

    /// The connection is gone, and the next waiting session may open one; the session queues again when it wants another.
    pub fn let_go(&mut self) {
        self.slot = None;
    }

    /// Whether the next session is to have the connection.
    pub fn hands_on(&self, context: &Context) -> bool {
        let reuses = context.pools.as_ref().is_some_and(|pools| pools.profile().reuse);
        reuses && self.slot.is_some() && context.end.came_us().is_none()
    }

    /// Leaves a connection that was made as good as new.
    pub fn hand_on(self, login: Login, idle: Idle, context: &Context) {
        if let Some(slot) = self.slot {
            slot.put(login, idle, context.schedule.now_us());
        }
    }

    /// Closes the connection, and lets go of its slot once the server has, too.
    pub async fn close(self, connection: Connection, context: &Context) {
        match self.slot {
            Some(_) => close(connection, context).await,
            None => connection.close().await,
        }
    }
}

impl Context {
    /// Closes connections that no session had for long.
    pub async fn close_unused(&self) {
        let Some(pools) = &self.pools else { return };
        let idle_us = pools.profile().idle.as_micros() as u64;
        if let Some(since_us) = self.schedule.now_us().checked_sub(idle_us) {
            close_all(pools.take_unused(since_us)).await;
        }
    }

    /// The worker's sessions have ended.
    pub async fn leave_pools(&self) {
        if let Some(pools) = &self.pools {
            close_all(pools.worker_ended()).await;
        }
    }
}

async fn close_all(connections: Vec<Connection>) {
    for connection in connections {
        connection.close().await;
    }
}

/// Closes a connection so that another may take its place on the server.
async fn close(connection: Connection, context: &Context) {
    match context.end.came_us() {
        Some(_) => connection.close().await,
        None => drop(tokio::time::timeout(CLOSE_WITHIN, connection.close_and_wait()).await),
    }
}
