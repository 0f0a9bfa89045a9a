//! Which named statements a connection has prepared, and writing the messages of a request accordingly.
//!
//! A statement is prepared where it is first used on a connection, so a new connection needs no list of them. Bounded.
//! Must not know sockets.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use bytes::BytesMut;

use crate::pgwire::frontend::{self, EncodeError, Named};
use crate::replay::spool::{Body, Execution};

/// Names that are remembered; beyond them a statement is prepared anew at each use.
const NAMES_MAX: usize = 4_096;

/// The statements of one connection.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements {
    /// Name to a hash of its text; none where an error left it open whether the name is taken.
    known: HashMap<Box<[u8]>, Option<u64>>,
    /// What the request being answered prepares.
    preparing: Option<(Box<[u8]>, u64)>,
}

impl PreparedStatements {
    /// Writes a request's messages, in one go. A request that cannot be written leaves `out` empty.
    pub fn write(&mut self, body: &Body<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.preparing = None;
        let written = match body {
            Body::Simple { sql } => frontend::query(out, sql),
            Body::Execute(execution) => self.write_execution(execution, out),
        };
        if written.is_err() {
            out.clear();
            self.preparing = None;
        }
        written
    }

    /// The request was answered; with an error, nobody knows whether its Parse went through.
    pub fn answered(&mut self, failed: bool) {
        if let Some((name, text)) = self.preparing.take() {
            self.known.insert(name, (!failed).then_some(text));
        }
    }

    /// Statements were deallocated by SQL: names may be free or not, so each is closed before it is prepared again.
    pub fn forget_texts(&mut self) {
        self.known.values_mut().for_each(|text| *text = None);
    }

    /// The connection is another one.
    pub fn clear(&mut self) {
        self.known.clear();
        self.preparing = None;
    }

    fn write_execution(&mut self, execution: &Execution<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        let name = execution.statement;
        let text = hash_of(execution.sql);
        let known = self.known.get(name);
        if name.is_empty() || known != Some(&Some(text)) {
            let room = known.is_some() || self.known.len() < NAMES_MAX;
            if !name.is_empty() && (known.is_some() || !room) {
                // Closing a statement that does not exist is no error.
                frontend::close(out, Named::Statement(name))?;
            }
            let types: Vec<u32> = execution.parameter_types().collect();
            frontend::parse(out, name, execution.sql, &types)?;
            self.preparing = (!name.is_empty() && room).then(|| (name.into(), text));
        }
        let formats: Vec<i16> = execution.result_formats().collect();
        frontend::bind(out, b"", name, execution.parameters(), &formats)?;
        frontend::execute(out, b"", execution.row_limit)?;
        frontend::sync(out);
        Ok(())
    }
}

fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
