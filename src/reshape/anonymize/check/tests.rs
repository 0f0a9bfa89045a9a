//! What the check finds in workloads that were not, or not wholly, anonymised.

use super::*;

const HEAD: &str = r#"{"kind":"header","version":1,"started_at":"2026-01-05T09:00:00Z","sources":[],"tool_version":"0"}
{"kind":"sql","id":0,"text":"SELECT a FROM t WHERE b = 'TEXT' LIMIT 5","fingerprint":"0000000000000001","class":"read"}
{"kind":"open","t_us":0,"session":1,"database":"d","user":"u"}
{"kind":"request","t_us":1,"session":1,"sequence":0,"execute":{"sql":0,"parameters":["PARAMETER",null,"true"]}}
{"kind":"close","t_us":2,"session":1}
{"kind":"end","sessions":1,"requests":1,"tenants":0,"span_us":2}
"#;

fn workload(text: &str, parameter: &str) -> String {
    HEAD.replace("TEXT", text).replace("PARAMETER", parameter)
}

fn checked(left: &str, right: &str) -> Result<CheckReport, ReshapeError> {
    let directory = tempfile::tempdir().unwrap();
    let [left, right] = [("left", left), ("right", right)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    check(&left, &right, &Rules { allowed: &HashSet::new(), names: false, keeps_dates: false })
}

#[test]
fn other_values_pass_and_classes_are_counted() {
    let report = checked(&workload("Ann Brown", "4711"), &workload("Cli Lsksz", "3847")).unwrap();
    assert!(report.passed(), "{report:?}");
    assert_eq!((report.changed, report.leaks, report.sought), (2, 0, 1));
    assert_eq!(report.same[super::super::kept::LIMIT], 1);
    assert_eq!(report.same["words that PostgreSQL understands (true, now, infinity)"], 1);
}

#[test]
fn a_value_that_is_still_there_is_a_leak_with_its_place() {
    let report = checked(&workload("Ann Brown", "4711"), &workload("Cli Lsksz", "4711")).unwrap();
    assert!(!report.passed());
    assert_eq!((report.leaks, &report.first_leaks[..]), (1, &[(4, "text parameters")][..]));
    let report = checked(&workload("Ann Brown", "4711"), &workload("Ann Brown", "4711")).unwrap();
    assert_eq!((report.leaks, report.found), (2, 1));
}

#[test]
fn a_text_that_stands_elsewhere_is_found() {
    let report = checked(&workload("Ann Brown", "4711"), &workload("Cli Lsksz", "for Ann Brown only")).unwrap();
    assert_eq!((report.leaks, report.found), (0, 1));
    assert!(!report.passed() && report.first_found == [(4, "text parameters")], "{report:?}");
}

#[test]
fn a_workload_of_another_shape_is_none_that_was_made_of_it() {
    for right in [
        workload("Cli", "3847").replace("SELECT a", "SELECT c"),
        workload("Cli", "3847").replace("\"t_us\":1", "\"t_us\":2"),
        workload("Cli", "3847").replace(",null", ""),
    ] {
        let error = checked(&workload("Ann", "4711"), &right).unwrap_err().to_string();
        assert!(error.starts_with("the check failed: line "), "{error}");
    }
}
