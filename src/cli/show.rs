//! How the program speaks: errors in PostgreSQL's style, and progress on stderr.
//!
//! Takes errors and short texts, writes to stderr. Results go to stdout elsewhere; nothing here does.

use std::error::Error;
use std::io::{IsTerminal, Write};

/// Prints an error as `error: primary`, each further cause as `detail:`, and the hint if there is one. Causes whose
/// text stands in what was printed already are left out.
pub fn error(error: &dyn Error, hint: Option<&str>) {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str(&format!("detail: {line}\n"));
        }
        cause = inner.source();
    }
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    write_stderr(&text);
}

/// Writes one line of progress: plain, so that a log of it can be read.
pub fn progress(line: &str) {
    write_stderr(&format!("{line}\n"));
}

/// Whether results may hold colour: a terminal, and `NO_COLOR` is not set (no-color.org).
pub fn colour_on_stdout() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a result to stdout. A reader that went away (`| head`) is no error.
pub fn result(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn write_stderr(text: &str) {
    // Nothing can be done about a closed stderr.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
