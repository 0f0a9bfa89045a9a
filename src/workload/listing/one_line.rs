//! SQL and values on one line, fit for a terminal.
//!
//! Takes texts as they were sent and gives what stands on a line: SQL stays SQL. Must not know what the line is about.

use std::fmt::Write;

use crate::sql::{TokenKind, tokens};

/// The statement with each run of whitespace outside its literals as one blank, and comments that run to the end of their
/// line as `/* ... */`. Control characters inside literals are written as escapes.
pub fn sql(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut end = 0;
    for token in tokens(text) {
        if token.start > end && !line.is_empty() {
            line.push(' ');
        }
        match token.text.strip_prefix("--").filter(|_| token.kind == TokenKind::Comment) {
            Some(comment) => {
                line.push_str("/* ");
                push_printable(&mut line, &comment.trim().replace("*/", "* /"));
                line.push_str(" */");
            }
            None => push_printable(&mut line, token.text),
        }
        end = token.end();
    }
    line
}

/// The text with control characters as escapes, so that it can neither break a line nor command a terminal.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_printable(&mut line, text);
    line
}

fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(line, "\\x{:02x}", u32::from(c))),
            c => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sql;

    #[test]
    fn a_statement_stands_on_one_line_and_means_the_same() {
        assert_eq!(
            sql("\n  SELECT a, -- the first\n\t'x\n y'  FROM t /* all\nof it */;\n"),
            "SELECT a, /* the first */ 'x\\n y' FROM t /* all\\nof it */;"
        );
        assert_eq!(sql("SELECT '\u{1b}[2J'"), "SELECT '\\x1b[2J'");
        assert_eq!(sql("  "), "");
    }
}
