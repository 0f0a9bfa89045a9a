//! What the requests of one session wait for, as its spool holds it: a chain of its own beside that of the requests.
//!
//! Writes the waits of a request as a record and reads them back in the order of the requests. Must not know why anything
//! waits.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::bytes::{Take, put_int};
use super::chain::{BlockFile, ChainReader, ChainWriter};
use super::order::{CommitOrder, Seen, Wait, Waits};
use super::store::SpoolError;

/// Finds out who waits for whom, and writes it session by session.
#[derive(Debug, Default)]
pub(super) struct WaitsWriter {
    order: CommitOrder,
    /// The chains of the sessions that wait for anything, by their numbers.
    chains: HashMap<u32, ChainWriter>,
    record: Vec<u8>,
}

impl WaitsWriter {
    /// Takes the next request of the workload.
    pub fn take(&mut self, seen: &Seen<'_>, blocks: &mut BlockFile) -> io::Result<()> {
        let Self { order, chains, record } = self;
        order.take(seen, &mut |number, waits| push(chains, record, number, &waits, blocks))
    }

    /// The session is at its end: gives the first block of its waits, 0 where there are none.
    pub fn finish(&mut self, number: u32, blocks: &mut BlockFile) -> io::Result<u64> {
        let Self { order, chains, record } = self;
        order.close(number, &mut |number, waits| push(chains, record, number, &waits, blocks))?;
        chains.remove(&number).map_or(Ok(0), |chain| chain.finish(blocks))
    }
}

fn push(
    chains: &mut HashMap<u32, ChainWriter>,
    record: &mut Vec<u8>,
    number: u32,
    waits: &Waits,
    blocks: &mut BlockFile,
) -> io::Result<()> {
    record.clear();
    put(record, waits);
    chains.entry(number).or_default().push(record, blocks)
}

/// Writes the record of a request's waits.
fn put(out: &mut Vec<u8>, (event, waits): &Waits) {
    put_int(out, *event);
    for wait in waits {
        put_int(out, wait.number.into());
        put_int(out, wait.event);
    }
}

fn take(record: &[u8]) -> Option<Waits> {
    let mut bytes = Take(record);
    let event = bytes.int()?;
    let mut waits = Vec::new();
    while !bytes.0.is_empty() {
        let number = bytes.int()?.try_into().ok()?;
        waits.push(Wait { number, event: bytes.int()? });
    }
    Some((event, waits))
}

/// Reads one session's waits; holds one block, and nothing where there are none.
#[derive(Debug)]
pub struct SessionWaits {
    chain: ChainReader,
    has_begun: bool,
    next: Option<Waits>,
}

impl SessionWaits {
    pub(super) fn new(file: Arc<File>, first_block: u64) -> Self {
        Self { chain: ChainReader::new(file, first_block), has_begun: false, next: None }
    }

    /// The commits that the request with this number comes after. Requests are asked for in their order, each as often as
    /// it is needed.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn of(&mut self, event: u64) -> Result<&[Wait], SpoolError> {
        while !self.has_begun || self.next.as_ref().is_some_and(|(next, _)| *next < event) {
            self.has_begun = true;
            self.next = match self.chain.advance() {
                Ok(true) => Some(take(self.chain.record()).ok_or(SpoolError::Damaged)?),
                Ok(false) => None,
                Err(_) => return Err(SpoolError::Damaged),
            };
        }
        Ok(self.next.as_ref().filter(|(next, _)| *next == event).map_or(&[], |(_, waits)| waits))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{DatabaseNames, Spool};
    use super::*;

    #[test]
    fn a_commit_behind_a_copy_in_one_text_is_waited_for() {
        let inline = |sql: &str| {
            serde_json::json!({"text": sql, "fingerprint": crate::sql::fingerprint(sql),
                "class": crate::sql::classify(sql)})
        };
        let request = |t_us: u64, session: u32, sequence: u64, sql: &str| {
            serde_json::json!({"kind": "request", "t_us": t_us, "session": session, "sequence": sequence,
                "simple": {"sql": inline(sql)}, "results": [{"total_us": 1}]})
        };
        let open = |session: u32| serde_json::json!({"kind": "open", "t_us": 0, "session": session, "database": "app", "user": "u"});
        let spool = Spool::from_lines(
            &[
                open(1),
                open(2),
                request(10, 1, 0, "BEGIN"),
                request(20, 1, 1, "UPDATE t SET a = 1 WHERE id = 5"),
                request(30, 1, 2, "COPY u FROM STDIN; COMMIT"),
                serde_json::json!({"kind": "copy", "t_us": 31, "session": 1, "sequence": 2, "from_client": true,
                    "base64": "MQo=", "ended": "done"}),
                request(50, 2, 0, "SELECT a FROM t WHERE id = 5"),
                serde_json::json!({"kind": "end", "sessions": 2, "requests": 4, "tenants": 0, "span_us": 60}),
            ],
            DatabaseNames::new(),
        );
        let reader = spool.sessions().iter().find(|session| session.session == 2).unwrap();
        let mut waits = spool.waits(reader);
        assert_eq!(waits.of(3).unwrap(), [Wait { number: 0, event: 2 }]);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let waits = (700, vec![Wait { number: 3, event: 12 }, Wait { number: u32::MAX, event: u64::MAX }]);
        let mut record = Vec::new();
        put(&mut record, &waits);
        assert_eq!(take(&record), Some(waits));
        assert_eq!(take(&record[..record.len() - 1]), None);
    }
}
