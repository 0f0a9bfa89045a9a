//! Log entries in the three formats that a server writes by itself, as PostgreSQL 15 writes them.
//!
//! Takes entries and a writer. Must not know where the entries come from.

use std::io::{self, Write};

use super::traffic::Entry;

/// The format of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
    Stderr,
}

/// What `log_line_prefix` would be.
const STDERR_PREFIX: &str = "%m [%p] %q%u@%d/%a ";

impl Format {
    pub const ALL: [Self; 3] = [Self::Csv, Self::Json, Self::Stderr];

    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csvlog",
            Self::Json => "jsonlog",
            Self::Stderr => "stderr",
        }
    }

    /// Writes an entry.
    pub fn write(self, out: &mut impl Write, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Csv => csv(out, entry),
            Self::Json => json(out, entry),
            Self::Stderr => stderr(out, entry),
        }
    }

    /// The prefix to read the log with.
    pub fn prefix(self) -> Option<&'static str> {
        (self == Self::Stderr).then_some(STDERR_PREFIX)
    }
}

/// `2026-11-22 15:09:15.123 UTC`, or without the milliseconds. All of the traffic lies within one day.
fn time(ms: u64, with_ms: bool) -> String {
    let (second, fraction) = (ms / 1_000 % 86_400, ms % 1_000);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    match with_ms {
        true => format!("2026-11-22 {hour:02}:{minute:02}:{second:02}.{fraction:03} UTC"),
        false => format!("2026-11-22 {hour:02}:{minute:02}:{second:02} UTC"),
    }
}

fn csv(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let quoted = |text: &str| match text.is_empty() {
        true => String::new(),
        false => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    let virtual_transaction = virtual_transaction(entry);
    writeln!(
        out,
        "{},{},{},{},\"10.0.3.17:51312\",{:x}.{:x},{},\"{}\",{},{virtual_transaction},{},LOG,00000,{},{},,,,,,,,\"{}\",\"{}\",,0",
        time(entry.time_ms, true),
        quoted(entry.user),
        quoted(entry.database),
        entry.process,
        entry.session_started_ms / 1_000,
        entry.process,
        entry.session_line,
        entry.command_tag,
        time(entry.session_started_ms, false),
        entry.transaction,
        quoted(&entry.message),
        quoted(&entry.detail),
        application_name(entry),
        backend_type(entry),
    )
}

fn json(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let member = |name: &str, text: &str| match text.is_empty() {
        true => String::new(),
        false => format!("\"{name}\":\"{}\",", escaped(text)),
    };
    writeln!(
        out,
        "{{\"timestamp\":\"{}\",{}{}\"pid\":{},\"remote_host\":\"10.0.3.17\",\"remote_port\":51312,\"session_id\":\"{:x}.{:x}\",\
         \"line_num\":{},\"ps\":\"{}\",\"session_start\":\"{}\",{}\"txid\":{},\"error_severity\":\"LOG\",{}{}{}\
         \"backend_type\":\"{}\",\"query_id\":0}}",
        time(entry.time_ms, true),
        member("user", entry.user),
        member("dbname", entry.database),
        entry.process,
        entry.session_started_ms / 1_000,
        entry.process,
        entry.session_line,
        entry.command_tag,
        time(entry.session_started_ms, false),
        member("vxid", &virtual_transaction(entry)),
        entry.transaction,
        member("message", &entry.message),
        member("detail", &entry.detail),
        member("application_name", application_name(entry)),
        backend_type(entry),
    )
}

fn stderr(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let user = if entry.user.is_empty() { "[unknown]" } else { entry.user };
    let database = if entry.database.is_empty() { "[unknown]" } else { entry.database };
    let name = if entry.user.is_empty() { "[unknown]" } else { "order-service" };
    let prefix = format!("{} [{}] {user}@{database}/{name}", time(entry.time_ms, true), entry.process);
    writeln!(out, "{prefix} LOG:  {}", entry.message)?;
    match entry.detail.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{prefix} DETAIL:  {}", entry.detail),
    }
}

fn virtual_transaction(entry: &Entry) -> String {
    let (backend, number) = entry.virtual_transaction;
    if number == 0 { String::new() } else { format!("{backend}/{number}") }
}

/// The server knows it only once the client has said who it is.
fn application_name(entry: &Entry) -> &'static str {
    if entry.user.is_empty() { "" } else { "order-service" }
}

fn backend_type(entry: &Entry) -> &'static str {
    if entry.user.is_empty() { "not initialized" } else { "client backend" }
}
