//! Ctrl-C, SIGTERM and SIGHUP as one cancellation that everybody can wait for.
//!
//! Gives a `watch` of the signal's name. Servers run in process groups of their own, so a terminal's ctrl-C reaches
//! only this process. Must not know what is being cancelled.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use crate::upgrade::Cancelled;

/// The listener for signals; stops listening when dropped.
pub struct Signals {
    task: JoinHandle<()>,
    cancel: Canceller,
}

/// Ends the run as a signal would, from any thread: for what makes going on pointless, such as a full disk.
#[derive(Clone, Debug)]
pub struct Canceller {
    sender: watch::Sender<Option<&'static str>>,
}

impl Canceller {
    /// Cancels with a reason, unless something else was first.
    pub fn cancel(&self, reason: &'static str) {
        self.sender.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }
}

impl Signals {
    /// Starts to listen. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let cancel = Canceller { sender: watch::Sender::new(None) };
        let first = cancel.clone();
        let task = tokio::spawn(async move {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            // Further signals change nothing: the first began an orderly end, which is bounded.
            first.cancel(name);
        });
        Ok(Self { task, cancel })
    }

    /// A receiver to hand to whoever has to stop.
    pub fn cancelled(&self) -> Cancelled {
        self.cancel.sender.subscribe()
    }

    /// What cancels without a signal.
    pub fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until a signal came and gives its name; never ends if none comes.
pub async fn wait(cancelled: &mut Cancelled) -> &'static str {
    match cancelled.wait_for(Option::is_some).await {
        Ok(signal) => (*signal).unwrap_or("a signal"),
        Err(_) => std::future::pending().await,
    }
}
