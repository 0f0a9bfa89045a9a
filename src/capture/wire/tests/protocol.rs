//! Specifications of the protocol's less common ways: portals in parts, pipelines with errors, COPY, cancel, and what is
//! left out.

use super::*;
use crate::capture::event::{Message, Outcome};
use crate::workload::record::CopyEnd;

fn session(exchange: impl IntoIterator<Item = (Side, Vec<u8>)>) -> Vec<Found> {
    let script: Script = login().into_iter().chain(exchange).collect();
    let whole = found(&script, usize::MAX, false);
    let in_pieces = found(&script, 3, false);
    assert_eq!(format!("{:?}", requests_of(&in_pieces)), format!("{:?}", requests_of(&whole)));
    whole
}

fn requests_of(found: &[Found]) -> Vec<&Request> {
    found
        .iter()
        .filter_map(|found| if let Found::Request(draft) = found { Some(&draft.request) } else { None })
        .collect()
}

fn skipped(found: &[Found]) -> Vec<(Reason, u64)> {
    let skipped = |found: &Found| match found {
        Found::Skipped { reason, count, .. } => Some((*reason, *count)),
        _ => None,
    };
    found.iter().filter_map(skipped).collect()
}

fn ready(out: &mut BytesMut) {
    serve::ready_for_query(out, TransactionStatus::Idle);
}

#[test]
fn a_portal_that_is_read_in_parts_gives_each_part_its_rows() {
    let all = session([
        client(|out| {
            frontend::parse(out, b"", b"SELECT i FROM t", &[]).unwrap();
            frontend::bind(out, b"p", b"", [], &[]).unwrap();
            frontend::execute(out, b"p", 2).unwrap();
            frontend::flush(out);
        }),
        server(|out| {
            out.extend(b"1\0\0\0\x042\0\0\0\x04");
            serve::data_row(out, &[Some(b"1")]);
            serve::data_row(out, &[Some(b"2")]);
            serve::bare(out, b's');
        }),
        client(|out| {
            frontend::execute(out, b"p", 2).unwrap();
            frontend::sync(out);
        }),
        server(|out| {
            serve::data_row(out, &[Some(b"3")]);
            serve::command_complete(out, "SELECT 1");
            ready(out);
        }),
    ]);
    let [request] = requests_of(&all)[..] else { panic!("{all:?}") };
    let rows: Vec<_> = request.results.iter().map(|result: &Outcome| result.rows).collect();
    assert_eq!((request.executions(), rows), (2, vec![Some(2), Some(1)]));
}

#[test]
fn a_pipeline_fails_up_to_its_sync_and_goes_on_behind_it() {
    let execution = |out: &mut BytesMut, sql: &[u8]| {
        frontend::parse(out, b"", sql, &[]).unwrap();
        frontend::bind(out, b"", b"", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
    };
    let done = |out: &mut BytesMut| {
        out.extend(b"1\0\0\0\x042\0\0\0\x04");
        serve::command_complete(out, "UPDATE 1");
    };
    let all = session([
        client(|out| {
            for sql in ["UPDATE a", "UPDATE bad", "UPDATE passed_over"] {
                execution(out, sql.as_bytes());
            }
            frontend::sync(out);
            execution(out, b"UPDATE c");
            frontend::sync(out);
        }),
        server(|out| {
            done(out);
            serve::error_response(out, "ERROR", "42P01", "no such table");
            ready(out);
            done(out);
            ready(out);
        }),
    ]);
    let [first, second] = requests_of(&all)[..] else { panic!("{all:?}") };
    let codes: Vec<_> = first.results.iter().map(|result| result.sqlstate.map(|code| code.to_string())).collect();
    assert_eq!((first.executions(), codes), (2, vec![None, Some("42P01".to_owned())]));
    assert_eq!((second.executions(), second.first_sql()), (1, &b"UPDATE c"[..]));
}

#[test]
fn what_was_prepared_behind_an_error_is_not_known_afterwards() {
    let prepares = |out: &mut BytesMut, name: &[u8], sql: &[u8]| frontend::parse(out, name, sql, &[]).unwrap();
    let executes = |out: &mut BytesMut, name: &[u8]| {
        frontend::bind(out, b"", name, [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    };
    for error_comes_between in [false, true] {
        let error = server(|out| serve::error_response(out, "ERROR", "42601", "syntax error"));
        let mut script = vec![
            client(|out| {
                prepares(out, b"s", b"SELECT 'first'");
                frontend::sync(out);
            }),
            server(|out| {
                serve::bare(out, b'1');
                ready(out);
            }),
            client(|out| prepares(out, b"bad", b"SELEC")),
        ];
        let behind = client(|out| {
            prepares(out, b"s", b"SELECT 'second'");
            prepares(out, b"t", b"SELECT 'third'");
            frontend::sync(out);
        });
        if error_comes_between {
            script.extend([error, behind])
        } else {
            script.extend([behind, error])
        }
        script.push(server(ready));
        script.push(client(|out| executes(out, b"s")));
        script.push(server(|out| {
            serve::bare(out, b'2');
            serve::command_complete(out, "SELECT 1");
            ready(out);
        }));
        script.push(client(|out| executes(out, b"t")));
        script.push(server(|out| {
            serve::error_response(out, "ERROR", "26000", "no such statement");
            ready(out);
        }));
        let all = session(script);
        let last = requests_of(&all).pop().unwrap();
        assert_eq!(last.first_sql(), b"SELECT 'first'", "{error_comes_between}");
        assert_eq!(skipped(&all), [(Reason::StatementUnknown, 1)], "{error_comes_between}");
    }
}

#[test]
fn types_that_the_server_described_come_with_the_execution() {
    let all = session([
        client(|out| {
            frontend::parse(out, b"s", b"SELECT $1", &[]).unwrap();
            frontend::describe(out, Named::Statement(b"s")).unwrap();
            frontend::sync(out);
        }),
        server(|out| {
            serve::bare(out, b'1');
            out.extend(b"t\0\0\0\x0a\0\x01\0\0\0\x17");
            serve::row_description(out, &["a"]);
            ready(out);
        }),
        client(|out| {
            frontend::bind(out, b"", b"s", [Parameter::Binary(b"\0\0\0\x01")], &[1]).unwrap();
            frontend::execute(out, b"", 0).unwrap();
            frontend::sync(out);
        }),
        server(|out| {
            serve::bare(out, b'2');
            serve::data_row(out, &[Some(b"\0\0\0\x01")]);
            serve::command_complete(out, "SELECT 1");
            ready(out);
        }),
    ]);
    let [prepared, executed] = requests_of(&all)[..] else { panic!("{all:?}") };
    let Sent::Messages(messages) = &prepared.sent else { panic!("{prepared:?}") };
    assert!(matches!(&messages[0], Message::Parse { parameter_types, .. } if parameter_types.is_empty()));
    assert!(matches!(&executed.sent, Sent::Execute(Execute { parameter_types, .. }) if parameter_types == &[23]));
}

#[test]
fn a_copy_that_fails_before_its_end_has_none() {
    let all = session([
        client(|out| {
            frontend::parse(out, b"", b"COPY t FROM STDIN", &[]).unwrap();
            frontend::bind(out, b"", b"", [], &[]).unwrap();
            frontend::execute(out, b"", 0).unwrap();
            frontend::sync(out);
        }),
        server(|out| {
            serve::bare(out, b'1');
            serve::bare(out, b'2');
            serve::copy_response(out, b'G');
        }),
        client(|out| frontend::copy_data(out, b"x\n").unwrap()),
        server(|out| serve::error_response(out, "ERROR", "22P02", "no number")),
        client(|out| {
            frontend::copy_data(out, b"1\n").unwrap();
            frontend::copy_done(out);
            frontend::sync(out);
        }),
        server(ready),
        client(|out| frontend::query(out, b"SELECT 1").unwrap()),
        server(|out| {
            serve::command_complete(out, "SELECT 0");
            ready(out);
        }),
    ]);
    let is_data =
        |found: &&Found| matches!(found, Found::Copy { data, .. } if data.bytes == b"x\n" && data.ended.is_none());
    assert_eq!(all.iter().filter(is_data).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|found| matches!(found, Found::Copy { .. })).count(), 1);
    let [copy, select] = requests_of(&all)[..] else { panic!("{all:?}") };
    assert_eq!((copy.sqlstate().unwrap().as_str(), select.sqlstate()), ("22P02", None));
}

#[test]
fn a_copy_that_the_server_refuses_has_the_data_that_it_refused() {
    let all = session([
        client(|out| frontend::query(out, b"COPY t FROM STDIN").unwrap()),
        server(|out| serve::copy_response(out, b'G')),
        client(|out| frontend::copy_data(out, b"x\n").unwrap()),
        server(|out| {
            serve::error_response(out, "ERROR", "22P02", "no number");
            ready(out);
        }),
        client(frontend::copy_done),
    ]);
    let data = all.iter().find_map(|found| match found {
        Found::Copy { data, .. } => Some(data),
        _ => None,
    });
    let data = data.unwrap();
    assert_eq!((data.from_client, &data.bytes[..], data.ended), (true, &b"x\n"[..], None));
    assert_eq!(requests_of(&all)[0].sqlstate().unwrap().as_str(), "22P02");
}

#[test]
fn copy_both_ways_has_its_data_and_its_end() {
    let all = session([
        client(|out| frontend::query(out, b"COPY t TO STDOUT").unwrap()),
        server(|out| {
            serve::copy_response(out, b'H');
            frontend::copy_data(out, b"1\n").unwrap();
            frontend::copy_data(out, b"2\n").unwrap();
            frontend::copy_done(out);
            serve::command_complete(out, "COPY 2");
            ready(out);
        }),
        client(|out| frontend::query(out, b"COPY t FROM STDIN").unwrap()),
        server(|out| serve::copy_response(out, b'G')),
        client(|out| {
            frontend::copy_data(out, b"3\n").unwrap();
            frontend::copy_fail(out, "no more").unwrap();
        }),
        server(|out| {
            serve::error_response(out, "ERROR", "57014", "COPY from stdin failed");
            ready(out);
        }),
    ]);
    let copied = |found: &Found| match found {
        Found::Copy { data, .. } => Some((data.from_client, data.bytes.clone(), data.ended)),
        _ => None,
    };
    let copied: Vec<_> = all.iter().filter_map(copied).collect();
    assert_eq!(
        copied,
        [(false, b"1\n2\n".to_vec(), Some(CopyEnd::Done)), (true, b"3\n".to_vec(), Some(CopyEnd::Failed))]
    );
    let [out, failed] = requests_of(&all)[..] else { panic!("{all:?}") };
    assert_eq!((out.results[0].rows, out.results[0].bytes), (Some(2), Some(4)));
    assert_eq!(failed.sqlstate().unwrap().as_str(), "57014");
}

#[test]
fn a_function_call_is_kept_as_it_is() {
    let all = session([
        client(|out| out.extend(b"F\0\0\0\x0e\0\0\0\x01\0\0\0\0\0\0")),
        server(|out| {
            out.extend(b"V\0\0\0\x08\xff\xff\xff\xff");
            ready(out);
        }),
        client(|out| frontend::query(out, b"SELECT 1").unwrap()),
        server(|out| {
            serve::command_complete(out, "SELECT 1");
            ready(out);
        }),
    ]);
    let [call, query] = requests_of(&all)[..] else { panic!("{all:?}") };
    assert!(matches!(&call.sent, Sent::Messages(messages) if matches!(messages[..], [Message::Raw { tag: b'F', .. }])));
    assert_eq!(query.results.len(), 1, "the answer to the call was not taken for the query's");
}

#[test]
fn cancel_keys_of_any_length_find_their_session() {
    for secret in [vec![9; 4], vec![7; 32], vec![1; 256]] {
        let script = vec![
            client(|out| frontend::startup(out, 3 << 16 | 2, [("user", "app")]).unwrap()),
            server(|out| {
                serve::authentication_ok(out);
                serve::backend_key_data(out, 42, &secret);
                ready(out);
            }),
        ];
        let key = found(&script, usize::MAX, false).into_iter().find_map(|found| match found {
            Found::CancelKey(key) => Some(key),
            _ => None,
        });
        let cancel = vec![client(|out| frontend::cancel_request(out, 42, &secret).unwrap())];
        let all = found(&cancel, 3, false);
        let [Found::CancelRequest(requested)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(Some(requested), key.as_ref());
    }
}

#[test]
fn a_cancel_reaches_the_request_that_runs() {
    let mut conversation = Conversation::new(false);
    let mut all = Vec::new();
    let mut sink = |found| {
        all.push(found);
        Ok(())
    };
    let (failed, sleeps) = (
        server(|out| {
            serve::error_response(out, "ERROR", "57014", "canceled");
            ready(out);
        }),
        client(|out| frontend::query(out, b"SELECT pg_sleep(9)").unwrap()),
    );
    for (side, bytes) in login().iter().chain([&sleeps]) {
        conversation.take(*side, bytes, 10, (0, 1), &mut sink).unwrap();
    }
    assert!(conversation.cancelled(15));
    conversation.take(failed.0, &failed.1, 20, (0, 2), &mut sink).unwrap();
    assert!(!conversation.cancelled(25), "nothing runs any more");
    let Some(Found::Request(draft)) = all.pop() else { panic!("{all:?}") };
    assert_eq!(draft.cancelled_us, Some(15));
}

#[test]
fn a_login_that_was_given_up_is_said_and_one_that_went_well_is_not() {
    let asked = login().into_iter().take(4).collect();
    assert_eq!(skipped(&found(&asked, usize::MAX, false)), [(Reason::FailedLogin, 1)]);
    assert_eq!(skipped(&found(&login(), usize::MAX, false)), []);
    let mut refused: Script = login().into_iter().take(5).collect();
    refused.push(server(|out| serve::error_response(out, "FATAL", "28P01", "password authentication failed")));
    assert_eq!(skipped(&found(&refused, usize::MAX, false)), [(Reason::FailedLogin, 1)]);
}

#[test]
fn what_must_be_forgotten_is_counted_and_unknown_afterwards() {
    let mut conversation = Conversation::new(false);
    let mut all = Vec::new();
    let mut sink = |found| {
        all.push(found);
        Ok(())
    };
    let executes = client(|out| {
        frontend::bind(out, b"", b"s", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    });
    let sql = [b"SELECT '".to_vec(), vec![b'x'; 100_000], b"'".to_vec()].concat();
    let prepares = client(|out| {
        frontend::parse(out, b"s", &sql, &[]).unwrap();
        frontend::sync(out);
    });
    let prepared = server(|out| {
        serve::bare(out, b'1');
        ready(out);
    });
    for (side, bytes) in login().iter().chain([&prepares, &prepared]) {
        conversation.take(*side, bytes, 10, (0, 1), &mut sink).unwrap();
    }
    assert!(conversation.held_bytes() > 100_000);
    conversation.forget((0, 2), &mut sink).unwrap();
    assert!(conversation.held_bytes() < 1_000, "{}", conversation.held_bytes());
    conversation.take(executes.0, &executes.1, 20, (0, 3), &mut sink).unwrap();
    conversation.closed((0, 4), &mut sink).unwrap();
    assert_eq!(skipped(&all), [(Reason::Forgotten, 1), (Reason::StatementUnknown, 1)]);
}
