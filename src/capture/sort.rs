//! Putting events in time order in bounded memory.
//!
//! A statement that was logged at its end goes back to its start, so a log is nearly in order and never quite. Events
//! collect in memory; when that is full a thread of its own writes them, sorted, to a temporary file without a name, while
//! the next ones collect; all such runs are merged at the end. Must not know what the events mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::event::{Event, Key};
use super::run::{Memory, RunReader, write_event};
use super::texts::Texts;

/// Events held in memory before they go to disk: twice, since a full memory is written while the next one fills.
const MEMORY_BYTES: usize = 16 << 20;

/// Runs of one size that are merged into the next size, so that open files stay few however long the log is.
const FAN_IN: usize = 32;

/// Something to be done to every event while it waits for its order.
pub type Prepare = Box<dyn FnMut(&mut [u8]) + Send>;

/// Takes events in any order.
pub struct Sorter {
    directory: PathBuf,
    /// With the memory that is being written, while one is.
    prepare: Option<Prepare>,
    memory_bytes: usize,
    memory: Memory,
    /// The run that is being written.
    spilling: Spilling,
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

    /// Has the compact form of events prepared by the thread that writes them: all but those of the last memory, which no
    /// thread writes.
    pub fn preparing(self, prepare: Prepare) -> Self {
        Self { prepare: Some(prepare), ..self }
    }

    fn with_memory(directory: &Path, memory_bytes: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            prepare: None,
            memory_bytes,
            memory: Memory::default(),
            spilling: Spilling(None),
            levels: Vec::new(),
            discards: false,
        }
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
        self.push_with(key, |bytes| event.encode(bytes))
    }

    /// Takes an event whose compact form `encode` appends.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn push_with(&mut self, key: Key, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.discards {
            return Ok(());
        }
        self.memory.push(key, encode);
        if self.memory.bytes() >= self.memory_bytes { self.spill() } else { Ok(()) }
    }

    /// Gives the events back in the order of their keys.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if let Some(Written { run, .. }) = self.spilling.wait()? {
            self.keep(0, run)?;
        }
        let mut sources = vec![Source::Memory(std::mem::take(&mut self.memory).sorted())];
        for run in std::mem::take(&mut self.levels).into_iter().flatten() {
            sources.push(Source::Run(RunReader::new(run)?));
        }
        Sorted::new(sources)
    }

    /// Has the events in memory written as a run, once the one before is.
    fn spill(&mut self) -> io::Result<()> {
        let (run, memory) = match self.spilling.wait()? {
            Some(Written { run, memory, prepare }) => {
                self.prepare = prepare;
                (Some(run), memory)
            }
            None => (None, Memory::default()),
        };
        let mut full = std::mem::replace(&mut self.memory, memory);
        let mut prepare = self.prepare.take();
        let file = tempfile::tempfile_in(&self.directory)?;
        self.spilling.begin(move || {
            if let Some(prepare) = &mut prepare {
                full.for_each(prepare);
            }
            let mut sorted = full.sorted();
            let mut out = BufWriter::with_capacity(256 << 10, file);
            while let Some((key, bytes)) = sorted.next() {
                write_event(&mut out, key, bytes)?;
            }
            sorted.clear();
            let run = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(Written { run, memory: sorted, prepare })
        })?;
        match run {
            Some(run) => self.keep(0, run),
            None => Ok(()),
        }
    }

    /// Keeps a run of this level, and merges the level up when it is full.
    fn keep(&mut self, level: usize, run: File) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        let sources = runs.into_iter().map(|run| RunReader::new(run).map(Source::Run)).collect::<io::Result<_>>()?;
        let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.directory)?);
        let mut merged = Sorted::new(sources)?;
        while let Some(key) = merged.advance()? {
            write_event(&mut out, key, &merged.bytes)?;
        }
        self.keep(level + 1, out.into_inner().map_err(io::IntoInnerError::into_error)?)
    }
}

/// A run, and what it was written from and with, to be used again.
struct Written {
    run: File,
    memory: Memory,
    prepare: Option<Prepare>,
}

/// The thread that writes a run, if there is one. It is awaited in any case.
struct Spilling(Option<JoinHandle<io::Result<Written>>>);

impl Spilling {
    fn begin(&mut self, write: impl FnOnce() -> io::Result<Written> + Send + 'static) -> io::Result<()> {
        self.0 = Some(std::thread::Builder::new().name("sort".to_owned()).spawn(write)?);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Option<Written>> {
        let Some(thread) = self.0.take() else { return Ok(None) };
        thread.join().map_err(|_| io::Error::other("the thread that sorts events has panicked"))?.map(Some)
    }
}

impl Drop for Spilling {
    fn drop(&mut self) {
        // Left early, for an error that is told already.
        let _ = self.wait();
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
    texts: Texts,
}

impl Sorted {
    fn new(sources: Vec<Source>) -> io::Result<Self> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            if let Some(key) = source.peek() {
                heads.push(Reverse((key, index)));
            }
        }
        Ok(Self { sources, heads, bytes: Vec::new(), texts: Texts::default() })
    }

    /// Says what the numbers of texts mean that events hold.
    pub fn name_texts(&mut self, texts: Texts) {
        self.texts = texts;
    }

    /// What the numbers of texts mean, for whoever reads the events.
    pub fn take_texts(&mut self) -> Texts {
        std::mem::take(&mut self.texts)
    }

    /// The key of the next event.
    pub fn peek(&self) -> Option<Key> {
        self.heads.peek().map(|Reverse((key, _))| *key)
    }

    /// The compact form of the next event; none after the last.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(Key, &[u8])>> {
        Ok(self.advance()?.map(|key| (key, self.bytes.as_slice())))
    }

    /// The next event with its texts.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn next_event(&mut self) -> io::Result<Option<(Key, Event)>> {
        let Some(key) = self.advance()? else { return Ok(None) };
        let event = match super::logged::StoredRequest::decode(&self.bytes) {
            Some(stored) => Some(Event::Request(Box::new(stored.to_request(&self.texts)))),
            None => Event::decode(&self.bytes),
        };
        Ok(Some((key, event.ok_or(io::ErrorKind::InvalidData)?)))
    }

    fn advance(&mut self) -> io::Result<Option<Key>> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((key, index)) = *head;
        self.bytes.clear();
        let source = &mut self.sources[index];
        source.take(&mut self.bytes)?;
        match source.peek() {
            Some(next) => *head = Reverse((next, index)),
            None => drop(PeekMut::pop(head)),
        }
        Ok(Some(key))
    }
}

#[derive(Debug)]
enum Source {
    Memory(Memory),
    Run(RunReader),
}

impl Source {
    fn peek(&self) -> Option<Key> {
        match self {
            Self::Memory(memory) => memory.peek(),
            Self::Run(run) => run.peek(),
        }
    }

    /// Appends the compact form of the event at the head and goes on to the next.
    fn take(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Memory(memory) => {
                if let Some((_, bytes)) = memory.next() {
                    out.extend_from_slice(bytes);
                }
                Ok(())
            }
            Self::Run(run) => run.take(out),
        }
    }
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
        while let Some((key, event)) = sorted.next_event().unwrap() {
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
