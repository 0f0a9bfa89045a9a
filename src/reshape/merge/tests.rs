//! What several workloads become together, among them the slices of one.

use proptest::prelude::*;

use super::*;
use crate::reshape::moment::Moment;
use crate::reshape::slice::{Selection, slice};

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

/// Each request's moment since 1970, tenant and text, in order.
fn requests(path: &Path) -> Vec<(i64, Option<String>, Vec<String>)> {
    let mut reader = Reader::open(path).unwrap();
    let started_us = started_us(reader.header()).unwrap();
    let mut requests = Vec::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        if let Record::Request(request) = record {
            let texts = request.sent.executed().map(|sql| reader.statement(sql).unwrap().text.text().into_owned());
            let tenant = request.tenant.map(|id| reader.tenant(id).unwrap().name.clone());
            requests.push((started_us + request.t_us as i64, tenant, texts.collect()));
        }
    }
    requests.sort();
    requests
}

#[test]
fn workloads_meet_at_their_own_times_or_at_their_starts() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("a.jsonl"), GOLDEN).unwrap();
    std::fs::write(at("b.jsonl"), GOLDEN.replace("09:00:00Z", "09:00:01Z").replace("globex", "initech")).unwrap();
    let inputs = [at("a.jsonl"), at("b.jsonl")];
    let end = merge(&inputs, &at("out.jsonl"), Align::Time).unwrap();
    assert_eq!((end.sessions, end.requests, end.tenants, end.span_us), (4, 14, 3, 1_007_000));
    assert_eq!((end.skipped["copy_data"].count, end.skipped["copy_data"].first), (4, (0, 9)));
    let mut both = [requests(&inputs[0]), requests(&inputs[1])].concat();
    both.sort();
    assert_eq!(requests(&at("out.jsonl")), both);
    assert_eq!(merge(&inputs, &at("out.jsonl"), Align::Start).unwrap().span_us, 7_000);
    let text = std::fs::read_to_string(at("out.jsonl")).unwrap();
    assert!(text.contains("\"at\":[1,3]"), "sources of the second stand behind those of the first: {text}");
}

/// What a session sends, as it stands in a request's line: texts, executions, and what the wire shows, unfinished pipelines
/// among it.
fn sent() -> impl Strategy<Value = String> {
    let sql = |text: &str| format!(r#"{{"text":"{text}","fingerprint":"0000000000000000","class":"other"}}"#);
    let simple = |text: &str| format!(r#""simple":{{"sql":{}}}"#, sql(text));
    let parse = format!(r#"{{"parse":{{"statement":"s","sql":{}}}}}"#, sql("SELECT 3"));
    let bind = r#"{"bind":{"statement":"s"}}"#;
    let execute = format!(r#"{{"execute":{{"sql":{}}}}}"#, sql("SELECT 3"));
    let mut kinds: Vec<String> =
        ["BEGIN", "COMMIT", "SELECT 1", "SET search_path = a", "PREPARE q AS SELECT 4", "BEGIN; SELECT 2"]
            .map(simple)
            .into();
    kinds.push(format!(r#""execute":{{"sql":{},"statement":"s"}}"#, sql("SELECT 3")));
    kinds.push(format!(r#""execute":{{"sql":{}}},"transaction":"in_transaction""#, sql("UPDATE t SET x = 1")));
    kinds.push(format!(r#""messages":[{parse},"sync"]"#));
    kinds.push(format!(r#""messages":[{bind},{execute},"sync"],"transaction":"idle""#));
    kinds.push(format!(r#""messages":[{parse},{bind},{execute},"flush"]"#));
    prop::sample::select(kinds)
}

/// A workload of a few sessions whose requests, transactions among them, come at any moments.
fn workload() -> impl Strategy<Value = String> {
    let event = (0_u64..1_000, 0_u32..4, sent());
    prop::collection::vec(event, 1..60).prop_map(|mut events| {
        events.sort_by_key(|(t_us, ..)| *t_us);
        let mut lines = vec![GOLDEN.lines().next().unwrap().to_owned()];
        lines.push(r#"{"kind":"tenant","id":0,"name":"acme"}"#.to_owned());
        for session in 0..4 {
            lines.push(format!(r#"{{"kind":"open","t_us":0,"session":{session},"database":"app","user":"web"}}"#));
        }
        for (sequence, (t_us, session, sent)) in events.iter().enumerate() {
            lines.push(format!(
                r#"{{"kind":"request","t_us":{t_us},"session":{session},"sequence":{sequence},"tenant":0,{sent}}}"#
            ));
        }
        lines.push(r#"{"kind":"end","sessions":4,"requests":0,"tenants":1,"span_us":0}"#.to_owned());
        lines.join("\n") + "\n"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn slices_of_a_workload_merge_into_all_of_its_requests(workload in workload(), cut_us in 1_u64..1_000) {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("in.jsonl"), workload).unwrap();
        let cut = Some(Moment::Offset(cut_us));
        let parts = [
            (at("a.jsonl"), Selection { to: cut, ..Selection::default() }),
            (at("b.jsonl"), Selection { from: cut, ..Selection::default() }),
        ];
        let mut written = Vec::new();
        for (path, selection) in &parts {
            match slice(&at("in.jsonl"), path, selection) {
                Ok(report) => written.push((path.clone(), report)),
                Err(error) => prop_assert!(matches!(error, ReshapeError::Asked { .. }), "{error}"),
            }
        }
        // A setting of a transaction that stays with the first part is made again in the second.
        let repeated: u64 = written.iter().map(|(_, report)| report.session_changes_kept).sum();
        let paths: Vec<_> = written.into_iter().map(|(path, _)| path).collect();
        merge(&paths, &at("out.jsonl"), Align::Time).unwrap();
        let (before, after) = (requests(&at("in.jsonl")), requests(&at("out.jsonl")));
        prop_assert_eq!(after.len() as u64, before.len() as u64 + repeated);
        // What is made again of messages is only the part that prepares, which executes nothing.
        let executing = |mut requests: Vec<_>| {
            requests.retain(|(_, _, texts): &(i64, Option<String>, Vec<String>)| !texts.is_empty());
            requests.dedup();
            requests
        };
        prop_assert_eq!(executing(after), executing(before));
    }
}
