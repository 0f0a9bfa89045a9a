//! The stream of fresh logins: one a second per fate group, because new logins fail differently from warm sessions.
//!
//! Every login is a connection try of its own, closed at once. Must not know about the streams of reads and writes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::run::{Group, Ticker};
use super::settings::{LOGIN_INTERVAL, STUCK_MAX};
use crate::samples::sample::Outcome;

/// The `session` of samples of fresh logins; warm connections are numbered from 0.
pub const FRESH_LOGIN_SESSION: u32 = u32::MAX;

/// Logs in once a second until the run is told to stop.
pub(super) async fn log_in_afresh(group: Rc<Group>, offset: Duration) {
    let mut ticker = Ticker::new(group.clone(), offset, LOGIN_INTERVAL);
    let mut logins = JoinSet::new();
    let trying = Rc::new(Cell::new(0));
    while let Some(due_us) = ticker.next().await {
        while logins.try_join_next().is_some() {}
        if trying.get() >= STUCK_MAX {
            group.emit(group.connect_sample(FRESH_LOGIN_SESSION, due_us, None, Outcome::Expired));
            continue;
        }
        let (group, trying) = (group.clone(), trying.clone());
        trying.set(trying.get() + 1);
        logins.spawn_local(async move {
            if let Ok(connection) = group.connect(FRESH_LOGIN_SESSION, due_us).await {
                connection.close().await;
            }
            trying.set(trying.get() - 1);
        });
    }
    // Every try ends by itself within the connect timeout.
    logins.join_all().await;
}
