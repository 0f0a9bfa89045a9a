//! The end of the run, as a session sees it.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;

/// Waits for the one moment at which the run ends. A session keeps one for its whole life, so that waiting costs no
/// registration per request.
pub(super) struct Stop {
    waiting: Pin<Box<dyn Future<Output = ()>>>,
    requested: bool,
}

impl Stop {
    /// The run ends when `stop` turns true, or its sender is gone.
    pub fn new(mut stop: watch::Receiver<bool>) -> Self {
        let waiting = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        Self { waiting: Box::pin(waiting), requested: false }
    }

    /// Returns when the run ends, at once ever after. Cancel-safe.
    pub async fn requested(&mut self) {
        if !self.requested {
            self.waiting.as_mut().await;
            self.requested = true;
        }
    }

    /// Whether the end was seen by [`Self::requested`].
    pub fn is_requested(&self) -> bool {
        self.requested
    }
}
