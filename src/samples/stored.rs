//! A run's samples one by one, as they are stored, so that several runs can be read side by side.
//!
//! Takes a samples directory and the run's names; holds one row group in memory. Must not know what the samples are for.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::vec;

use super::read::{Interned, PartReader};
use super::sample::{Names, Sample};
use super::{SamplesError, parts};

/// The samples that are still to be read.
pub struct StoredSamples<'a> {
    parts: vec::IntoIter<PathBuf>,
    /// The open part and its next row group.
    part: Option<(PartReader, usize)>,
    read: VecDeque<Sample>,
    names: Interned<'a>,
}

impl<'a> StoredSamples<'a> {
    /// Opens a samples directory; names that are not in `names` are added as they come.
    ///
    /// # Errors
    /// When the directory cannot be listed, or its first part cannot be read.
    pub fn open(dir: &Path, names: &'a mut Names) -> Result<Self, SamplesError> {
        let parts = parts(dir)?.into_iter();
        let mut opened = Self { parts, part: None, read: VecDeque::new(), names: Interned::new(names) };
        opened.fill()?;
        Ok(opened)
    }

    /// The next sample, which stays.
    pub fn head(&self) -> Option<&Sample> {
        self.read.front()
    }

    /// Takes the next sample.
    ///
    /// # Errors
    /// When the part behind it cannot be read, is damaged or of another version.
    pub fn take(&mut self) -> Result<Option<Sample>, SamplesError> {
        let sample = self.read.pop_front();
        self.fill()?;
        Ok(sample)
    }

    /// Reads row groups until there is a sample, or none any more.
    fn fill(&mut self) -> Result<(), SamplesError> {
        while self.read.is_empty() {
            match self.part.as_mut() {
                Some((part, at)) if *at < part.row_groups() => {
                    let read = &mut self.read;
                    part.read(*at, &mut self.names, |sample| read.push_back(sample))?;
                    *at += 1;
                }
                _ => match self.parts.next() {
                    Some(path) => self.part = Some((PartReader::open(&path)?, 0)),
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }
}
