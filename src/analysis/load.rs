//! Reads a run directory into findings.
//!
//! Takes a directory as the recorder left it, after a kill too: missing files and parts are tolerated, a torn last line
//! is dropped, and the findings say that the run is not complete. Must not know about objectives.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::findings::Findings;
use super::fold::Analysis;
use crate::facts::{self, LedgerEntry, RunFacts, TenantFact, layout};
use crate::samples::sample::Names;
use crate::samples::{SamplesError, parts, read_part};
use crate::timeline::{self, TimelineEvent, What};

/// Why a run directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("\"{}\" is no run directory\ndetail: it has no {}", dir.display(), layout::RUN)]
    NoRun { dir: PathBuf },
    #[error("could not read \"{}\"", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("\"{}\" line {line} is damaged", path.display())]
    Line { path: PathBuf, line: u64, source: serde_json::Error },
    #[error(
        "\"{}\" is of version {found}, and this program reads version {known}\nhint: use the version of pgrehearse that \
         wrote it, or a newer one",
        path.display()
    )]
    Version { path: PathBuf, found: u32, known: u32 },
    #[error("could not list the samples")]
    Samples(#[from] SamplesError),
}

/// Reads the run directory `dir` and gives what was found.
///
/// # Errors
/// When there is no `run.json`, a file cannot be read, is of another version, or is damaged elsewhere than in its last
/// line. A damaged sample file is no error: it is left out, and the findings' trust says so.
pub fn load(dir: &Path) -> Result<Findings, LoadError> {
    let run = dir.join(layout::RUN);
    let facts = run_facts(dir, &run)?;
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
        return Err(LoadError::Version { path: timeline, found, known: timeline::VERSION });
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

fn run_facts(dir: &Path, path: &Path) -> Result<RunFacts, LoadError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LoadError::NoRun { dir: dir.to_owned() });
        }
        Err(source) => return Err(LoadError::Io { path: path.to_owned(), source }),
    };
    let damaged =
        |source: serde_json::Error| LoadError::Line { path: path.to_owned(), line: source.line() as u64, source };
    // The version first: another version may well have other keys.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version != facts::VERSION {
        return Err(LoadError::Version { path: path.to_owned(), found: version, known: facts::VERSION });
    }
    serde_json::from_slice(&text).map_err(damaged)
}

fn collect_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LoadError> {
    let mut values = Vec::new();
    each_line(path, |value| values.push(value))?;
    Ok(values)
}

/// Hands over each line of a file, of which there may be none. A last line without its end was torn by a kill: it is
/// left out.
fn each_line<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> Result<(), LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        reader.read_until(b'\n', &mut text).map_err(io)?;
        if text.pop() != Some(b'\n') {
            break;
        }
        let damaged = |source| LoadError::Line { path: path.to_owned(), line, source };
        take(serde_json::from_slice(&text).map_err(damaged)?);
    }
    Ok(())
}
