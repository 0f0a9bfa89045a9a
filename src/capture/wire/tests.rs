//! Specifications of a conversation: what both sides say, and what is found.

mod protocol;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::capture::event::{Execute, Request, Sent, Value};
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::frontend::{self, Named, Parameter};
use crate::pgwire::serve;

/// What one side says at a time.
type Script = Vec<(Side, Vec<u8>)>;

fn client(write: impl FnOnce(&mut BytesMut)) -> (Side, Vec<u8>) {
    let mut out = BytesMut::new();
    write(&mut out);
    (Side::Client, out.to_vec())
}

fn server(write: impl FnOnce(&mut BytesMut)) -> (Side, Vec<u8>) {
    (Side::Server, client(write).1)
}

fn login() -> Script {
    vec![
        client(frontend::ssl_request),
        (Side::Server, b"N".to_vec()),
        client(|out| frontend::startup(out, 3 << 16, [("user", "app"), ("database", "shop")]).unwrap()),
        server(|out| serve::authentication(out, 3, b"")),
        client(|out| frontend::password(out, b"geheim").unwrap()),
        server(|out| {
            serve::authentication_ok(out);
            serve::parameter_status(out, "server_version", "16.14");
            serve::backend_key_data(out, 7, &[1, 2, 3, 4]);
            serve::ready_for_query(out, TransactionStatus::Idle);
        }),
    ]
}

/// Simple, extended, prepared apart, failing, RETURNING and COPY.
fn everything() -> Script {
    let mut script = login();
    script.push(client(|out| frontend::query(out, b"SELECT a FROM t").unwrap()));
    script.push(server(|out| {
        serve::row_description(out, &["a"]);
        serve::data_row(out, &[Some(b"1")]);
        serve::data_row(out, &[None]);
        serve::command_complete(out, "SELECT 2");
        serve::ready_for_query(out, TransactionStatus::Idle);
    }));
    script.push(client(|out| {
        frontend::parse(out, b"", b"INSERT INTO t VALUES ($1) RETURNING id", &[23]).unwrap();
        frontend::bind(out, b"", b"", [Parameter::Binary(b"\0\0\0\x01")], &[]).unwrap();
        frontend::describe(out, Named::Portal(b"")).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    }));
    script.push(server(|out| {
        out.extend(b"1\0\0\0\x042\0\0\0\x04");
        serve::row_description(out, &["id"]);
        serve::data_row(out, &[Some(b"42")]);
        serve::command_complete(out, "INSERT 0 1");
        serve::ready_for_query(out, TransactionStatus::InTransaction);
    }));
    script.push(client(|out| {
        frontend::parse(out, b"s", b"SELECT nothing", &[]).unwrap();
        frontend::bind(out, b"", b"s", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::bind(out, b"", b"s", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    }));
    script.push(server(|out| {
        serve::error_response(out, "ERROR", "42703", "no such column");
        serve::ready_for_query(out, TransactionStatus::Failed);
    }));
    script.push(client(|out| frontend::query(out, b"COPY t FROM STDIN").unwrap()));
    script.push(server(|out| out.extend(b"G\0\0\0\x07\0\0\0")));
    script.push(client(|out| {
        frontend::copy_data(out, b"1\n").unwrap();
        frontend::copy_data(out, b"2\n").unwrap();
        frontend::copy_done(out);
    }));
    script.push(server(|out| {
        serve::command_complete(out, "COPY 2");
        serve::ready_for_query(out, TransactionStatus::Idle);
    }));
    script.push(client(|out| {
        frontend::bind(out, b"", b"gone", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    }));
    script.push(server(|out| {
        serve::error_response(out, "ERROR", "26000", "no such statement");
        serve::ready_for_query(out, TransactionStatus::Idle);
    }));
    script
}

/// Everything found when each thing said arrives in pieces of this size.
fn found(script: &Script, piece_bytes: usize, began_in_middle: bool) -> Vec<Found> {
    let mut conversation = Conversation::new(began_in_middle);
    let mut all = Vec::new();
    let mut sink = |found| {
        all.push(found);
        Ok(())
    };
    for (n, (side, bytes)) in script.iter().enumerate() {
        for piece in bytes.chunks(piece_bytes) {
            conversation.take(*side, piece, n as i64 * 10, (0, n as u64), &mut sink).unwrap();
        }
    }
    conversation.closed((0, script.len() as u64), &mut sink).unwrap();
    all
}

fn requests(found: Vec<Found>) -> Vec<Request> {
    found
        .into_iter()
        .filter_map(|found| if let Found::Request(draft) = found { Some(draft.request) } else { None })
        .collect()
}

#[test]
fn a_password_is_never_given() {
    let text = format!("{:?}", found(&everything(), usize::MAX, false));
    assert!(!text.contains("geheim") && !text.contains("103, 101, 104, 101, 105, 109"), "{text}");
}

#[test]
fn requests_have_their_canonical_forms_and_results() {
    let requests = requests(found(&everything(), usize::MAX, false));
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].sent, Sent::Simple { sql: b"SELECT a FROM t".to_vec() });
    let result = &requests[0].results[0];
    assert_eq!((result.rows, result.bytes, result.total_us), (Some(2), Some(1), Some(10)));
    assert!(result.digest.as_ref().unwrap().starts_with("u:"));
    let Sent::Execute(Execute { parse, describe, parameters, parameter_types, .. }) = &requests[1].sent else {
        panic!("{:?}", requests[1].sent);
    };
    assert_eq!((*parse, *describe), (Some(true), Some(true)));
    assert_eq!((&parameters[..], &parameter_types[..]), (&[Value::Binary(vec![0, 0, 0, 1])][..], &[23][..]));
    let result = &requests[1].results[0];
    assert_eq!(
        (&result.returned_columns[..], &result.returned[..]),
        (&["id".to_owned()][..], &[Value::Text(b"42".to_vec())][..])
    );
    assert!(matches!(&requests[2].sent, Sent::Messages(messages) if messages.len() == 6));
    assert_eq!(
        (requests[2].executions(), requests[2].results.len()),
        (1, 1),
        "what the server passed over is not executed"
    );
    assert_eq!(requests[2].sqlstate().unwrap().as_str(), "42703");
    assert_eq!((requests[3].results[0].rows, requests[3].results[0].bytes), (Some(2), Some(4)));
}

#[test]
fn a_statement_that_fails_as_it_is_prepared_is_one_failed_execution() {
    let mut script = login();
    script.push(client(|out| {
        frontend::parse(out, b"s", b"SELECT nothing FROM t", &[]).unwrap();
        frontend::describe(out, Named::Statement(b"s")).unwrap();
        frontend::sync(out);
    }));
    script.push(server(|out| {
        serve::error_response(out, "ERROR", "42703", "no such column");
        serve::ready_for_query(out, TransactionStatus::Idle);
    }));
    let requests = requests(found(&script, usize::MAX, false));
    assert_eq!((requests.len(), requests[0].executions()), (1, 1));
    assert_eq!(requests[0].sqlstate().unwrap().as_str(), "42703");
}

#[test]
fn copy_data_follows_the_place_of_its_request() {
    let all = found(&everything(), usize::MAX, false);
    let began = all.iter().position(|found| matches!(found, Found::CopyBegan { start_us: 120 })).unwrap();
    let Found::Copy { data, .. } = &all[began + 1] else { panic!("{:?}", all[began + 1]) };
    assert_eq!((&data.bytes[..], data.from_client), (&b"1\n2\n"[..], true));
    assert!(matches!(all[began + 2], Found::Request(_)));
}

#[test]
fn a_statement_from_before_the_capture_is_counted() {
    let all = found(&everything(), usize::MAX, false);
    let skipped = |found: &Found| matches!(found, Found::Skipped { reason: Reason::StatementUnknown, count: 1, .. });
    assert_eq!(all.iter().filter(|found| skipped(found)).count(), 1);
}

#[test]
fn a_capture_that_begins_within_a_connection_finds_the_next_request() {
    let script: Script = everything().into_iter().skip(7).collect();
    assert_eq!(requests(found(&script, usize::MAX, true)).len(), 3);
}

#[test]
fn after_a_loss_the_next_requests_are_whole_again() {
    let mut script = everything();
    let lost = script.remove(7);
    let mut conversation = Conversation::new(false);
    let mut all = Vec::new();
    let mut sink = |found| {
        all.push(found);
        Ok(())
    };
    for (n, (side, bytes)) in script.iter().enumerate() {
        if n == 7 {
            conversation.lost(Side::Server, lost.1.len() as u64, (0, 7), &mut sink).unwrap();
        }
        conversation.take(*side, bytes, n as i64 * 10, (0, n as u64), &mut sink).unwrap();
    }
    conversation.closed((0, 99), &mut sink).unwrap();
    let requests = requests(all);
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[3].results[0].rows, Some(2));
}

#[test]
fn what_is_encrypted_is_counted_in_bytes() {
    let script = vec![client(frontend::ssl_request), (Side::Server, b"S".to_vec()), (Side::Client, vec![0x16; 100])];
    let all = found(&script, usize::MAX, false);
    assert!(matches!(all[..], [Found::Skipped { reason: Reason::EncryptedBytes, count: 100, .. }]));
}

proptest! {
    #[test]
    fn where_the_streams_are_split_changes_nothing(piece_bytes in 1_usize..40) {
        let whole = requests(found(&everything(), usize::MAX, false));
        prop_assert_eq!(requests(found(&everything(), piece_bytes, false)), whole);
    }

    #[test]
    fn any_bytes_are_taken(
        said in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..12),
        piece_bytes in 1_usize..60, began_in_middle: bool, logged_in: bool,
    ) {
        let mut script = if logged_in { everything() } else { Script::new() };
        script.extend(said.into_iter().map(|(c, bytes)| (if c { Side::Client } else { Side::Server }, bytes)));
        found(&script, piece_bytes, began_in_middle);
    }
}
