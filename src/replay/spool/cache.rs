//! The directory that keeps prepared spools from one run to the next.
//!
//! Names a spool by what it was made from, so that one can be reused without looking inside; a spool in the making is
//! called `.tmp` and renamed when it is complete. Must not know what a spool holds.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::scenario::resolved::Order;

/// Spools that stay: those of some workloads that are rehearsed in turn.
const SPOOLS_KEPT: usize = 4;

/// After this a `.tmp` was left by a run that was killed: no workload takes so long to prepare.
const ABANDONED_AFTER: Duration = Duration::from_secs(6 * 3_600);

const SUFFIX: &str = ".spool";

/// Where the spool of this workload lies, whether it exists or not. One that knows an order is a spool of its own.
pub(super) fn path_of(directory: &Path, workload_sha256: &str, order: Order, version: u32) -> PathBuf {
    let order = if order == Order::Free { "" } else { "-commit" };
    directory.join(format!("{workload_sha256}{order}-v{version}{SUFFIX}"))
}

/// Marks a spool as used now, so that it is the last to go.
pub(super) fn touch(file: &File) {
    // Only the order in which spools are removed depends on it.
    let _ = file.set_modified(SystemTime::now());
}

/// A spool in the making; removed unless it is finished.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// Creates the directory and an empty file beside `target` that no other process writes.
    pub fn create(target: &Path) -> io::Result<(Self, File)> {
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let path = PathBuf::from(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok((Self { path, target: target.to_owned(), finished: false }, file))
    }

    /// Makes the file durable and gives it its name.
    pub fn finish(mut self, file: &File) -> io::Result<()> {
        file.sync_data()?;
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the spools that were not used for longest beyond those that stay, and what killed runs left. A run that
/// still reads a removed spool keeps its open file.
pub(super) fn trim(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut spools = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        if name.ends_with(SUFFIX) {
            spools.push((modified, entry.path()));
        } else if name.contains(SUFFIX) && name.ends_with(".tmp") {
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if age > ABANDONED_AFTER {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    spools.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (_, path) in spools.into_iter().skip(SPOOLS_KEPT) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_spool_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let target = path_of(directory.path(), "ab", Order::Free, 1);
        drop(Unfinished::create(&target).unwrap());
        assert!(names(directory.path()).is_empty());
        let (unfinished, file) = Unfinished::create(&target).unwrap();
        unfinished.finish(&file).unwrap();
        assert_eq!(names(directory.path()), ["ab-v1.spool"]);
    }

    #[test]
    fn the_spools_used_last_stay() {
        let directory = tempfile::tempdir().unwrap();
        for age_s in 0..6_u64 {
            let file = File::create(path_of(directory.path(), &format!("{age_s}"), Order::Free, 1)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s * 60)).unwrap();
        }
        fs::write(directory.path().join("other"), "").unwrap();
        trim(directory.path());
        assert_eq!(names(directory.path()), ["0-v1.spool", "1-v1.spool", "2-v1.spool", "3-v1.spool", "other"]);
    }
}
