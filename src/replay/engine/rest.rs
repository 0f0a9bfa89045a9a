//! A session that lost its connection and opens another only when it has something to send.
//!
//! Takes the session between two requests; what of a broken transaction falls due meanwhile is given up. Must not know
//! how a connection is opened.

use super::giving_up::give_up;
use super::session::{SessionTask, Woken};
use super::stop::Stop;
use crate::replay::spool::SpoolError;
use crate::scenario::resolved::Reconnect;

impl SessionTask {
    /// Whether it is without a connection and content with that.
    pub fn is_at_rest(&self) -> bool {
        let state = &self.state;
        self.context.clients.reconnect == Reconnect::OnDemand && state.was_connected && !state.wants_connection
    }

    /// At rest: waits until the next request that is to be sent is due.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn wait_until_wanted(&mut self, stop: &mut Stop) -> Result<Woken, SpoolError> {
        let Some(next) = self.head.next() else { return Ok(Woken::Closed) };
        let is_skipped = self.state.passes_over(&next);
        let at_us = match is_skipped {
            true => self.context.gives_up_us(&next, &self.state, None),
            false => Some(self.state.may_send_us(&next)),
        };
        tokio::select! {
            biased;
            () = stop.requested() => return Ok(Woken::Stopped),
            () = self.context.timer.until(at_us) => {}
        }
        if is_skipped {
            give_up(&self.context, self.about, &mut self.state, &next, None);
            self.state.let_others_go_on().await;
            self.advance().await?;
        } else {
            self.state.wants_connection = true;
        }
        Ok(Woken::Again)
    }
}
