//! Whose statements are by other rules, and that nothing else changes.

use std::collections::BTreeMap;

use super::super::rewrite::tests::events as resolved;
use super::*;
use crate::workload::Writer;
use crate::workload::record::{Open, Request, Sent};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl");

/// The table, and each request's tenant.
fn retagged(input: &Path, rules: &[&str], tenants: Option<&str>) -> (TenantTable, Vec<Option<String>>) {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl");
    let options = RetagOptions {
        input: input.into(),
        output: output.clone(),
        rules: Rules::parse(rules.iter().copied()).unwrap(),
        tenants: tenants.map(|csv| Mapping::read(csv.as_bytes(), "t.csv").unwrap()),
    };
    let table = retag(&options).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left but the output");
    let mut reader = Reader::open(&output).unwrap();
    let mut found = Vec::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        if let Record::Request(request) = record {
            found.push(request.tenant.map(|id| reader.tenant(id).unwrap().name.clone()));
        }
    }
    (table, found)
}

/// All but what may differ: the tenants.
fn events(path: &Path) -> Vec<Record> {
    let mut events = resolved(path);
    for event in &mut events {
        match event {
            Record::Request(request) => request.tenant = None,
            Record::End(end) => end.tenants = 0,
            _ => {}
        }
    }
    events
}

#[test]
fn everything_but_the_tenants_stays() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl.zst");
    let rules = Rules::parse(["user"]).unwrap();
    retag(&RetagOptions { input: GOLDEN.into(), output: output.clone(), rules, tenants: None }).unwrap();
    assert_eq!(events(&output), events(Path::new(GOLDEN)));
}

#[test]
fn tenants_are_named_by_the_file() {
    let (table, found) = retagged(Path::new(GOLDEN), &["database"], Some("tenant,name\napp,Acme\n"));
    assert!(found.iter().all(|name| name.as_deref() == Some("Acme")), "{found:?}");
    assert_eq!((table.executions_without, table.executions_not_in_file), (0, Some(0)));
    let (table, _) = retagged(Path::new(GOLDEN), &["tag:none"], Some("tenant\napp\n"));
    assert_eq!((table.tenants.len() as u64, table.executions_not_in_file), (0, Some(0)));
    assert_eq!(table.executions_without, 6);
}

/// A workload of one session, each statement a simple query.
fn workload(directory: &Path, parameters: BTreeMap<String, String>, statements: &[&str]) -> PathBuf {
    let path = directory.join("in.jsonl");
    let header = Reader::open(Path::new(GOLDEN)).unwrap().header().clone();
    let mut writer = Writer::create(&path, &header).unwrap();
    let open = Open { database: "shop".into(), user: "app".into(), parameters, ..Open::default() };
    writer.write(&Record::Open(open)).unwrap();
    for (sequence, sql) in statements.iter().enumerate() {
        let sent = Sent::Simple { sql: writer.sql_ref(sql).unwrap() };
        let (t_us, sequence) = (sequence as u64, sequence as u64);
        let (results, transaction) = (Vec::new(), None);
        let request = Request { t_us, session: 0, sequence, tenant: None, sent, results, transaction, at: None };
        writer.write(&Record::Request(request)).unwrap();
    }
    writer.finish(BTreeMap::new()).unwrap();
    path
}

#[test]
fn settings_are_followed_and_a_transaction_takes_its_first_mark() {
    let directory = tempfile::tempdir().unwrap();
    let parameters = BTreeMap::from([
        ("application_name".to_owned(), "web".to_owned()),
        ("options".to_owned(), "-c search_path=home".to_owned()),
    ]);
    let statements = ["select 1", "set application_name = 'acme'", "begin", "select 1 from bolt.t", "commit"];
    let input = workload(directory.path(), parameters, &statements);
    let named = |rules: &[&str]| -> Vec<String> {
        retagged(&input, rules, None).1.into_iter().map(Option::unwrap_or_default).collect()
    };
    assert_eq!(named(&["application_name"]), ["web", "acme", "acme", "acme", "acme"]);
    assert_eq!(named(&["schema"]), ["home", "home", "home", "bolt", "home"]);
    assert_eq!(named(&[r"sql:from (\w+)\.t"]), ["", "", "bolt", "bolt", "bolt"]);
}

#[test]
fn a_workload_is_never_replaced_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let input = workload(directory.path(), BTreeMap::new(), &["select 1"]);
    let before = std::fs::read(&input).unwrap();
    let rules = Rules::parse(["database"]).unwrap();
    let options = RetagOptions { output: input.clone(), input: (&input).into(), rules, tenants: None };
    assert!(matches!(retag(&options), Err(ReshapeError::SameFile { .. })));
    assert_eq!(std::fs::read(&input).unwrap(), before);
}
