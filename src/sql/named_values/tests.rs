//! Values and the columns that they belong to, in texts of all kinds.

use proptest::prelude::*;

use super::*;

fn told(text: &str) -> Vec<String> {
    let value = |value: NamedValue| {
        let place = match value.place {
            ValuePlace::Literal(span) => text[span].to_owned(),
            ValuePlace::Parameter(number) => format!("${number}"),
        };
        format!("{}.{}={place}", value.tables.join("|"), value.column.unwrap_or_else(|| "?".to_owned()))
    };
    named_values(text).into_iter().map(value).collect()
}

#[test]
fn what_a_column_is_compared_with_or_set_to_is_its_value() {
    for (text, values) in [
        ("SELECT a FROM orders WHERE id = 7 AND b >= '8'", vec!["orders.id=7", "orders.b='8'"]),
        ("UPDATE s.orders AS o SET paid = $1 WHERE o.id = $2", vec!["orders.paid=$1", "orders.id=$2"]),
        ("DELETE FROM t WHERE 5 = id AND (k) = (CAST(6 AS int))", vec!["t.id=5", "t.?=6"]),
        ("DELETE FROM t WHERE k = ((6)) OR (j = 7::bigint)", vec!["t.k=6", "t.j=7"]),
        ("SELECT 1 FROM t WHERE id::text = '5' AND id BETWEEN 1 AND 2", vec!["t.?=1", "t.id='5'", "t.id=1", "t.id=2"]),
        ("DELETE FROM t WHERE a IN (1, $2) AND b NOT IN ('3')", vec!["t.a=1", "t.a=$2", "t.b='3'"]),
    ] {
        assert_eq!(told(text), values, "{text}");
    }
}

#[test]
fn the_values_of_an_insert_are_those_of_its_columns() {
    let rows = "INSERT INTO items (order_id, \"N\") VALUES (1, 2), ($1, f(3)) ON CONFLICT (n) DO UPDATE SET n = 4";
    assert_eq!(told(rows), ["items.order_id=1", "items.N=2", "items.order_id=$1", "items.?=3", "items.n=4"]);
    assert_eq!(told("INSERT INTO items VALUES (1, 2)"), ["items.?=1", "items.?=2"]);
}

#[test]
fn a_column_without_a_table_may_be_that_of_any() {
    let join = "SELECT 1 FROM a x JOIN b ON x.id = b.a WHERE x.id = 3 AND b.id = 4 AND y = 5";
    assert_eq!(told(join)[1..], ["a.id=3", "b.id=4", "a|b.y=5"]);
    assert_eq!(told("SELECT 1 FROM a WHERE z.id = 3")[1..], [".id=3"]);
}

#[test]
fn what_is_no_value_of_a_row_is_left_out() {
    for text in [
        "SELECT a FROM t ORDER BY 1 LIMIT 5 OFFSET $1",
        "SELECT a::numeric(10, 2) FROM t",
        "UPDATE t SET a = a + 1",
        "SELECT a FROM t WHERE b = 1 + 2 AND c = -3",
        "SELECT a FROM t WHERE b > now() - interval '5' ",
        "SELECT a FROM t GROUP BY 1 FETCH FIRST 3 ROWS ONLY",
    ] {
        assert_eq!(told(text), [""; 0], "{text}");
    }
    assert_eq!(told("SELECT f(5, lower('x'))"), [".?=5", ".?='x'"]);
}

#[test]
fn each_statement_of_a_text_has_its_own_tables() {
    assert_eq!(told("DELETE FROM a WHERE id = 1; DELETE FROM b WHERE id = 2"), ["a.id=1", "b.id=2"]);
}

#[test]
fn the_table_that_is_written_is_that_of_the_outermost_statement() {
    for (text, table) in [
        ("INSERT INTO s.Orders (a) VALUES (1) RETURNING id", Some("orders")),
        ("WITH x AS (DELETE FROM q RETURNING id) INSERT INTO r SELECT id FROM x RETURNING id", Some("r")),
        ("UPDATE ONLY t SET a = 1 WHERE id = (SELECT id FROM u FOR UPDATE) RETURNING id", Some("t")),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 RETURNING id", Some("t")),
        ("SELECT nextval('s')", None),
    ] {
        assert_eq!(written_table(text).as_deref(), table, "{text}");
    }
}

/// Texts of pieces that meet in every way.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let piece = proptest::sample::select(vec![
        "select ",
        "insert into ",
        "t",
        " (a, b) ",
        "values ",
        "(",
        ")",
        ",",
        ";",
        " where ",
        "id",
        " = ",
        "1",
        "'2'",
        "$3",
        " in ",
        " and ",
        "between ",
        "::",
        "int",
        "-",
        "+",
        ".",
        "cast(",
        " as ",
        "update ",
        " set ",
        "limit ",
        "order by ",
        "é",
        "'",
        "\"",
        "[",
        "]",
        "not ",
        "interval ",
        "5.5",
    ]);
    proptest::collection::vec(piece, 0..24)
}

proptest! {
    #[test]
    fn places_lie_on_literals_in_order(pieces in pieces(), any_text in "\\PC*") {
        for text in [pieces.concat(), any_text] {
            let mut end = 0;
            for value in named_values(&text) {
                if let ValuePlace::Literal(span) = value.place {
                    prop_assert!(span.start >= end);
                    let token = tokens(&text).find(|token| token.start == span.start).unwrap();
                    prop_assert!(matches!(token.kind, TokenKind::Number | TokenKind::String));
                    prop_assert_eq!(token.end(), span.end);
                    end = span.end;
                }
            }
            written_table(&text);
        }
    }
}
