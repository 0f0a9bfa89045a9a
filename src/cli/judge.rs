//! `report` and `gate`, and what `run` ends with: a run directory judged.
//!
//! Takes a run directory, gives a report and its exit code. Everything comes from the directory alone.

use std::error::Error;
use std::path::Path;

use super::args::{Gate, Report, ReportFormat};
use super::{Ended, show};
use crate::report::{self, Colour, Format};
use crate::words::exit::ExitCode;
use crate::{analysis, objective, verdict};

/// A judged run.
pub(super) struct Judged {
    pub report: report::model::Report,
    pub code: ExitCode,
}

/// Judges a run directory by its scenario's objectives, or by others where some are given.
///
/// # Errors
/// When it is no run directory, cannot be read, or an objective is not understood.
pub(super) fn judge(dir: &Path, others: &[String]) -> Result<Judged, Box<dyn Error>> {
    let findings = analysis::load(dir)?;
    let texts = if others.is_empty() { &findings.run.rules.objectives } else { others };
    let written = texts
        .iter()
        .map(|text| objective::parse(text).map_err(|error| not_understood(text, &error)))
        .collect::<Result<Vec<_>, _>>()?;
    let verdict = verdict::decide(&findings, &objective::with_defaults(written));
    Ok(Judged { code: verdict.exit, report: report::build(&findings, &verdict) })
}

fn not_understood(text: &str, error: &objective::ObjectiveError) -> String {
    let hint = error.hint.as_ref().map_or(String::new(), |hint| format!("\nhint: {hint}"));
    let character = text.get(..error.at.start).unwrap_or(text).chars().count() + 1;
    format!("{error} in the objective \"{text}\"\ndetail: at character {character} of it{hint}")
}

/// Carries out `report`.
pub(super) fn carry_out_report(typed: &Report) -> Ended {
    let Judged { report, code } = judge(&typed.dir, &[])?;
    let format = match typed.format {
        ReportFormat::Text if typed.output.is_none() => Format::Text(colour()),
        ReportFormat::Text => Format::Text(Colour::Never),
        ReportFormat::Json => Format::Json,
        ReportFormat::Html => Format::Html,
        ReportFormat::Markdown => Format::Markdown,
        ReportFormat::Junit => Format::Junit,
    };
    let text = report::render(&report, format)?;
    match &typed.output {
        None => show::result(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|error| format!("cannot write \"{}\": {error}", path.display()))?;
        }
    }
    Ok(code)
}

/// Carries out `gate`.
pub(super) fn carry_out_gate(typed: &Gate) -> Ended {
    let Judged { report, code } = judge(&typed.dir, &typed.objectives)?;
    show::result(&report::render(&report, Format::Text(colour()))?);
    Ok(code)
}

/// Colour for the result, where it goes to a terminal that wants it.
pub(super) fn colour() -> Colour {
    if show::colour_on_stdout() { Colour::Always } else { Colour::Never }
}
