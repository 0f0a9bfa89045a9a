//! Why `pg_upgrade` failed, in its own words, and the files that it wrote about it.
//!
//! Takes what the phase reader saw and the directories in which `pg_upgrade` leaves logs and lists; copies those to the run
//! directory, since they go with the clusters. Must not know how it was run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::server::log::log_tail;

use super::error::StepError;
use super::phases::PhaseReader;

/// Lines of a file that are quoted.
const QUOTED_LINES: usize = 5;

/// Bytes of a file that are looked at for them.
const QUOTED_BYTES: u64 = 16 << 10;

/// Makes the error of a run that ended badly. `to` is the directory that logs and lists are copied to.
pub(super) fn explain(reader: &PhaseReader, log: &Path, new_data: &Path, work_dir: &Path, to: &Path) -> StepError {
    let copied = copy_output(new_data, work_dir, to);
    let mut reason = without_paths(&reader.reason());
    for path in &copied {
        let mentioned =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| reader.reason().contains(name));
        if mentioned && let Some(quoted) = quote(path) {
            reason = [reason, quoted].join("\n").trim().to_owned();
        }
    }
    if reason.is_empty() {
        reason = log_tail(log, 0);
    }
    let phase = reader.failed().unwrap_or("its start").to_owned();
    let lists =
        copied.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    StepError::PgUpgrade { phase, reason, lists }
}

/// Lines that only say where a file is are left out: the file is told by its place in the run directory.
fn without_paths(reason: &str) -> String {
    let lines = reason.lines().filter(|line| !line.starts_with('/') && !line.starts_with("Consult the last few lines"));
    lines.filter(|line| *line != "the probable cause of the failure.").collect::<Vec<_>>().join("\n")
}

/// The lines of a list, or the errors of a log.
fn quote(path: &Path) -> Option<String> {
    let text = read_end(path)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    let errors: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| ["error:", "ERROR:", "FATAL:", "detail:"].iter().any(|mark| line.contains(mark)))
        .collect();
    let chosen = match (is_log, errors.is_empty()) {
        (false, _) => &lines[..lines.len().min(QUOTED_LINES)],
        (true, false) => &errors[errors.len().saturating_sub(QUOTED_LINES)..],
        (true, true) => &lines[lines.len().saturating_sub(QUOTED_LINES)..],
    };
    (!chosen.is_empty()).then(|| chosen.join("\n"))
}

fn read_end(path: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Copies lists (`.txt`) and logs to `to` and gives the copies. Since 15 they lie below the new data directory, in
/// `pg_upgrade_output.d/<time>/`, before that in the working directory.
fn copy_output(new_data: &Path, work_dir: &Path, to: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![work_dir.to_path_buf()];
    for time in entries(&new_data.join("pg_upgrade_output.d")) {
        dirs.push(time.join("log"));
        dirs.push(time);
    }
    let mut copied = Vec::new();
    for file in dirs.iter().flat_map(|dir| entries(dir)) {
        let wanted = file.extension().is_some_and(|extension| extension == "txt" || extension == "log");
        let Some(name) = file.file_name().filter(|_| wanted) else { continue };
        // A file that cannot be copied must not hide why the upgrade failed.
        if fs::create_dir_all(to).and_then(|()| fs::copy(&file, to.join(name))).is_ok() {
            copied.push(to.join(name));
        }
    }
    copied
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut entries: Vec<PathBuf> = entries.unwrap_or_default();
    entries.sort();
    entries
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_logs_are_kept_and_the_mentioned_one_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let (new_data, work_dir, to) = (dir.path().join("new"), dir.path().join("work"), dir.path().join("logs"));
        let output = new_data.join("pg_upgrade_output.d/20260101T000000.000");
        fs::create_dir_all(output.join("log")).unwrap();
        fs::create_dir_all(&work_dir).unwrap();
        fs::write(output.join("loadable_libraries.txt"), "could not load library \"$libdir/x\"\nIn database: a\n")
            .unwrap();
        fs::write(output.join("log/pg_upgrade_server.log"), "noise\n").unwrap();

        let mut reader = PhaseReader::default();
        let text = format!(
            "{:<60}fatal\n\nYour installation references libraries that are missing.\nA list is in the file:\n    \
             {}/loadable_libraries.txt\nFailure, exiting\n",
            "Checking for presence of required libraries",
            output.display()
        );
        reader.push(text.as_bytes());
        let error = explain(&reader, Path::new("/none"), &new_data, &work_dir, &to).to_string();
        assert!(error.starts_with("pg_upgrade failed at \"Checking for presence of required libraries\""), "{error}");
        assert!(error.contains("libraries that are missing") && error.contains("could not load library"), "{error}");
        assert!(error.ends_with(&format!("see \"{}\"", to.join("loadable_libraries.txt").display())), "{error}");
        assert!(to.join("pg_upgrade_server.log").exists());
    }
}
