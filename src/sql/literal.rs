//! The values of literals.
//!
//! Takes a literal as it is written, or an array's text form, and gives its value. Must not know where it stands.

/// The value of a string literal with any prefix, or of a dollar-quoted one. Of the escapes of `E''`, those of one
/// character are followed; codes (`\x41`) and those of `U&''` stay as written.
pub fn string_value(literal: &str) -> String {
    let Some(open) = literal.find('\'').filter(|_| !literal.starts_with('$')) else {
        let delimiter = literal.get(1..).and_then(|rest| rest.find('$')).map_or(0, |at| at + 2);
        let close = literal.len().saturating_sub(delimiter).max(delimiter);
        return literal.get(delimiter..close).unwrap_or_default().to_owned();
    };
    let body = literal.get(open + 1..).unwrap_or_default();
    let value = body.strip_suffix('\'').unwrap_or(body).replace("''", "'");
    match literal.starts_with(['e', 'E']) {
        true => unescaped(&value),
        false => value,
    }
}

fn unescaped(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(escaped)) if "bfnrt\\'".contains(escaped) => {
                rest.next();
                plain.push(match escaped {
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => other,
                });
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// The first element of an array's text form, `{a,"b c"}`; none of an empty one, of NULL, and of what is no array.
pub fn first_element(array: &str) -> Option<String> {
    let body = array.trim().strip_prefix('{')?.trim_start_matches([' ', '{']);
    match body.strip_prefix('"') {
        Some(quoted) => {
            let mut element = String::new();
            let mut rest = quoted.chars();
            loop {
                match rest.next()? {
                    '"' => return Some(element),
                    '\\' => element.push(rest.next()?),
                    c => element.push(c),
                }
            }
        }
        None => {
            let element = body.split([',', '}']).next()?.trim();
            (!element.is_empty() && !element.eq_ignore_ascii_case("null")).then(|| element.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_string() {
        for (literal, value) in [
            ("'it''s'", "it's"),
            (r"E'a\'b\\c\n'", "a'b\\c\n"),
            (r"'back\slash'", r"back\slash"),
            ("N'x'", "x"),
            ("$$it's$$", "it's"),
            ("$t$a$$b$t$", "a$$b"),
            ("'open", "open"),
            ("$$", ""),
        ] {
            assert_eq!(string_value(literal), value, "{literal}");
        }
    }

    #[test]
    fn arrays_begin_with_their_first_element() {
        for (array, element) in [
            ("{1,2}", Some("1")),
            (r#"{"a \"b\",c",d}"#, Some("a \"b\",c")),
            ("{}", None),
            ("{NULL,1}", None),
            ("x", None),
        ] {
            assert_eq!(first_element(array).as_deref(), element, "{array}");
        }
    }
}
