//! Any bytes are a log of some format, and pieces change nothing of what is found in it.
//!
//! The first byte of an input chooses the format and the prefix, the second the length of the pieces.

use pgrehearse::capture::log::{LinePrefix, LogFormat, read_bytes};

const FORMATS: [LogFormat; 5] =
    [LogFormat::Csv, LogFormat::Auto, LogFormat::Json, LogFormat::Stderr, LogFormat::Syslog];

/// None is found out.
const PREFIXES: [Option<&str>; 5] =
    [None, Some("%m [%p] %q%u@%d "), Some("%t:%r:%u@%d:[%p]:"), Some("%n [%p] %-10u|"), Some("%c %e %i %a ")];

pub fn fuzz(bytes: &[u8]) {
    let [choice, piece, bytes @ ..] = bytes else { return };
    let choice = usize::from(*choice);
    let format = FORMATS[choice % FORMATS.len()];
    let prefix = PREFIXES[choice / FORMATS.len() % PREFIXES.len()].and_then(|text| LinePrefix::parse(text).ok());
    let whole = read_bytes(format, prefix.as_ref(), bytes, usize::MAX);
    let pieces = read_bytes(format, prefix.as_ref(), bytes, 1 + usize::from(*piece));
    assert_eq!(whole, pieces);
}

/// The first line is a prefix, what follows a line of a log.
pub fn fuzz_prefix(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (prefix, line) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(prefix) = LinePrefix::parse(prefix) {
        prefix.read(line.as_bytes());
    }
}
