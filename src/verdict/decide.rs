//! The verdict on a run: the objectives' outcomes, what the run went through, and what can be trusted.
//!
//! Takes findings and objectives; gives outcome, reasons and exit code. Must not know how any of it is shown.

use super::judge::{Judged, ObjectiveOutcome, judge};
use crate::analysis::findings::{Findings, Step};
use crate::objective::{Metric, Objective};
use crate::timeline::StepOutcome;
use crate::words::exit::ExitCode;

/// Tenants that a reason names.
const TENANTS_NAMED: usize = 3;

/// What the rehearsal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Inconclusive,
}

impl Outcome {
    /// The written name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A reason with a stable code: `interrupted`, `write_lost`, `step_failed`, `objective_missed`,
/// `objective_inconclusive`, or the code of a trust reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub code: String,
    /// A sentence for people.
    pub text: String,
    /// In the unit that the text names.
    pub value: Option<f64>,
    pub limit: Option<f64>,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub exit: ExitCode,
    /// The most weighty first; empty if it passed.
    pub reasons: Vec<Reason>,
    /// In the order of the objectives.
    pub objectives: Vec<Judged>,
}

/// Judges a run. The objectives are those of [`crate::objective::with_defaults`].
pub fn decide(findings: &Findings, objectives: &[Objective]) -> Verdict {
    let judged: Vec<Judged> = objectives.iter().map(|objective| judge(findings, objective)).collect();
    let mut held: Vec<(ExitCode, Reason)> = Vec::new();
    held.extend(interrupted(findings));
    held.extend(write_lost(findings, objectives, &judged));
    held.extend(findings.steps.iter().filter_map(step_failed));
    held.extend(not_trusted(findings));
    held.extend(judged.iter().filter_map(of_objective));
    // Within a code the order stays: what cannot be trusted explains why an objective is inconclusive.
    held.sort_by_key(|(exit, _)| *exit);
    let exit = ExitCode::first(held.iter().map(|(exit, _)| *exit));
    let failed = [ExitCode::WriteLost, ExitCode::StepFailed, ExitCode::ObjectiveMissed];
    let outcome = match held.as_slice() {
        [] => Outcome::Passed,
        held if held.iter().any(|(exit, _)| failed.contains(exit)) => Outcome::Failed,
        _ => Outcome::Inconclusive,
    };
    Verdict { outcome, exit, reasons: held.into_iter().map(|(_, reason)| reason).collect(), objectives: judged }
}

fn reason(code: &str, text: String, value: Option<f64>, limit: Option<f64>) -> Reason {
    Reason { code: code.to_owned(), text, value, limit }
}

fn interrupted(findings: &Findings) -> Option<(ExitCode, Reason)> {
    let signal = findings.run.interrupted.as_ref()?;
    Some((ExitCode::Interrupted, reason("interrupted", format!("the run was interrupted by {signal}"), None, None)))
}

/// An acknowledged write was lost, and no objective of the scenario allows it.
fn write_lost(findings: &Findings, objectives: &[Objective], judged: &[Judged]) -> Option<(ExitCode, Reason)> {
    let lost = findings.writes.lost.filter(|lost| *lost > 0)?;
    let allowed = objectives
        .iter()
        .zip(judged)
        .any(|(objective, judged)| objective.metric == Metric::LostWrites && judged.outcome == ObjectiveOutcome::Met);
    let acknowledged = findings.writes.acknowledged.unwrap_or(0);
    let text = match lost {
        1 => format!("1 of {acknowledged} acknowledged writes was lost"),
        _ => format!("{lost} of {acknowledged} acknowledged writes were lost"),
    };
    (!allowed).then(|| (ExitCode::WriteLost, reason("write_lost", text, Some(lost as f64), Some(0.0))))
}

fn step_failed(step: &Step) -> Option<(ExitCode, Reason)> {
    let how = match step.outcome? {
        StepOutcome::Failed => "failed",
        StepOutcome::TimedOut => "was not done by its deadline",
        StepOutcome::Ok | StepOutcome::Cancelled => return None,
    };
    let detail = step.detail.as_ref().map_or(String::new(), |detail| format!(": {}", detail.trim()));
    Some((ExitCode::StepFailed, reason("step_failed", format!("step {} {how}{detail}", step.name), None, None)))
}

fn of_objective(judged: &Judged) -> Option<(ExitCode, Reason)> {
    let (exit, code, how) = match judged.outcome {
        ObjectiveOutcome::Met => return None,
        ObjectiveOutcome::Missed => (ExitCode::ObjectiveMissed, "objective_missed", "missed"),
        ObjectiveOutcome::Inconclusive => (ExitCode::Inconclusive, "objective_inconclusive", "inconclusive"),
    };
    let mut text = format!("{} is {how}", judged.text);
    if let Some(margin) = judged.margin() {
        text.push_str(&format!(": {margin}"));
    }
    if !judged.tenants.is_empty() {
        text.push_str(&format!(" ({})", named(&judged.tenants)));
    }
    if let Some(note) = judged.note.as_ref().filter(|_| judged.outcome == ObjectiveOutcome::Inconclusive) {
        text.push_str(&format!(": {note}"));
    }
    Some((exit, reason(code, text, judged.value, Some(judged.limit))))
}

/// The first few, and how many more: `acme, globex and 3 more`.
fn named(tenants: &[String]) -> String {
    let shown = tenants.iter().take(TENANTS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tenants.len().saturating_sub(TENANTS_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The trust reasons, less the one that says again that the run was interrupted.
fn not_trusted(findings: &Findings) -> impl Iterator<Item = (ExitCode, Reason)> {
    let reasons = findings.trust.reasons.iter().filter(|why| why.code != "run_interrupted");
    reasons.map(|why| (ExitCode::Inconclusive, reason(&why.code, why.text.clone(), why.value, why.limit)))
}

#[cfg(test)]
mod tests;
