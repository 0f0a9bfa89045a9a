//! Ids that come back from the server and go out again, as specifications of small captures.

use super::super::id_marks::PatchTarget;
use super::*;
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::workload::record::{Execute, InlineSql, Outcome, Parameter, ParameterBytes, Sent, SqlRef, Text};

/// The requests of a capture, one after the other.
#[derive(Default)]
struct Capture {
    known: KnownIds,
    texts: Texts,
    event: u64,
    tenant: Option<u32>,
}

fn inline(sql: &str) -> SqlRef {
    let (text, fingerprint) = (Text::Text(sql.to_owned()), Fingerprint(1));
    SqlRef::Inline(Box::new(InlineSql { text, fingerprint, class: StatementClass::Other, parameter_types: vec![] }))
}

impl Capture {
    fn take(&mut self, number: u32, sent: Sent, results: Vec<Outcome>) -> IdsOfRequest {
        let t_us = self.event * 10;
        let tenant = self.tenant;
        let request =
            Request { t_us, session: number, sequence: 0, tenant, sent, results, transaction: None, at: None };
        let event = self.event;
        self.event += 1;
        let captured = Captured { request: &request, number, event, database: Database::named("app") };
        self.known.take(captured, &self.texts)
    }

    /// A simple query whose result has one row.
    fn returns(&mut self, number: u32, sql: &str, row: &[(&str, &str)]) -> IdsOfRequest {
        let result = Outcome {
            rows: Some(1),
            total_us: Some(5),
            command_tag: Some(sql.split(' ').next().unwrap_or_default().to_ascii_uppercase()),
            returned_columns: row.iter().map(|(column, _)| (*column).to_owned()).collect(),
            returned: row.iter().map(|(_, value)| Parameter::Text((*value).to_owned())).collect(),
            ..Outcome::default()
        };
        self.take(number, Sent::Simple { sql: inline(sql) }, vec![result])
    }

    fn query(&mut self, number: u32, sql: &str) -> IdsOfRequest {
        self.take(number, Sent::Simple { sql: inline(sql) }, vec![])
    }

    /// The patches of a simple query as texts with the slots beside them, and the number of values that are not sure.
    fn sends(&mut self, number: u32, sql: &str) -> (Vec<(String, u64)>, u32) {
        let IdsOfRequest { marks, .. } = self.query(number, sql);
        let patch = |patch: &Patch| {
            let PatchTarget::Text { start, length } = patch.target else { panic!("{patch:?}") };
            (sql[start as usize..(start + length) as usize].to_owned(), patch.slot)
        };
        (marks.patches.iter().map(patch).collect(), marks.unsure)
    }
}

const ORDER: &str = "INSERT INTO shop.orders (customer) VALUES ('ada') RETURNING id";

fn one(text: &str, slot: u64) -> (Vec<(String, u64)>, u32) {
    (vec![(text.to_owned(), slot)], 0)
}

const NOTHING: (Vec<(String, u64)>, u32) = (Vec::new(), 0);

#[test]
fn an_id_is_followed_into_its_own_column_and_into_references() {
    let mut capture = Capture::default();
    let ids = capture.returns(1, ORDER, &[("id", "41")]);
    assert_eq!(ids.marks.fills, [Fill { statement: 0, row: 0, column: 0, is_binary: false, slot: 0 }]);
    assert_eq!(capture.sends(2, "UPDATE orders SET paid = true WHERE id = 41"), one("41", 0));
    assert_eq!(capture.sends(2, "INSERT INTO items (order_id, n) VALUES (41, 3)"), one("41", 0));
    assert_eq!(
        capture.sends(2, "SELECT 1 FROM items i JOIN orders o ON o.id = i.order_id WHERE o.id = '41'"),
        one("'41'", 0)
    );
}

#[test]
fn what_is_another_tables_or_no_id_stays() {
    let mut capture = Capture::default();
    capture.returns(1, ORDER, &[("id", "41")]);
    assert_eq!(capture.sends(1, "SELECT 1 FROM customers WHERE id = 41"), NOTHING);
    assert_eq!(capture.sends(1, "UPDATE items SET amount = 41"), NOTHING);
    assert_eq!(capture.sends(1, "SELECT a FROM orders LIMIT 41"), NOTHING);
    assert_eq!(capture.sends(1, "UPDATE orders SET paid = true WHERE id = 40"), NOTHING);
}

#[test]
fn what_is_not_sure_is_counted_and_not_touched() {
    let mut capture = Capture::default();
    capture.returns(1, ORDER, &[("id", "41")]);
    assert_eq!(capture.sends(1, "SELECT pay(41)"), (vec![], 1));
    assert_eq!(capture.sends(1, "SELECT 1 FROM items WHERE parent_id = 41"), (vec![], 1));
    capture.returns(1, "INSERT INTO bills (a) VALUES (1) RETURNING id", &[("id", "41")]);
    assert_eq!(capture.sends(1, "SELECT 1 FROM orders, bills WHERE id = 41"), (vec![], 1), "of two tables");
    assert_eq!(capture.sends(1, "DELETE FROM bills WHERE id = 41"), one("41", 1));
}

#[test]
fn nothing_is_looked_for_before_it_was_returned() {
    let mut capture = Capture::default();
    assert_eq!(capture.sends(1, "DELETE FROM orders WHERE id = 41"), NOTHING);
    // Sent before the answer of the other session was there.
    let sent = capture.returns(1, ORDER, &[("id", "41")]);
    assert_eq!(sent.marks.patches, []);
    capture.event -= 1;
    assert_eq!(capture.sends(2, "DELETE FROM orders WHERE id = 41"), NOTHING);
    assert_eq!(capture.sends(2, "DELETE FROM orders WHERE id = 41"), one("41", 0));
}

#[test]
fn what_its_client_gave_is_no_id_of_the_servers() {
    let mut capture = Capture::default();
    let ids = capture.returns(1, "UPDATE orders SET paid = true WHERE id = 7 RETURNING id", &[("id", "7")]);
    assert_eq!(ids.marks, IdMarks::default());
    let ids = capture.returns(1, "UPDATE jobs SET taken = true RETURNING id, state", &[("id", "9"), ("state", "5")]);
    assert_eq!(ids.marks.fills.len(), 1, "the state is no id");
}

#[test]
fn another_session_waits_for_the_request_that_returned_the_id() {
    let mut capture = Capture::default();
    capture.returns(1, ORDER, &[("id", "41")]);
    assert_eq!(capture.query(1, "DELETE FROM orders WHERE id = 41").waits, []);
    assert_eq!(capture.query(2, "DELETE FROM orders WHERE id = 41").waits, [Wait { number: 1, event: 0 }]);
}

#[test]
fn bound_values_are_followed_in_both_formats() {
    let mut capture = Capture::default();
    capture.returns(1, ORDER, &[("id", "41")]);
    let binary = |base64: &str| Parameter::Bytes(ParameterBytes::BinaryBase64(base64.to_owned()));
    let execute = Execute {
        sql: inline("UPDATE items SET n = $1 WHERE order_id = $2 AND id = $3"),
        statement: String::new(),
        portal: String::new(),
        parameters: vec![Parameter::Text("41".into()), binary("AAAAKQ=="), Parameter::Text("41".into())],
        result_formats: vec![],
        row_limit: 0,
        parse: None,
        describe: None,
    };
    let patches = capture.take(1, Sent::Execute(execute), vec![]).marks.patches;
    assert_eq!(patches, [Patch { message: 0, target: PatchTarget::Parameter(1), slot: 0 }]);
}

#[test]
fn the_ids_of_a_sequence_are_known_by_its_name_or_by_where_they_go_first() {
    let mut capture = Capture::default();
    capture.returns(1, "SELECT nextval('shop.orders_id_seq')", &[("nextval", "41")]);
    assert_eq!(capture.sends(2, "INSERT INTO orders (id) VALUES (41)"), one("41", 0));
    assert_eq!(capture.sends(2, "INSERT INTO items (order_id) VALUES (41)"), one("41", 0));
    capture.returns(1, "SELECT nextval('hibernate_sequence')", &[("nextval", "50")]);
    assert_eq!(capture.sends(2, "DELETE FROM bills WHERE id = 50"), NOTHING);
    assert_eq!(capture.sends(1, "INSERT INTO bills (id) VALUES (50)"), one("50", 1));
    assert_eq!(capture.sends(2, "INSERT INTO lines (bill_id) VALUES (50)"), one("50", 1));
    capture.returns(3, "SELECT lastval()", &[("lastval", "60")]);
    assert_eq!(capture.sends(3, "INSERT INTO lines (bill_id) VALUES (60)"), one("60", 2));
}

#[test]
fn a_uuid_is_the_same_wherever_it_stands() {
    let uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f";
    let mut capture = Capture::default();
    capture.returns(1, "INSERT INTO t (a) VALUES (1) RETURNING token, a", &[("token", uuid), ("a", "2")]);
    let text = format!("SELECT f('{uuid}')");
    assert_eq!(capture.sends(2, &text), one(&format!("'{uuid}'"), 0));
}

#[test]
fn an_id_of_another_tenant_is_never_sure() {
    let mut capture = Capture { tenant: Some(1), ..Capture::default() };
    capture.returns(1, ORDER, &[("id", "41")]);
    capture.tenant = Some(2);
    assert_eq!(capture.sends(2, "DELETE FROM orders WHERE id = 41"), (vec![], 1), "it may be in another schema");
    capture.tenant = None;
    assert_eq!(capture.sends(3, "DELETE FROM orders WHERE id = 41"), one("41", 0));
}

#[test]
fn of_ids_that_came_twice_the_sessions_own_goes_first() {
    let mut capture = Capture::default();
    let take = "UPDATE jobs SET taken = true RETURNING id";
    capture.returns(1, take, &[("id", "9")]);
    capture.returns(2, take, &[("id", "9")]);
    assert_eq!(capture.sends(1, "DELETE FROM jobs WHERE id = 9"), one("9", 0));
    assert_eq!(capture.sends(3, "DELETE FROM jobs WHERE id = 9"), one("9", 1));
}

#[test]
fn the_oldest_ids_are_forgotten() {
    let mut capture = Capture::default();
    for id in 1..=RETURNED_MAX + 10 {
        capture.returns(1, ORDER, &[("id", &(id as i64 + 1_000).to_string())]);
    }
    assert_eq!((capture.known.ring.len(), capture.known.known.len()), (RETURNED_MAX, RETURNED_MAX));
    assert_eq!(capture.sends(1, "DELETE FROM orders WHERE id = 1001"), NOTHING);
    assert_eq!(capture.sends(1, "DELETE FROM orders WHERE id = 2000").0.len(), 1);
}
