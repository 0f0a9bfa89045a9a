//! Anonymising a workload: written beside its final name, checked, and only then given its name.
//!
//! Takes files and a mapping; gives a report. Must not print.

use std::path::PathBuf;

use super::check::{Rules, check};
use super::edit::Anonymizer;
use super::parameters::Unknown;
use super::report::AnonymizeReport;
use super::value::Mapping;
use crate::reshape::error::ReshapeError;
use crate::reshape::rewrite::{Origin, Rewriter, refuse_same_file};
use crate::workload::record::{Header, Record, Source};
use crate::workload::{Reader, WriteError};

/// What to do.
#[derive(Debug)]
pub struct AnonymizeOptions {
    pub input: PathBuf,
    pub output: PathBuf,
    pub mapping: Mapping,
    /// Values that stay, whatever their case: as the mapping has them.
    pub allowed: Vec<String>,
    /// Whether names of databases, users, applications and tenants are mapped, too.
    pub names: bool,
    /// Whether the mapping leaves dates as they are.
    pub keeps_dates: bool,
    pub unknown: Unknown,
}

/// Writes the workload with other values, if the check of it finds nothing.
///
/// # Errors
/// The input cannot be read or holds what cannot be mapped, or the output cannot be written. Nothing stands under its name
/// then.
pub fn anonymize(options: &AnonymizeOptions) -> Result<AnonymizeReport, ReshapeError> {
    refuse_same_file(&options.output, &[&options.input])?;
    let failed = |source| ReshapeError::Write(WriteError::Create { file: options.output.clone(), source });
    let parent = options.output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = tempfile::Builder::new()
        .prefix(".pgrehearse-anonymize-")
        .tempdir_in(parent.unwrap_or_else(|| std::path::Path::new(".")))
        .map_err(failed)?;
    let name = options.output.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidFilename.into()))?;
    let written = directory.path().join(name);

    let mut reader = Reader::open(&options.input)?;
    let mut rewriter = Rewriter::create(&written, &[&options.input], &header(reader.header()))?;
    let mut edit = Anonymizer::new(&options.mapping, options.names, options.unknown);
    let mut origin = Origin::alone();
    while let Some((line, record)) = reader.next_record()? {
        edit.line = line;
        if let Record::Sql(sql) = &record {
            edit.redefine(sql.id);
        }
        rewriter.copy(record, &reader, &mut origin, &mut edit)?;
    }
    let end = rewriter.finish()?;
    let allowed = options.allowed.iter().map(|value| value.to_lowercase()).collect();
    let rules = Rules { allowed: &allowed, names: options.names, keeps_dates: options.keeps_dates };
    let report = AnonymizeReport { end, tally: edit.tally, check: check(&options.input, &written, &rules)? };
    if report.passed() {
        std::fs::rename(&written, &options.output).map_err(failed)?;
    }
    Ok(report)
}

/// The header without what tells where the workload is from.
fn header(header: &Header) -> Header {
    let source = |(number, source): (usize, &Source)| Source {
        file: format!("source-{}", number + 1),
        sha256: "0".repeat(64),
        kind: source.kind.clone(),
    };
    Header { sources: header.sources.iter().enumerate().map(source).collect(), ..header.clone() }
}
