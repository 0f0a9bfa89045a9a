//! A replay that is to change nothing: sessions that may not write, and blocks that stand where left-out requests would
//! have left them.
//!
//! Takes the session after a request that was not sent. Must not know why.

use super::memory::SessionMemory;
use super::session::SessionTask;
use crate::replay::spool::{READ_ONLY_SETTINGS, RequestFacts, Session};

/// The startup parameters of a session that refuses what writes unseen, such as a function: the second safety.
pub(super) fn may_not_write(parameters: &mut Vec<(String, String)>) {
    parameters.retain(|(name, _)| !keeps_from_writing(name));
    parameters.push((READ_ONLY_SETTINGS[0].to_owned(), "on".to_owned()));
}

/// What a session carries in, but for what would take that safety away.
pub(super) fn carried_in(session: &Session, read_only: bool) -> SessionMemory {
    if !read_only {
        return SessionMemory::carried_in(&session.settings, &session.prepared);
    }
    let mut settings = session.settings.clone();
    settings.retain(|name, _| !keeps_from_writing(name));
    SessionMemory::carried_in(&settings, &session.prepared)
}

fn keeps_from_writing(setting: &str) -> bool {
    READ_ONLY_SETTINGS.iter().any(|known| known.eq_ignore_ascii_case(setting))
}

impl SessionTask {
    /// A request was left out: begins or rolls back the block that it would have begun or ended, so that those behind it
    /// find the transaction that they expect.
    pub async fn stand_where_it_would(&mut self, facts: &RequestFacts) {
        let (inside, is_open) = (facts.part.inside, self.link.in_transaction());
        match facts.part.stays_open {
            false if is_open => self.link.roll_back().await,
            true if !inside && !is_open => self.link.begin().await,
            _ => return,
        }
        self.state.free_us = self.context.schedule.now_us();
    }
}
