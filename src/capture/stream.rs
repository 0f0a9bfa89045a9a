//! One session's requests on their way out: whose each one is, and its place in the order.
//!
//! Takes what a source tells of who the session is, and its requests in order; gives events. Must not know log entries or
//! protocol messages.

use std::io;

use super::event::Request;
use super::sequence::{Draft, Output, Sequence};
use crate::tenant::{Attribution, Rules, Statement};

/// One session of a source.
pub struct Stream {
    sequence: Sequence,
    attribution: Attribution<Draft>,
    database: String,
    user: String,
    application_name: String,
}

impl Stream {
    /// A session with this place in the order, of which nothing else is known.
    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            attribution: Attribution::new(None),
            database: String::new(),
            user: String::new(),
            application_name: String::new(),
        }
    }

    /// Its place in the order.
    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// The session's connection was seen at this moment.
    pub fn connected(&mut self, time_us: i64) {
        self.sequence.connected(time_us);
    }

    /// Takes over who the session is; what is empty says nothing.
    pub fn identify(&mut self, database: &[u8], user: &[u8], application_name: &[u8]) {
        update(&mut self.database, database);
        update(&mut self.user, user);
        update(&mut self.application_name, application_name);
    }

    /// Whether nothing said yet whose session it is.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_empty()
    }

    /// Whether nothing said yet which database it is in.
    pub fn has_no_database(&self) -> bool {
        self.database.is_empty()
    }

    /// Takes the session's next request.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push(&mut self, draft: Draft, rules: &Rules, out: &mut Output) -> io::Result<()> {
        self.name();
        let sql = text_for(rules, &draft.request);
        let statement = Statement {
            database: &self.database,
            user: &self.user,
            application_name: &self.application_name,
            sql: &sql,
        };
        let mut result = Ok(());
        let sequence = &mut self.sequence;
        self.attribution.push(rules, &statement, draft, |draft, tenant| {
            if result.is_ok() {
                result = sequence.give(draft, tenant, out);
            }
        });
        result
    }

    /// Gives every request that still waits to know whose it is: the session has ended, or its source has.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn flush(&mut self, out: &mut Output) -> io::Result<()> {
        let mut result = Ok(());
        let sequence = &mut self.sequence;
        self.attribution.finish(|draft, tenant| {
            if result.is_ok() {
                result = sequence.give(draft, tenant, out);
            }
        });
        self.name();
        result
    }

    /// Gives the opening and the closing; see [`Sequence::finish`].
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(self, over_us: Option<i64>, out: &mut Output) -> io::Result<()> {
        self.sequence.finish(over_us, out)
    }

    fn name(&mut self) {
        self.sequence.name(&self.database, &self.user, &self.application_name);
    }
}

/// The text that the rules look at; empty where they look at none.
fn text_for(rules: &Rules, request: &Request) -> String {
    match rules.read_text() {
        true => String::from_utf8_lossy(request.first_sql()).into_owned(),
        false => String::new(),
    }
}

/// Keeps the text where nothing changed, which is nearly always.
fn update(text: &mut String, bytes: &[u8]) {
    if !bytes.is_empty() && text.as_bytes() != bytes {
        *text = String::from_utf8_lossy(bytes).into_owned();
    }
}
