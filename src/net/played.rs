//! Servers that a test plays itself, on its own thread and without sockets.
//!
//! Takes an address, which need not exist; gives the streams that are dialled there from the same thread, each for the test to
//! take, to refuse or to leave without an answer. Must not know what is said over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use super::dial::Address;

/// Bytes that one side may be ahead of the other.
const PIPE_BYTES: usize = 64 << 10;

thread_local! {
    static LISTENING: RefCell<HashMap<String, mpsc::UnboundedSender<Dialled>>> = RefCell::default();
}

/// Somebody who waits for a connection; dropped, he waits no longer than his own patience.
#[derive(Debug)]
pub struct Dialled(oneshot::Sender<io::Result<DuplexStream>>);

impl Dialled {
    /// Takes the connection, and gives the server's end of it.
    pub fn accept(self) -> DuplexStream {
        let (client, server) = duplex(PIPE_BYTES);
        // Who has given up waiting reads no more.
        let _ = self.0.send(Ok(client));
        server
    }

    pub fn refuse(self) {
        self.fail(io::ErrorKind::ConnectionRefused.into());
    }

    /// Has the system of who wants the connection answer with an error.
    pub fn fail(self, error: io::Error) {
        let _ = self.0.send(Err(error));
    }
}

/// What listens at an address, as long as it lives.
#[derive(Debug)]
pub struct Listener {
    address: String,
    dialled: mpsc::UnboundedReceiver<Dialled>,
}

impl Listener {
    pub fn new(address: &Address) -> Self {
        let (sender, dialled) = mpsc::unbounded_channel();
        let address = address.to_string();
        LISTENING.with_borrow_mut(|listening| listening.insert(address.clone(), sender));
        Self { address, dialled }
    }

    /// The next who wants a connection. Cancel-safe.
    pub async fn next(&mut self) -> Option<Dialled> {
        self.dialled.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LISTENING.with_borrow_mut(|listening| listening.remove(&self.address));
    }
}

/// A stream to a played server; none where no test of this thread plays one there.
pub(super) async fn dial(address: &Address) -> Option<io::Result<DuplexStream>> {
    let (taken, answer) = oneshot::channel();
    let sent = LISTENING.with_borrow(|listening| {
        let listener = if listening.is_empty() { None } else { listening.get(&address.to_string()) };
        listener.map(|listener| listener.send(Dialled(taken)))
    })?;
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
    Some(match sent {
        Ok(()) => match answer.await {
            Ok(answer) => answer,
            // Neither taken nor refused.
            Err(_) => std::future::pending().await,
        },
        Err(error) => Err(gone(error)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::{DialError, Target, dial};
    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_played_server_takes_refuses_and_keeps_waiting() {
        let (target, within) = (Target::unix("/played", 1), Duration::from_secs(1));
        let mut listener = Listener::new(&target.address);
        let playing = async {
            let mut taken = listener.next().await.unwrap().accept();
            taken.write_all(b"x").await.unwrap();
            listener.next().await.unwrap().refuse();
            drop(listener.next().await);
        };
        let dialling = async {
            assert_eq!(dial(&target, within).await.unwrap().read_u8().await.unwrap(), b'x');
            assert!(matches!(dial(&target, within).await, Err(DialError::Connect(_))));
            assert!(matches!(dial(&target, within).await, Err(DialError::TimedOut(_))));
        };
        tokio::join!(playing, dialling);
    }
}
