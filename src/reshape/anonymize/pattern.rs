//! Texts with a syntax of their own: regular expressions and formats.
//!
//! Takes such a text and maps the plain runs in it, so that it can still be read. Must not know where it stands.

use super::value::{Mapping, Watch};

/// A regular expression: what is between its signs is mapped, each run by itself. Classes in brackets, escapes, bounds
/// and options stay.
pub(super) fn map_expression(text: &str, mapping: &Mapping, watch: &mut dyn Watch) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => first.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' => bracket_length(rest),
            '{' => rest.find('}').map_or(1, |at| at + 1),
            '(' if rest.starts_with("(?") => 2 + rest[2..].find([')', ':', '=', '!', '<']).unwrap_or_default(),
            _ if is_plain(first) => {
                let length = rest.find(|character| !is_plain(character)).unwrap_or(rest.len());
                written.push_str(&mapping.text(&rest[..length], watch));
                rest = &rest[length..];
                continue;
            }
            other => other.len_utf8(),
        };
        written.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    written
}

/// What means itself: letters, digits, and the signs that hold words together.
fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, ' ' | '_' | '-' | '@' | ',' | '\'' | ':' | '/')
}

/// The length of `[^]a-z]`.
fn bracket_length(text: &str) -> usize {
    let skipped = if text.starts_with("[^]") {
        3
    } else if text.starts_with("[]") || text.starts_with("[^") {
        2
    } else {
        1
    };
    text[skipped..].find(']').map_or(text.len(), |at| skipped + at + 1)
}

/// A format of `format()`: what is between `%s`, `%1$L` and `%%` is mapped, each run by itself.
pub(super) fn map_format(text: &str, mapping: &Mapping, watch: &mut dyn Watch) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        written.push_str(&mapping.text(&rest[..at], watch));
        let behind = &rest[at + 1..];
        let length = 1 + behind
            .find(|character: char| character.is_ascii_alphabetic() || character == '%')
            .map_or(0, |at| at + 1);
        written.push_str(&rest[at..at + length]);
        rest = &rest[at + length..];
    }
    written + &mapping.text(rest, watch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::key::Key;
    use super::*;

    fn mapping() -> Mapping {
        Mapping::new(Key::new([5; 32]), [])
    }

    #[test]
    fn only_what_means_itself_is_mapped() {
        let map = |text: &str| map_expression(text, &mapping(), &mut ());
        let word = mapping().text("smith", &mut ());
        assert_eq!(map("^smith(\\d+|[a-z]{2,3})$"), format!("^{word}(\\d+|[a-z]{{2,3}})$"));
        assert_eq!(map("(?i)smith[^]x]"), format!("(?i){word}[^]x]"));
        let format = map_format("smith %1$s has %I", &mapping(), &mut ());
        assert!(format.starts_with(&word) && format.contains(" %1$s ") && format.ends_with(" %I"), "{format}");
    }

    proptest! {
        #[test]
        fn any_text_can_be_mapped(text in "\\PC{0,16}|[\\\\\\[\\](){}?%$^a1é]{0,16}") {
            map_expression(&text, &mapping(), &mut ());
            map_format(&text, &mapping(), &mut ());
        }
    }
}
