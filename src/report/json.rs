//! `report.json`.
//!
//! Takes a report and gives its JSON, indented, with a newline at its end. Must not know what the figures mean.

use super::model::Report;

/// The report as JSON text.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report).map(|json| json + "\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// A stored report of version 1. It may gain fields; whatever reads it today must read it for ever.
    const GOLDEN: &str = include_str!("../../tests/formats/report-1.json");

    #[test]
    fn the_contract_of_version_one_stands() {
        let golden: Report = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(golden, fixture::missed_objective());
        assert_eq!(render(&golden).unwrap(), GOLDEN);
    }

    #[test]
    fn every_course_of_a_rehearsal_survives_the_round_trip() {
        for (name, report) in fixture::all() {
            let json = render(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_is_null_and_not_left_out() {
        let json: serde_json::Value = serde_json::to_value(fixture::interrupted()).unwrap();
        for path in ["/writes/lost", "/downtime/at_most_max_ms", "/latency/after/p99_us", "/objectives/0/value"] {
            assert!(json.pointer(path).is_some_and(serde_json::Value::is_null), "{path}");
        }
        assert_eq!(json["tenants"][0]["read"]["windows"][0]["open"], true);
    }
}
