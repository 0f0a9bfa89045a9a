//! How the program speaks: errors in PostgreSQL's style, and progress on stderr.
//!
//! Takes errors and short texts, writes to stderr. Results go to stdout elsewhere; nothing here does.

use std::error::Error;
use std::io::{IsTerminal, Write};

use crate::scenario::Finding;

/// Prints an error as `error: primary`, each further cause as `detail:`. An error whose text brings `detail:` and `hint:`
/// lines of its own keeps them; causes that the text tells already are left out, and a hint stands last.
pub fn error(error: &dyn Error) {
    write_stderr(&error_text(error));
}

/// The text of [`error`].
pub fn error_text(error: &dyn Error) -> String {
    let (mut lines, mut hints) = (Vec::new(), Vec::new());
    let mut told = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !told.contains(&text) {
            for line in text.lines() {
                match line {
                    _ if line.starts_with("hint: ") => hints.push(line.to_owned()),
                    _ if lines.is_empty() => lines.push(format!("error: {line}")),
                    _ if line.starts_with("detail: ") => lines.push(line.to_owned()),
                    // The first line of a cause; lines that follow it belong to it.
                    _ if text.starts_with(line) => lines.push(format!("detail: {line}")),
                    _ => lines.push(line.to_owned()),
                }
            }
            told.push_str(&text);
        }
        next = error.source();
    }
    lines.extend(hints);
    lines.join("\n") + "\n"
}

/// The text without the numbers that Rust puts behind the operating system's own words: `(os error 2)`.
fn without_os_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = text.split(MARK);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.parse::<i32>().is_ok() => shown.push_str(rest),
            _ => shown.extend([MARK, part]),
        }
    }
    shown
}

/// Prints what is to be said against a scenario, each with its hint.
pub fn findings(findings: &[Finding]) {
    findings.iter().for_each(|finding| progress(&finding.to_string()));
}

/// Prints what is wrong with a file that a person wrote, already rendered with its places.
pub fn diagnostics(rendered: &str) {
    write_stderr(rendered);
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

/// Standard output for results that are written as they come; the caller flushes it.
pub fn results() -> impl Write {
    std::io::BufWriter::new(std::io::stdout().lock())
}

fn write_stderr(text: &str) {
    // Nothing can be done about a closed stderr.
    let _ = std::io::stderr().lock().write_all(without_os_numbers(text).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{error_text, without_os_numbers};

    #[derive(Debug, thiserror::Error)]
    #[error("no such thing\nhint: make one")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("could not begin\ndetail: too early")]
    struct Outer(#[source] Inner);

    #[test]
    fn the_operating_system_speaks_without_numbers() {
        assert_eq!(
            without_os_numbers("a: Is a directory (os error 21)\nb (os error"),
            "a: Is a directory\nb (os error"
        );
        assert_eq!(without_os_numbers("x (os error 2), y (os error two)"), "x, y (os error two)");
    }

    #[test]
    fn causes_become_details_and_hints_stand_last() {
        assert_eq!(
            error_text(&Outer(Inner)),
            "error: could not begin\ndetail: too early\ndetail: no such thing\nhint: make one\n"
        );
    }
}
