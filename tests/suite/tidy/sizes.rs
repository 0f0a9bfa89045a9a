//! Files and functions that fit a reader's head.

use super::sources::{all, assert_none};

/// Lines of a file beyond which it needs a reason below.
const FILE_LINES: usize = 500;

/// Lines of a file beyond which no reason helps.
const FILE_LINES_MAX: usize = 700;

/// Lines of a function, its signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;

/// Lines of `main.rs`.
const MAIN_LINES_MAX: usize = 30;

/// Files that are longer, with their reasons. Tables only.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for source in all() {
        let lines = source.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        let limit = match source.path.as_str() {
            "src/main.rs" => MAIN_LINES_MAX,
            _ if excused => FILE_LINES_MAX,
            _ => FILE_LINES,
        };
        if lines > limit {
            broken.push(format!("{}: {lines} lines of {limit}", source.path));
        }
    }
    assert_none(&broken, "these files are too long");
}

/// The name and length of every function, told by the indentation that rustfmt gives.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let words = body.split("fn ").next().unwrap_or_default();
        let qualifiers = ["pub", "async", "const", "unsafe", "extern", "\"C\""];
        let is_function = body.contains("fn ")
            && words.split_whitespace().all(|word| qualifiers.contains(&word) || word.starts_with("pub("))
            && !body.ends_with(';')
            && !body.ends_with('}');
        if !is_function {
            continue;
        }
        let indent = &line[..line.len() - body.len()];
        let closing = format!("{indent}}}");
        let ends = |line: &&str| **line == closing || **line == format!("{indent});");
        let length = lines[at..].iter().position(ends).map_or(1, |length| length + 1);
        let name = body.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).unwrap_or_default();
        found.push((name.to_owned(), length));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    for source in all() {
        // A fixture is one long value, written out.
        if source.path.ends_with("/fixture.rs") {
            continue;
        }
        for (name, lines) in functions(&source.text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX) {
            broken.push(format!("{}: {name} has {lines} lines of {FUNCTION_LINES_MAX}", source.path));
        }
    }
    assert_none(&broken, "these functions are too long");
}

#[test]
fn functions_are_measured_from_their_signature_to_their_brace() {
    let text = "pub(crate) async fn one(\n    a: u8,\n) {\n    two();\n}\nimpl X {\n    fn three() {\n    }\n}\n";
    assert_eq!(functions(text), [("one".to_owned(), 5), ("three".to_owned(), 2)]);
}
