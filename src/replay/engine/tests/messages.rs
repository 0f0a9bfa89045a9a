//! Exact message sequences: pipelines, statements prepared apart, portals read in parts, and parts without a Sync.

use serde_json::{Value, json};

use super::live::{ask, cluster, session, target};
use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story, endpoint, inline, sqlstate};
use crate::samples::sample::Outcome::{ExpectedError, Failed, Ok};
use crate::samples::sample::ResultCheck;
use crate::server::fixture::Run;

fn parse(statement: &str, sql: &str) -> Value {
    json!({"parse": {"statement": statement, "sql": inline(sql)}})
}

fn bind(statement: &str, parameters: &[Value]) -> Value {
    json!({"bind": {"portal": "p", "statement": statement, "parameters": parameters, "result_formats": [1]}})
}

fn execute(sql: &str, row_limit: u32) -> Value {
    json!({"execute": {"portal": "p", "sql": inline(sql), "row_limit": row_limit}})
}

fn sync() -> Value {
    json!("sync")
}

/// The integer in binary.
fn binary(value: u8) -> Value {
    let encoded = ["AAAAAA==", "AAAAAQ==", "AAAAAg==", "AAAAAw=="][usize::from(value)];
    json!({"binary_base64": encoded})
}

#[tokio::test]
async fn a_statement_prepared_on_a_lost_connection_is_there_on_the_next() {
    let server = StandIn::new(|connection, sql| match (connection, sql) {
        (1, "SELECT 'break'") => Deed::ShutDown,
        _ => Deed::Answer,
    });
    let sql = "SELECT $1";
    let story = Story::new(CLIENTS)
        .session(1)
        .messages(0, 1, json!([parse("s1", sql), sync()]))
        .messages(1, 1, json!([bind("s1", &[json!("7")]), execute(sql, 5), sync()]))
        .query(2, 1, "SELECT 'break'")
        .messages(3, 1, json!([bind("s1", &[json!("8")]), execute(sql, 5), sync()]));
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok, Failed, Ok]);
    assert_eq!(server.heard(1), ["parse s1: SELECT $1", "execute s1", "SELECT 'break'"]);
    assert_eq!(server.heard(2), ["parse s1: SELECT $1", "execute s1"]);
}

#[tokio::test]
async fn a_real_server_answers_exact_messages_as_in_the_capture() {
    let run = Run::new("t-replay-messages");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE TABLE t (a int PRIMARY KEY)").await;
    let (insert, select) = ("INSERT INTO t VALUES ($1)", "SELECT a FROM t ORDER BY a");
    let story = Story::new(CLIENTS)
        .session(1)
        .messages(0, 1, json!([parse("i", insert), {"describe_statement": {"name": "i"}}, "flush", sync()]))
        // One pipeline of two transactions.
        .messages(
            1,
            1,
            json!([bind("i", &[binary(1)]), execute(insert, 0), sync(), bind("i", &[binary(2)]),
            {"describe_portal": {"name": "p"}}, execute(insert, 0), sync()]),
        )
        // Its second transaction fails; what stands behind the error is passed over.
        .messages(
            2,
            1,
            json!([
                bind("i", &[binary(3)]),
                execute(insert, 0),
                sync(),
                bind("i", &[binary(3)]),
                execute(insert, 0),
                parse("never", "SELECT 1"),
                sync()
            ]),
        )
        .results(json!([{"rows": 1}, {"sqlstate": "23505"}]))
        // A portal that is read in two parts.
        .query(3, 1, "BEGIN")
        .messages(4, 1, json!([parse("", select), bind("", &[]), execute(select, 2), sync()]))
        .results(json!([{"rows": 2}]))
        .messages(5, 1, json!([execute(select, 0), sync()]))
        .results(json!([{"rows": 1}]))
        .query(6, 1, "COMMIT")
        // A pipeline in parts, the first of which has no Sync.
        .messages(7, 1, json!([parse("d", "DELETE FROM t"), bind("d", &[]), execute("DELETE FROM t", 0)]))
        .results(json!([{"rows": 3}]))
        // Its portal lives until the Sync.
        .messages(8, 1, json!([{"close_portal": {"name": "p"}}, bind("i", &[binary(1)]), execute(insert, 0), sync()]))
        .results(json!([{"rows": 1}]))
        // And one whose first part fails, so that the server passes over the second.
        .messages(9, 1, json!([bind("i", &[binary(1)]), execute(insert, 0)]))
        .results(json!([{"sqlstate": "23505"}]))
        .messages(10, 1, json!([bind("i", &[binary(2)]), execute(insert, 0)]))
        .messages(11, 1, json!([bind("i", &[binary(2)]), execute(insert, 0), sync()]))
        .messages(12, 1, json!([{"close_statement": {"name": "i"}}, sync(), {"query": {"sql": inline("SELECT 1")}}]));
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    let requests = replayed.requests(1);
    let wanted = [Ok, Ok, ExpectedError, Ok, Ok, Ok, Ok, Ok, Ok, ExpectedError, Ok, Ok, Ok];
    assert_eq!(replayed.outcomes(1), wanted, "{requests:#?}");
    assert_eq!(requests[2].sqlstate, sqlstate("23505"));
    for at in [2, 4, 5, 7, 8, 9] {
        assert_eq!(requests[at].result, ResultCheck::Same, "{at}: {:?}", requests[at]);
    }
    assert_eq!(ask(&mut observer, "SELECT FROM t WHERE a = 1").await.rows, 1);
    assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 1);
    assert_eq!(replayed.report.connects(), (1, 0));
}
