//! Ctrl-C, SIGTERM and SIGHUP as one cancellation that everybody can wait for.
//!
//! Gives a `watch` of the signal's name. Servers run in process groups of their own, so a terminal's ctrl-C reaches
//! only this process. Must not know what is being cancelled.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The receiving side: `None` until a signal came, then its name.
pub type Cancelled = watch::Receiver<Option<&'static str>>;

/// The listener for signals; stops listening when dropped.
pub struct Signals {
    task: JoinHandle<()>,
    cancelled: Cancelled,
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
        let (sender, cancelled) = watch::channel(None);
        let task = tokio::spawn(async move {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            sender.send_replace(Some(name));
            // The sender stays, so that late receivers still see the value; further signals change nothing.
            sender.closed().await;
        });
        Ok(Self { task, cancelled })
    }

    /// A receiver to hand to whoever has to stop.
    pub fn cancelled(&self) -> Cancelled {
        self.cancelled.clone()
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
