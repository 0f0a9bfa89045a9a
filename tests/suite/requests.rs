//! What a run directory says of single requests.
//!
//! Takes the directory and gives samples; checks that each request is booked once.

use std::path::Path;

use pgrehearse::samples::sample::{Names, Sample, SampleKind};
use pgrehearse::samples::{parts, read_part};

use crate::bench::Ran;

/// The samples of a run's requests, in the order of the capture.
pub fn requests(dir: &Path) -> Vec<Sample> {
    samples(dir, SampleKind::Request)
}

/// A run's samples of one kind, in the order of the capture.
pub fn samples(dir: &Path, kind: SampleKind) -> Vec<Sample> {
    let (mut names, mut samples) = (Names::default(), Vec::new());
    for part in parts(&dir.join("samples")).unwrap() {
        read_part(&part, &mut names, |sample| samples.push(sample)).unwrap();
    }
    samples.retain(|sample| sample.kind == kind);
    samples.sort_by_key(|sample| sample.event);
    samples
}

/// Every request up to the last that was offered has one sample, with one outcome, and the report counts those of its
/// phases.
///
/// # Panics
/// When it is not so.
pub fn assert_booked_once(ran: &Ran) {
    let booked: Vec<u64> = requests(&ran.dir).iter().map(|sample| sample.event).collect();
    let first = booked[0];
    assert!(booked.iter().zip(first..).all(|(&event, wanted)| event == wanted), "{booked:?}");
    for tenant in ran.report()["tenants"].as_array().unwrap() {
        let counts = tenant["requests"].as_object().unwrap();
        let offered = counts["offered"].as_u64().unwrap();
        let outcomes = counts.iter().filter(|(name, _)| *name != "offered").map(|(_, count)| count.as_u64().unwrap());
        assert_eq!(outcomes.sum::<u64>(), offered, "{counts:?}");
    }
}
