//! Reads a run directory into findings.
//!
//! Takes a directory as the recorder left it, after a kill too: missing files and parts are tolerated, a torn last line
//! is dropped, and the findings say that the run is not complete. Must not know about objectives.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::findings::Findings;
use super::fold::Analysis;
use crate::facts::{LedgerEntry, TenantFact, layout};
use crate::record::{Lines, ReadError, read_facts};
use crate::samples::sample::Names;
use crate::samples::{SamplesError, parts, read_part};
use crate::timeline::{self, TimelineEvent, What};

/// Why a run directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("could not list the samples")]
    Samples(#[from] SamplesError),
}

/// Reads the run directory `dir` and gives what was found.
///
/// # Errors
/// When there is no `run.json`, a file cannot be read, is of another version, or is damaged elsewhere than in its last
/// line. A damaged sample file is no error: it is left out, and the findings' trust says so.
pub fn load(dir: &Path) -> Result<Findings, LoadError> {
    let facts = read_facts(dir)?;
    let tenants: Vec<TenantFact> = collect_lines(&dir.join(layout::TENANTS))?;
    let statements = collect_lines(&dir.join(layout::STATEMENTS))?;
    let mut names = Names {
        tenants: tenants.iter().map(|fact| fact.tenant.clone()).collect(),
        databases: facts.databases.clone(),
        endpoints: facts.endpoints.clone(),
    };
    let mut analysis = Analysis::new(facts, tenants, statements);

    let timeline = dir.join(layout::TIMELINE);
    let mut other_version = None;
    each_line(&timeline, |event: TimelineEvent| {
        if let What::RunStarted { version } = event.what {
            other_version = (version != timeline::VERSION).then_some(version);
        }
        analysis.event(&event);
    })?;
    if let Some(found) = other_version {
        return Err(ReadError::Version { path: timeline, found, known: timeline::VERSION }.into());
    }
    each_line(&dir.join(layout::LEDGER), |entry: LedgerEntry| analysis.ledger(&entry))?;
    for part in parts(&dir.join(layout::SAMPLES))? {
        match read_part(&part, &mut names, |sample| analysis.push(sample)) {
            Ok(()) => (),
            Err(SamplesError::Version { path, found }) => return Err(SamplesError::Version { path, found }.into()),
            Err(_) => analysis.part_damaged(),
        }
    }
    analysis.add_tenants(&names.tenants);
    Ok(analysis.snapshot())
}

fn collect_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReadError> {
    Lines::open(path)?.collect()
}

fn each_line<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> Result<(), ReadError> {
    Lines::open(path)?.try_for_each(|line| line.map(&mut take))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write;
    use std::sync::Arc;

    use super::super::attempts::tests::request;
    use super::super::worked_cases::facts;
    use super::*;
    use crate::samples::sample::{Outcome, Sample};
    use crate::samples::{PartWriter, part_path};
    use crate::timeline::Phase;
    use crate::words::class::SampleClass;

    /// A run directory as a kill in the upgrade leaves it: no last line, a torn one, an open part.
    fn killed() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write(layout::RUN, serde_json::to_string(&facts()).unwrap());
        write(layout::TENANTS, "{\"tenant\":\"acme\",\"tier\":null,\"region\":null,\"databases\":[\"app\"]}\n".into());
        let mut timeline = String::new();
        let events = [
            (0, What::RunStarted { version: 1 }),
            (0, What::PhaseStarted { phase: Phase::Before }),
            (5_000_000, What::PhaseEnded { phase: Phase::Before }),
            (5_000_000, What::PhaseStarted { phase: Phase::Upgrade }),
            (5_000_100, What::StepStarted { step: 0, parent: None, name: "stop".into() }),
        ];
        for (at_us, what) in events {
            writeln!(timeline, "{}", serde_json::to_string(&TimelineEvent { at_us, what }).unwrap()).unwrap();
        }
        timeline.push_str("{\"at_us\":5000200,\"event\":\"step_en");
        write(layout::TIMELINE, timeline);
        write(
            layout::LEDGER,
            "{\"entry\":\"written\",\"database\":\"app\",\"id\":1,\"outcome\":\"acknowledged\"}\n{\"entry\"".into(),
        );

        let samples = dir.path().join(layout::SAMPLES);
        std::fs::create_dir(&samples).unwrap();
        let names = Names {
            tenants: vec!["acme".into(), "globex".into()],
            databases: vec!["app".into()],
            endpoints: vec!["primary".into()],
        };
        let mut part = PartWriter::create(&part_path(&samples, 0), Arc::new(names)).unwrap();
        for at_ms in (0..8_000).step_by(100) {
            let (class, outcome) = match at_ms {
                0..6_000 => (SampleClass::Read, Outcome::Ok),
                _ => (SampleClass::Read, Outcome::Failed),
            };
            part.push(Sample { tenant: Some(1), ..request(class, outcome, at_ms, at_ms + 1) }).unwrap();
        }
        part.close().unwrap();
        std::fs::write(samples.join("part-00001.parquet.tmp"), "PAR1").unwrap();
        dir
    }

    #[test]
    fn what_a_killed_run_measured_can_still_be_read() {
        let findings = load(killed().path()).unwrap();
        assert!(!findings.run.complete);
        assert_eq!(findings.steps[0].name, "stop");
        assert_eq!(findings.steps[0].ended_us, None);
        let globex = &findings.tenants[1];
        assert_eq!((findings.tenants.len(), globex.tenant.as_str()), (2, "globex"), "the samples know one tenant more");
        assert_eq!(globex.read.downtime.downtime_us, Some(1_901_000));
        assert!(globex.read.windows[0].open);
        assert_eq!((findings.writes.acknowledged, findings.writes.lost), (Some(1), None));
        let codes: Vec<&str> = findings.trust.reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(codes, ["run_incomplete", "phase_missing", "probes_missing"]);
    }

    #[test]
    fn a_damaged_part_is_left_out_and_said() {
        let dir = killed();
        std::fs::write(part_path(&dir.path().join(layout::SAMPLES), 7), "PAR1 or so").unwrap();
        let findings = load(dir.path()).unwrap();
        assert!(findings.trust.reasons.iter().any(|reason| reason.code == "samples_damaged"));
        assert_eq!(findings.requests.offered, 80);
    }

    #[test]
    fn a_directory_that_is_no_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is no run directory") && error.contains("it has no run.json"), "{error}");
    }

    #[test]
    fn a_damaged_line_is_named_with_its_number() {
        let dir = killed();
        std::fs::write(dir.path().join(layout::TENANTS), "{}\n").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().ends_with("tenants.jsonl\" line 1 is damaged"));
    }

    #[test]
    fn another_version_is_refused_before_its_keys_are_read() {
        let dir = killed();
        std::fs::write(dir.path().join(layout::RUN), "{\"version\":2}").unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, LoadError::Read(ReadError::Version { found: 2, known: 1, .. })), "{error}");
    }
}
