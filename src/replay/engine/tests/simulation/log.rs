//! What the played servers saw: every dial, and all that was said on each connection.

use std::cell::RefCell;
use std::rc::Rc;

use super::script::Deed;
use crate::pgwire::backend::TransactionStatus;

/// Everything, in the order in which it happened.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Log {
    /// Connections, by the number of their dial; not all of them came about.
    pub dials: Vec<Dial>,
    pub cancels: Vec<Cancel>,
    /// What no client may do.
    pub wrongs: Vec<String>,
}

/// Where the servers write.
pub(super) type Shared = Rc<RefCell<Log>>;

/// A dial and what became of it. Times are microseconds of the run.
#[derive(Debug, PartialEq)]
pub(super) struct Dial {
    pub at_us: u64,
    /// 0 is the old server, 1 the new one.
    pub server: usize,
    /// The captured session whose user logged in; none for a cancel request, or where nothing was said.
    pub session: Option<u32>,
    /// When it was welcome.
    pub ready_us: Option<u64>,
    /// When either side ended it; none where that was the end of the run.
    pub ended_us: Option<u64>,
    pub asked: Vec<Asked>,
}

impl Dial {
    pub fn new(at_us: u64, server: usize) -> Self {
        Self { at_us, server, session: None, ready_us: None, ended_us: None, asked: Vec::new() }
    }

    /// Since when the server waits for what the client asks next, seen from before request `index`.
    pub fn waits_since_us(&self, index: usize) -> Option<u64> {
        match index.checked_sub(1) {
            Some(before) => self.asked[before].answered.map(|(at_us, _)| at_us),
            None => self.ready_us,
        }
    }
}

/// Something that a client asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub at_us: u64,
    /// The request's number, where it is one of the workload.
    pub event: Option<u64>,
    pub text: String,
    /// The transaction that the session was in.
    pub status: TransactionStatus,
    /// What the server means to do.
    pub deed: Deed,
    /// When the whole answer was given, and the error in it.
    pub answered: Option<(u64, Option<&'static str>)>,
}

/// A cancel request.
#[derive(Debug, PartialEq)]
pub(super) struct Cancel {
    pub dialled_us: u64,
    pub came_us: u64,
    /// The connection that it is about, by its dial.
    pub dial: usize,
    /// The number of the request that the connection was busy with.
    pub busy_with: Option<usize>,
}

/// A text with the number of its request.
pub(super) fn marked(text: &str, event: u64) -> String {
    format!("{text} /* {event} */")
}

/// The number that a text is marked with.
pub(super) fn mark_of(text: &str) -> Option<u64> {
    text.strip_suffix(" */")?.rsplit_once("/* ")?.1.parse().ok()
}

#[test]
fn a_mark_is_found_again() {
    assert_eq!(mark_of(&marked("SELECT 1", 17)), Some(17));
    assert_eq!(mark_of("ROLLBACK"), None);
}
