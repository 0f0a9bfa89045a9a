//! Two texts of a statement, side by side.
//!
//! Takes the old and the new text and tells of each pair of values in them; everything else must be the same. Must not know
//! what the values were mapped to.

use std::collections::HashSet;

use super::super::kept::{self, Class};
use super::super::literal::read_number;
use super::super::spots::{Role, Spot, spots};
use super::super::statement::{is_kept, starts_with_date};
use super::super::tally::Site;
use crate::sql::{TokenKind, comment_parts, tokens};

/// Bodies within bodies that are taken apart.
const DEPTH_MAX: usize = 8;

/// A pair of values of a statement.
pub(super) struct Pair {
    pub(super) site: Site,
    pub(super) stays: Option<Class>,
    pub(super) left: String,
    pub(super) right: String,
}

/// The two texts differ in more than values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differs;

/// What is known beside the texts.
pub(super) struct Known<'a> {
    pub(super) names: bool,
    /// Tenants of the old workload.
    pub(super) tenants: &'a HashSet<String>,
}

/// The pairs of values of two texts.
pub(super) fn pairs(left: &str, right: &str, known: &Known<'_>) -> Result<Vec<Pair>, Differs> {
    let mut found = Vec::new();
    nested(left, right, known, false, DEPTH_MAX, &mut found)?;
    Ok(found)
}

fn nested(
    left: &str,
    right: &str,
    known: &Known<'_>,
    is_body: bool,
    depth: usize,
    found: &mut Vec<Pair>,
) -> Result<(), Differs> {
    let of = |text| -> Vec<Spot<'_>> {
        spots(text, is_body).into_iter().filter(|spot| spot.role != Role::Comment).collect()
    };
    let (old, new) = (of(left), of(right));
    if old.len() != new.len() || !fixed(left, &old).eq(fixed(right, &new)) {
        return Err(Differs);
    }
    for (old, new) in old.iter().zip(&new) {
        spot(old, new, known, depth, found)?;
    }
    comments(left, right, known, found)
}

/// The tokens that are no values.
fn fixed<'a>(text: &'a str, spots: &[Spot<'a>]) -> impl Iterator<Item = &'a str> {
    let values: HashSet<usize> =
        spots.iter().flat_map(|spot| std::iter::once(&spot.token).chain(&spot.rest)).map(|token| token.start).collect();
    tokens(text).without_comments().filter(move |token| !values.contains(&token.start)).map(|token| token.text)
}

fn spot(old: &Spot<'_>, new: &Spot<'_>, known: &Known<'_>, depth: usize, found: &mut Vec<Pair>) -> Result<(), Differs> {
    let is_word = matches!(old.role, Role::SetWord | Role::Name);
    let is_same_role = old.role == new.role || is_word && new.role == Role::String;
    if !is_same_role {
        return Err(Differs);
    }
    let mut stays = is_kept(old, known.names).then(|| old.kept.map_or(kept::OPTION, |kept| kept.class));
    let (mut left, mut right) = match old.role {
        Role::Parameter(_) | Role::Comment => {
            return if old.token.text == new.token.text { Ok(()) } else { Err(Differs) };
        }
        Role::Number => (read_number(old.token.text).1, read_number(new.token.text).1),
        Role::SetWord | Role::Name => (word(old), word(new)),
        _ => (old.string(), new.string()),
    };
    match old.role {
        Role::Body if stays.is_none() && depth > 0 => return nested(&left, &right, known, true, depth - 1, found),
        Role::Date if !starts_with_date(&left) && left == right => stays = stays.or(Some(kept::DATE_WORDS)),
        Role::Date if starts_with_date(&left) && starts_with_date(&right) => {
            left.truncate(10);
            right.truncate(10);
        }
        Role::Pattern | Role::Format if !has_word(&left) => {
            stays = stays.or(Some("patterns and formats without words"))
        }
        _ => {}
    }
    let site = if is_word { Site::SetValue } else { Site::Literal };
    found.push(Pair { site, stays, left, right });
    Ok(())
}

fn word(spot: &Spot<'_>) -> String {
    match spot.token.kind {
        TokenKind::String => spot.string(),
        _ => spot.token.identifier().unwrap_or_else(|| spot.token.text.to_owned()),
    }
}

/// Whether a pattern has more than signs, classes in brackets, escapes, and letters that mean something.
fn has_word(pattern: &str) -> bool {
    let mut rest = pattern.chars();
    let (mut in_brackets, mut in_braces, mut in_row) = (false, false, 0);
    while let Some(character) = rest.next() {
        match character {
            '\\' | '%' => {
                rest.next();
            }
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '{' => in_braces = true,
            '}' => in_braces = false,
            _ if !in_brackets && !in_braces && character.is_alphanumeric() => {
                in_row += 1;
                if in_row > 1 {
                    return true;
                }
                continue;
            }
            _ => {}
        }
        in_row = 0;
    }
    false
}

/// Tags stay in their order; prose is gone.
fn comments(left: &str, right: &str, known: &Known<'_>, found: &mut Vec<Pair>) -> Result<(), Differs> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (text, tags, is_new) in [(left, &mut old, false), (right, &mut new, true)] {
        for comment in tokens(text).filter(|token| token.kind == TokenKind::Comment) {
            for part in comment_parts(comment.text) {
                match part.tag {
                    Some(tag) => tags.push(tag),
                    None if is_new && part.text.chars().any(char::is_alphanumeric) => return Err(Differs),
                    None => {}
                }
            }
        }
    }
    if old.len() != new.len() {
        return Err(Differs);
    }
    for (old, new) in old.into_iter().zip(new) {
        let stays = (!known.names && known.tenants.contains(&old.value)).then_some(kept::NAME);
        found.push(Pair { site: Site::CommentTag, stays, left: old.value, right: new.value });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(left: &str, right: &str) -> Result<Vec<(String, String, bool)>, Differs> {
        let tenants = HashSet::from(["acme".to_owned()]);
        let pairs = pairs(left, right, &Known { names: false, tenants: &tenants })?;
        Ok(pairs.into_iter().map(|pair| (pair.left, pair.right, pair.stays.is_some())).collect())
    }

    #[test]
    fn values_are_paired_and_all_else_must_be_equal() {
        let pair = |left: &str, right: &str, stays| (left.to_owned(), right.to_owned(), stays);
        assert_eq!(
            read(
                "SELECT 'a', 5 LIMIT 10 /*tenant='acme',x='y'*/ -- prose",
                "SELECT 'b', 7 LIMIT 10 /*tenant='acme',x='z'*/"
            )
            .unwrap(),
            [
                pair("a", "b", false),
                pair("5", "7", false),
                pair("10", "10", true),
                pair("acme", "acme", true),
                pair("y", "z", false)
            ]
        );
        assert_eq!(read("SET app.tenant = acme", "SET app.tenant = 'xyzw'").unwrap(), [pair("acme", "xyzw", false)]);
        assert_eq!(read("SELECT a", "SELECT b"), Err(Differs));
        assert_eq!(read("SELECT 1", "SELECT '1'"), Err(Differs));
        assert_eq!(read("SELECT 1", "SELECT 2 /* prose */"), Err(Differs));
        assert_eq!(
            read("DO $$BEGIN PERFORM f('a'); END$$", "DO $$BEGIN PERFORM f('a'); END$$").unwrap(),
            [pair("a", "a", false)]
        );
    }

    #[test]
    fn patterns_without_words_may_stay() {
        assert!(has_word("^smith$") && !has_word(r"^[a-z]+\d{2,3}$") && !has_word("%s-%s"));
    }
}
