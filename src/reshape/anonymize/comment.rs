//! Comments: dropped, but for the tags in them, whose values are mapped.
//!
//! Takes a comment and gives what is written in its place. Must not know which tag names a tenant: a tag whose value is
//! a tenant's name is kept where names are.

use super::kept;
use super::statement::Statements;
use super::tally::{Site, Tally};
use crate::sql::{CommentTag, comment_parts};

/// The comment with the tags that remain, or a space.
pub(super) fn map(comment: &str, statements: &Statements<'_>, tally: &mut Tally) -> String {
    let parts = comment_parts(comment);
    let has_other = parts.iter().any(|part| part.tag.is_none() && !part.text.trim().is_empty());
    let tags: Vec<String> =
        parts.iter().filter_map(|part| Some(map_tag(part.tag.as_ref()?, part.text, statements, tally))).collect();
    tally.comments_dropped += u64::from(has_other || tags.is_empty());
    match tags.is_empty() {
        true => " ".to_owned(),
        false if comment.starts_with("--") => format!("-- {}", tags.join(",")),
        false => format!("/*{}*/", tags.join(",")),
    }
}

fn map_tag(tag: &CommentTag, written: &str, statements: &Statements<'_>, tally: &mut Tally) -> String {
    if !statements.names && statements.tenants.contains(&tag.value) {
        tally.keep(kept::NAME);
        return written.trim().to_owned();
    }
    tally.site = Site::CommentTag;
    let value = statements.mapping.text(&tag.value, tally);
    let at = written.find(['=', ':']).map_or(0, |at| at + 1);
    let quoted = match tag.is_quoted {
        true => format!("'{}'", url_encoded(&value)),
        false => value,
    };
    format!("{}{quoted}", written[..at].trim())
}

/// As sqlcommenter writes values.
fn url_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
