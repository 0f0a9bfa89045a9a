//! A run directory being read: `run.json` and the files of JSON lines.
//!
//! Takes a directory as the recorder left it, after a kill too: a file may be missing, and a torn last line is dropped.
//! Must not know what the lines mean.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::facts::{self, RunFacts, layout};

/// Why a run directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("\"{}\" is no run directory\ndetail: it has no {}", dir.display(), layout::RUN)]
    NoRun { dir: PathBuf },
    #[error("could not read \"{}\"", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("\"{}\" line {line} is damaged", path.display())]
    Line { path: PathBuf, line: u64, source: serde_json::Error },
    #[error(
        "\"{}\" is of version {found}, and this program reads version {known}\nhint: use the version of pgrehearse that \
         wrote it, or a newer one",
        path.display()
    )]
    Version { path: PathBuf, found: u32, known: u32 },
}

/// Reads `run.json` of a run directory.
///
/// # Errors
/// When there is none, it cannot be read, is damaged or of another version.
pub fn read_facts(dir: &Path) -> Result<RunFacts, ReadError> {
    let path = dir.join(layout::RUN);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(ReadError::NoRun { dir: dir.to_owned() });
        }
        Err(source) => return Err(ReadError::Io { path, source }),
    };
    let damaged =
        |source: serde_json::Error| ReadError::Line { path: path.clone(), line: source.line() as u64, source };
    // The version first: another version may well have other keys.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version != facts::VERSION {
        return Err(ReadError::Version { path: path.clone(), found: version, known: facts::VERSION });
    }
    serde_json::from_slice(&text).map_err(damaged)
}

/// The lines of a file, one after the other.
#[derive(Debug)]
pub struct Lines<T> {
    path: PathBuf,
    /// None at the end, and where there is no file.
    reader: Option<BufReader<File>>,
    line: u64,
    text: Vec<u8>,
    lines_of: PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Opens a file, of which there may be none.
    ///
    /// # Errors
    /// The file is there and cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let reader = match File::open(path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(ReadError::Io { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), reader, line: 0, text: Vec::new(), lines_of: PhantomData })
    }
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = Result<T, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        self.text.clear();
        self.line += 1;
        if let Err(source) = reader.read_until(b'\n', &mut self.text) {
            self.reader = None;
            return Some(Err(ReadError::Io { path: self.path.clone(), source }));
        }
        // A last line without its end was torn by a kill.
        if self.text.pop() != Some(b'\n') {
            self.reader = None;
            return None;
        }
        let read = serde_json::from_slice(&self.text);
        Some(read.map_err(|source| ReadError::Line { path: self.path.clone(), line: self.line, source }))
    }
}
