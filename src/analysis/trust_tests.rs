//! Runs whose measurement is not to be trusted, each with the reason that it gets.

use super::attempts::tests::request;
use super::worked_cases::{Run, analysis_of, facts, turns, up};
use crate::facts::RunFacts;
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::timeline::{TimelineEvent, What};
use crate::words::class::SampleClass;

#[test]
fn a_tool_that_was_late_says_so() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up).probes(50, up);
    for sample in run.samples.iter_mut().filter(|sample| sample.kind == SampleKind::Request) {
        sample.sent_us = sample.sent_us.map(|us| us + 30_000);
        sample.done_us += 30_000;
    }
    let reasons = run.findings().trust.reasons;
    let codes: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.limit)).collect();
    assert_eq!(codes, [("generator_late", Some(20_000.0)), ("generator_late", Some(20_000.0))]);
}

#[test]
fn a_tool_without_descriptors_says_so_and_calls_no_server_down() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up).probes(50, up);
    let starved = request(SampleClass::Connect, Outcome::Skipped, 40_000, 40_000);
    run.samples.push(Sample { kind: SampleKind::Connect, tenant: Some(0), ..starved });
    let findings = run.findings();
    let codes: Vec<_> = findings.trust.reasons.iter().map(|reason| (reason.code.as_str(), reason.value)).collect();
    assert_eq!(codes, [("generator_starved", Some(1.0))]);
    assert_eq!(findings.downtime.max_us, Some(0));
}

#[test]
fn a_clock_that_was_set_and_a_capture_with_holes_are_reasons_with_their_numbers() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up).probes(50, up);
    let mut analysis = analysis_of(RunFacts { capture_lost_share: 0.02, ..facts() }, &run.samples);
    for by_us in [-49_000, -51_000, 50_000] {
        analysis.event(&TimelineEvent { at_us: 30_000_000, what: What::ClockStepped { by_us } });
    }
    let reasons = analysis.snapshot().trust.reasons;
    let codes: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.value, reason.limit)).collect();
    let stepped = ("clock_stepped", Some(-51_000.0), Some(50_000.0));
    assert_eq!(codes, [stepped, ("capture_lost", Some(0.02), Some(0.001))]);
}

#[test]
fn other_shards_that_were_not_told_everything_are_a_reason() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up).probes(50, up);
    let mut analysis = analysis_of(facts(), &run.samples);
    let what = What::PhasesUntold { reason: "no space left".into() };
    analysis.event(&TimelineEvent { at_us: 30_000_000, what });
    let reasons = analysis.snapshot().trust.reasons;
    let said: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.text.as_str())).collect();
    assert_eq!(said, [("shards_untold", "the other shards were not told everything: no space left")]);
}
