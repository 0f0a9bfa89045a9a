//! Files that hold the same entries: given twice, once compressed and once not, or written by one server in two formats.
//!
//! Takes a sample of each file's first entries. Must not know how files are opened.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use super::super::error::CaptureError;
use super::decoder::{Found, Learned};
use super::format::Form;
use super::reading::Reading;

/// Entries that are looked at.
const ENTRIES_MAX: usize = 200;

/// Bytes of a file that are looked at for them.
const HEAD_BYTES: usize = 64 << 10;

/// What a file begins with.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Of the first bytes, decompressed; none of an empty file.
    head: Option<u64>,
    format: &'static str,
    /// Second, process and message of each entry.
    entries: Vec<u64>,
}

impl Sample {
    /// A sample of a file that begins with these bytes and was last written at `modified_us`.
    pub fn of(head: &[u8], form: Option<&Form>, modified_us: i64) -> Self {
        let Some(form) = form else { return Self::default() };
        let mut entries = Vec::new();
        let mut give = |found: Found<'_>| {
            if let Found::Entry { entry, .. } = found
                && entries.len() < ENTRIES_MAX
            {
                let message = entry.message.split(|byte| *byte == b'\n').next().unwrap_or_default();
                entries.push(hash_of(&(entry.time_us.div_euclid(1_000_000), entry.session.process, message)));
            }
            Ok(())
        };
        let mut bytes = &head[..head.len().min(HEAD_BYTES)];
        let mut learned = Learned::default();
        let mut decoder = form.decoder(modified_us);
        // Bytes in memory can always be read, and what is taken from them never fails.
        let _ = Reading::new(0, &mut learned, &mut give).read(&mut bytes, decoder.as_mut(), &mut |_| {}, &|| false);
        Self { head: Some(hash_of(&head)), format: form.name(), entries }
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Refuses files that hold the same.
///
/// # Errors
/// The first two of them.
pub fn refuse<'a>(samples: impl Iterator<Item = (&'a Path, &'a Sample)>) -> Result<(), CaptureError> {
    let text = |path: &Path| path.display().to_string();
    let mut heads: HashMap<u64, &Path> = HashMap::new();
    let mut entries: HashMap<u64, (&Path, &str)> = HashMap::new();
    for (path, sample) in samples {
        let Some(head) = sample.head else { continue };
        if let Some(other) = heads.insert(head, path) {
            return Err(CaptureError::SameContent { file: text(path), other: text(other) });
        }
        let in_other_format: Vec<_> = sample
            .entries
            .iter()
            .filter_map(|entry| entries.get(entry))
            .filter(|(_, format)| *format != sample.format)
            .collect();
        // Some may lie beyond the sample of the other file.
        if let Some((other, _)) = in_other_format.first().filter(|_| 2 * in_other_format.len() > sample.entries.len()) {
            return Err(CaptureError::SameEntries { file: text(path), other: text(other) });
        }
        entries.extend(sample.entries.iter().map(|entry| (*entry, (path, sample.format))));
    }
    Ok(())
}
