//! A TCP relay to a server that can stand still: while it is held, nothing passes in either direction, and what came is
//! passed on when it is let go.
//!
//! A client that has hung up by then is not announced to the server any more. Takes where the server is, gives an address
//! for its clients.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A running relay. Its connections end with their clients or the server.
pub struct Relay {
    /// Where it listens.
    pub at: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_held: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set_held(&self, is_held: bool) {
        *self.is_held.lock().unwrap() = is_held;
        self.changed.notify_all();
    }

    /// Waits until nothing is held, and says whether it had to.
    fn pass(&self) -> bool {
        let held = self.is_held.lock().unwrap();
        let had_to_wait = *held;
        drop(self.changed.wait_while(held, |is_held| *is_held).unwrap());
        had_to_wait
    }
}

impl Relay {
    pub fn start(server: SocketAddr) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), server)
    }

    /// A relay whose clients connect to a socket of the test's own.
    pub fn start_on(listener: TcpListener, server: SocketAddr) -> Self {
        let (at, gate) = (listener.local_addr().unwrap(), Arc::<Gate>::default());
        let passing = Arc::clone(&gate);
        // It lasts as long as the tests' process: nothing hears of it any more once its test is over.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let gate = Arc::clone(&passing);
                std::thread::spawn(move || join(&client, server, &gate));
            }
        });
        Self { at, gate }
    }

    /// Stands still.
    pub fn hold(&self) {
        self.gate.set_held(true);
    }

    pub fn let_go(&self) {
        self.gate.set_held(false);
    }
}

/// Stays with one connection until both directions have ended.
fn join(client: &TcpStream, server: SocketAddr, gate: &Gate) -> io::Result<()> {
    let had_to_wait = gate.pass();
    let Some(heard) = (if had_to_wait { heard_so_far(client)? } else { Some(Vec::new()) }) else { return Ok(()) };
    let mut server = TcpStream::connect(server)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
    }
    server.write_all(&heard)?;
    std::thread::scope(|both| {
        both.spawn(|| copy(client, &server, gate));
        copy(&server, client, gate);
    });
    Ok(())
}

/// What a client has sent that may have hung up since: then none.
fn heard_so_far(mut client: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut heard = Vec::new();
    client.set_nonblocking(true)?;
    let read = client.read_to_end(&mut heard);
    client.set_nonblocking(false)?;
    Ok(read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock).then_some(heard))
}

/// Passes on one direction to its end, which is passed on too.
fn copy(mut from: &TcpStream, mut to: &TcpStream, gate: &Gate) {
    let mut bytes = vec![0; 65_536];
    loop {
        let count = from.read(&mut bytes).unwrap_or(0);
        gate.pass();
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // An end of either direction ends both, as a reset would.
    let (_, _) = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Read));
}
