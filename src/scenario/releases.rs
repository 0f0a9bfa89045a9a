//! Which minor releases came out together.
//!
//! Takes an exact version and gives its place in the order of PostgreSQL's release batches. Must not know why it is asked.
//!
//! All supported majors get their minor releases on the same day, so the minors of two majors differ by a constant for as
//! long as both are supported. There is one exception since version 10: 14.4 (June 2022) came out alone. A major's `.0`
//! comes out between two batches and counts with the one before it.

use crate::words::ids::{PgMajor, PgVersion};

/// For each major: what is to be added to a minor to get its batch; batch 1 is that of 10.1.
const FIRST_BATCHES: [(PgMajor, u16); 9] = [
    (PgMajor(10), 0),
    (PgMajor(11), 5),
    (PgMajor(12), 10),
    (PgMajor(13), 14),
    (PgMajor(14), 17),
    (PgMajor(15), 22),
    (PgMajor(16), 26),
    (PgMajor(17), 30),
    (PgMajor(18), 36),
];

/// When the batches came out, from batch 1 on.
const MONTHS: [&str; 42] = [
    "November 2017",
    "February 2018",
    "March 2018",
    "May 2018",
    "August 2018",
    "November 2018",
    "February 2019",
    "May 2019",
    "June 2019",
    "August 2019",
    "November 2019",
    "February 2020",
    "May 2020",
    "August 2020",
    "November 2020",
    "February 2021",
    "May 2021",
    "August 2021",
    "November 2021",
    "February 2022",
    "May 2022",
    "August 2022",
    "November 2022",
    "February 2023",
    "May 2023",
    "August 2023",
    "November 2023",
    "February 2024",
    "May 2024",
    "August 2024",
    "14 November 2024",
    "21 November 2024",
    "13 February 2025",
    "20 February 2025",
    "May 2025",
    "August 2025",
    "November 2025",
    "12 February 2026",
    "26 February 2026",
    "May 2026",
    "August 2026",
    "November 2026",
];

/// A day on which minor releases came out; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batch(u16);

impl Batch {
    /// The batch of a version; none for a major that is not known here.
    pub fn of(version: PgVersion) -> Option<Self> {
        let (_, first) = FIRST_BATCHES.iter().find(|(major, _)| *major == version.major)?;
        // Up to 14.3 the minors of 14 were one behind: 14.4 came out alone.
        let alone = u16::from(version.major == PgMajor(14) && version.minor <= 3);
        Some(Self(first + version.minor + alone))
    }

    /// When it came out, such as `May 2026`; none for a batch later than this program.
    pub fn month(self) -> Option<&'static str> {
        MONTHS.get(usize::from(self.0).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn batch(version: &str) -> Batch {
        Batch::of(version.parse().unwrap()).unwrap()
    }

    #[test]
    fn minors_of_one_day_are_one_batch() {
        for day in [
            "14.23 15.18 16.14 17.10 18.4",
            "13.23 14.20 15.15 16.11 17.7 18.1",
            "12.21 13.17 14.14 15.9 16.5 17.1",
            "11.22 12.17 13.13 14.10 15.5 16.1",
            "10.23 11.18 12.13 13.9 14.6 15.1",
            "10.21 11.16 12.11 13.7 14.3",
            "10.11 11.6 12.1",
        ] {
            let batches: Vec<Batch> = day.split(' ').map(batch).collect();
            assert!(batches.iter().all(|other| *other == batches[0]), "{day}: {batches:?}");
        }
    }

    #[test]
    fn batches_know_their_month() {
        assert_eq!(batch("18.4").month(), Some("May 2026"));
        assert_eq!(batch("15.20").month(), Some("November 2026"));
        assert_eq!(batch("10.1").month(), Some("November 2017"));
        assert_eq!(batch("17.2").month(), Some("21 November 2024"));
        assert_eq!(batch("16.99").month(), None);
        assert!(Batch::of("99.1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_first_release_is_later_than_the_batch_before_it() {
        assert!(batch("18.0") >= batch("17.6") && batch("18.0") < batch("17.7"));
    }
}
