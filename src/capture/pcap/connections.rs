//! All connections of a capture: each segment to its own, within bounds.
//!
//! Takes segments in the order of their capture. Must not know files or link types.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;

use super::super::conclusion::skip;
use super::super::held::{Held, Holding};
use super::super::session::Shared;
use super::super::wire::Reason;
use super::connection::Connection;
use super::packet::Segment;
use crate::workload::record::{Loss, Skipped};

/// Connections that are followed at a time.
const CONNECTIONS_MAX: usize = 65_536;

/// The two ends of a connection, in their order.
type Ends = (SocketAddr, SocketAddr);

/// The connections so far.
pub(super) struct Connections {
    /// Only these ports; all where there is none.
    ports: Vec<u16>,
    connections: HashMap<Ends, Connection>,
    held: Held,
}

impl Connections {
    /// None yet.
    pub fn new(ports: &[u16]) -> Self {
        Self { ports: ports.to_vec(), connections: HashMap::new(), held: Held::default() }
    }

    /// Takes a segment, seen at `time_us`; `at` is the index of its file and its number there.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn take(
        &mut self,
        segment: &Segment<'_>,
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
        skipped: &mut BTreeMap<String, Skipped>,
    ) -> io::Result<()> {
        let ports = [segment.from.port(), segment.to.port()];
        if !self.ports.is_empty() && !self.ports.iter().any(|port| ports.contains(port)) {
            return Ok(());
        }
        shared.first_us = shared.first_us.min(time_us);
        let is_first = segment.from <= segment.to;
        let ends = if is_first { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let begins = segment.syn && segment.acknowledged.is_none();
        if begins && self.connections.get(&ends).is_some_and(Connection::has_spoken) {
            self.end(&ends, shared)?;
        }
        if !self.connections.contains_key(&ends) {
            if !segment.syn && segment.payload.is_empty() {
                return Ok(());
            }
            if self.connections.len() >= CONNECTIONS_MAX {
                skip(skipped, "packet of a connection beyond 65,536 at a time", (1, Loss::Some), at);
                return Ok(());
            }
            self.connections.insert(ends, Connection::new(segment, is_first, &self.ports));
        }
        let Some(connection) = self.connections.get_mut(&ends) else { return Ok(()) };
        let before_bytes = connection.held_bytes();
        connection.take(segment, is_first, time_us, at, shared)?;
        self.held.change(before_bytes, connection.held_bytes());
        if connection.is_finished() {
            self.end(&ends, shared)?;
        }
        self.cancel(shared);
        self.held.keep_bound(&mut self.connections, shared)
    }

    /// The captures are over.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(mut self, shared: &mut Shared) -> io::Result<()> {
        // In the order of their ends' addresses, so that the same capture always numbers its sessions alike.
        let mut left: Vec<_> = self.connections.drain().collect();
        left.sort_by_key(|(ends, _)| *ends);
        left.into_iter().try_for_each(|(_, connection)| connection.finish(shared))
    }

    fn end(&mut self, ends: &Ends, shared: &mut Shared) -> io::Result<()> {
        match self.connections.remove(ends) {
            Some(connection) => {
                self.held.change(connection.held_bytes(), 0);
                connection.finish(shared)
            }
            None => Ok(()),
        }
    }

    fn cancel(&mut self, shared: &mut Shared) {
        for (key, time_us, at) in std::mem::take(&mut shared.cancels) {
            let met = self.connections.values_mut().find_map(|connection| connection.cancelled(&key, time_us));
            if met != Some(true) {
                shared.skip(Reason::CancelWithoutRequest, 1, at);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::pgwire::frontend;
    use crate::tenant::Rules;

    #[test]
    fn all_connections_share_a_bound_and_what_is_forgotten_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut shared = Shared::new(Rules::default(), directory.path());
        let mut connections = Connections { held: Held { bytes: 0, bytes_max: 250_000 }, ..Connections::new(&[]) };
        let server = "10.0.0.2:5432".parse().unwrap();
        for client in 1..=9_u16 {
            let from = SocketAddr::new("10.0.0.1".parse().unwrap(), client);
            let mut said = BytesMut::new();
            frontend::startup(&mut said, 3 << 16, [("user", "app")]).unwrap();
            frontend::parse(&mut said, b"s", &vec![b'x'; 40_000], &[]).unwrap();
            let mut sequence = 0;
            let mut take = |syn: bool, payload: &[u8]| {
                let segment =
                    Segment { from, to: server, sequence, acknowledged: None, syn, fin: false, rst: false, payload };
                sequence += payload.len() as u32 + u32::from(syn);
                connections.take(&segment, 0, (0, client.into()), &mut shared, &mut BTreeMap::new()).unwrap();
                assert!(connections.held.bytes <= connections.held.bytes_max);
                let held = connections.connections.values().map(Connection::held_bytes).sum::<usize>();
                assert_eq!(connections.held.bytes, held);
            };
            take(true, b"");
            said.chunks(1_000).for_each(|payload| take(false, payload));
        }
        let forgotten = shared.skipped[&Reason::Forgotten].count;
        assert!((1..9).contains(&forgotten), "{forgotten}");
        connections.finish(&mut shared).unwrap();
    }
}
