//! One object of JSON as the fields that a server's log has, whoever wrote the line.
//!
//! Takes an object and gives its fields: jsonlog's own, the columns of a csvlog under their names (CloudNativePG), or a
//! server's line in an envelope (Cloud SQL, Azure, CloudWatch, containers). Texts may hold bytes that are no UTF-8, as the server
//! writes them. Must not know what the fields mean.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::json_row;

/// A text of a JSON line; null stands for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, [u8]>);

impl Text<'_> {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor).map(Self)
    }
}

/// A number of a JSON line, which some writers quote; 0 for what is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub u32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(b""))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Bytes are what serde_json gives without looking whether they are UTF-8.
        deserializer.deserialize_bytes(self)
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<u32, E> {
        Ok(u32::try_from(number).unwrap_or(0))
    }

    fn visit_i64<E>(self, number: i64) -> Result<u32, E> {
        Ok(u32::try_from(number).unwrap_or(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<u32, E> {
        Ok(0)
    }

    fn visit_unit<E>(self) -> Result<u32, E> {
        Ok(0)
    }

    fn visit_str<E>(self, text: &str) -> Result<u32, E> {
        Ok(text.parse().unwrap_or(0))
    }
}

/// A server's own fields, under the names of jsonlog and of csvlog's columns.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row<'a> {
    #[serde(borrow, alias = "log_time")]
    pub timestamp: Text<'a>,
    #[serde(borrow, alias = "user_name")]
    pub user: Text<'a>,
    #[serde(borrow, alias = "database_name")]
    pub dbname: Text<'a>,
    #[serde(alias = "process_id", alias = "processId")]
    pub pid: Number,
    #[serde(borrow, alias = "connection_from")]
    pub remote_host: Text<'a>,
    #[serde(borrow)]
    pub session_id: Text<'a>,
    #[serde(borrow, alias = "command_tag")]
    pub ps: Text<'a>,
    #[serde(borrow, alias = "session_start_time")]
    pub session_start: Text<'a>,
    #[serde(borrow, alias = "errorLevel")]
    pub error_severity: Text<'a>,
    #[serde(borrow, alias = "sql_state_code", alias = "sqlerrcode")]
    pub state_code: Text<'a>,
    #[serde(borrow, alias = "log", alias = "textPayload", alias = "MESSAGE")]
    pub message: Text<'a>,
    #[serde(borrow)]
    pub detail: Text<'a>,
    #[serde(borrow)]
    pub context: Text<'a>,
    #[serde(borrow, alias = "query")]
    pub statement: Text<'a>,
    #[serde(borrow)]
    pub application_name: Text<'a>,
    #[serde(borrow)]
    pub backend_type: Text<'a>,
    pub leader_pid: Number,
    /// The prefix of the line, where it stands apart (Azure).
    #[serde(borrow)]
    pub prefix: Text<'a>,
    /// When the carrier took the line (Azure, containers).
    #[serde(borrow)]
    pub time: Text<'a>,
}

/// A line: a row, or an envelope around one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object<'a> {
    /// CloudNativePG.
    #[serde(borrow)]
    pub record: Option<Row<'a>>,
    /// Azure.
    #[serde(borrow)]
    pub properties: Option<Row<'a>>,
    /// Google's logging agents.
    #[serde(borrow, rename = "jsonPayload")]
    pub json_payload: Option<Row<'a>>,
}

/// An event of CloudWatch, whose time is a number.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    /// Milliseconds since the epoch.
    timestamp: i64,
    #[serde(borrow)]
    message: Text<'a>,
}

fn event(line: &[u8]) -> Option<Row<'_>> {
    let event: Event<'_> = serde_json::from_slice(line).ok()?;
    let time = jiff::Timestamp::from_millisecond(event.timestamp).ok()?.to_string();
    Some(Row { message: event.message, time: Text(Cow::Owned(time.into_bytes())), ..Row::default() })
}

/// Reads an object; none for what is no JSON object of this form.
pub fn read(line: &[u8]) -> Option<Row<'_>> {
    match json_row::read(line) {
        Some(row) if !row.error_severity.is_empty() || !row.message.is_empty() => Some(row),
        _ => read_any(line),
    }
}

/// Reads an object of any form.
fn read_any(line: &[u8]) -> Option<Row<'_>> {
    let row: Row<'_> = match serde_json::from_slice(line) {
        Ok(row) => row,
        Err(error) if error.is_data() => return event(line),
        Err(_) => return None,
    };
    if !row.error_severity.is_empty() || !row.message.is_empty() {
        return Some(row);
    }
    let object: Object<'_> = serde_json::from_slice(line).ok()?;
    let inner = object.record.or(object.properties).or(object.json_payload)?;
    let timestamp = if inner.timestamp.is_empty() { row.timestamp } else { inner.timestamp };
    let time = if inner.time.is_empty() { row.time } else { inner.time };
    Some(Row { timestamp, time, ..inner })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_taken_as_the_server_wrote_them() {
        let row = read(b"{\"message\":\"a\\n\\u00e9\\\"\",\"user\":\"caf\xe9\",\"pid\":7,\"query_id\":-1,\"x\":[{}]}")
            .unwrap();
        assert_eq!(row.message.0.as_ref(), "a\né\"".as_bytes());
        assert_eq!(row.user.0.as_ref(), b"caf\xe9");
        assert_eq!(row.pid, Number(7));
    }

    #[test]
    fn a_servers_own_lines_go_the_quick_way() {
        let line = "{\"timestamp\":\"2026-11-25 13:16:43.447 UTC\",\"user\":\"admin\",\"pid\":14473,\"line_num\":250,\"txid\":0,\
            \"message\":\"a \\\"b\\\"\\n\",\"query_id\":-2284}";
        let row = json_row::read(line.as_bytes()).unwrap();
        assert_eq!((row.message.0.as_ref(), row.pid), (b"a \"b\"\n".as_slice(), Number(14_473)));
    }

    #[test]
    fn envelopes_are_opened() {
        for line in [
            "{\"level\":\"info\",\"logger\":\"postgres\",\"msg\":\"record\",\"record\":{\"message\":\"m\",\"process_id\":\"7\"}}",
            "{\"time\":\"t\",\"category\":\"PostgreSQLLogs\",\"properties\":{\"message\":\"m\",\"processId\":7}}",
            "{\"jsonPayload\":{\"message\":\"m\",\"pid\":7},\"timestamp\":\"t\"}",
        ] {
            let row = read(line.as_bytes()).unwrap();
            assert_eq!((row.message.0.as_ref(), row.pid), (b"m".as_slice(), Number(7)), "{line}");
        }
        for line in
            ["{\"textPayload\":\"m\",\"timestamp\":\"t\"}", "{\"log\":\"m\",\"stream\":\"stderr\",\"time\":\"t\"}"]
        {
            assert_eq!(read(line.as_bytes()).unwrap().message.0.as_ref(), b"m", "{line}");
        }
        let event = read(b"{\"id\":\"1\",\"timestamp\":1583955650123,\"message\":\"m\",\"ingestionTime\":2}").unwrap();
        assert_eq!(
            (event.message.0.as_ref(), event.time.0.as_ref()),
            (b"m".as_slice(), b"2020-03-11T19:40:50.123Z".as_slice())
        );
        assert!(read(b"{\"a\":1}").is_none() && read(b"[1]").is_none() && read(b"{\"message\":").is_none());
    }

    /// Members as servers write them, and others.
    fn member() -> impl Strategy<Value = String> {
        let key = proptest::sample::select(vec![
            "timestamp",
            "user",
            "dbname",
            "pid",
            "session_id",
            "ps",
            "message",
            "detail",
            "statement",
            "leader_pid",
            "x",
            "query_id",
            "log_time",
            "error_severity",
            "backend_type",
            "na\\u006de",
            "remote_port",
        ]);
        let value = prop_oneof![
            "[a-z0-9 é]{0,12}".prop_map(|text| format!("\"{text}\"")),
            proptest::sample::select(vec![
                "7",
                "-1",
                "0",
                "007",
                "1.5",
                "4294967296",
                "null",
                "true",
                "{}",
                "[1]",
                "\"\\n\\u00e9\\\"\"",
                "\"\\ud800\"",
                "\"\t\"",
                "",
                "\"open",
                "12a",
            ])
            .prop_map(str::to_owned),
        ];
        (key, value).prop_map(|(key, value)| format!("\"{key}\":{value}"))
    }

    proptest! {
        #[test]
        fn the_quick_way_reads_what_the_general_way_reads(
            members in proptest::collection::vec(member(), 0..6),
            separator in proptest::sample::select(vec![",", ", ", " ,", ""]),
            ends in proptest::sample::select(vec![("{", "}"), ("{ ", " }"), ("", ""), ("{", "}}"), ("{", ",}")]),
        ) {
            let line = format!("{}{}{}", ends.0, members.join(separator), ends.1);
            let quick = json_row::read(line.as_bytes());
            if let Some(quick) = quick {
                let general: Row<'_> = serde_json::from_slice(line.as_bytes()).unwrap();
                prop_assert_eq!(format!("{quick:?}"), format!("{general:?}"), "{}", line);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            read(&bytes);
            read(&[b"{\"message\":\"", bytes.as_slice(), b"\"}"].concat());
        }
    }
}
