//! Invented traffic of a busy server, entry by entry, as a server with `log_min_duration_statement = 0` logs it.
//!
//! Takes a protocol and a seed and gives entries: sessions that come, prepare what they need, run transactions and go.
//! Shapes and lengths are those of pgbench's and of an object mapper's statements; times, values, process ids and
//! transaction ids vary from entry to entry. Must not know how a log is written.

use std::fmt::Write;

/// How the clients talk to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One `statement:` entry for each statement, its values in its text.
    Simple,
    /// A `parse` entry at the first use in a session, a `bind` and an `execute` entry for each execution.
    Prepared,
}

/// Sessions at one time.
const SESSIONS: usize = 24;

/// Statements after which a session goes and another one comes.
const STATEMENTS_PER_SESSION: u32 = 3_000;

/// Tables, each with its own texts.
const TABLES: usize = 80;

/// Sunday, 22 November 2026, 15:00 UTC.
const STARTED_MS: u64 = 1_795_359_600_000;

/// One log entry, before it is written in a format.
#[derive(Default)]
pub struct Entry {
    pub time_ms: u64,
    pub database: &'static str,
    pub user: &'static str,
    pub process: u32,
    pub session_started_ms: u64,
    pub session_line: u32,
    pub command_tag: &'static str,
    pub virtual_transaction: (usize, u32),
    pub transaction: u32,
    pub message: String,
    /// Empty where there is none.
    pub detail: String,
}

/// Random numbers: a linear congruential generator, so that every run writes the same bytes.
struct Random(u64);

impl Random {
    /// Below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A statement with `$1` where a value goes, and its command tag.
struct Text {
    sql: String,
    command_tag: &'static str,
    values: u32,
}

struct Session {
    process: u32,
    started_ms: u64,
    line: u32,
    owner: usize,
    statements: u32,
    /// What it has prepared.
    prepared: Vec<bool>,
    /// Where it is in its transaction, and on which table.
    step: usize,
    table: usize,
    virtual_transaction: u32,
    transaction: u32,
}

/// The whole server.
pub struct Traffic {
    protocol: Protocol,
    random: Random,
    texts: Vec<Text>,
    sessions: Vec<Session>,
    clock_us: u64,
    next_process: u32,
    next_transaction: u32,
}

/// Databases with the users that work in them.
const OWNERS: [(&str, &str); 4] =
    [("orders", "shop_app"), ("billing", "billing_app"), ("postgres", "admin"), ("tenants", "web_frontend")];

/// The statements of one transaction, by their place among a table's texts; the first and the last are shared.
const STEPS: usize = 7;

impl Traffic {
    pub fn new(protocol: Protocol) -> Self {
        let mut traffic = Self {
            protocol,
            random: Random(0x5eed),
            texts: texts(),
            sessions: Vec::new(),
            clock_us: STARTED_MS * 1_000,
            next_process: 14_000,
            next_transaction: 1_200,
        };
        traffic.sessions = (0..SESSIONS).map(|_| traffic.new_session()).collect();
        traffic
    }

    fn new_session(&mut self) -> Session {
        self.next_process += 1 + self.random.below(7) as u32;
        Session {
            process: self.next_process,
            started_ms: self.clock_us / 1_000,
            line: 0,
            owner: self.random.below(OWNERS.len() as u64) as usize,
            statements: 0,
            prepared: vec![false; self.texts.len()],
            step: 0,
            table: 0,
            virtual_transaction: 0,
            transaction: 0,
        }
    }

    /// Gives the entries of one statement of some session, and those of its coming and going.
    pub fn next(&mut self, mut give: impl FnMut(&Entry)) {
        let slot = self.random.below(SESSIONS as u64) as usize;
        if self.sessions[slot].statements == STATEMENTS_PER_SESSION && self.sessions[slot].step == 0 {
            let message = "disconnection: session time: 0:02:10.645 user=app database=shop host=10.0.3.17 port=51312";
            give(&self.entry(slot, "idle", message.to_owned(), String::new()));
            self.sessions[slot] = self.new_session();
        }
        if self.sessions[slot].statements == 0 {
            let (database, user) = OWNERS[self.sessions[slot].owner];
            let received = "connection received: host=10.0.3.17 port=51312".to_owned();
            give(&Entry { database: "", user: "", ..self.entry(slot, "", received, String::new()) });
            let authorized =
                format!("connection authorized: user={user} database={database} application_name=order-service");
            give(&self.entry(slot, "authentication", authorized, String::new()));
        }
        self.run(slot, give);
    }

    /// One statement.
    fn run(&mut self, slot: usize, mut give: impl FnMut(&Entry)) {
        let session = &mut self.sessions[slot];
        let text = match session.step {
            0 => {
                session.virtual_transaction += 1;
                session.transaction = 0;
                session.table = self.random.below(TABLES as u64) as usize;
                0
            }
            step if step == STEPS - 1 => 1,
            step => 2 + session.table * (STEPS - 2) + step - 1,
        };
        session.step = (session.step + 1) % STEPS;
        session.statements += 1;
        let is_first = !std::mem::replace(&mut session.prepared[text], true);
        let Text { ref sql, command_tag, values } = self.texts[text];
        let sql = sql.clone();
        let values: Vec<String> = (0..values).map(|_| self.value()).collect();
        if self.protocol == Protocol::Simple {
            let message = format!("duration: {} ms  statement: {}", self.duration(), with_values(&sql, &values));
            give(&self.entry(slot, command_tag, message, String::new()));
        } else {
            if is_first {
                let message = format!("duration: {} ms  parse S_{text}: {sql}", self.duration());
                give(&self.entry(slot, "PARSE", message, String::new()));
            }
            let detail = detail(&values);
            let message = format!("duration: {} ms  bind S_{text}: {sql}", self.duration());
            give(&self.entry(slot, "BIND", message, detail.clone()));
            let message = format!("duration: {} ms  execute S_{text}: {sql}", self.duration());
            give(&self.entry(slot, command_tag, message, detail));
        }
        if command_tag == "UPDATE" && self.sessions[slot].transaction == 0 {
            self.next_transaction += 1;
            self.sessions[slot].transaction = self.next_transaction;
        }
    }

    fn entry(&mut self, slot: usize, command_tag: &'static str, message: String, detail: String) -> Entry {
        self.clock_us += self.random.below(60);
        let session = &mut self.sessions[slot];
        session.line += 1;
        let (database, user) = OWNERS[session.owner];
        Entry {
            time_ms: self.clock_us / 1_000,
            database,
            user,
            process: session.process,
            session_started_ms: session.started_ms,
            session_line: session.line,
            command_tag,
            virtual_transaction: (slot + 3, session.virtual_transaction),
            transaction: session.transaction,
            message,
            detail,
        }
    }

    /// Most statements take microseconds, some take long.
    fn duration(&mut self) -> String {
        let us = match self.random.below(100) {
            0 => 1_000 + self.random.below(40_000),
            _ => 3 + self.random.below(400),
        };
        format!("{}.{:03}", us / 1_000, us % 1_000)
    }

    /// Numbers mostly, some names, some with a quote in them.
    fn value(&mut self) -> String {
        match self.random.below(10) {
            0 => format!("customer {}", self.random.below(1_000_000)),
            1 if self.random.below(4) == 0 => format!("it's {}", self.random.below(1_000)),
            2 => format!("-{}", self.random.below(5_000)),
            _ => self.random.below(100_000).to_string(),
        }
    }
}

/// `BEGIN`, `COMMIT`, and for each table what its transactions run.
fn texts() -> Vec<Text> {
    let text = |sql: String, command_tag| Text { values: sql.matches('$').count() as u32, sql, command_tag };
    let mut texts = vec![text("BEGIN;".to_owned(), "BEGIN"), text("COMMIT;".to_owned(), "COMMIT")];
    for table in 0..TABLES {
        texts.extend([
            text(format!("UPDATE accounts_{table} SET abalance = abalance + $1 WHERE aid = $2;"), "UPDATE"),
            text(format!("SELECT abalance FROM accounts_{table} WHERE aid = $1;"), "SELECT"),
            text(
                format!(
                    "SELECT \"o\".\"id\", \"o\".\"customer_id\", \"o\".\"state\", \"o\".\"total\" FROM \
                     \"orders_{table}\" AS \"o\" WHERE \"o\".\"customer_id\" = $1 AND \"o\".\"state\" = $2 \
                     ORDER BY \"o\".\"id\" DESC LIMIT $3"
                ),
                "SELECT",
            ),
            text(format!("UPDATE branches_{table} SET bbalance = bbalance + $1 WHERE bid = $2;"), "UPDATE"),
            text(
                format!(
                    "INSERT INTO history_{table} (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, \
                     CURRENT_TIMESTAMP);"
                ),
                "INSERT",
            ),
        ]);
    }
    texts
}

/// The text with each value in the place of its parameter.
fn with_values(sql: &str, values: &[String]) -> String {
    let mut pieces = sql.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, value) in pieces.zip(values) {
        let is_number = value.parse::<i64>().is_ok();
        let quoted = if is_number { value.clone() } else { format!("'{}'", value.replace('\'', "''")) };
        let _ = write!(text, "{quoted}{}", &piece[1..]);
    }
    text
}

/// `parameters: $1 = '7', $2 = 'it''s'`.
fn detail(values: &[String]) -> String {
    let mut detail = String::new();
    for (index, value) in values.iter().enumerate() {
        let start = if index == 0 { "parameters: " } else { ", " };
        let _ = write!(detail, "{start}${} = '{}'", index + 1, value.replace('\'', "''"));
    }
    detail
}
