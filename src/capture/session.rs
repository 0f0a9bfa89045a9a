//! A session that is read from the wire, on its way to events: what its conversation finds, whose it is, and its place in
//! the order.
//!
//! pcap and proxy both feed it. Takes both sides' bytes in the order of time, and gives events to the output that all
//! sessions share. Must not know where the bytes come from.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::sequence::{Output, Place, Sequence};
use super::sort::Sorter;
use super::stream::Stream;
use super::wire::{Conversation, Found, Reason, Side, Sink};
use crate::pgwire::backend::CancelKey;
use crate::tenant::Rules;
use crate::workload::record::Skipped;

/// What all sessions of a capture share.
pub(super) struct Shared {
    pub rules: Rules,
    pub out: Output,
    /// When the capture began.
    pub first_us: i64,
    pub skipped: BTreeMap<Reason, Skipped>,
    pub server_version: Option<String>,
    /// All that was said by PostgreSQL's clients and servers.
    pub wire_bytes: u64,
    /// Cancel requests, whose sessions are still to be found.
    pub cancels: Vec<(CancelKey, i64, (u16, u64))>,
}

/// One session.
pub(super) struct Session {
    conversation: Conversation,
    stream: Stream,
    place: Option<Place>,
    key: Option<CancelKey>,
    is_wanted: bool,
}

impl Shared {
    /// Nothing yet; temporary files go to `directory`.
    pub fn new(rules: Rules, directory: &Path) -> Self {
        let mut out = Output::new(Sorter::new(directory));
        // A connection without an end in the capture lived on.
        out.disconnections_are_logged();
        Self {
            rules,
            out,
            first_us: i64::MAX,
            skipped: BTreeMap::new(),
            server_version: None,
            wire_bytes: 0,
            cancels: Vec::new(),
        }
    }

    /// Counts what is not in the workload.
    pub fn skip(&mut self, reason: Reason, count: u64, at: (u16, u64)) {
        self.skipped.entry(reason).or_insert(Skipped::none(at)).add(count, reason.loss());
    }
}

impl Session {
    /// A session whose first bytes come next, seen at `opened_us`; none where it began before the capture, which itself
    /// began at `first_us`.
    pub fn new(opened_us: Option<i64>, first_us: i64) -> Self {
        Self {
            conversation: Conversation::new(opened_us.is_none()),
            stream: Stream::new(Sequence::new(opened_us, first_us)),
            place: None,
            key: None,
            is_wanted: opened_us.is_none(),
        }
    }

    /// A session that is encrypted, and began before the capture, which itself began at `first_us`.
    pub fn encrypted(first_us: i64) -> Self {
        Self { conversation: Conversation::encrypted(), is_wanted: false, ..Self::new(None, first_us) }
    }

    /// Bytes that are kept for what comes next.
    pub fn held_bytes(&self) -> usize {
        self.conversation.held_bytes() + self.stream.held_bytes()
    }

    /// Gives up what is kept for later: there is no room for it.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn forget(&mut self, time_us: i64, at: (u16, u64), shared: &mut Shared) -> io::Result<()> {
        self.hear(shared, time_us, at, |conversation, sink| conversation.forget(at, sink))?;
        self.stream.flush(&mut shared.out)
    }

    /// Takes the next bytes of one side; `at` is the index of the source and the place in it.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn said(
        &mut self,
        side: Side,
        bytes: &[u8],
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
    ) -> io::Result<()> {
        shared.wire_bytes += bytes.len() as u64;
        self.hear(shared, time_us, at, |conversation, sink| conversation.take(side, bytes, time_us, at, sink))
    }

    /// The capture lost `count` bytes of one side here.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn lost(
        &mut self,
        side: Side,
        count: u64,
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
    ) -> io::Result<()> {
        self.hear(shared, time_us, at, |conversation, sink| conversation.lost(side, count, at, sink))
    }

    /// If this is the session with this key: its client wants to cancel. Says whether that met a request.
    pub fn cancelled(&mut self, key: &CancelKey, time_us: i64) -> Option<bool> {
        (self.key.as_ref() == Some(key)).then(|| self.conversation.cancelled(time_us))
    }

    /// The session is over, at `over_us` if that was seen; nothing of it comes behind `last_us`.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(mut self, over_us: Option<i64>, last_us: i64, at: (u16, u64), shared: &mut Shared) -> io::Result<()> {
        self.hear(shared, last_us, at, |conversation, sink| conversation.closed(at, sink))?;
        self.stream.flush(&mut shared.out)?;
        match self.is_wanted && !(self.stream.sequence().is_empty() && self.stream.is_anonymous()) {
            true => self.stream.finish(over_us, &mut shared.out),
            false => Ok(()),
        }
    }

    fn hear(
        &mut self,
        shared: &mut Shared,
        time_us: i64,
        at: (u16, u64),
        speak: impl FnOnce(&mut Conversation, &mut Sink<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self { conversation, stream, place, key, is_wanted } = self;
        let mut sink = |found: Found| {
            match found {
                Found::Startup(parameters) => opened(stream, parameters),
                Found::Authenticated => *is_wanted = true,
                Found::Parameter { name, value } if name == "server_version" => {
                    shared.server_version.get_or_insert(value);
                }
                Found::Parameter { name, value } if name == "application_name" => {
                    stream.identify(b"", b"", value.as_bytes());
                }
                Found::Parameter { .. } => {}
                Found::CancelKey(found) => *key = Some(found),
                Found::CancelRequest(key) => shared.cancels.push((key, time_us, at)),
                Found::CopyBegan { start_us } => {
                    *is_wanted = true;
                    *place = Some(stream.place(start_us));
                }
                Found::Copy { time_us, mut data } => {
                    if let Some(place) = place {
                        data.sequence = place.sequence;
                        return stream.copy(time_us, data, &mut shared.out);
                    }
                }
                Found::Request(draft) => {
                    // Whatever the login looked like, or was lost of it, the session must be opened for its requests.
                    *is_wanted = true;
                    let draft = *draft;
                    return match place.take() {
                        Some(place) => stream.push_placed(draft, place, &shared.rules, &mut shared.out),
                        None => stream.push(draft, &shared.rules, &mut shared.out),
                    };
                }
                Found::PlaceUnused => *place = None,
                Found::Skipped { reason, count, at } => shared.skip(reason, count, at),
            }
            Ok(())
        };
        speak(conversation, &mut sink)
    }
}

fn opened(stream: &mut Stream, parameters: Vec<(String, String)>) {
    let mut others: BTreeMap<_, _> = parameters.into_iter().collect();
    let user = others.remove("user").unwrap_or_default();
    // The server takes the user's name where no database is named.
    let database = others.remove("database").unwrap_or_else(|| user.clone());
    let application_name = others.get("application_name").cloned().unwrap_or_default();
    stream.identify(database.as_bytes(), user.as_bytes(), application_name.as_bytes());
    stream.opened_with(others);
}
