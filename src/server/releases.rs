//! Which of two exact versions was released first.
//!
//! PostgreSQL releases minors of all supported majors together, every quarter, so versions of different majors can be
//! compared by their batch. Pure. Must not know why it matters: a server may store what only targets of its own batch or
//! a later one can read, and `pg_upgrade --check` does not notice.

use crate::words::ids::{PgMajor, PgVersion};

/// For each major the minor of the batch of May 2026, or the one that it would have had if it had been supported so
/// long. Source: the release notes; every batch since 10.23 adds one to each minor.
const BATCH_OF_MAY_2026: [(PgMajor, i32); 9] = [
    (PgMajor(10), 40),
    (PgMajor(11), 35),
    (PgMajor(12), 30),
    (PgMajor(13), 26),
    (PgMajor(14), 23),
    (PgMajor(15), 18),
    (PgMajor(16), 14),
    (PgMajor(17), 10),
    (PgMajor(18), 4),
];

/// The batch of a version relative to that of May 2026. A `.0` counts as the batch before it, since it is released
/// between two. Unknown for later majors.
fn batch(version: PgVersion) -> Option<i32> {
    let (_, reference) = BATCH_OF_MAY_2026.into_iter().find(|(major, _)| *major == version.major)?;
    let batch = i32::from(version.minor) - reference;
    // 14.4 was released alone, between two batches: up to 14.3 the count lags by one.
    let before_lone_release = version.major == PgMajor(14) && version.minor < 4;
    Some(batch + i32::from(before_lone_release))
}

/// Whether `target` was released in an earlier batch than `source`; `None` where that is not known.
pub fn is_older_than(target: PgVersion, source: PgVersion) -> Option<bool> {
    Some(batch(target)? < batch(source)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn older(target: &str, source: &str) -> Option<bool> {
        is_older_than(target.parse().unwrap(), source.parse().unwrap())
    }

    #[test]
    fn batches_are_compared_across_majors() {
        // May 2026 against November 2026: the pair that --check passes and the restore dies of.
        assert_eq!(older("18.4", "15.20"), Some(true));
        assert_eq!(older("18.4", "15.18"), Some(false));
        assert_eq!(older("18.4", "16.14"), Some(false));
        // 21 November 2024.
        assert_eq!(older("17.2", "12.22"), Some(false));
        assert_eq!(older("17.1", "12.22"), Some(true));
        // 10 February 2022, before the lone 14.4.
        assert_eq!(older("14.2", "13.6"), Some(false));
        assert_eq!(older("14.1", "13.6"), Some(true));
    }

    #[test]
    fn a_first_release_is_later_than_the_batch_before_it() {
        assert_eq!(older("17.0", "16.4"), Some(false));
        assert_eq!(older("17.0", "16.5"), Some(true));
    }

    #[test]
    fn unknown_majors_are_not_judged() {
        assert_eq!(older("42.1", "18.4"), None);
    }
}
