//! What rewriting keeps and what it changes, on the golden workload and on arbitrary ones.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use super::*;
use crate::workload::record::{InlineSql, Text};

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

/// The events of a workload with every reference resolved: what two workloads must share to be the same.
pub(in crate::reshape) fn events(path: &Path) -> Vec<Record> {
    let mut reader = Reader::open(path).unwrap();
    let mut events = Vec::new();
    while let Some((_, mut record)) = reader.next_record().unwrap() {
        match &mut record {
            Record::Open(open) => {
                open.state
                    .iter_mut()
                    .flat_map(|state| state.prepared.values_mut())
                    .for_each(|sql| resolve(sql, &reader));
            }
            Record::Request(request) => references(&mut request.sent).into_iter().for_each(|sql| resolve(sql, &reader)),
            Record::Header(_) | Record::Tenant(_) | Record::Sql(_) => continue,
            _ => {}
        }
        events.push(record);
    }
    events
}

fn resolve(reference: &mut SqlRef, reader: &Reader) {
    let statement = reader.statement(reference).unwrap();
    *reference = SqlRef::Inline(Box::new(InlineSql {
        text: Text::Text(format!("{:?}", statement.text.bytes())),
        fingerprint: Default::default(),
        class: crate::words::class::StatementClass::Other,
        parameter_types: statement.parameter_types.to_vec(),
    }));
}

struct Files {
    directory: tempfile::TempDir,
    input: PathBuf,
}

fn golden() -> Files {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.jsonl");
    std::fs::write(&input, GOLDEN).unwrap();
    Files { directory, input }
}

#[test]
fn rewriting_without_changes_keeps_every_event() {
    let files = golden();
    let output = files.directory.path().join("out.jsonl.zst");
    rewrite(&files.input, &output, Header::clone, &mut Unchanged).unwrap();
    assert_eq!(events(&output), events(&files.input));
}

#[test]
fn texts_tenants_and_events_can_be_changed() {
    struct Change;
    impl Edit for Change {
        fn text(&mut self, statement: Statement<'_>) -> Result<Option<Vec<u8>>, ReshapeError> {
            Ok((statement.text.bytes().as_ref() == b"BEGIN").then(|| b"START TRANSACTION".to_vec()))
        }

        fn tenant(&mut self, tenant: &Tenant) -> Result<Tenant, ReshapeError> {
            Ok(Tenant { name: "one".to_owned(), ..tenant.clone() })
        }

        fn event(&mut self, event: Record, _: &Reader) -> Result<Option<Record>, ReshapeError> {
            Ok(Some(event).filter(|event| !matches!(event, Record::Cancel(_))))
        }
    }
    let files = golden();
    let output = files.directory.path().join("out.jsonl");
    let end = rewrite(&files.input, &output, Header::clone, &mut Change).unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(
        text.contains("START TRANSACTION") && !text.contains("BEGIN\",\"fing") && !text.contains("cancel"),
        "{text}"
    );
    assert_eq!(end.tenants, 1, "tenants of the same name are one");
}

#[test]
fn an_output_never_overwrites_its_input() {
    let files = golden();
    let before = std::fs::read(&files.input).unwrap();
    let linked = files.directory.path().join("linked.jsonl");
    std::fs::hard_link(&files.input, &linked).unwrap();
    let temporary = files.directory.path().join("x.jsonl.tmp");
    std::fs::copy(&files.input, &temporary).unwrap();
    for (input, output) in
        [(&files.input, &files.input), (&files.input, &linked), (&temporary, &temporary.with_extension(""))]
    {
        let error = rewrite(input, output, Header::clone, &mut Unchanged).unwrap_err();
        assert!(matches!(error, ReshapeError::SameFile { .. }), "{error}");
    }
    assert_eq!(std::fs::read(&files.input).unwrap(), before);
}
