//! Tenant rules and the tenants file, as they are typed: by a capture, and by `workload retag` on what it wrote.

use std::path::{Path, PathBuf};

use crate::bench::program;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capture/pg16-both.csv")
}

/// Exit code, standard output and standard error of the program in a directory.
fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = program().args(arguments).current_dir(directory).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn line<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let found = text.lines().find(|line| line.trim_start().starts_with(start));
    found.unwrap_or_else(|| panic!("no {start:?} in\n{text}")).split_whitespace().collect()
}

#[test]
fn a_capture_and_a_retag_by_the_same_rules_show_the_same_tenants() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tenants.csv"), "tenant,name,tier\npostgres,Main,gold\n").unwrap();
    let log = fixture();
    let by = ["--tenant-by", "sql:(22012|division)", "--tenant-by", "database", "--tenants", "tenants.csv"];
    let capture = [&["capture", "log", log.to_str().unwrap(), "-o", "plain.jsonl"][..], &by].concat();
    let (code, captured, stderr) = run(directory.path(), &capture);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(line(&captured, "Main"), ["Main", "35", "100.0", "%"]);
    assert_eq!(line(&captured, "not in the tenants file")[5..], ["0", "0.0", "%"]);

    let (code, _, stderr) =
        run(directory.path(), &["workload", "retag", "plain.jsonl", "-o", "user.jsonl.zst", "--tenant-by", "user"]);
    assert_eq!(code, 0, "{stderr}");
    let retag = [&["workload", "retag", "user.jsonl.zst", "-o", "again.jsonl"][..], &by].concat();
    let (code, retagged, stderr) = run(directory.path(), &retag);
    assert_eq!(code, 0, "{stderr}");
    assert!(captured.contains(&retagged), "{retagged}\nis not in\n{captured}");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("again.jsonl"), read("plain.jsonl"));
}

#[test]
fn a_rule_or_a_file_that_cannot_be_used_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tenants.csv"), "tenant,regoin\na,eu\n").unwrap();
    let log = fixture();
    for (options, expected) in [
        (["--tenants", "tenants.csv"], "error: tenants.csv:1: column 2 of the tenants file is unknown: \"regoin\"\n"),
        (["--tenants", "none.csv"], "error: could not open tenants file \"none.csv\": "),
        (["--tenant-by", "sql:a(b"], "error: tenant rule \"sql:a(b\" cannot be used: character 2 of the pattern: "),
        (["--tenant-by", "param:a"], "error: tenant rule \"param:a\" names no column\n"),
    ] {
        let capture = [&["capture", "log", log.to_str().unwrap(), "-o", "out.jsonl"][..], &options].concat();
        let (code, stdout, stderr) = run(directory.path(), &capture);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
