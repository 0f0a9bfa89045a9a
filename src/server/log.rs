//! The ends of log files, for errors to quote.
//!
//! Takes a path and a position; gives a few lines. Must not know whose log it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Lines of a log that an error quotes.
const TAIL_LINES: usize = 5;

/// How the system says that a disk is full.
const DISK_FULL: &str = "No space left on device";

/// Bytes of a log that are searched for them.
const TAIL_BYTES: u64 = 16 << 10;

/// Where a log ends now, so that an error quotes only what came after.
pub(super) fn log_end(log: &Path) -> u64 {
    log.metadata().map_or(0, |metadata| metadata.len())
}

/// The last lines of a log after the byte `from`, each on a line of its own.
pub fn log_tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let start = from.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    tail_of(&read().unwrap_or_default())
}

fn tail_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "its log says nothing".to_owned();
    }
    let (before, tail) = lines.split_at(lines.len().saturating_sub(TAIL_LINES));
    // A full disk is the cause of whatever is said behind it.
    let full = before.iter().find(|line| line.contains(DISK_FULL)).filter(|_| !tail.concat().contains(DISK_FULL));
    full.into_iter().chain(tail).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_that_say_something() {
        assert_eq!(tail_of("1\n2\n3\n4\n\n5\n6\n \n"), "2\n3\n4\n5\n6");
        assert_eq!(tail_of("\n"), "its log says nothing");
        assert_eq!(tail_of("0\nNo space left on device\n1\n2\n3\n4\n5"), "No space left on device\n1\n2\n3\n4\n5");
    }
}
