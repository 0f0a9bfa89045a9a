//! The bytes of a workload file being written, whether they are compressed or not.
//!
//! Takes lines and puts them into a file of another name, which takes the workload's own name when all is there. Frames
//! are compressed by threads of their own, a few at a time, and written in their order. Must not know what stands in the
//! lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use zstd::bulk::Compressor;
use zstd::stream::raw::CParameter;

use crate::words::limits::WORKLOAD_FRAME_BYTES;

/// Level 12 makes a file a fifth smaller; at this level compressing is up to a third of a capture's work already.
const COMPRESSION_LEVEL: i32 = 1;

/// Frames being compressed at one time, beside the one that fills.
const COMPRESSING_MAX: usize = 2;

/// A file that has its final name only after [`Output::finish`]; until then, and if that never comes, nothing stands under
/// the name that was not there before.
pub(super) struct Output {
    target: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    /// None of a file without compression.
    frames: Option<Frames>,
}

/// Lines on their way into compressed frames.
#[derive(Default)]
struct Frames {
    lines: Vec<u8>,
    /// The oldest first.
    compressing: VecDeque<JoinHandle<Compressed>>,
    /// Of frames that were written, to be used again.
    spare: Vec<Buffers>,
}

/// A frame's lines, and what became of them.
type Compressed = io::Result<Buffers>;

#[derive(Default)]
struct Buffers {
    lines: Vec<u8>,
    frame: Vec<u8>,
}

impl Output {
    /// Creates `<target>.tmp`, replacing what a killed run may have left there. A target that ends in `.zst` is compressed.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = Some(BufWriter::new(File::create(&temporary)?));
        let is_compressed = target.extension().is_some_and(|extension| extension == "zst");
        Ok(Self { target: target.to_owned(), temporary, file, frames: is_compressed.then(Frames::default) })
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Appends a line with its line break. Frames end between lines, so that a damaged one loses whole lines only.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("an earlier write failed")) };
        let written = match &mut self.frames {
            None => file.write_all(line),
            Some(frames) => frames.push(line, file),
        };
        if written.is_err() {
            self.file = None;
        }
        written
    }

    /// Brings everything to the disk and gives the file its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Err(io::Error::other("an earlier write failed")) };
        if let Some(frames) = &mut self.frames {
            frames.finish(&mut file)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After `finish` the temporary name is gone already; before it, half a workload is no use to anyone.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl Frames {
    fn push(&mut self, line: &[u8], file: &mut impl Write) -> io::Result<()> {
        self.lines.extend_from_slice(line);
        if self.lines.len() < WORKLOAD_FRAME_BYTES {
            return Ok(());
        }
        if self.compressing.len() >= COMPRESSING_MAX {
            self.write_oldest(file)?;
        }
        let mut buffers = self.spare.pop().unwrap_or_default();
        std::mem::swap(&mut buffers.lines, &mut self.lines);
        self.lines.clear();
        let thread = std::thread::Builder::new().name("compress".to_owned()).spawn(move || compress(buffers))?;
        self.compressing.push_back(thread);
        Ok(())
    }

    fn write_oldest(&mut self, file: &mut impl Write) -> io::Result<()> {
        let Some(thread) = self.compressing.pop_front() else { return Ok(()) };
        let buffers = thread.join().map_err(|_| io::Error::other("the thread that compresses has panicked"))??;
        file.write_all(&buffers.frame)?;
        // One long line must not keep its space.
        if buffers.lines.capacity() <= 2 * WORKLOAD_FRAME_BYTES {
            self.spare.push(buffers);
        }
        Ok(())
    }

    fn finish(&mut self, file: &mut impl Write) -> io::Result<()> {
        while !self.compressing.is_empty() {
            self.write_oldest(file)?;
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        file.write_all(&compress(Buffers { lines, frame: Vec::new() })?.frame)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // Left early, for an error that is told already: no thread outlives the file.
        self.compressing.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn compress(mut buffers: Buffers) -> Compressed {
    let mut compressor = Compressor::new(COMPRESSION_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    buffers.frame.clear();
    buffers.frame.reserve(zstd::zstd_safe::compress_bound(buffers.lines.len()));
    compressor.compress_to_buffer(&buffers.lines, &mut buffers.frame)?;
    Ok(buffers)
}
