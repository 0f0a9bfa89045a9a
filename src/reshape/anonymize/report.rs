//! What anonymising did, for a person and as JSON.
//!
//! Takes counts and gives text. Must not hold a value.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::check::CheckReport;
use super::tally::Tally;
use crate::workload::record::End;

/// What anonymising did.
#[derive(Clone, Debug)]
pub struct AnonymizeReport {
    pub end: End,
    pub tally: Tally,
    pub check: CheckReport,
}

impl AnonymizeReport {
    /// Whether the workload was written: the check found nothing.
    pub fn passed(&self) -> bool {
        self.check.passed()
    }

    /// The report in lines.
    pub fn to_text(&self) -> String {
        let (end, tally) = (&self.end, &self.tally);
        let mut text = format!("{} requests of {} sessions and {} tenants\n", end.requests, end.sessions, end.tenants);
        let mut table = |title: &str, rows: Vec<(&str, u64)>| {
            if !rows.is_empty() {
                let _ = writeln!(text, "{title}");
                rows.iter().for_each(|(name, count)| _ = writeln!(text, "  {count:>9}  {name}"));
            }
        };
        table(
            "changed, by place (a statement's literals count once)",
            tally.changed.iter().map(|(site, count)| (site.name(), *count)).collect(),
        );
        table("changed, by kind", tally.kinds.iter().map(|(name, count)| (*name, *count)).collect());
        table("kept, by class", tally.kept.iter().map(|(name, count)| (*name, *count)).collect());
        let dropped: Vec<(&str, u64)> = self.dropped().into_iter().filter(|(_, count)| *count > 0).collect();
        table("left out", dropped);
        text + &self.check_text()
    }

    fn check_text(&self) -> String {
        let check = &self.check;
        let same: u64 = check.same.values().sum();
        let mut text =
            format!("check: {} places have another value, {same} have theirs for a class above", check.changed);
        let _ = writeln!(text, "; {} texts of 8 characters or more looked for", check.sought);
        for (line, place) in &check.first_leaks {
            let _ = writeln!(text, "  line {line}: a value is still there ({place})");
        }
        for (line, place) in &check.first_found {
            let _ = writeln!(text, "  line {line}: holds a text of the old workload ({place})");
        }
        if check.found > 0 {
            let _ = writeln!(text, "  {} such texts found, {:.2} expected by chance", check.found, check.by_chance);
        }
        text.push_str(match self.passed() {
            true => "check passed\n",
            false => "check failed: nothing was written\n",
        });
        text
    }

    fn dropped(&self) -> [(&'static str, u64); 4] {
        let tally = &self.tally;
        [
            ("comments, but for their tags", tally.comments_dropped),
            ("digests of results", tally.digests_dropped),
            ("values of RETURNING whose type is not known", tally.returned_dropped),
            ("values whose type is not known, NULL now", tally.nulled),
        ]
    }

    /// The report as JSON: counts by place, by kind and by class.
    pub fn to_json(&self) -> Value {
        let tally = &self.tally;
        let places: serde_json::Map<_, _> =
            tally.changed.iter().map(|(site, count)| (site.name().to_owned(), Value::from(*count))).collect();
        json!({
            "requests": self.end.requests,
            "sessions": self.end.sessions,
            "tenants": self.end.tenants,
            "changed": { "by_place": places, "by_kind": tally.kinds },
            "kept": tally.kept,
            "left_out": {
                "comments": tally.comments_dropped,
                "digests": tally.digests_dropped,
                "returned_values": tally.returned_dropped,
                "values_of_unknown_type": tally.nulled,
            },
            "check": {
                "passed": self.passed(),
                "changed": self.check.changed,
                "same": self.check.same,
                "leaks": self.check.leaks,
                "sought": self.check.sought,
                "found": self.check.found,
                "expected_by_chance": self.check.by_chance,
            },
        })
    }
}
