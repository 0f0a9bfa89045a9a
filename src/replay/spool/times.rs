//! The moments of all requests, as the spool holds them: a chain of their own, so that what falls due can be counted.
//!
//! Takes the requests in the order in which they are written and gives back when each was captured, in which session, whose
//! it is, and whether it writes. Must not know the pace.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::bytes::{Take, put_int, put_signed};
use super::chain::{BlockFile, ChainReader, ChainWriter};
use super::store::SpoolError;
use crate::replay::copies::Owner;

/// What has to be known of a request to tell when it is due, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub t_us: u64,
    /// The session's place among all sessions.
    pub number: u32,
    pub owner: Owner,
    /// It writes, so that a read-only replay leaves it out.
    pub writes: bool,
}

/// Writes the moments.
#[derive(Debug, Default)]
pub(super) struct TimesWriter {
    chain: ChainWriter,
    last_t_us: u64,
    record: Vec<u8>,
}

impl TimesWriter {
    pub fn push(&mut self, moment: Moment, blocks: &mut BlockFile) -> io::Result<()> {
        self.record.clear();
        put_signed(&mut self.record, moment.t_us.wrapping_sub(self.last_t_us) as i64);
        put_int(&mut self.record, u64::from(moment.number));
        put_int(&mut self.record, moment.owner.code() << 1 | u64::from(moment.writes));
        self.last_t_us = moment.t_us;
        self.chain.push(&self.record, blocks)
    }

    /// Gives the first block.
    pub fn finish(self, blocks: &mut BlockFile) -> io::Result<u64> {
        self.chain.finish(blocks)
    }
}

/// Reads the moments; holds one block.
#[derive(Debug)]
pub(super) struct Times {
    chain: ChainReader,
    last_t_us: u64,
}

impl Times {
    pub fn new(file: Arc<File>, first_block: u64) -> Self {
        Self { chain: ChainReader::new(file, first_block), last_t_us: 0 }
    }

    /// The next request's moment; none at the end.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn advance(&mut self) -> Result<Option<Moment>, SpoolError> {
        if !self.chain.advance().map_err(|_| SpoolError::Damaged)? {
            return Ok(None);
        }
        let moment = take(self.chain.record(), self.last_t_us).ok_or(SpoolError::Damaged)?;
        self.last_t_us = moment.t_us;
        Ok(Some(moment))
    }
}

fn take(record: &[u8], last_t_us: u64) -> Option<Moment> {
    let mut bytes = Take(record);
    let t_us = last_t_us.wrapping_add_signed(bytes.signed()?);
    let number = u32::try_from(bytes.int()?).ok()?;
    let code = bytes.int()?;
    Some(Moment { t_us, number, owner: Owner::from_code(code >> 1)?, writes: code & 1 == 1 })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_are_read_as_they_were_written(moments: Vec<(u64, u32, Option<u32>, bool)>) {
            let moments = moments.into_iter().map(|(t_us, number, tenant, writes)| {
                Moment { t_us, number, owner: Owner::Tenant(tenant), writes }
            });
            let moments: Vec<_> = moments.collect();
            let mut blocks = BlockFile::new(tempfile::tempfile().unwrap(), 1);
            let mut writer = TimesWriter::default();
            moments.iter().for_each(|moment| writer.push(*moment, &mut blocks).unwrap());
            let first = writer.finish(&mut blocks).unwrap();
            let mut times = Times::new(Arc::new(blocks.into_file()), first);
            let read: Vec<_> = std::iter::from_fn(|| times.advance().unwrap()).collect();
            prop_assert_eq!(read, moments);
        }

        #[test]
        fn garbage_is_no_panic(garbage: Vec<u8>, last_t_us: u64) {
            let _ = take(&garbage, last_t_us);
        }
    }
}
