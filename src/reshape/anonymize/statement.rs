//! A statement with other values: its literals, what it sets, its comments.
//!
//! Takes a text and gives it with its values mapped, written as they were; everything else stays byte by byte. Must not
//! know where the text comes from.

use std::collections::HashSet;

use super::comment;
use super::kept::{self, Kept};
use super::literal::{read_number, read_string};
use super::pattern;
use super::spots::{Role, Spot, spots};
use super::tally::{Site, Tally};
use super::value::Mapping;

/// Bodies within bodies that are followed; deeper ones are mapped as texts.
const DEPTH_MAX: usize = 8;

/// How statements are rewritten.
pub(super) struct Statements<'a> {
    pub(super) mapping: &'a Mapping,
    /// Whether names are mapped, too.
    pub(super) names: bool,
    /// Tenants that have been seen: a tag that names one is kept where names are.
    pub(super) tenants: &'a HashSet<String>,
}

impl Statements<'_> {
    /// The text with other values.
    pub(super) fn map(&self, text: &str, tally: &mut Tally) -> String {
        self.nested(text, false, DEPTH_MAX, tally)
    }

    fn nested(&self, text: &str, is_body: bool, depth: usize, tally: &mut Tally) -> String {
        let mut pieces: Vec<(usize, usize, String)> = Vec::new();
        for spot in spots(text, is_body) {
            pieces.push((spot.token.start, spot.token.end(), self.spot(&spot, depth, tally)));
            // The first part holds all of the new value.
            let rest = spot.rest.iter().filter(|_| !is_kept(&spot, self.names));
            pieces.extend(rest.map(|part| (part.start, part.end(), "''".to_owned())));
        }
        // A comment may stand between the parts of a string.
        pieces.sort_by_key(|(start, ..)| *start);
        let mut written = String::with_capacity(text.len());
        let mut end = 0;
        for (start, behind, piece) in pieces {
            written.push_str(&text[end..start]);
            written.push_str(&piece);
            end = behind;
        }
        written.push_str(&text[end..]);
        written
    }

    fn spot(&self, spot: &Spot<'_>, depth: usize, tally: &mut Tally) -> String {
        let token = spot.token.text;
        if is_kept(spot, self.names) {
            if !matches!(spot.role, Role::Parameter(_)) {
                tally.keep(spot.kept.map_or(kept::OPTION, |kept| kept.class));
            }
            return token.to_owned();
        }
        tally.site = Site::Literal;
        match spot.role {
            Role::Parameter(_) => token.to_owned(),
            Role::Comment => comment::map(token, self, tally),
            Role::Number => {
                let (notation, value) = read_number(token);
                notation.write(&self.mapping.text(&value, tally))
            }
            Role::SetWord | Role::Name => {
                tally.site = if spot.role == Role::SetWord { Site::SetValue } else { Site::Name };
                let word = spot.token.identifier();
                let value = word.clone().unwrap_or_else(|| spot.string());
                let image = self.mapping.text(&value, tally);
                match word {
                    // In quotes the image is none of SQL's own words.
                    Some(_) => format!("'{}'", image.replace('\'', "''")),
                    None => read_string(token, spot.escape).0.write(&image),
                }
            }
            Role::String | Role::Date | Role::Pattern | Role::Format | Role::Body => {
                let (quoting, _) = read_string(token, spot.escape);
                quoting.write(&self.string(spot.role, &spot.string(), depth, tally))
            }
        }
    }

    fn string(&self, role: Role, value: &str, depth: usize, tally: &mut Tally) -> String {
        match role {
            Role::Body if depth > 0 => self.nested(value, true, depth - 1, tally),
            Role::Pattern => pattern::map_expression(value, self.mapping, tally),
            Role::Format => pattern::map_format(value, self.mapping, tally),
            // A zone, BC and their like behind a date say when on that day.
            Role::Date if starts_with_date(value) => {
                let (date, rest) = value.split_at(DATE_BYTES);
                self.mapping.text(date, tally) + rest
            }
            Role::Date if self.mapping.text(value, &mut ()) != value => {
                tally.keep(kept::DATE_WORDS);
                value.to_owned()
            }
            _ => self.mapping.text(value, tally),
        }
    }
}

const DATE_BYTES: usize = 10;

/// Whether a text begins with `2026-01-31`.
pub(super) fn starts_with_date(text: &str) -> bool {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let is_dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    (0..4).all(is_digit) && is_dash(4) && (5..7).all(is_digit) && is_dash(7) && (8..10).all(is_digit)
}

/// Whether a literal, comment or name stays for where it stands.
pub(super) fn is_kept(spot: &Spot<'_>, names: bool) -> bool {
    let Some(kept) = spot.kept else { return false };
    match spot.role {
        Role::Name => !names,
        Role::Number => true,
        _ => !kept.only_numbers,
    }
}

/// Whether a value stays that is bound to a parameter for which this holds.
pub(super) fn is_kept_value(kept: Kept, value: &str) -> bool {
    let number = value.trim().trim_start_matches(['+', '-']);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    !kept.only_numbers || is_number
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
