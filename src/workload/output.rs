//! The bytes of a workload file being written, whether they are compressed or not.
//!
//! Takes lines and puts them into a file of another name, which takes the workload's own name when all is there. Must not
//! know what stands in the lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use zstd::stream::write::Encoder;

use crate::words::limits::WORKLOAD_FRAME_BYTES;

/// Workloads are written once and read often.
const COMPRESSION_LEVEL: i32 = 12;

/// A file that has its final name only after [`Output::finish`]; until then, and if that never comes, nothing stands under
/// the name that was not there before.
pub(super) struct Output {
    target: PathBuf,
    temporary: PathBuf,
    sink: Option<Sink>,
}

enum Sink {
    Plain(BufWriter<File>),
    /// The frame being written, and how many bytes went into it.
    Zstd(Encoder<'static, BufWriter<File>>, usize),
}

impl Output {
    /// Creates `<target>.tmp`, replacing what a killed run may have left there. A target that ends in `.zst` is compressed.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = BufWriter::new(File::create(&temporary)?);
        let mut output = Self { target: target.to_owned(), temporary, sink: None };
        let compressed = target.extension().is_some_and(|extension| extension == "zst");
        output.sink = Some(if compressed { Sink::Zstd(frame(file)?, 0) } else { Sink::Plain(file) });
        Ok(output)
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Appends a line with its line break. Frames end between lines, so that a damaged one loses whole lines only.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        match self.sink.take() {
            Some(Sink::Plain(mut file)) => {
                file.write_all(line)?;
                self.sink = Some(Sink::Plain(file));
            }
            Some(Sink::Zstd(mut encoder, written)) => {
                encoder.write_all(line)?;
                let written = written + line.len();
                self.sink = Some(if written < WORKLOAD_FRAME_BYTES {
                    Sink::Zstd(encoder, written)
                } else {
                    Sink::Zstd(frame(encoder.finish()?)?, 0)
                });
            }
            None => return Err(io::Error::other("an earlier write failed")),
        }
        Ok(())
    }

    /// Brings everything to the disk and gives the file its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let buffered = match self.sink.take() {
            Some(Sink::Plain(file)) => file,
            Some(Sink::Zstd(encoder, _)) => encoder.finish()?,
            None => return Err(io::Error::other("an earlier write failed")),
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After `finish` the temporary name is gone already; before it, half a workload is no use to anyone.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn frame(file: BufWriter<File>) -> io::Result<Encoder<'static, BufWriter<File>>> {
    let mut encoder = Encoder::new(file, COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}
