//! Putting events in time order in bounded memory.
//!
//! A statement that was logged at its end goes back to its start, so a log is nearly in order and never quite. Events
//! collect in memory; when that is full they go, sorted, to a temporary file without a name, and all such runs are merged
//! at the end. Must not know what the events mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::event::{Event, Key};

/// Events held in memory before they go to disk.
const MEMORY_BYTES: usize = 64 << 20;

/// Runs of one size that are merged into the next size, so that open files stay few however long the log is.
const FAN_IN: usize = 32;

/// Read at a time from each run.
const READ_BYTES: usize = 128 << 10;

/// Takes events in any order.
#[derive(Debug)]
pub struct Sorter {
    directory: PathBuf,
    memory_bytes: usize,
    memory: Memory,
    /// `levels[n]` holds runs of about `FAN_IN`^n times the memory.
    levels: Vec<Vec<File>>,
    /// Events are taken and forgotten.
    discards: bool,
}

impl Sorter {
    /// Temporary files go to `directory`.
    pub fn new(directory: &Path) -> Self {
        Self::with_memory(directory, MEMORY_BYTES)
    }

    fn with_memory(directory: &Path, memory_bytes: usize) -> Self {
        let (memory, levels) = (Memory::default(), Vec::new());
        Self { directory: directory.to_owned(), memory_bytes, memory, levels, discards: false }
    }

    /// A sorter that forgets what it takes and gives nothing back: to measure what comes before it.
    pub fn discarding() -> Self {
        Self { discards: true, ..Self::with_memory(Path::new(""), 0) }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn push(&mut self, key: Key, event: &Event) -> io::Result<()> {
        if self.discards {
            return Ok(());
        }
        self.memory.push(key, event);
        if self.memory.bytes() >= self.memory_bytes {
            let memory = std::mem::take(&mut self.memory);
            self.spill(0, vec![Source::Memory(memory.sorted())])?;
        }
        Ok(())
    }

    /// Gives the events back in the order of their keys.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn finish(self) -> io::Result<Sorted> {
        let mut sources = vec![Source::Memory(self.memory.sorted())];
        for run in self.levels.into_iter().flatten() {
            sources.push(Source::run(run)?);
        }
        Sorted::new(sources)
    }

    /// Writes the sources as one run of this level, and merges the level up when it is full.
    fn spill(&mut self, level: usize, sources: Vec<Source>) -> io::Result<()> {
        let mut run = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.directory)?);
        let mut merged = Sorted::new(sources)?;
        while let Some(key) = merged.advance()? {
            write_event(&mut run, key, &merged.bytes)?;
        }
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run.into_inner().map_err(|error| error.into_error())?);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        self.spill(level + 1, runs.into_iter().map(Source::run).collect::<io::Result<_>>()?)
    }
}

/// The events of a sorter in order.
#[derive(Debug)]
pub struct Sorted {
    sources: Vec<Source>,
    /// The next key of each source that has one, with the source's index.
    heads: BinaryHeap<Reverse<(Key, usize)>>,
    /// The compact form of the event last given.
    bytes: Vec<u8>,
}

impl Sorted {
    fn new(mut sources: Vec<Source>) -> io::Result<Self> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (index, source) in sources.iter_mut().enumerate() {
            if let Some(key) = source.peek()? {
                heads.push(Reverse((key, index)));
            }
        }
        Ok(Self { sources, heads, bytes: Vec::new() })
    }

    /// The next event; none after the last.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(Key, Event)>> {
        let Some(key) = self.advance()? else { return Ok(None) };
        let event = Event::decode(&self.bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a temporary file does not hold what was written")
        })?;
        Ok(Some((key, event)))
    }

    fn advance(&mut self) -> io::Result<Option<Key>> {
        let Some(Reverse((key, index))) = self.heads.pop() else { return Ok(None) };
        self.bytes.clear();
        self.sources[index].take(&mut self.bytes)?;
        if let Some(next) = self.sources[index].peek()? {
            self.heads.push(Reverse((next, index)));
        }
        Ok(Some(key))
    }
}

/// Events in memory: compact forms one behind the other, and where each lies.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    index: Vec<(Key, usize, usize)>,
    /// Of the index, once it is sorted.
    next: usize,
}

impl Memory {
    fn push(&mut self, key: Key, event: &Event) {
        let start = self.bytes.len();
        event.encode(&mut self.bytes);
        self.index.push((key, start, self.bytes.len()));
    }

    fn bytes(&self) -> usize {
        self.bytes.len() + self.index.len() * size_of::<(Key, usize, usize)>()
    }

    fn sorted(mut self) -> Self {
        self.index.sort_unstable();
        self
    }
}

#[derive(Debug)]
enum Source {
    Memory(Memory),
    Run { file: BufReader<File>, head: Option<(Key, usize)> },
}

impl Source {
    fn run(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let head = read_head(&mut file)?;
        Ok(Self::Run { file, head })
    }

    fn peek(&mut self) -> io::Result<Option<Key>> {
        Ok(match self {
            Self::Memory(memory) => memory.index.get(memory.next).map(|(key, ..)| *key),
            Self::Run { head, .. } => head.map(|(key, _)| key),
        })
    }

    /// Appends the compact form of the event at the head and goes on to the next.
    fn take(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Memory(memory) => {
                if let Some((_, start, end)) = memory.index.get(memory.next) {
                    out.extend_from_slice(&memory.bytes[*start..*end]);
                    memory.next += 1;
                }
            }
            Self::Run { file, head } => {
                if let Some((_, length)) = head.take() {
                    let start = out.len();
                    out.resize(start + length, 0);
                    file.read_exact(&mut out[start..])?;
                    *head = read_head(file)?;
                }
            }
        }
        Ok(())
    }
}

/// Time, session, order and length, each little-endian.
const HEAD_BYTES: usize = 8 + 4 + 8 + 8;

fn write_event(out: &mut impl Write, key: Key, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&key.time_us.to_le_bytes())?;
    out.write_all(&key.session.to_le_bytes())?;
    out.write_all(&key.order.to_le_bytes())?;
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

fn read_head(file: &mut BufReader<File>) -> io::Result<Option<(Key, usize)>> {
    let mut head = [0; HEAD_BYTES];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        // Runs are written whole, so an end can only lie between events.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|byte| head[at + byte]) };
    let session = u32::from_le_bytes(std::array::from_fn(|byte| head[8 + byte]));
    let key = Key { time_us: i64::from_le_bytes(eight(0)), session, order: u64::from_le_bytes(eight(12)) };
    Ok(Some((key, u64::from_le_bytes(eight(20)) as usize)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::{Request, Sent};
    use super::*;

    /// The events as they come out of a sorter with this much memory.
    fn sorted(times: &[i64], memory_bytes: usize) -> Vec<(i64, u64)> {
        let directory = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::with_memory(directory.path(), memory_bytes);
        for (sequence, time_us) in times.iter().enumerate() {
            let sent = Sent::Simple { sql: vec![b'x'; sequence % 7] };
            let request = Request { sequence: sequence as u64, sent, ..Request::default() };
            let key = Key { time_us: *time_us, session: 0, order: sequence as u64 };
            sorter.push(key, &Event::Request(Box::new(request))).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let mut out = Vec::new();
        while let Some((key, event)) = sorted.next().unwrap() {
            let Event::Request(request) = event else { panic!("only requests went in") };
            assert_eq!(request.sequence, key.order);
            out.push((key.time_us, key.order));
        }
        out
    }

    #[test]
    fn many_runs_are_merged_in_levels() {
        let times: Vec<i64> = (0..3_000).map(|index| (index * 7_919) % 3_001).collect();
        // One event a run: 3,000 runs over three levels.
        let out = sorted(&times, 1);
        assert_eq!(out.len(), times.len());
        assert!(out.is_sorted());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn memory_never_changes_the_order(times in proptest::collection::vec(-5_i64..5, 0..80), memory in 1_usize..2_000) {
            let mut expected: Vec<_> = times.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            prop_assert_eq!(sorted(&times, memory), expected);
        }
    }
}
