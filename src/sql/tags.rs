//! Tags that applications write into comments, by sqlcommenter's rules and by marginalia's.
//!
//! Takes a text and gives keys and values. Must not know which tag names a tenant.

use super::lex::{TokenKind, tokens};

/// The tags of all comments of a text, in order: sqlcommenter's `key='url-encoded value'`, marginalia's `key:value`, and
/// `key=value`, parted by commas. Hints (`/*+ ... */`) are no tags.
pub fn comment_tags(text: &str) -> Vec<(String, String)> {
    tokens(text)
        .filter(|token| token.kind == TokenKind::Comment)
        .flat_map(|comment| parted_by_commas(body(comment.text)))
        .filter_map(|part| tag(part).map(|tag| (tag.key, tag.value)))
        .collect()
}

/// A tag of a comment, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentTag {
    pub key: String,
    pub value: String,
    /// Whether the value stands in quotes, as sqlcommenter writes it: it is URL-encoded there.
    pub is_quoted: bool,
}

/// A piece of a comment between commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentPart<'a> {
    /// As written.
    pub text: &'a str,
    /// None of prose.
    pub tag: Option<CommentTag>,
}

/// The pieces of a comment, which is given with its delimiters: tags as [`comment_tags`] finds them, and prose.
pub fn comment_parts(comment: &str) -> Vec<CommentPart<'_>> {
    parted_by_commas(body(comment)).into_iter().map(|text| CommentPart { text, tag: tag(text) }).collect()
}

fn body(comment: &str) -> &str {
    let body = match comment.strip_prefix("/*") {
        Some(block) => block.strip_suffix("*/").unwrap_or(block),
        None => comment.trim_start_matches('-'),
    };
    if body.starts_with('+') { "" } else { body }
}

/// A comma inside quotes parts nothing. A quote inside a value is written `\'`.
fn parted_by_commas(body: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'\'' if !escaped => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.push(&body[start..]);
    parts
}

fn tag(part: &str) -> Option<CommentTag> {
    let at = part.find(['=', ':'])?;
    let (key, value) = (part[..at].trim(), part[at + 1..].trim());
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte);
    if key.is_empty() || !key.bytes().all(is_key) || value.is_empty() {
        return None;
    }
    match value.strip_prefix('\'').and_then(|quoted| quoted.strip_suffix('\'')) {
        Some(quoted) => {
            let value = url_decoded(&quoted.replace("\\'", "'"));
            Some(CommentTag { key: url_decoded(key), value, is_quoted: true })
        }
        // Prose has spaces, tags have not: "todo: remove this" is none.
        None if value.contains(char::is_whitespace) => None,
        None => Some(CommentTag { key: key.to_owned(), value: value.to_owned(), is_quoted: false }),
    }
}

/// Decodes `%41`; what is no such code, or would not be UTF-8, stays as written.
fn url_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(text: &str) -> Vec<(String, String)> {
        comment_tags(text)
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn sqlcommenter_encodes_its_values() {
        assert_eq!(
            tags("SELECT 1 /*action='%2Fparam*d',tenant='acme%20co'*/"),
            [pair("action", "/param*d"), pair("tenant", "acme co")]
        );
        assert_eq!(tags(r"/*tenant='o\'neil, inc'*/ SELECT 1"), [pair("tenant", "o'neil, inc")]);
    }

    #[test]
    fn marginalia_writes_them_plain() {
        assert_eq!(
            tags("SELECT 1 /*application:Shop,controller:carts*/ -- tenant=acme"),
            [pair("application", "Shop"), pair("controller", "carts"), pair("tenant", "acme")]
        );
    }

    #[test]
    fn prose_strings_and_hints_are_no_tags() {
        for text in
            ["SELECT '/*tenant=a*/'", "/* todo: remove this */ SELECT 1", "/*+ Leading(a:b) */ SELECT 1", "/**/"]
        {
            assert_eq!(tags(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_comment_can_be_read(body in "\\PC*|[%'=:,a\\\\1f]{0,20}") {
            comment_tags(&format!("/*{body}*/"));
        }
    }
}
