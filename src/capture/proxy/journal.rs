//! The journal's format: what a proxy relayed, as it was said, in batches that each prove to be whole.
//!
//! A head (magic, version, the upstream's name), then batches: length, CRC-32, how many bytes of entries that is, and the
//! entries: as they are, or compressed by zstd where that is fewer bytes. An entry is a kind, a connection, a time and a
//! number; for what was said, the number is a length and the bytes follow. All numbers are little-endian. Takes and gives
//! entries; must not know what the bytes mean.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::wire::Side;

const MAGIC: &[u8; 12] = b"pgrh-journal";
const VERSION: u32 = 1;

/// Kind, connection, time, number.
const HEAD_BYTES: usize = 1 + 4 + 8 + 8;

/// Length, CRC, bytes of entries.
const BATCH_HEAD_BYTES: usize = 4 + 4 + 4;

/// Smaller batches stay as they are: there is one a second at most.
const COMPRESSED_BYTES_MIN: usize = 64 << 10;

/// The journal lives as long as the capture, and the recorder must keep up with traffic.
const COMPRESSION_LEVEL: i32 = 1;

/// No proxy writes longer ones.
const BATCH_BYTES_MAX: usize = 128 << 20;
const NAME_BYTES_MAX: usize = 4096;

/// Something that happened to a connection, or that the recorder has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<B> {
    /// Counts up; none lives twice in a journal.
    pub connection: u32,
    /// Since the epoch, microseconds.
    pub time_us: i64,
    pub what: What<B>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What<B> {
    Opened,
    Said(Side, B),
    /// So many bytes of this side were relayed and not recorded.
    Lost(Side, u64),
    Closed,
    /// So many connections came and went that were not recorded at all; `connection` says nothing.
    Unrecorded(u64),
}

/// Appends an entry.
pub(super) fn push(out: &mut Vec<u8>, entry: &Entry<&[u8]>) {
    let (kind, number, bytes): (u8, u64, &[u8]) = match &entry.what {
        What::Opened => (1, 0, b""),
        What::Said(Side::Client, bytes) => (2, bytes.len() as u64, bytes),
        What::Said(Side::Server, bytes) => (3, bytes.len() as u64, bytes),
        What::Lost(Side::Client, count) => (4, *count, b""),
        What::Lost(Side::Server, count) => (5, *count, b""),
        What::Closed => (6, 0, b""),
        What::Unrecorded(connections) => (7, *connections, b""),
    };
    out.push(kind);
    out.extend_from_slice(&entry.connection.to_le_bytes());
    out.extend_from_slice(&entry.time_us.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// How much room an entry takes that brings so many bytes.
pub(super) fn entry_bytes(said_bytes: usize) -> usize {
    HEAD_BYTES + said_bytes
}

/// Takes the next entry from the front of a batch; none at its end, or where it is no batch.
pub(super) fn take<'a>(batch: &mut &'a mut [u8]) -> Option<Entry<&'a mut [u8]>> {
    let (head, rest) = std::mem::take(batch).split_first_chunk_mut::<HEAD_BYTES>()?;
    let connection = u32::from_le_bytes(*head[1..].first_chunk()?);
    let time_us = i64::from_le_bytes(*head[5..].first_chunk()?);
    let number = u64::from_le_bytes(*head[13..].first_chunk()?);
    let what = match head[0] {
        1 => What::Opened,
        kind @ (2 | 3) => {
            let side = if kind == 2 { Side::Client } else { Side::Server };
            let (said, behind) = rest.split_at_mut_checked(usize::try_from(number).ok()?)?;
            *batch = behind;
            return Some(Entry { connection, time_us, what: What::Said(side, said) });
        }
        4 => What::Lost(Side::Client, number),
        5 => What::Lost(Side::Server, number),
        6 => What::Closed,
        7 => What::Unrecorded(number),
        _ => return None,
    };
    *batch = rest;
    Some(Entry { connection, time_us, what })
}

/// A journal that is being written.
pub(super) struct JournalWriter {
    file: File,
    compressor: zstd::bulk::Compressor<'static>,
    /// Up to here all is whole.
    good_bytes: u64,
    is_torn: bool,
}

impl JournalWriter {
    /// Begins a journal in a new file that only its owner may read.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn create(path: &Path, upstream: &str) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let name = &upstream.as_bytes()[..upstream.len().min(NAME_BYTES_MAX)];
        let head = [&MAGIC[..], &VERSION.to_le_bytes(), &(name.len() as u32).to_le_bytes(), name].concat();
        let written = file.write_all(&head);
        if written.is_err() {
            let _ = std::fs::remove_file(path);
        }
        written.map(|()| Self { file, compressor, good_bytes: head.len() as u64, is_torn: false })
    }

    /// Appends a batch. After an error the journal ends with the batch before, and this one may be tried again.
    ///
    /// # Errors
    /// The disk is full, or whatever else keeps a file from growing.
    pub fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.cut_tail()?;
        }
        let compressed = if batch.len() < COMPRESSED_BYTES_MIN { None } else { Some(self.compressor.compress(batch)?) };
        let stored = compressed.as_deref().filter(|compressed| compressed.len() < batch.len()).unwrap_or(batch);
        let head = [stored.len() as u32, crc32fast::hash(stored), batch.len() as u32].map(u32::to_le_bytes).concat();
        match self.file.write_all(&head).and_then(|()| self.file.write_all(stored)) {
            Ok(()) => {
                self.good_bytes += (head.len() + stored.len()) as u64;
                Ok(())
            }
            Err(error) => {
                self.is_torn = true;
                // Where this fails it is tried again before the next batch; a reader finds the tear by its CRC anyway.
                let _ = self.cut_tail();
                Err(error)
            }
        }
    }

    fn cut_tail(&mut self) -> io::Result<()> {
        self.file.set_len(self.good_bytes)?;
        self.file.seek(SeekFrom::Start(self.good_bytes))?;
        self.is_torn = false;
        Ok(())
    }
}

/// A journal that is read back.
#[derive(Debug)]
pub(super) struct JournalReader {
    file: BufReader<File>,
    hasher: Sha256,
    left_bytes: u64,
    /// The upstream's address, as it was given.
    pub upstream: String,
    /// What was left at the end, or at the first damage, and is no whole batch.
    pub torn_bytes: u64,
}

impl JournalReader {
    /// Opens a journal; none if the file is something else.
    ///
    /// # Errors
    /// The file cannot be read, or is of a newer version.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let left_bytes = file.metadata()?.len();
        let mut reader = Self {
            file: BufReader::with_capacity(1 << 20, file),
            hasher: Sha256::new(),
            left_bytes,
            upstream: String::new(),
            torn_bytes: 0,
        };
        let Some(head) = reader.read(MAGIC.len() + 8)? else { return Ok(None) };
        let Some(rest) = head.strip_prefix(MAGIC) else { return Ok(None) };
        let number = |at: usize| rest[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (version, length) = (number(0), number(4));
        if version != VERSION {
            let text = format!("it is a journal of version {version}, and this program reads version {VERSION}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let name = if length as usize <= NAME_BYTES_MAX { reader.read(length as usize)? } else { None };
        let Some(name) = name else { return Ok(None) };
        reader.upstream = String::from_utf8_lossy(&name).into_owned();
        Ok(Some(reader))
    }

    /// The next batch; none at the end, or where what follows is not whole.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_batch(&mut self) -> io::Result<Option<Vec<u8>>> {
        let rest_bytes = self.left_bytes;
        let batch = self.whole_batch()?;
        if batch.is_none() {
            self.torn_bytes = rest_bytes;
        }
        Ok(batch)
    }

    fn whole_batch(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(head) = self.read(BATCH_HEAD_BYTES)? else { return Ok(None) };
        let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (length, crc, batch_bytes) = (number(0) as usize, number(4), number(8) as usize);
        if length > BATCH_BYTES_MAX || batch_bytes > BATCH_BYTES_MAX {
            return Ok(None);
        }
        let stored = self.read(length)?.filter(|stored| crc32fast::hash(stored) == crc);
        Ok(match stored {
            Some(stored) if length < batch_bytes => {
                zstd::bulk::decompress(&stored, batch_bytes).ok().filter(|batch| batch.len() == batch_bytes)
            }
            stored => stored.filter(|stored| stored.len() == batch_bytes),
        })
    }

    /// The hash of all that was read.
    pub fn sha256(&self) -> String {
        self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// So many bytes; none if the file has fewer.
    fn read(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        if self.left_bytes < count as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; count];
        self.file.read_exact(&mut bytes)?;
        self.left_bytes -= count as u64;
        self.hasher.update(&bytes);
        Ok(Some(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/journal-1.bin"));

    /// Writes a journal of these batches and gives its bytes.
    fn written(batches: &[Vec<u8>]) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut writer = JournalWriter::create(&path, "127.0.0.1:5432").unwrap();
        batches.iter().for_each(|batch| writer.append(batch).unwrap());
        std::fs::read(path).unwrap()
    }

    /// The batches that stand in these bytes, and what is left of them; none if they are no journal.
    fn read(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, u64)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        std::fs::write(&path, bytes).unwrap();
        let mut reader = JournalReader::open(&path).unwrap()?;
        assert_eq!(reader.upstream, "127.0.0.1:5432");
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            batches.push(batch);
        }
        Some((batches, reader.torn_bytes))
    }

    /// Everything that an entry can be, in two batches.
    fn batches() -> Vec<Vec<u8>> {
        const T: i64 = 1_767_225_600_000_000;
        let entry = |time_us, what| Entry { connection: 1, time_us: T + time_us, what };
        let startup = b"\0\0\0\x12\0\x03\0\0user\0app\0\0";
        let first = [
            entry(0, What::Opened),
            entry(0, What::Said(Side::Client, &startup[..])),
            entry(10, What::Said(Side::Client, b"Q\0\0\0\x0dSELECT 1\0")),
        ];
        let second = [
            entry(20, What::Lost(Side::Client, 300)),
            entry(20, What::Lost(Side::Server, 7)),
            entry(30, What::Said(Side::Server, b"Z\0\0\0\x05I")),
            entry(40, What::Closed),
            Entry { connection: 0, ..entry(50, What::Unrecorded(2)) },
        ];
        let encode = |entries: &[Entry<&[u8]>]| {
            let mut batch = Vec::new();
            entries.iter().for_each(|entry| push(&mut batch, entry));
            batch
        };
        vec![encode(&first), encode(&second)]
    }

    #[test]
    fn the_format_is_that_of_version_1() {
        assert!(written(&batches()) == GOLDEN, "a journal of version 1 must stay readable");
        assert_eq!(read(GOLDEN), Some((batches(), 0)));
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        for mut batch in batches() {
            let (whole, mut again) = (batch.clone(), Vec::new());
            let mut rest = &mut batch[..];
            while let Some(Entry { connection, time_us, what }) = take(&mut rest) {
                let what = match what {
                    What::Said(side, bytes) => What::Said(side, &*bytes),
                    What::Opened => What::Opened,
                    What::Lost(side, count) => What::Lost(side, count),
                    What::Closed => What::Closed,
                    What::Unrecorded(connections) => What::Unrecorded(connections),
                };
                push(&mut again, &Entry { connection, time_us, what });
            }
            assert_eq!(again, whole);
        }
    }

    proptest! {
        #[test]
        fn a_journal_cut_anywhere_gives_its_whole_batches(cut in 34..GOLDEN.len()) {
            let (found, torn_bytes) = read(&GOLDEN[..cut]).unwrap();
            let whole = batches();
            prop_assert_eq!(&found[..], &whole[..found.len()]);
            let kept: usize = 34 + found.iter().map(|batch| batch.len() + BATCH_HEAD_BYTES).sum::<usize>();
            prop_assert_eq!(kept as u64 + torn_bytes, cut as u64);
        }

        #[test]
        fn damage_is_never_taken_for_a_batch(at in 34..GOLDEN.len(), bit in 0..8_u32) {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= 1 << bit;
            let (found, torn_bytes) = read(&bytes).unwrap();
            prop_assert!(found.len() < 2 && torn_bytes > 0);
        }

        #[test]
        fn any_bytes_are_entries_or_an_end(mut batch in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &mut batch[..];
            while take(&mut rest).is_some() {}
        }
    }

    #[test]
    fn large_batches_are_compressed_and_come_back_whole() {
        let entry = |bytes| Entry { connection: 7, time_us: 1, what: What::Said(Side::Server, bytes) };
        let row = b"D\0\0\0\x16\0\x01\0\0\0\x0cthe same row".repeat(40_000);
        let mut noise: Vec<u8> =
            (0..200_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        noise.iter_mut().fold(0_u8, |last, byte| {
            *byte = byte.wrapping_mul(167).wrapping_add(last.rotate_left(3));
            *byte
        });
        let mut batches = vec![Vec::new(), Vec::new()];
        push(&mut batches[0], &entry(&row[..]));
        push(&mut batches[1], &entry(&noise[..]));
        let bytes = written(&batches);
        assert!(bytes.len() < 300_000, "{} bytes", bytes.len());
        assert_eq!(read(&bytes), Some((batches, 0)));
    }

    #[test]
    fn another_kind_of_file_is_no_journal() {
        for bytes in [&b""[..], b"{\"kind\":\"header\"}", &GOLDEN[..20]] {
            assert_eq!(read(bytes), None);
        }
    }
}
