//! Which statements a connection has prepared, and writing the messages of a request accordingly.
//!
//! A statement is prepared where it is first used on a connection, so a new connection needs no list of them. Bounded.
//! Must not know sockets.

use bytes::BytesMut;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::pgwire::frontend::{self, EncodeError, Named};
use crate::replay::spool::{Body, Execution, Message, MessageSequence, SpoolRequest};
use crate::server::Expected;
use crate::words::sqlstate::SqlState;

/// Names that are remembered; beyond them a statement is prepared anew at each use.
const NAMES_MAX: usize = 4_096;

/// The statements of one connection.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements {
    /// Name to a hash of its text; none where an error left it open whether the name is taken.
    known: FxHashMap<Box<[u8]>, Option<u64>>,
    /// The names that the request being answered prepares or closes.
    changing: Vec<Box<[u8]>>,
    /// Ends of the executions that wait for COPY data, in what was written last.
    holds: Vec<usize>,
}

impl PreparedStatements {
    /// Writes a request's messages, in one go, and says what will answer them. A request that cannot be written leaves
    /// `out` as it was.
    pub fn write(&mut self, request: &SpoolRequest<'_>, out: &mut BytesMut) -> Result<Expected, EncodeError> {
        self.changing.clear();
        self.holds.clear();
        let before = out.len();
        let written = match &request.body {
            Body::Simple { sql } => {
                self.forget_unnamed();
                frontend::query(out, sql).map(|()| Expected::default())
            }
            Body::Execute(execution) => self.write_execution(execution, out).map(|()| Expected::default()),
            Body::Messages(sequence) => {
                let taken_names_fail = request.facts.captured.sqlstate == Some(SqlState::DUPLICATE_PREPARED_STATEMENT);
                self.write_sequence(sequence, taken_names_fail, out)
            }
        };
        if written.is_err() {
            out.truncate(before);
            self.answered(true);
        }
        written
    }

    /// Where what was written last has to wait for the COPY data that its client sent.
    pub fn holds(&self) -> &[usize] {
        &self.holds
    }

    /// The request was answered; with an error, nobody knows which of its messages went through.
    pub fn answered(&mut self, failed: bool) {
        for name in self.changing.drain(..).filter(|_| failed) {
            self.known.insert(name, None);
        }
    }

    /// Statements were deallocated by SQL: names may be free or not, so each is closed before it is prepared again.
    pub fn forget_texts(&mut self) {
        self.known.values_mut().for_each(|text| *text = None);
    }

    /// A simple query takes the unnamed statement's place.
    pub fn forget_unnamed(&mut self) {
        self.known.remove(&b""[..]);
    }

    /// The connection is another one.
    pub fn clear(&mut self) {
        self.known.clear();
        self.changing.clear();
    }

    fn write_execution(&mut self, execution: &Execution<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        let &Execution { statement, portal, sql, .. } = execution;
        let types = || execution.parameter_types.oids();
        match statement.is_empty() && !execution.reuses_unnamed {
            true => drop(self.parse(statement, sql, types(), out)?),
            false => drop(self.require(statement, sql, types(), out)?),
        }
        let formats: Vec<i16> = execution.result_formats.formats().collect();
        frontend::bind(out, portal, statement, execution.parameters.parameters(), &formats)?;
        if execution.describes {
            frontend::describe(out, Named::Portal(portal))?;
        }
        frontend::execute(out, portal, execution.row_limit)?;
        if execution.copies {
            self.holds.push(out.len());
        }
        frontend::sync(out);
        Ok(())
    }

    fn write_sequence(
        &mut self,
        sequence: &MessageSequence<'_>,
        taken_names_fail: bool,
        out: &mut BytesMut,
    ) -> Result<Expected, EncodeError> {
        let mut expected = Expected { readies: 0, ends: 0 };
        for message in sequence.needed() {
            if let Message::Parse { statement, sql, parameter_types } = message {
                expected.ends += self.require(statement, sql, parameter_types.oids(), out)?;
            }
        }
        for message in sequence.messages() {
            let ends = self.write_message(&message, taken_names_fail, out)?;
            if message.ends_in_ready() {
                expected = Expected { readies: expected.readies + 1, ends: 0 };
            } else {
                expected.ends += ends;
            }
        }
        // Without a Sync a server keeps its answers until it is asked for them.
        if expected.ends > 0 {
            frontend::flush(out);
        }
        Ok(expected)
    }

    /// Writes one message, and gives the number of messages whose ends the server will tell.
    fn write_message(
        &mut self,
        message: &Message<'_>,
        taken_names_fail: bool,
        out: &mut BytesMut,
    ) -> Result<u32, EncodeError> {
        match *message {
            Message::Query { sql } => {
                self.forget_unnamed();
                frontend::query(out, sql)?;
            }
            Message::Parse { statement, sql, parameter_types } => {
                if taken_names_fail {
                    self.known.remove(statement);
                }
                return self.parse(statement, sql, parameter_types.oids(), out);
            }
            Message::Bind { portal, statement, parameters, result_formats } => {
                let formats: Vec<i16> = result_formats.formats().collect();
                frontend::bind(out, portal, statement, parameters.parameters(), &formats)?;
            }
            Message::Describe(what) => frontend::describe(out, what)?,
            Message::Close(what) => {
                if let Named::Statement(name) = what {
                    self.known.remove(name);
                    self.changing.push(name.into());
                }
                frontend::close(out, what)?;
            }
            Message::Execute { portal, row_limit, copies } => {
                frontend::execute(out, portal, row_limit)?;
                if copies {
                    self.holds.push(out.len());
                }
            }
            Message::Flush => {
                frontend::flush(out);
                return Ok(0);
            }
            Message::Sync => frontend::sync(out),
            Message::FunctionCall { body } => frontend::function_call(out, body)?,
        }
        Ok(1)
    }

    /// Prepares a statement unless the connection has it; gives the number of messages.
    fn require(
        &mut self,
        name: &[u8],
        sql: &[u8],
        types: impl Iterator<Item = u32>,
        out: &mut BytesMut,
    ) -> Result<u32, EncodeError> {
        match self.known.get(name) == Some(&Some(xxh3_64(sql))) {
            true => Ok(0),
            false => self.parse(name, sql, types, out),
        }
    }

    /// Prepares a statement, whatever had its name before; gives the number of messages.
    fn parse(
        &mut self,
        name: &[u8],
        sql: &[u8],
        types: impl Iterator<Item = u32>,
        out: &mut BytesMut,
    ) -> Result<u32, EncodeError> {
        let is_known = self.known.contains_key(name);
        let room = is_known || self.known.len() < NAMES_MAX;
        let closes = !name.is_empty() && (is_known || !room);
        if closes {
            // Closing a statement that does not exist is no error.
            frontend::close(out, Named::Statement(name))?;
        }
        let types: Vec<u32> = types.collect();
        frontend::parse(out, name, sql, &types)?;
        if room {
            self.known.insert(name.into(), Some(xxh3_64(sql)));
            self.changing.push(name.into());
        }
        Ok(1 + u32::from(closes))
    }
}
