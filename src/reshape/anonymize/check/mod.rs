//! The check: that no place of the written workload has the value that it had, and that no text of eight characters or more
//! of the old one stands anywhere among the values of the new one.
//!
//! Takes both workloads as files and reads them side by side; gives what it found. It goes by the rules for places
//! (`spots`), which say where values stand, and never by the mapping: what may stay it judges by rules of its own
//! (`listed`).

mod compare;
mod listed;
mod search;
mod statement;
mod values;
mod walk;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use search::{Candidates, Originals, Sought};
use walk::{Place, walk};

use super::tally::Site;
use crate::reshape::error::ReshapeError;

/// Leaks that are shown with their places.
const SHOWN_MAX: usize = 10;

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckReport {
    /// Places that have another value.
    pub changed: u64,
    /// Places that have the same value, by the class that it belongs to.
    pub same: BTreeMap<&'static str, u64>,
    /// Places that have the same value and should not.
    pub leaks: u64,
    /// The first of them: line of the written workload, and what kind of place it is.
    pub first_leaks: Vec<(u64, &'static str)>,
    /// Different texts of eight characters or more, each with a letter, that were looked for.
    pub sought: u64,
    /// How often one of them stands in the new workload.
    pub found: u64,
    pub first_found: Vec<(u64, &'static str)>,
    /// How often chance alone would put one there: short texts have few others.
    pub by_chance: f64,
}

impl CheckReport {
    /// Whether nothing was found that chance does not explain.
    pub fn passed(&self) -> bool {
        self.leaks == 0 && self.found as f64 <= self.tolerated()
    }

    /// Finds that chance explains: none where fewer than a hundredth is expected.
    fn tolerated(&self) -> f64 {
        if self.by_chance < 0.01 { 0.0 } else { 4.0 + 4.0 * self.by_chance }
    }

    fn take(&mut self, place: &Place<'_>, rules: &Rules<'_>) {
        if place.left != place.right {
            self.changed += 1;
            return;
        }
        match place.stays.or_else(|| listed::class(place.left, rules.allowed)) {
            Some(class) => *self.same.entry(class).or_default() += 1,
            None => {
                self.leaks += 1;
                push_first(&mut self.first_leaks, place);
            }
        }
    }
}

fn push_first(first: &mut Vec<(u64, &'static str)>, place: &Place<'_>) {
    if first.len() < SHOWN_MAX {
        first.push((place.line, place.site.name()));
    }
}

/// What may stay.
pub(super) struct Rules<'a> {
    /// In lower case.
    pub(super) allowed: &'a HashSet<String>,
    pub(super) names: bool,
    pub(super) keeps_dates: bool,
}

/// Compares the workload `right` with the one that it was made of. Memory is bounded: texts are looked for by hashes in a
/// filter of fixed size, and only those that may have been found are held.
///
/// # Errors
/// A workload cannot be read, or the two are not request by request the same.
pub(super) fn check(left: &Path, right: &Path, rules: &Rules<'_>) -> Result<CheckReport, ReshapeError> {
    let mut report = CheckReport::default();
    let mut originals = Originals::default();
    walk(left, right, rules, &mut |place| {
        report.take(place, rules);
        if is_sought(place, rules) {
            originals.add(place.left);
        }
    })?;
    let mut candidates = Candidates::default();
    walk(left, right, rules, &mut |place| {
        if is_searched(place) {
            candidates.look(place.right, &originals);
        }
    })?;
    (report.sought, report.by_chance) = (originals.count(), originals.by_chance(candidates.characters()));
    if candidates.is_empty() {
        return Ok(report);
    }
    let mut sought = Sought::new(candidates);
    walk(left, right, rules, &mut |place| {
        if is_sought(place, rules) {
            sought.add(place.left);
        }
    })?;
    walk(left, right, rules, &mut |place| {
        let found = if is_searched(place) { sought.count_in(place.right) } else { 0 };
        report.found += found;
        if found > 0 {
            push_first(&mut report.first_found, place);
        }
    })?;
    Ok(report)
}

/// Whether the old value of a place is looked for: a text with a letter that may not stay. Numbers and dates are others'
/// images by their nature, since they are permuted among themselves.
fn is_sought(place: &Place<'_>, rules: &Rules<'_>) -> bool {
    place.stays.is_none()
        && place.left.chars().any(char::is_alphabetic)
        && place.left.chars().nth(search::CHARACTERS_MIN - 1).is_some()
        && listed::class(place.left, rules.allowed).is_none()
}

/// Whether texts are looked for in the new value of a place.
fn is_searched(place: &Place<'_>) -> bool {
    place.stays.is_none() || place.site == Site::CommentTag
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
