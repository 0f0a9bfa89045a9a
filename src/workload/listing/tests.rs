//! What is shown of the golden workload.

use super::*;
use crate::objective::Pattern;

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

fn listed(form: Form, shows_values: bool, filter: Filter) -> String {
    let mut reader = Reader::new(GOLDEN.as_bytes(), "w.jsonl").unwrap();
    let started: Timestamp = reader.header().started_at.parse().unwrap();
    let mut listing = Listing::new(form, shows_values, filter, started.as_microsecond());
    let mut lines = String::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        lines += &listing.take(&record, &reader).unwrap_or_default();
    }
    lines
}

#[test]
fn text_shows_every_event_and_no_values() {
    insta::assert_snapshot!(listed(Form::Text, false, Filter::default()));
}

#[test]
fn values_are_shown_where_they_are_asked_for() {
    insta::assert_snapshot!(listed(Form::Text, true, Filter { sessions: vec![1], ..Filter::default() }));
}

#[test]
fn json_has_one_object_for_each_event_with_everything_resolved() {
    insta::assert_snapshot!(listed(Form::Json, false, Filter::default()));
}

#[test]
fn json_without_values_holds_none() {
    let hidden = listed(Form::Json, false, Filter::default());
    let shown = listed(Form::Json, true, Filter::default());
    for value in ["\"42\"", "AAAAKg==", "MQo=", "U0VMRUNUIDEA", "\"returned\""] {
        assert!(!hidden.contains(value) && shown.contains(value), "{value}\n{hidden}\n{shown}");
    }
}

#[test]
fn a_tenants_events_are_its_requests_and_their_data() {
    let filter = Filter { tenants: vec![Pattern::new("glo*")], ..Filter::default() };
    insta::assert_snapshot!(listed(Form::Text, false, filter), @r"
    2026-01-05T09:00:00.003000Z      2  globex        query     UPDATE t SET a = 'b'  -- error 23505, 0.100 ms
    2026-01-05T09:00:00.005000Z      2  globex        query     COPY t FROM STDIN
    2026-01-05T09:00:00.005100Z      2  -             copy      2 bytes from the client
    2026-01-05T09:00:00.005150Z      2  -             copy      0 bytes from the client, then done
    ");
}

#[test]
fn a_window_and_a_statement_select_together() {
    let filter = Filter {
        from_us: 2_500,
        to_us: 5_300,
        fingerprints: vec!["00000000000000bb".parse().unwrap(), "00000000000000cc".parse().unwrap()],
        ..Filter::default()
    };
    insta::assert_snapshot!(listed(Form::Text, false, filter), @r"
    2026-01-05T09:00:00.003000Z      2  globex        query     UPDATE t SET a = 'b'  -- error 23505, 0.100 ms
    2026-01-05T09:00:00.005000Z      2  globex        query     COPY t FROM STDIN
    2026-01-05T09:00:00.005100Z      2  -             copy      2 bytes from the client
    2026-01-05T09:00:00.005150Z      2  -             copy      0 bytes from the client, then done
    ");
}
