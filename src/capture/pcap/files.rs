//! Network captures in the order of their time.
//!
//! Takes paths in any order (`-` is standard input), also compressed, and opens each in its turn. Must not know what
//! packets hold.

use std::io;
use std::path::{Path, PathBuf};

use super::super::error::CaptureError;
use super::super::storage::{Opened, Storage};
use super::blocks::{Blocks, Next};

/// Bytes that are looked at to tell what a file is and when it begins.
const HEAD_BYTES: usize = 256 << 10;

/// A file that was looked at and not yet read.
pub struct NetworkCapture {
    /// Without its directory; `stdin` for standard input.
    pub name: String,
    /// As given, for errors.
    pub file: String,
    path: PathBuf,
    storage: Storage,
    /// Of the first packet; none where there is none.
    first_us: Option<i64>,
}

/// Looks at every file and puts them in the order of their first packets.
///
/// # Errors
/// A file cannot be opened, is no network capture, or is given twice.
pub fn look_at(paths: &[PathBuf]) -> Result<Vec<NetworkCapture>, CaptureError> {
    let limit = usize::from(u16::MAX);
    match paths.len() {
        0 => return Err(CaptureError::NoInput),
        count if count > limit => return Err(CaptureError::TooManyFiles { limit }),
        _ => {}
    }
    for (at, path) in paths.iter().enumerate() {
        if let Some(other) = paths[..at].iter().find(|other| *other == path) {
            let (file, other) = (path.display().to_string(), other.display().to_string());
            return Err(CaptureError::SameContent { file, other });
        }
    }
    let mut captures = paths.iter().map(|path| NetworkCapture::look_at(path)).collect::<Result<Vec<_>, _>>()?;
    captures.sort_by_key(|capture| capture.first_us);
    Ok(captures)
}

impl NetworkCapture {
    fn look_at(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let looked_at = Storage::look_at(path, HEAD_BYTES);
        let (storage, head) = looked_at.map_err(|source| CaptureError::Open { file: file.clone(), source })?;
        if head.is_empty() && storage.is_compressed() {
            return Err(CaptureError::EmptyCompressed { file });
        }
        let first_us = first_us(&head).ok_or_else(|| {
            let kind = kind_of(&head);
            CaptureError::NotNetworkCapture { file: file.clone(), kind }
        })?;
        let name = match path.file_name() {
            Some(name) if path != Path::new("-") => name.to_string_lossy().into_owned(),
            _ => "stdin".to_owned(),
        };
        Ok(Self { name, file, path: path.to_owned(), storage, first_us })
    }

    /// Bytes as they are stored; 0 where that is not known.
    pub fn size_bytes(&self) -> u64 {
        self.storage.size_bytes
    }

    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(self) -> io::Result<Opened> {
        self.storage.open(&self.path)
    }
}

/// The time of the first packet, if there is one in these first bytes; none at all if this is no network capture.
#[allow(clippy::option_option)]
fn first_us(head: &[u8]) -> Option<Option<i64>> {
    let mut blocks = Blocks::new(head);
    loop {
        // Bytes in memory can always be read.
        match blocks.next_block().unwrap_or(Next::End) {
            Next::Unknown => return None,
            Next::Packet(packet) => return Some(Some(packet.time_us)),
            Next::Unplaced => {}
            Next::Rest(_) | Next::Damaged | Next::End => return Some(None),
        }
    }
}

/// What a file looks like that is no network capture.
fn kind_of(head: &[u8]) -> &'static str {
    let contains = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    match head {
        [] => "an empty file",
        [b's', b'n', b'o', b'o', b'p', 0, ..] => "a capture of snoop, which editcap turns into pcap",
        [b'G', b'M', b'B', b'U', ..] => "a capture of Microsoft's Network Monitor, which editcap turns into pcap",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz-compressed data",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        _ if head.get(257..262) == Some(b"ustar") => "a tar archive, whose files must be unpacked first",
        _ if contains(b"\"kind\":\"header\"") => "a workload, which is captured already",
        _ if memchr::memchr(0, head).is_some() => "binary data",
        _ if contains(b"LOG: ") || contains(b",LOG,") || contains(b"\"error_severity\"") => {
            "a server log, which is for capture log"
        }
        _ => "text",
    }
}
