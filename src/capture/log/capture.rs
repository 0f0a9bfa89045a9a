//! The whole way from log files to a workload file.
//!
//! Takes plain options and gives a report; the workload stands under its name only if all of it does. Must not know the
//! command line.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::super::destination;
use super::super::error::CaptureError;
use super::super::logged;
use super::super::output::{self, Naming};
use super::super::report::CaptureReport;
use super::super::sort::Sorter;
use super::ahead::By;
use super::assembler::{Assembled, Assembler};
use super::decoder::Found;
use super::format::LogFormat;
use super::line_prefix::LinePrefix;
use super::source::{self, Journey, look_at};
use super::tally::{Reason, Tally};
use crate::tenant::{Mapping, Rules};
use crate::workload::KnownMarks;
use crate::workload::record::Source;

/// What to capture.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Log files in any order; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// The workload: `.jsonl`, or `.jsonl.zst` to compress it. Temporary files lie beside it.
    pub output: PathBuf,
    pub format: LogFormat,
    /// The `log_line_prefix` of stderr and syslog, where it is not to be found out.
    pub prefix: Option<LinePrefix>,
    pub tenant_rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// How far a capture is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub read_bytes: u64,
    /// 0 where a size is not known, as of standard input.
    pub total_bytes: u64,
    /// Requests found so far.
    pub requests: u64,
}

/// Captures server logs into a workload. `progress` is called for about every MiB read.
///
/// # Errors
/// An input that cannot be read or is no server log; a log without a single statement; an output that cannot be written.
pub fn capture(options: &CaptureOptions, mut progress: impl FnMut(Progress)) -> Result<CaptureReport, CaptureError> {
    let inputs = look_at(&options.inputs, options.format, options.prefix.as_ref())?;
    destination::check(&options.output, &options.inputs)?;
    let total_bytes = inputs.iter().map(source::Source::size_bytes).sum();
    let mut known = KnownMarks::default();
    let sorter = Sorter::new(destination::directory_of(&options.output))
        .preparing(Box::new(move |stored| logged::mark(stored, &mut known)));
    let assembler = Assembler::new(options.tenant_rules.clone(), sorter);
    let mut reading = Reading::new(assembler, destination::directory_of(&options.output), By::Thread);
    for (at, input) in inputs.iter().enumerate() {
        reading.read(input, inputs.get(at + 1), |read_bytes, requests| {
            progress(Progress { read_bytes, total_bytes, requests })
        })?;
    }
    let Reading { assembler, sources, lines, .. } = reading;
    let assembled = assembler.finish().map_err(|source| CaptureError::Temporary { source })?;
    if assembled.counts.requests() == 0 {
        return Err(no_statements(lines, &assembled));
    }
    let mut report = report(&assembled, sources, lines);
    let Assembled { events, tenants, server_version, longest, .. } = assembled;
    let refuse = |cut| longest.may_be_cut(cut).then_some(Reason::ParameterCut.name());
    let naming = Naming { captured: &tenants, rules: &options.tenant_rules, mapping: options.tenants.as_ref() };
    output::write(events, &naming, server_version, refuse, &mut report, &options.output)?;
    Ok(report)
}

/// Reads the logs of `options` into events and forgets them: what the benchmark of reading calls. Gives the number
/// of requests.
///
/// # Errors
/// An input that cannot be read or is no server log.
pub fn assemble(options: &CaptureOptions) -> Result<u64, CaptureError> {
    let inputs = look_at(&options.inputs, options.format, options.prefix.as_ref())?;
    let assembler = Assembler::new(options.tenant_rules.clone(), Sorter::discarding());
    let mut reading = Reading::new(assembler, destination::directory_of(&options.output), By::Caller);
    for (at, input) in inputs.iter().enumerate() {
        reading.read(input, inputs.get(at + 1), |_, _| {})?;
    }
    let assembled = reading.assembler.finish().map_err(|source| CaptureError::Temporary { source })?;
    Ok(assembled.counts.requests())
}

/// What is carried from file to file.
struct Reading {
    assembler: Assembler,
    journey: Journey,
    sources: Vec<Source>,
    read_bytes: u64,
    lines: u64,
}

impl Reading {
    fn new(assembler: Assembler, directory: &Path, by: By) -> Self {
        Self { assembler, journey: Journey::new(directory, by), sources: Vec::new(), read_bytes: 0, lines: 0 }
    }

    fn read(
        &mut self,
        input: &source::Source,
        next: Option<&source::Source>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), CaptureError> {
        let index = self.sources.len() as u16;
        let Self { assembler, journey, read_bytes, .. } = self;
        let requests = Cell::new(assembler.counts().requests());
        let report_read = |bytes| {
            *read_bytes += bytes;
            progress(*read_bytes, requests.get());
        };
        let mut give = |found: Found<'_>| {
            take(assembler, found)?;
            requests.set(assembler.counts().requests());
            Ok(())
        };
        let source::ReadSource { sha256, lines } = input.read(index, next, journey, report_read, &mut give)?;
        self.lines += lines;
        self.sources.push(Source { file: input.name.clone(), sha256, kind: input.kind().to_owned() });
        Ok(())
    }
}

/// Gives what was found to the assembler.
///
/// # Errors
/// A temporary file cannot be written.
pub fn take(assembler: &mut Assembler, found: Found<'_>) -> Result<(), CaptureError> {
    match found {
        Found::Entry { entry, zone_unknown } => {
            assembler.tally().unknown_zone += u64::from(zone_unknown);
            assembler.push(entry).map_err(|source| CaptureError::Temporary { source })?;
        }
        Found::Skipped(reason, at) => assembler.tally().skip(reason, at),
        Found::SqlStateInferred { is_known: true } => assembler.tally().inferred_sqlstates += 1,
        Found::SqlStateInferred { is_known: false } => assembler.tally().unknown_sqlstates += 1,
    }
    Ok(())
}

fn report(assembled: &Assembled, sources: Vec<Source>, lines: u64) -> CaptureReport {
    let Assembled { counts, tally, .. } = assembled;
    CaptureReport {
        sources,
        lines,
        unit: "lines",
        skipped: tally.skipped_by_name(),
        set_aside: tally.aside_by_name().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        fastest_us: counts.fastest_us,
        without_parameters: tally.without_parameters,
        inferred_sqlstates: tally.inferred_sqlstates,
        unknown_sqlstates: tally.unknown_sqlstates,
        unknown_zone: tally.unknown_zone,
        ..CaptureReport::of(counts)
    }
}

/// Says what a log without statements holds, and what has to be switched on.
fn no_statements(lines: u64, assembled: &Assembled) -> CaptureError {
    let Assembled { counts, tally, .. } = assembled;
    let aside = tally.aside_by_name();
    let skipped = tally.skipped_by_name();
    let kinds = aside.iter().map(|(name, count)| format!("{count} {name}"));
    let skips = skipped.iter().map(|(name, skipped)| format!("{} {name}", skipped.count));
    let seen: Vec<_> = kinds.chain(skips).collect();
    let seen = match seen.is_empty() {
        true => "the log is empty".to_owned(),
        false => format!("{} entries: {}", counts.entries, seen.join(", ")),
    };
    CaptureError::NoStatements { lines, seen, hint: what_to_switch_on(tally).to_owned() }
}

fn what_to_switch_on(tally: &Tally) -> &'static str {
    if tally.skipped(Reason::ParametersMissing) > 0 {
        return "set log_parameter_max_length = -1, so that parameters are logged";
    }
    "set log_min_duration_statement = 0 (or log_statement = 'all'), log_connections = on and log_disconnections = on, \
     with lc_messages in English"
}
