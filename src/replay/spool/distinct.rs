//! A request with other values in unique columns, as a copy of its session sends it.
//!
//! Takes a request and the columns; gives the same request with the literals and parameters of a variant. COPY data and the
//! arguments of SQL's EXECUTE stay as they are. Must not know who sends it.

use std::collections::HashMap;

use super::bytes::Take;
use super::lists::{List, ListWriter};
use super::messages::{Message, MessageSequence};
use super::request::{Body, Captured, Execution, RequestFacts, SpoolRequest};
use crate::pgwire::frontend::Parameter;
use crate::replay::unique::UniqueColumns;
use crate::sql::{NamedValue, ValuePlace, named_values};

/// Which values, and what for.
#[derive(Clone, Copy)]
struct Variant<'a> {
    columns: &'a UniqueColumns,
    number: u64,
}

impl SpoolRequest<'_> {
    /// The request in this variant, its bytes in `out`; none where it is the same in all. Its rows are not those of the
    /// capture.
    pub fn in_variant<'b>(
        &self,
        columns: &UniqueColumns,
        number: u64,
        out: &'b mut Vec<u8>,
    ) -> Option<SpoolRequest<'b>> {
        out.clear();
        Variant { columns, number }.put(&self.body, out)?;
        let body = Body::take(&mut Take(out))?;
        let captured = Captured { rows: None, digest: None, ..self.facts.captured };
        // Ids were put in before: their places are those of the captured body.
        let facts = RequestFacts { captured, has_ids: false, ..self.facts };
        Some(SpoolRequest { facts, ids: &[], body })
    }
}

/// A text with the parameters that are values of unique columns, counted from 0.
struct Changed {
    sql: Option<Vec<u8>>,
    parameters: Vec<usize>,
}

impl Variant<'_> {
    /// Appends the changed body; none where nothing changes.
    fn put(self, body: &Body<'_>, out: &mut Vec<u8>) -> Option<()> {
        match body {
            Body::Simple { sql } => Body::Simple { sql: &self.change(sql).sql? }.put(out),
            Body::Execute(execution) => {
                let Changed { sql, parameters } = self.change(execution.sql);
                let values = self.parameters(execution.parameters, execution.parameter_types, &parameters);
                if sql.is_none() && values.is_none() {
                    return None;
                }
                let sql = sql.as_deref().unwrap_or(execution.sql);
                let parameters = values.as_ref().map_or(execution.parameters, ListWriter::list);
                Body::Execute(Execution { sql, parameters, ..*execution }).put(out);
            }
            Body::Messages(sequence) => self.put_messages(sequence, out)?,
        }
        Some(())
    }

    fn put_messages(self, sequence: &MessageSequence<'_>, out: &mut Vec<u8>) -> Option<()> {
        let mut prepared: HashMap<&[u8], (Vec<usize>, List<'_>)> = HashMap::new();
        let (mut needed, mut messages) = (ListWriter::default(), ListWriter::default());
        let mut any = false;
        let of_needed = sequence.needed().map(|message| (true, message));
        for (is_needed, message) in of_needed.chain(sequence.messages().map(|message| (false, message))) {
            let list = if is_needed { &mut needed } else { &mut messages };
            match message {
                Message::Query { sql } => {
                    let changed = self.change(sql).sql;
                    any |= changed.is_some();
                    Message::Query { sql: changed.as_deref().unwrap_or(sql) }.put(list.next());
                }
                Message::Parse { statement, sql, parameter_types } => {
                    let changed = self.change(sql);
                    any |= changed.sql.is_some();
                    prepared.insert(statement, (changed.parameters, parameter_types));
                    let sql = changed.sql.as_deref().unwrap_or(sql);
                    Message::Parse { statement, sql, parameter_types }.put(list.next());
                }
                Message::Bind { portal, statement, parameters, result_formats } => {
                    let known = prepared.get(statement);
                    let values = known.and_then(|(places, types)| self.parameters(parameters, *types, places));
                    any |= values.is_some();
                    let parameters = values.as_ref().map_or(parameters, ListWriter::list);
                    Message::Bind { portal, statement, parameters, result_formats }.put(list.next());
                }
                other => other.put(list.next()),
            }
        }
        let (needed, messages) = (needed.list(), messages.list());
        any.then(|| Body::Messages(MessageSequence { needed, messages, ..*sequence }).put(out))
    }

    /// Parameters with other values at these places; none where nothing changes.
    fn parameters(self, parameters: List<'_>, types: List<'_>, places: &[usize]) -> Option<ListWriter> {
        if places.is_empty() {
            return None;
        }
        let mut any = false;
        let mut list = ListWriter::default();
        let types = types.oids().chain(std::iter::repeat(0));
        for ((at, parameter), type_oid) in parameters.parameters().enumerate().zip(types) {
            let changed = match parameter {
                _ if !places.contains(&at) => None,
                Parameter::Null => None,
                Parameter::Text(text) => {
                    let text = std::str::from_utf8(text).ok();
                    text.and_then(|text| self.columns.text(text, self.number)).map(String::into_bytes)
                }
                Parameter::Binary(bytes) => self.columns.binary(bytes, type_oid, self.number),
            };
            any |= changed.is_some();
            list.push_parameter(match (parameter, &changed) {
                (Parameter::Text(_), Some(changed)) => Parameter::Text(changed),
                (_, Some(changed)) => Parameter::Binary(changed),
                (as_it_was, None) => as_it_was,
            });
        }
        any.then_some(list)
    }

    /// The text with other literals, where there are any; a text that is not UTF-8 stays.
    fn change(self, sql: &[u8]) -> Changed {
        let Ok(text) = std::str::from_utf8(sql) else { return Changed { sql: None, parameters: Vec::new() } };
        let values = named_values(text);
        let unique: Vec<&NamedValue> = values.iter().filter(|value| self.columns.has(value)).collect();
        let parameters = unique.iter().filter_map(|value| match value.place {
            ValuePlace::Parameter(number) => number.checked_sub(1),
            ValuePlace::Literal(_) => None,
        });
        let parameters = parameters.collect();
        let (mut changed, mut copied) = (String::new(), 0);
        for value in unique {
            let ValuePlace::Literal(range) = &value.place else { continue };
            let Some(literal) = self.literal(&text[range.clone()]) else { continue };
            changed.push_str(&text[copied..range.start]);
            changed.push_str(&literal);
            copied = range.end;
        }
        if copied == 0 {
            return Changed { sql: None, parameters };
        }
        changed.push_str(&text[copied..]);
        Changed { sql: Some(changed.into_bytes()), parameters }
    }

    /// A literal in this variant; none for a string with escapes, and for a number with a fraction.
    fn literal(self, literal: &str) -> Option<String> {
        let Some(quoted) = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) else {
            let is_whole = literal.bytes().all(|byte| byte.is_ascii_digit());
            return self.columns.text(literal, self.number).filter(|_| is_whole);
        };
        let value = quoted.replace("''", "'");
        self.columns.text(&value, self.number).map(|value| format!("'{}'", value.replace('\'', "''")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{DatabaseNames, Spool};
    use super::*;

    fn columns() -> UniqueColumns {
        let of_orders = |column: &str| ("orders".to_owned(), column.to_owned());
        UniqueColumns::new([of_orders("id"), of_orders("email")], 1_000)
    }

    fn inline(sql: &str) -> Value {
        json!({"text": sql, "fingerprint": crate::sql::fingerprint(sql), "class": crate::sql::classify(sql)})
    }

    /// What `look` sees of the only request of a spool in variant 2; none where it does not change.
    fn changed<T>(sent: Value, look: impl Fn(Body<'_>) -> T) -> Option<T> {
        let mut request = json!({"kind": "request", "t_us": 1, "session": 1, "sequence": 0,
            "results": [{"total_us": 1, "rows": 1}]});
        request.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
        let lines = [
            json!({"kind": "open", "t_us": 0, "session": 1, "database": "app", "user": "u"}),
            request,
            json!({"kind": "end", "sessions": 1, "requests": 1, "tenants": 0, "span_us": 2}),
        ];
        let spool = Spool::from_lines(&lines, DatabaseNames::new());
        let mut requests = spool.requests(&spool.sessions()[0]);
        requests.advance().unwrap().unwrap();
        let mut out = Vec::new();
        let request = requests.current().unwrap();
        assert_eq!(request.facts.captured.rows, Some(1));
        let changed = request.in_variant(&columns(), 2, &mut out)?;
        assert_eq!(changed.facts.captured.rows, None, "rows of other values");
        Some(look(changed.body))
    }

    fn texts(parameters: List<'_>) -> Vec<String> {
        let text = |parameter| match parameter {
            Parameter::Null => "NULL".to_owned(),
            Parameter::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Parameter::Binary(bytes) => format!("{bytes:?}"),
        };
        parameters.parameters().map(text).collect()
    }

    fn simple(sql: &str) -> Option<String> {
        changed(json!({"simple": {"sql": inline(sql)}}), |body| String::from_utf8(body.session_sql().to_vec()).unwrap())
    }

    #[test]
    fn literals_of_unique_columns_change_wherever_they_stand() {
        for (text, wanted) in [
            (
                "INSERT INTO orders (id, email, sum) VALUES (7, 'it''s', 7)",
                "INSERT INTO orders (id, email, sum) VALUES (2007, 'it''s-2', 7)",
            ),
            (
                "SELECT sum FROM orders WHERE id = 7 AND sum > 7 LIMIT 7",
                "SELECT sum FROM orders WHERE id = 2007 AND sum > 7 LIMIT 7",
            ),
            ("UPDATE orders SET sum = 1 WHERE id IN (7, '8')", "UPDATE orders SET sum = 1 WHERE id IN (2007, '2008')"),
            ("DELETE FROM orders o WHERE o.id = 7; SELECT 7", "DELETE FROM orders o WHERE o.id = 2007; SELECT 7"),
        ] {
            assert_eq!(simple(text).as_deref(), Some(wanted));
        }
        for text in ["SELECT 7", "SELECT a FROM items WHERE id = 7", "SELECT a FROM orders WHERE sum = 7"] {
            assert_eq!(simple(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_change_by_the_columns_that_they_are_for() {
        let sql = inline("INSERT INTO orders (id, sum, email) VALUES ($1, $2, $3)");
        let execute = json!({"execute": {"sql": sql, "statement": "s", "parameters": ["7", "8", null]}});
        let seen = changed(execute, |body| {
            let Body::Execute(execution) = body else { panic!("{body:?}") };
            (execution.statement.to_vec(), texts(execution.parameters))
        });
        assert_eq!(seen.unwrap(), (b"s".to_vec(), vec!["2007".to_owned(), "8".to_owned(), "NULL".to_owned()]));
    }

    #[test]
    fn exact_messages_change_by_the_text_that_they_bind() {
        let sql = inline("UPDATE orders SET sum = $2 WHERE id = $1");
        let messages = json!({"messages": [
            {"parse": {"statement": "s", "sql": sql}},
            {"bind": {"statement": "s", "parameters": ["7", "8"]}},
            {"execute": {"sql": sql}},
            {"bind": {"statement": "s", "parameters": ["9", "8"]}},
            {"execute": {"sql": sql}},
            "sync",
        ]});
        let seen = changed(messages, |body| {
            let Body::Messages(sequence) = body else { panic!("{body:?}") };
            let bound = |message| match message {
                Message::Bind { parameters, .. } => Some(texts(parameters)),
                _ => None,
            };
            (sequence.messages().count(), sequence.messages().filter_map(bound).collect::<Vec<_>>())
        });
        assert_eq!(seen.unwrap(), (6, vec![vec!["2007".to_owned(), "8".to_owned()], vec!["2009".into(), "8".into()]]));
    }
}
