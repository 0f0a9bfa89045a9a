//! What is wrong with an input file, shown as PostgreSQL's messages are: primary, place, detail, hint.
//!
//! Takes a text and byte positions in it; gives lines with a caret. Must not know what kind of file it is, nor where the
//! message is printed.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Lowercase, without the place.
    pub message: String,
    pub place: Place,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a line of a file.
    Line {
        file: String,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// The whole line without its end.
        source_line: String,
        /// Bytes of the line that are meant, at least 1.
        width: usize,
    },
    /// Anywhere in a file, or the file itself.
    File(String),
    /// In an override of the command line; the text is as typed.
    Override(String),
}

impl Place {
    /// The place of the bytes `span` of `text`.
    pub fn in_text(file: &str, text: &str, span: Range<usize>) -> Self {
        let at = span.start.min(text.len());
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let source_line = text[line_start..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let column = at - line_start + 1;
        let left_in_line = source_line.len().saturating_sub(column - 1);
        Self::Line {
            file: file.to_owned(),
            line: text[..at].matches('\n').count() + 1,
            column,
            source_line: without_secrets(source_line),
            width: span.len().min(left_in_line).max(1),
        }
    }
}

/// The line, cut behind its first `=` where it may hold a password.
fn without_secrets(line: &str) -> String {
    let folded = line.to_ascii_lowercase();
    let suspicious = ["dsn", "password", "://"].iter().any(|mark| folded.contains(mark));
    match line.split_once('=') {
        Some((key, _)) if suspicious => format!("{key}= ..."),
        None if suspicious => "...".to_owned(),
        _ => line.to_owned(),
    }
}

/// `file:line:column`, the file alone, or the override.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, column, .. } => write!(f, "{file}:{line}:{column}"),
            Self::File(file) => f.write_str(file),
            Self::Override(text) => write!(f, "--set {}", without_secrets(text)),
        }
    }
}

/// The place and the message on one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl Diagnostic {
    /// The message as people are shown it, with the offending line and a caret; ends with a newline.
    pub fn render(&self) -> String {
        let mut shown = format!("error: {}\n  at {}\n", self.message, self.place);
        if let Place::Line { line, column, source_line, width, .. } = &self.place {
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            // Tabs stay as they are in front of the caret, so that it stands where the terminal puts the text.
            let before = source_line.get(..column - 1).unwrap_or(source_line);
            let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let meant = source_line.get(column - 1..column - 1 + width).map_or(1, |meant| meant.chars().count().max(1));
            shown.push_str(&format!("  {margin} |\n  {number} | {source_line}\n"));
            shown.push_str(&format!("  {margin} | {indent}{}\n", "^".repeat(meant)));
        }
        if let Some(detail) = &self.detail {
            shown.push_str(&format!("detail: {detail}\n"));
        }
        if let Some(hint) = &self.hint {
            shown.push_str(&format!("hint: {hint}\n"));
        }
        shown
    }
}

/// Why a scenario cannot be used: everything that was found, in the order of the file.
#[derive(Debug)]
pub struct ScenarioError {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl ScenarioError {
    /// All of it as people are shown it.
    pub fn render(&self) -> String {
        self.diagnostics.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
    }
}

/// The first thing that is wrong, and how many more there are.
impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.diagnostics.as_slice() {
            [] => f.write_str("the scenario cannot be used"),
            [only] => only.fmt(f),
            [first, others @ ..] => write!(f, "{first} (and {} more)", others.len()),
        }
    }
}

impl std::error::Error for ScenarioError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        let text = "a = 1\n\tünder = 2\nc = 3\n";
        let at = text.find("= 2").unwrap_or_default();
        let diagnostic = Diagnostic {
            message: "unknown key \"x\"".into(),
            place: Place::in_text("f.toml", text, at..at + 3),
            detail: None,
            hint: Some("did you mean \"y\"?".into()),
        };
        let expected = "error: unknown key \"x\"\n  at f.toml:2:9\n    |\n  2 | \tünder = 2\n    | \t      ^^^\nhint: did you mean \"y\"?\n";
        assert_eq!(diagnostic.render(), expected);
    }

    #[test]
    fn a_line_that_may_hold_a_password_is_cut() {
        let text = "dsn = 'postgresql://app:s3cret@db/x'\n";
        let place = Place::in_text("f", text, 6..36);
        let diagnostic = Diagnostic { message: "no".into(), place, detail: None, hint: None };
        assert!(!diagnostic.render().contains("s3cret"), "{}", diagnostic.render());
        assert_eq!(Place::Override("staging.dsn=host=x password=s3cret".into()).to_string(), "--set staging.dsn= ...");
    }

    #[test]
    fn a_place_at_the_end_of_the_text_has_a_line() {
        assert_eq!(Place::in_text("f", "a\n", 2..2).to_string(), "f:2:1");
        assert_eq!(Place::in_text("f", "", 0..9).to_string(), "f:1:1");
    }
}
