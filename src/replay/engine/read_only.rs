//! A replay that is to change nothing: sessions that may not write, and blocks that stand where left-out requests would
//! have left them.
//!
//! Takes the session after a request that was not sent. Must not know why.

use super::session::SessionTask;
use crate::replay::spool::RequestFacts;

/// The startup parameters of a session that refuses what writes unseen, such as a function: the second safety.
pub(super) fn may_not_write(parameters: &mut Vec<(String, String)>) {
    const SETTING: &str = "default_transaction_read_only";
    parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(SETTING));
    parameters.push((SETTING.to_owned(), "on".to_owned()));
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
