//! A run directory being written: its creation, and the files that are written whole.
//!
//! Takes facts and gives files, each written beside and renamed, so that a reader never sees half of one. The parts
//! that grow during the run (timeline, samples, ledger) belong to [`super::writer`]. Must not know how facts are found.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::facts::{RunFacts, StatementFact, TenantFact, layout};

/// A run directory that this process is writing.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// Why a run directory cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    #[error("run directory \"{}\" exists and is not empty", .0.display())]
    Occupied(PathBuf),
    #[error("cannot write \"{}\": {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "phase file \"{}\" exists: shards of another rehearsal may read it\n\
         hint: Name another file for all shards, or remove it once that rehearsal is over.",
        .0.display()
    )]
    PhaseFileExists(PathBuf),
}

impl RunDir {
    /// Creates the directory with its sub-directories. An empty directory that is already there will do.
    ///
    /// # Errors
    /// [`RunDirError::Occupied`] when something lies in it: results of another run are never written over.
    pub fn create(path: &Path) -> Result<Self, RunDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunDirError::Write { path, source }
        };
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(RunDirError::Occupied(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(failed(path))?;
        for part in [layout::SAMPLES, layout::PLANS, layout::LOGS] {
            let part = path.join(part);
            fs::create_dir_all(&part).map_err(failed(&part))?;
        }
        let path = path.canonicalize().map_err(failed(path))?;
        Ok(Self { path })
    }

    /// Where it lies, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where logs of servers and steps go.
    pub fn logs(&self) -> PathBuf {
        self.path.join(layout::LOGS)
    }

    /// Writes `run.json`.
    pub fn write_facts(&self, facts: &RunFacts) -> Result<(), RunDirError> {
        self.write_whole(layout::RUN, |file| {
            serde_json::to_writer_pretty(&mut *file, facts)?;
            file.write_all(b"\n")
        })
    }

    /// Writes `tenants.jsonl`, in the order of their indices.
    pub fn write_tenants(&self, tenants: &[TenantFact]) -> Result<(), RunDirError> {
        self.write_whole(layout::TENANTS, |file| write_lines(file, tenants))
    }

    /// Writes `statements.jsonl`.
    pub fn write_statements(&self, statements: &[StatementFact]) -> Result<(), RunDirError> {
        self.write_whole(layout::STATEMENTS, |file| write_lines(file, statements))
    }

    /// Writes one file of any name below the directory, whole or not at all.
    pub fn write_whole(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), RunDirError> {
        let path = self.path.join(name);
        let beside = self.path.join(format!("{name}.tmp"));
        let written = File::create(&beside).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.flush()
        });
        written.and_then(|()| fs::rename(&beside, &path)).map_err(|source| {
            // Half a file would be of no use to anybody, and the disk may be full.
            let _ = fs::remove_file(&beside);
            RunDirError::Write { path, source }
        })
    }
}

fn write_lines<T: Serialize>(file: &mut BufWriter<File>, lines: &[T]) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn results_of_another_run_are_never_written_over() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let run = RunDir::create(&path).unwrap();
        run.write_tenants(&[]).unwrap();
        assert!(matches!(RunDir::create(&path), Err(RunDirError::Occupied(_))));
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let run = RunDir::create(&place.path().join("run")).unwrap();
        let failed = run.write_whole("half.json", |file| {
            file.write_all(b"{")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("half.json"));
        assert!(!run.path().join("half.json").exists());
        assert!(!run.path().join("half.json.tmp").exists());
    }
}
