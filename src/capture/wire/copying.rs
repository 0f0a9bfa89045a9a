//! COPY data on its way out, in pieces of a bounded size.
//!
//! Takes the data as it passes, however it was cut into messages. Must not know whose it is.

use std::io;

use super::super::event::CopyData;
use super::Sink;
use super::found::Found;
use crate::workload::record::CopyEnd;

/// COPY data in one event.
const COPY_BYTES_MAX: usize = 64 << 10;

/// The data that was not given yet.
#[derive(Debug, Default)]
pub(super) struct Copying {
    piece: Option<(i64, CopyData)>,
}

impl Copying {
    /// Takes a part of the data, seen at `time_us`.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn push(&mut self, from_client: bool, mut part: &[u8], time_us: i64, sink: &mut Sink<'_>) -> io::Result<()> {
        while !part.is_empty() {
            let data = self.piece(from_client, time_us);
            let (taken, rest) = part.split_at((COPY_BYTES_MAX - data.bytes.len()).min(part.len()));
            data.bytes.extend_from_slice(taken);
            part = rest;
            if data.bytes.len() == COPY_BYTES_MAX {
                self.flush(sink)?;
            }
        }
        Ok(())
    }

    /// Its sender ended the COPY.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn end(&mut self, ended: CopyEnd, from_client: bool, time_us: i64, sink: &mut Sink<'_>) -> io::Result<()> {
        self.piece(from_client, time_us).ended = Some(ended);
        self.flush(sink)
    }

    /// Gives what was not given yet.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn flush(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        match self.piece.take() {
            Some((time_us, data)) => sink(Found::Copy { time_us, data }),
            None => Ok(()),
        }
    }

    /// The server ended the COPY by an error: what its client sent until then is what failed, and is given.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn failed(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        match self.piece.take_if(|(_, data)| !data.from_client) {
            Some(_) => Ok(()),
            None => self.flush(sink),
        }
    }

    /// The COPY came to nothing, or its request is left out.
    pub fn discard(&mut self) {
        self.piece = None;
    }

    /// Bytes that are kept.
    pub fn held_bytes(&self) -> usize {
        self.piece.as_ref().map_or(0, |(_, data)| data.bytes.capacity())
    }

    fn piece(&mut self, from_client: bool, time_us: i64) -> &mut CopyData {
        let new = || (time_us, CopyData { from_client, ..CopyData::default() });
        &mut self.piece.get_or_insert_with(new).1
    }
}
