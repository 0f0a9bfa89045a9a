//! What a capture found, for a person.
//!
//! Takes counts and gives text for one screen. Must not know how they were counted.

use std::collections::BTreeMap;
use std::fmt;

use super::sequence::Counts;
use crate::tenant::TenantTable;
use crate::workload::record::{Skipped, Source};

/// What a capture found.
#[derive(Clone, Debug, Default)]
pub struct CaptureReport {
    pub sources: Vec<Source>,
    pub lines: u64,
    /// What `lines` counts: lines of a log, or packets.
    pub unit: &'static str,
    pub sessions: u64,
    pub began_before_capture: u64,
    /// Simple queries.
    pub simple: u64,
    /// Executions by the extended protocol.
    pub extended: u64,
    /// Requests that failed in the capture.
    pub failed: u64,
    /// From the first event to the last, microseconds.
    pub span_us: u64,
    /// Filled in as the workload is written.
    pub tenants: TenantTable,
    /// By reason.
    pub skipped: BTreeMap<String, Skipped>,
    /// Log entries that are understood and no request, by kind.
    pub set_aside: Vec<(String, u64)>,
    /// Of the requests that succeeded and whose duration the log holds.
    pub fastest_us: Option<u64>,
    /// Failed requests whose parameters the log does not hold.
    pub without_parameters: u64,
    /// Errors whose SQLSTATE was told by their words, since the log does not hold it.
    pub inferred_sqlstates: u64,
    /// Errors whose SQLSTATE nothing told: they stand as XX000.
    pub unknown_sqlstates: u64,
    /// Entries in a time zone that nothing tells the offset of.
    pub unknown_zone: u64,
}

/// Every workload has statements faster than this, if all are logged.
const FASTEST_USUAL_US: u64 = 5_000;

impl CaptureReport {
    /// What was counted on the way to the workload; the rest is still to be told.
    pub(super) fn of(counts: &Counts) -> Self {
        let Counts { sessions, began_before_capture, simple, extended, failed, .. } = *counts;
        Self { sessions, began_before_capture, simple, extended, failed, ..Self::default() }
    }

    /// Executions in the workload: simple queries and extended executions.
    pub fn executions(&self) -> u64 {
        self.simple + self.extended
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fastest_us) = self.fastest_us.filter(|fastest_us| *fastest_us >= FASTEST_USUAL_US) {
            let fastest_ms = fastest_us as f64 / 1e3;
            writeln!(
                f,
                "note: the fastest execution took {fastest_ms:.1} ms; were faster ones left out of the log?\n\
                 hint: log_min_duration_statement = 0 logs them all"
            )?;
        }
        if self.without_parameters > 0 {
            writeln!(
                f,
                "note: {} failed executions are kept without their parameters, which the log does not hold\n\
                 hint: log_parameter_max_length_on_error = -1 logs them",
                self.without_parameters
            )?;
        }
        if self.inferred_sqlstates + self.unknown_sqlstates > 0 {
            writeln!(
                f,
                "note: the SQLSTATE of {} errors was told by their wording, of {} it is not known and stands as XX000\n\
                 hint: %e in log_line_prefix logs it",
                self.inferred_sqlstates, self.unknown_sqlstates
            )?;
        }
        if self.unknown_zone > 0 {
            writeln!(f, "note: {} entries are in an unknown time zone, taken as UTC", self.unknown_zone)?;
        }
        Ok(())
    }

    fn place(&self, skipped: &Skipped) -> String {
        let file = self.sources.get(usize::from(skipped.first.0)).map_or("?", |source| source.file.as_str());
        format!("{file}:{}", skipped.first.1)
    }
}

impl fmt::Display for CaptureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span_s = self.span_us as f64 / 1e6;
        writeln!(f, "sources     {} ({} {})", self.sources.len(), self.lines, self.unit)?;
        writeln!(f, "sessions    {} ({} began before the capture)", self.sessions, self.began_before_capture)?;
        let rate = self.executions() as f64 / span_s.max(1e-6);
        writeln!(f, "executions  {} in {span_s:.1} s, {rate:.1}/s", self.executions())?;
        writeln!(f, "            {} simple, {} extended, {} failed", self.simple, self.extended, self.failed)?;
        write!(f, "{}", self.tenants)?;
        if self.skipped.is_empty() {
            writeln!(f, "skipped     nothing")?;
        } else {
            writeln!(f, "skipped")?;
        }
        for (reason, skipped) in &self.skipped {
            writeln!(f, "  {:>10}  {reason}, first at {}", skipped.count, self.place(skipped))?;
        }
        if !self.set_aside.is_empty() {
            writeln!(f, "set aside")?;
        }
        for (kind, count) in &self.set_aside {
            writeln!(f, "  {count:>10}  {kind}")?;
        }
        self.write_notes(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_in_and_what_is_not() {
        let report = CaptureReport {
            sources: vec![Source { file: "pg.csv".into(), sha256: String::new(), kind: "csvlog".into() }],
            lines: 20,
            unit: "lines",
            sessions: 2,
            began_before_capture: 1,
            simple: 6,
            extended: 2,
            failed: 1,
            span_us: 4_000_000,
            tenants: TenantTable {
                rules: "schema".into(),
                tenants: vec![("acme".into(), 6)],
                executions_without: 2,
                executions_not_in_file: None,
            },
            skipped: BTreeMap::from([(
                "line that is no log entry".into(),
                Skipped { count: 3, first: (0, 7), lost: 0 },
            )]),
            set_aside: vec![("parse and bind".into(), 4)],
            fastest_us: Some(150_000),
            without_parameters: 0,
            inferred_sqlstates: 0,
            unknown_sqlstates: 0,
            unknown_zone: 0,
        };
        let text = report.to_string();
        for line in [
            "executions  8 in 4.0 s, 2.0/s",
            "tenants     1 (by schema)",
            "  acme                                        6   75.0 %",
            "  without a tenant                            2   25.0 %",
            "           3  line that is no log entry, first at pg.csv:7",
            "note: the fastest execution took 150.0 ms; were faster ones left out of the log?",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }
}
