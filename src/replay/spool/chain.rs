//! Chains of blocks in one file: many streams of records written side by side, each read back on its own.
//!
//! A writer keeps less than one block of each stream in memory; a reader holds one block. A block is `next` (offset of
//! the stream's next block, 0 for none, patched in when that one is written), the length of its payload, the payload.
//! A record is its length in four bytes, then its bytes, and may span blocks. Must not know what the records mean.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Payload of a full block: a page and what a session sends in some seconds; 5,000 sessions hold 20 MiB.
const PAYLOAD_BYTES: usize = 4096 - HEAD_BYTES;
const HEAD_BYTES: usize = 12;

/// A reader does not keep the space of a longer record than this.
const SPANNING_BYTES_KEPT: usize = 64 << 10;

/// The file that chains are appended to.
#[derive(Debug)]
pub(super) struct BlockFile {
    file: File,
    end: u64,
}

impl BlockFile {
    /// Appends to `file` from `end` on, which must not be 0: that offset means "no block".
    pub fn new(file: File, end: u64) -> Self {
        debug_assert!(end > 0);
        Self { file, end }
    }

    /// Appends bytes outside of any chain and gives their offset.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end;
        self.file.write_all_at(bytes, at)?;
        self.end += bytes.len() as u64;
        Ok(at)
    }

    pub fn into_file(self) -> File {
        self.file
    }
}

/// The writing end of one chain.
#[derive(Debug, Default)]
pub(super) struct ChainWriter {
    first_block: u64,
    last_block: u64,
    pending: Vec<u8>,
}

impl ChainWriter {
    /// Appends a record; blocks that are full go to the file.
    pub fn push(&mut self, record: &[u8], blocks: &mut BlockFile) -> io::Result<()> {
        let length = u32::try_from(record.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a request is larger than 4 GiB"))?;
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(record);
        let full = self.pending.len() - self.pending.len() % PAYLOAD_BYTES;
        for at in (0..full).step_by(PAYLOAD_BYTES) {
            self.write_block(at..at + PAYLOAD_BYTES, blocks)?;
        }
        self.pending.drain(..full);
        Ok(())
    }

    /// Writes what is left and gives the offset of the first block, 0 for an empty chain.
    pub fn finish(mut self, blocks: &mut BlockFile) -> io::Result<u64> {
        if !self.pending.is_empty() {
            self.write_block(0..self.pending.len(), blocks)?;
        }
        Ok(self.first_block)
    }

    fn write_block(&mut self, range: Range<usize>, blocks: &mut BlockFile) -> io::Result<()> {
        let payload = &self.pending[range];
        let mut block = Vec::with_capacity(HEAD_BYTES + payload.len());
        block.extend_from_slice(&0_u64.to_le_bytes());
        block.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        block.extend_from_slice(payload);
        let at = blocks.append(&block)?;
        if self.last_block == 0 {
            self.first_block = at;
        } else {
            blocks.file.write_all_at(&at.to_le_bytes(), self.last_block)?;
        }
        self.last_block = at;
        Ok(())
    }
}

/// Where a record of a chain begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset of the block, and the record's place in it.
    block: u64,
    at: usize,
}

/// The reading end of one chain: one block in memory, and a record where it spans blocks.
#[derive(Debug)]
pub(super) struct ChainReader {
    file: Arc<File>,
    /// The block in memory, and the one after it.
    this_block: u64,
    next_block: u64,
    /// The block as read, head included; payload between `at` and `end`.
    block: Vec<u8>,
    at: usize,
    end: usize,
    /// A record that spans blocks, put together.
    spanning: Vec<u8>,
    /// Where in the block the current record lies; none when it spans blocks.
    record: Option<Range<usize>>,
    /// Where it begins.
    place: Place,
}

impl ChainReader {
    /// Reads the chain whose first block lies at `first_block`; 0 is the empty chain.
    pub fn new(file: Arc<File>, first_block: u64) -> Self {
        Self {
            file,
            this_block: 0,
            next_block: first_block,
            block: Vec::new(),
            at: 0,
            end: 0,
            spanning: Vec::new(),
            record: None,
            place: Place::default(),
        }
    }

    /// Goes to the next record; false at the chain's end.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged (`InvalidData`).
    pub fn advance(&mut self) -> io::Result<bool> {
        self.spanning.clear();
        if self.spanning.capacity() > SPANNING_BYTES_KEPT {
            self.spanning = Vec::new();
        }
        self.record = None;
        if self.at == self.end && !self.load_block()? {
            return Ok(false);
        }
        self.place = Place { block: self.this_block, at: self.at };
        let mut length = [0_u8; 4];
        self.copy_out(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if self.end - self.at >= length {
            self.record = Some(self.at..self.at + length);
            self.at += length;
            return Ok(true);
        }
        while self.spanning.len() < length {
            if self.at == self.end && !self.load_block()? {
                return Err(damaged("a record is cut off"));
            }
            let part = (length - self.spanning.len()).min(self.end - self.at);
            self.spanning.extend_from_slice(&self.block[self.at..self.at + part]);
            self.at += part;
        }
        Ok(true)
    }

    /// Where the record begins that [`Self::advance`] went to last.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Goes back, so that the next record is the one that begins there.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged (`InvalidData`).
    pub fn go_back(&mut self, place: Place) -> io::Result<()> {
        if place.block != self.this_block {
            self.next_block = place.block;
            if !self.load_block()? {
                return Err(damaged("a record is where there is no block"));
            }
        }
        self.at = place.at;
        Ok(())
    }

    /// The record that [`Self::advance`] went to.
    pub fn record(&self) -> &[u8] {
        match &self.record {
            Some(range) => &self.block[range.clone()],
            None => &self.spanning,
        }
    }

    fn copy_out(&mut self, out: &mut [u8]) -> io::Result<()> {
        for byte in out {
            if self.at == self.end && !self.load_block()? {
                return Err(damaged("a record's length is cut off"));
            }
            *byte = self.block[self.at];
            self.at += 1;
        }
        Ok(())
    }

    /// Reads the next block; false at the end of the chain.
    fn load_block(&mut self) -> io::Result<bool> {
        if self.next_block == 0 {
            return Ok(false);
        }
        self.block.resize(HEAD_BYTES + PAYLOAD_BYTES, 0);
        let mut filled = 0;
        while filled < self.block.len() {
            match self.file.read_at(&mut self.block[filled..], self.next_block + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (next, rest) = self.block.split_first_chunk::<8>().ok_or_else(|| damaged("no block"))?;
        let (length, _) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("no block"))?;
        let (next, length) = (u64::from_le_bytes(*next), u32::from_le_bytes(*length) as usize);
        // Blocks are written in order, so a chain can only go forward: damage cannot make it endless.
        if length == 0 || HEAD_BYTES + length > filled || (next != 0 && next <= self.next_block) {
            return Err(damaged("a block is not one"));
        }
        (self.this_block, self.next_block) = (self.next_block, next);
        (self.at, self.end) = (HEAD_BYTES, HEAD_BYTES + length);
        if next == 0 {
            // A session with few requests is to be small.
            self.block.truncate(self.end);
            self.block.shrink_to_fit();
        }
        Ok(true)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the spool is damaged: {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks() -> BlockFile {
        let mut blocks = BlockFile::new(tempfile::tempfile().unwrap(), 1);
        blocks.append(b"head").unwrap();
        blocks
    }

    fn read(file: &Arc<File>, first_block: u64) -> Vec<Vec<u8>> {
        let mut reader = ChainReader::new(Arc::clone(file), first_block);
        std::iter::from_fn(|| reader.advance().unwrap().then(|| reader.record().to_vec())).collect()
    }

    proptest! {
        #[test]
        fn each_chain_gives_back_its_own_records_in_order(
            records in prop::collection::vec((0..3_usize, 0..9_000_usize, any::<u8>()), 0..60),
        ) {
            let mut blocks = blocks();
            let mut writers: [ChainWriter; 3] = Default::default();
            let mut wanted: [Vec<Vec<u8>>; 3] = Default::default();
            for (chain, length, byte) in records {
                let record = vec![byte; length];
                writers[chain].push(&record, &mut blocks).unwrap();
                wanted[chain].push(record);
            }
            let firsts = writers.map(|writer| writer.finish(&mut blocks).unwrap());
            let file = Arc::new(blocks.into_file());
            for (first, wanted) in firsts.into_iter().zip(wanted) {
                prop_assert_eq!(read(&file, first), wanted);
            }
        }
    }

    proptest! {
        #[test]
        fn from_any_record_on_a_chain_is_read_again(
            lengths in prop::collection::vec(0..9_000_usize, 1..20),
            (from, read_on) in (any::<prop::sample::Index>(), 0..20_usize),
        ) {
            let mut blocks = blocks();
            let mut writer = ChainWriter::default();
            let records: Vec<_> = lengths.iter().enumerate().map(|(number, length)| vec![number as u8; *length]).collect();
            records.iter().for_each(|record| writer.push(record, &mut blocks).unwrap());
            let first = writer.finish(&mut blocks).unwrap();
            let mut reader = ChainReader::new(Arc::new(blocks.into_file()), first);
            let from = from.index(records.len());
            (0..=from).for_each(|_| assert!(reader.advance().unwrap()));
            let place = reader.place();
            for _ in 0..read_on {
                reader.advance().unwrap();
            }
            reader.go_back(place).unwrap();
            let again: Vec<_> =
                std::iter::from_fn(|| reader.advance().unwrap().then(|| reader.record().to_vec())).collect();
            prop_assert_eq!(&again[..], &records[from..]);
        }
    }

    #[test]
    fn a_cut_file_is_an_error_not_an_end() {
        let mut blocks = blocks();
        let mut writer = ChainWriter::default();
        writer.push(&[7; 10_000], &mut blocks).unwrap();
        let first = writer.finish(&mut blocks).unwrap();
        let file = blocks.into_file();
        file.set_len(5_000).unwrap();
        let mut reader = ChainReader::new(Arc::new(file), first);
        assert_eq!(reader.advance().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
