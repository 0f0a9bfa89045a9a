//! Which session a process serves, where a log does not name sessions.
//!
//! Takes what each line tells of its process and gives the key of its session: a process id that connects anew, or that
//! serves another user or database, is another session. Must not know the form of lines.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::entry::SessionKey;
use super::message::Message;

/// Processes that are remembered; a server rarely has more ids, and all are forgotten beyond.
const PROCESSES_MAX: usize = 1 << 20;

/// The processes of a log.
#[derive(Debug, Default)]
pub struct Processes {
    known: FxHashMap<u32, Process>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Process {
    started_s: i64,
    /// Of the user and the database; 0 where none was named.
    owner: u64,
    is_client: bool,
}

impl Processes {
    /// The session of a process that writes this message, and whether a client is at its other end, as far as lines told.
    /// `started_s` is when the process started, where the line tells that.
    pub fn session_of(
        &mut self,
        process: u32,
        started_s: Option<i64>,
        time_us: i64,
        owner: (&[u8], &[u8]),
        message: Message<'_>,
    ) -> (SessionKey, bool) {
        if self.known.len() >= PROCESSES_MAX {
            self.known.clear();
        }
        let owner = hash_of(owner);
        let known = self.known.entry(process).or_insert_with(|| Process {
            // A process that is there when its first line comes may have been there long before.
            started_s: started_s.unwrap_or(0),
            ..Process::default()
        });
        let is_other = owner != 0 && known.owner != 0 && owner != known.owner;
        if let Some(started_s) = started_s {
            known.started_s = started_s;
        } else if is_other || matches!(message, Message::ConnectionReceived) {
            *known = Process { started_s: time_us.div_euclid(1_000_000), ..Process::default() };
        }
        if owner != 0 {
            known.owner = owner;
        }
        known.is_client |= is_of_a_client(message);
        let (key, is_client) = (SessionKey { started_s: known.started_s, process }, known.is_client);
        if matches!(message, Message::Disconnection) {
            self.known.remove(&process);
        }
        (key, is_client)
    }
}

fn hash_of((user, database): (&[u8], &[u8])) -> u64 {
    if user.is_empty() || database.is_empty() {
        return 0;
    }
    let mut hasher = FxHasher::default();
    (user, database).hash(&mut hasher);
    hasher.finish().max(1)
}

/// Whether only a process that serves a client writes such a message.
fn is_of_a_client(message: Message<'_>) -> bool {
    !matches!(message, Message::Other | Message::ServerStart { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_connects_anew_is_another_session() {
        let mut processes = Processes::default();
        let mut session = |time_s: i64, message: &'static [u8]| {
            processes.session_of(7, None, time_s * 1_000_000, (b"", b""), Message::parse(message))
        };
        let key = |started_s| SessionKey { started_s, process: 7 };
        assert_eq!(session(10, b"checkpoint starting: time"), (key(0), false));
        assert_eq!(session(11, b"statement: select 1"), (key(0), true));
        assert_eq!(session(20, b"connection received: host=[local]"), (key(20), true));
        assert_eq!(session(21, b"statement: select 1"), (key(20), true));
    }

    #[test]
    fn a_process_of_another_database_is_another_session() {
        let mut processes = Processes::default();
        let message = Message::parse(b"statement: select 1");
        let mut of = |time_s: i64, database: &[u8]| {
            processes.session_of(7, None, time_s * 1_000_000, (b"u", database), message).0.started_s
        };
        assert_eq!([of(1, b"a"), of(2, b"a"), of(3, b"b"), of(4, b"b"), of(5, b"")], [0, 0, 3, 3, 3]);
    }
}
