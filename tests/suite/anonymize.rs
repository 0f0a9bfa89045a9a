//! `workload anonymize` as it is typed: on the sample, on a workload with everything that the wire knows, and on what it must
//! refuse.

use std::path::{Path, PathBuf};

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Parameter, Record, Sent};
use serde_json::Value;

use crate::bench::program;

/// Exit code, standard output and standard error of the program in a directory.
fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = program().args(arguments).current_dir(directory).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn repository(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// `workload info` without what may differ: the sources.
fn info(directory: &Path, file: &str) -> Value {
    let (code, stdout, stderr) = run(directory, &["workload", "info", file, "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let mut info: Value = serde_json::from_str(&stdout).unwrap();
    info.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "file" | "sources"));
    info
}

/// Every statement's text, every parameter's text, and every fingerprint, in order.
fn values(file: &Path) -> (Vec<String>, Vec<String>, Vec<u64>) {
    let mut reader = Reader::open(file).unwrap();
    let (mut texts, mut parameters, mut fingerprints) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((_, record)) = reader.next_record().unwrap() {
        let Record::Request(request) = record else { continue };
        for sql in request.sent.executed() {
            let statement = reader.statement(sql).unwrap();
            texts.push(statement.text.text().into_owned());
            fingerprints.push(statement.fingerprint.0);
        }
        if let Sent::Execute(execute) = request.sent {
            parameters.extend(execute.parameters.into_iter().filter_map(|parameter| match parameter {
                Parameter::Text(text) => Some(text),
                _ => None,
            }));
        }
    }
    (texts, parameters, fingerprints)
}

#[test]
fn the_sample_has_other_values_and_the_same_shape() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, sample) = (directory.path(), repository("workloads/saas.jsonl.zst"));
    // The sample again, with the fingerprints that this version of the program gives.
    let (code, _, stderr) = run(dir, &["workload", "slice", &sample, "-o", "plain.jsonl.zst"]);
    assert_eq!(code, 0, "{stderr}");
    let arguments = ["workload", "anonymize", &sample, "-o", "out.jsonl.zst", "--new-key", "key", "--allow", "done"];
    let (code, stdout, stderr) = run(dir, &arguments);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.ends_with("check passed\n"), "{stdout}");
    assert_eq!(info(dir, "out.jsonl.zst"), info(dir, "plain.jsonl.zst"));

    let (old_texts, old, old_fingerprints) = values(&dir.join("plain.jsonl.zst"));
    let (texts, new, fingerprints) = values(&dir.join("out.jsonl.zst"));
    assert_eq!(fingerprints, old_fingerprints);
    assert_eq!((new.len(), texts.len()), (old.len(), old_texts.len()));
    let mut images = std::collections::HashMap::new();
    let mut kept = 0;
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(images.entry(old).or_insert(new), &new, "equal values stay equal");
        assert_eq!(old.len(), new.len());
        kept += usize::from(old == new);
    }
    let different: std::collections::HashSet<_> = images.values().collect();
    assert_eq!(different.len(), images.len(), "different values stay different");
    assert_eq!(kept, old.iter().filter(|value| matches!(value.as_str(), "0" | "done")).count());
    let long: Vec<&String> =
        images.keys().filter(|old| old.len() >= 8 && old.contains(char::is_alphabetic)).copied().collect();
    assert!(long.len() > 1_000, "{}", long.len());
    let all = texts.iter().chain(&new).map(String::as_str).collect::<Vec<_>>().join("\n");
    // Checked here by another way than the program's: whole lines, and lines that begin so.
    let lines: std::collections::HashSet<&str> = all.lines().collect();
    assert!(long.iter().all(|old| !lines.contains(old.as_str())));

    // The same key gives the same workload, another one another.
    let again =
        ["workload", "anonymize", &sample, "-o", "again.jsonl.zst", "--key-file", "key", "--allow", "done", "--json"];
    let (code, stdout, stderr) = run(dir, &again);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["check"]["leaks"], &report["check"]["passed"]), (&Value::from(0), &Value::from(true)));
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    assert!(read("again.jsonl.zst") == read("out.jsonl.zst"));
}

/// A workload with what only the wire knows. Parameter 1 of the first statement is a bigint, 2 a text.
const WIRE: &str = r#"{"kind":"header","version":1,"started_at":"2026-01-05T09:00:00Z","sources":[{"file":"acme-prod.pcap","sha256":"ab","type":"pcap"}],"tool_version":"0.1.0"}
{"kind":"tenant","id":0,"name":"acme-corporation"}
{"kind":"sql","id":0,"text":"INSERT INTO people (id, name) VALUES ($1, $2) RETURNING id, name /* for Ann */","fingerprint":"0123456789abcdef","class":"write","parameter_types":[20,25]}
{"kind":"sql","id":1,"text":"COPY people (id, name) FROM STDIN","fingerprint":"0123456789abcdef","class":"copy"}
{"kind":"sql","id":2,"text":"SELECT id FROM people WHERE name = 'Annabel Brown' AND id = 4711 LIMIT $1 /*tenant='acme-corporation'*/","fingerprint":"0123456789abcdef","class":"read"}
{"kind":"sql","id":3,"text":"SET app.person = 'Annabel Brown'","fingerprint":"0123456789abcdef","class":"session"}
{"kind":"open","t_us":0,"session":1,"database":"production","user":"acme_owner","parameters":{"application_name":"acme-api","options":"-c app.person=4711 -c search_path=public","TimeZone":"UTC"}}
{"kind":"request","t_us":10,"session":1,"sequence":0,"tenant":0,"messages":[{"parse":{"statement":"s","sql":0}},{"bind":{"statement":"s","parameters":[{"binary_base64":"AAAAAAAAEmc="},"Annabel Brown"]}},{"execute":{"sql":0}},"sync"],"results":[{"total_us":80,"rows":1,"digest":"u:abc","returned_columns":["id","name"],"returned":["4711","Annabel Brown"]}]}
{"kind":"request","t_us":20,"session":1,"sequence":1,"simple":{"sql":1}}
{"kind":"copy","t_us":21,"session":1,"sequence":1,"from_client":true,"base64":"NDcxMQlBbm4="}
{"kind":"copy","t_us":22,"session":1,"sequence":1,"from_client":true,"base64":"YWJlbCBCcm93bgpcTglYCg=="}
{"kind":"copy","t_us":23,"session":1,"sequence":1,"from_client":true,"base64":"","ended":"done"}
{"kind":"request","t_us":30,"session":1,"sequence":2,"tenant":0,"execute":{"sql":2,"parameters":["4711"]},"results":[{"total_us":80,"digest":"u:abc"}]}
{"kind":"request","t_us":40,"session":1,"sequence":3,"simple":{"sql":3}}
{"kind":"close","t_us":50,"session":1}
{"kind":"end","sessions":1,"requests":4,"tenants":1,"span_us":50}
"#;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

/// A directory with the workload and a key.
fn wire() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("wire.jsonl"), WIRE).unwrap();
    std::fs::write(directory.path().join("key"), KEY).unwrap();
    directory
}

#[test]
fn what_the_wire_knows_is_mapped_alike_in_every_format() {
    let directory = wire();
    let (code, stdout, stderr) =
        run(directory.path(), &["workload", "anonymize", "wire.jsonl", "-o", "out.jsonl", "--key-file", "key"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    insta::assert_snapshot!("report", stdout);
    let written = std::fs::read_to_string(directory.path().join("out.jsonl")).unwrap();
    insta::assert_snapshot!("workload", written);

    let records: Vec<Record> =
        Reader::open(&directory.path().join("out.jsonl")).unwrap().map(|record| record.unwrap().1).collect();
    let copied: Vec<u8> = records
        .iter()
        .filter_map(|record| match record {
            Record::Copy(copy) => {
                Some(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &copy.base64).unwrap())
            }
            _ => None,
        })
        .flatten()
        .collect();
    let copied = String::from_utf8(copied).unwrap();
    let (number, name) = copied.lines().next().unwrap().split_once('\t').unwrap();
    assert!(number != "4711" && name != "Annabel Brown" && name.len() == 13);
    for text in [
        format!("name = '{name}' AND id = {number} LIMIT $1"),
        format!("SET app.person = '{name}'"),
        format!("\"returned\":[\"{number}\",\"{name}\"]"),
        format!("app.person={number} "),
        "\"parameters\":[\"4711\"]".to_owned(),
    ] {
        assert!(written.contains(&text), "{text}");
    }
}

#[test]
fn names_are_mapped_where_asked() {
    let directory = wire();
    let arguments = ["workload", "anonymize", "wire.jsonl", "-o", "out.jsonl", "--key-file", "key", "--names"];
    let (code, stdout, stderr) = run(directory.path(), &arguments);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let written = std::fs::read_to_string(directory.path().join("out.jsonl")).unwrap();
    for name in ["acme", "production", "owner", "Annabel", "acme-prod.pcap", "u:abc"] {
        assert!(!written.contains(name), "{name} in {written}");
    }
    assert!(written.contains("people") && written.contains("search_path=public"), "{written}");
}

#[test]
fn what_cannot_be_read_is_refused_or_becomes_null() {
    let directory = wire();
    let untyped = WIRE.replace(",\"parameter_types\":[20,25]", "");
    std::fs::write(directory.path().join("untyped.jsonl"), untyped).unwrap();
    let arguments = ["workload", "anonymize", "untyped.jsonl", "-o", "out.jsonl", "--key-file", "key"];
    let (code, stdout, stderr) = run(directory.path(), &arguments);
    assert_eq!((code, stdout.as_str()), (2, ""));
    insta::assert_snapshot!(stderr, @r"
    error: line 8 of the workload holds a binary parameter, $1, whose type is not known
    hint: --unknown null makes NULL of values that cannot be anonymized, and counts them
    ");
    let new_key = ["workload", "anonymize", "untyped.jsonl", "-o", "out.jsonl", "--new-key", "new"];
    assert_eq!(run(directory.path(), &new_key).0, 2);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3, "nothing is left behind");

    let (code, stdout, stderr) =
        run(directory.path(), &[&arguments[..], &["--unknown", "null", "--sql", "map.sql"]].concat());
    assert!(std::fs::read_to_string(directory.path().join("map.sql")).unwrap().contains("CREATE SCHEMA"));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("1  values whose type is not known, NULL now"), "{stdout}");
}

#[test]
fn a_key_is_needed_and_no_file_is_overwritten() {
    let directory = wire();
    let base = ["workload", "anonymize", "wire.jsonl", "-o"];
    for (arguments, expected) in [
        (&["out.jsonl"][..], "error: no key is given\n"),
        (&["out.jsonl", "--new-key", "key"], "error: could not create the key file \"key\""),
        (&["out.jsonl", "--key-file", "wire.jsonl"], "error: \"wire.jsonl\" holds no key\n"),
        (&["wire.jsonl", "--key-file", "key"], "error: the output \"wire.jsonl\" would overwrite its own input\n"),
        (
            &["out.jsonl", "--key-file", "key", "--allow-file", "none"],
            "error: could not read the list of allowed values",
        ),
        (
            &["out.jsonl", "--key-file", "key", "--sql", "key"],
            "error: the script \"key\" would overwrite another file of this command",
        ),
    ] {
        let (code, stdout, stderr) = run(directory.path(), &[&base[..], arguments].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        assert_eq!(std::fs::read_to_string(directory.path().join("key")).unwrap(), KEY);
    }
}
