//! `junit.xml`, for the test page of a CI: one case for each objective, one for the steps, one for the measurement.
//!
//! Takes a report and gives XML. What was missed is a failure; what could not be decided is an error. There is always at
//! least one case, since CI systems take an empty file for a success. Must not know the CI.

use quick_junit::{NonSuccessKind, Report as Document, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::figures::in_unit;
use super::headline;
use super::model::{Objective, ObjectiveOutcome, Report, Step};

/// The report as a JUnit document.
pub fn render(report: &Report) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(report.scenario.name.as_str());
    suite.add_test_case(steps(report));
    suite.add_test_cases(report.objectives.iter().map(objective));
    suite.add_test_case(measurement(report));
    suite.set_system_out(format!(
        "{}: {}\n{}\ndowntime: {}\nlost writes: {}\n",
        headline::verdict(report),
        headline::reason(report),
        headline::subject(report),
        headline::downtime(report),
        headline::lost_writes(report),
    ));
    Document::new("pgrehearse").add_test_suite(suite).to_string()
}

fn case(class: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn not_well(kind: NonSuccessKind, code: &str, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(code).set_message(message);
    if !description.is_empty() {
        status.set_description(description);
    }
    status
}

fn objective(objective: &Objective) -> TestCase {
    let value = objective.value.map(|value| in_unit(value, &objective.unit));
    let value = value.map_or_else(|| "value unknown".to_owned(), |value| format!("value {value}"));
    let margin = headline::margin(objective).map(|margin| format!(", {margin}")).unwrap_or_default();
    let message = format!("{value}{margin}");
    let mut description: Vec<&str> = objective.note.as_deref().into_iter().collect();
    let tenants = objective.tenants.join(", ");
    if !tenants.is_empty() {
        description.extend(["broken by:", &tenants]);
    }
    let description = description.join(" ");
    let status = match objective.outcome {
        ObjectiveOutcome::Met => TestCaseStatus::success(),
        ObjectiveOutcome::Missed => not_well(NonSuccessKind::Failure, "missed", &message, &description),
        ObjectiveOutcome::Inconclusive => not_well(NonSuccessKind::Error, "inconclusive", &message, &description),
    };
    let mut case = case("objective", &objective.text, status);
    case.set_system_out(message);
    case
}

/// A failed step is a failure; steps that were cut off are an error.
fn steps(report: &Report) -> TestCase {
    let status = if let Some(step) = report.steps.iter().find(|step| step.went_wrong()) {
        let message = format!("step {} {}", step.name, step.outcome.as_deref().unwrap_or_default());
        not_well(NonSuccessKind::Failure, "step_failed", &message, step.detail.as_deref().unwrap_or_default())
    } else if let Some(step) = report.steps.iter().find(|step| step.ended_ms.is_none()) {
        not_well(NonSuccessKind::Error, "not_ended", &format!("step {} was cut off", step.name), "")
    } else {
        TestCaseStatus::success()
    };
    let mut case = case("upgrade", "steps", status);
    let spans = report.steps.iter().filter_map(Step::duration_ms);
    case.set_time(std::time::Duration::from_secs_f64(spans.sum::<f64>().max(0.0) / 1e3));
    case
}

fn measurement(report: &Report) -> TestCase {
    let mut reasons: Vec<String> = headline::cut_off(report).into_iter().collect();
    reasons.extend(report.trust.reasons.iter().map(|reason| reason.text.clone()));
    let status = match reasons.first() {
        None => TestCaseStatus::success(),
        Some(first) => not_well(NonSuccessKind::Error, "not_trusted", first, &reasons.join("\n")),
    };
    let mut case = case("trust", "measurement", status);
    case.set_system_out(headline::trust(report));
    case
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn each_course_of_a_rehearsal_has_its_cases() {
        for (name, report) in fixture::all() {
            insta::assert_snapshot!(name, render(&report).unwrap());
        }
    }

    #[test]
    fn a_run_without_steps_and_objectives_still_has_cases() {
        let mut report = fixture::passed();
        report.steps.clear();
        report.objectives.clear();
        assert!(render(&report).unwrap().contains(r#"tests="2" skipped="0" failures="0" errors="0""#));
    }

    #[test]
    fn markup_in_names_is_escaped() {
        let mut report = fixture::failed_step();
        report.scenario.name = "<script>&".into();
        report.steps[2].detail = Some("a ]]> b \u{1}".into());
        let xml = render(&report).unwrap();
        assert!(xml.contains("&lt;script>&amp;") || xml.contains("&lt;script&gt;&amp;"));
        assert!(!xml.contains('\u{1}'));
    }
}
