//! The workloads of this benchmark: what pgbench's script runs, as if a wire had been captured.
//!
//! Takes how the clients talk and how many there are; gives a workload file. Must not know how it is replayed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use pgrehearse::workload::Writer;
use pgrehearse::workload::record::{
    Close, Execute, Header, Open, Parameter, Record, Request, Sent, SqlRef, Tenant, VERSION,
};

/// How the clients send their statements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Simple,
    Prepared,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Simple, Self::Prepared];

    /// As pgbench's `-M` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Prepared => "prepared",
        }
    }
}

/// Rows of `pgbench_accounts` at the benchmark's scale.
pub const ACCOUNTS: u64 = 1_000_000;

pub const CLIENTS: u32 = 8;

pub const TRANSACTIONS: u64 = 2_500;

/// The statements of a transaction; a name in it is a variable of pgbench.
pub const TRANSACTION: [&str; 5] = [
    "BEGIN;",
    "UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;",
    "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;",
    "UPDATE pgbench_accounts SET filler = 'x' WHERE aid = :aid;",
    "END;",
];

/// The script for pgbench: each client in rows of its own, so that nobody waits for a lock.
pub fn script() -> String {
    let rows = ACCOUNTS / u64::from(CLIENTS);
    let variables = format!("\\set aid random(1, {rows}) + :client_id * {rows}\n\\set delta random(-5000, 5000)\n");
    variables + &TRANSACTION.join("\n") + "\n"
}

/// Between two transactions of a client, about what pgbench takes for one.
const TRANSACTION_US: u64 = 1_500;

/// The same as a workload of as many clients that come at pgbench's pace.
pub fn transactions(path: &Path, mode: Mode) {
    let mut out = Out::create(path, CLIENTS, 1);
    let rows = ACCOUNTS / u64::from(CLIENTS);
    let mut random = Random(7);
    for number in 0..TRANSACTIONS {
        for session in 0..CLIENTS {
            let aid = 1 + random.below(rows) + u64::from(session) * rows;
            let delta = random.below(10_001) as i64 - 5_000;
            for statement in TRANSACTION {
                out.statement(
                    number * TRANSACTION_US,
                    session,
                    mode,
                    statement,
                    &[("delta", delta), ("aid", aid as i64)],
                );
            }
        }
    }
    out.finish(TRANSACTIONS * TRANSACTION_US, CLIENTS);
}

/// So many transactions a second in all by some of the clients, at random moments; pgbench's `-R` does the same.
pub fn paced_transactions(path: &Path, mode: Mode, clients: Range<u32>, per_second: u64, seconds: u64) {
    let sessions = clients.len() as u32;
    let mut out = Out::create(path, sessions, 1);
    let (rows, mut random) = (ACCOUNTS / u64::from(CLIENTS), Random(5));
    let mut moments: Vec<u64> = (0..per_second * seconds).map(|_| random.below(seconds * 1_000_000)).collect();
    moments.sort_unstable();
    for t_us in moments {
        let session = random.below(u64::from(sessions)) as u32;
        let aid = 1 + random.below(rows) + u64::from(clients.start + session) * rows;
        let delta = random.below(10_001) as i64 - 5_000;
        for statement in TRANSACTION {
            out.statement(t_us, session, mode, statement, &[("delta", delta), ("aid", aid as i64)]);
        }
    }
    out.finish(seconds * 1_000_000, sessions);
}

/// Reads by primary key: so many sessions, so many statements a second in all, evenly spread.
pub fn reads(path: &Path, sessions: u32, per_second: u64, seconds: u64) {
    let mut out = Out::create(path, sessions, 1);
    let mut random = Random(11);
    for number in 0..per_second * seconds {
        let aid = 1 + random.below(ACCOUNTS);
        let session = (number % u64::from(sessions)) as u32;
        // Arrivals of many clients fall at random, not in step.
        let t_us = (number * 1_000_000 + random.below(1_000_000)) / per_second.max(1);
        out.pending.push((t_us, session, aid));
    }
    out.pending.sort_unstable();
    for (t_us, session, aid) in std::mem::take(&mut out.pending) {
        out.statement(t_us, session, Mode::Simple, TRANSACTION[2], &[("aid", aid as i64)]);
    }
    out.finish(seconds * 1_000_000, sessions);
}

/// So many sessions, each of which sends one statement in the first second and one in the last, every tenant in its turn.
pub fn idle(path: &Path, sessions: u32, tenants: u32, seconds: u64) {
    let mut out = Out::create(path, sessions, tenants);
    for number in 0..2 * sessions {
        let (session, is_last) = (number % sessions, number >= sessions);
        let from_us = if is_last { (seconds - 1) * 1_000_000 } else { 0 };
        out.tenant = number % tenants;
        let t_us = from_us + u64::from(session) * 1_000_000 / u64::from(sessions);
        out.statement(t_us, session, Mode::Simple, "SELECT 1", &[]);
    }
    out.finish(seconds * 1_000_000, sessions);
}

/// Random numbers: a linear congruential generator, so that every run writes the same workload.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Out {
    writer: Writer,
    sequences: Vec<u64>,
    /// Whose the next statement is.
    tenant: u32,
    pending: Vec<(u64, u32, u64)>,
}

impl Out {
    fn create(path: &Path, sessions: u32, tenants: u32) -> Self {
        let header = Header {
            version: VERSION,
            started_at: "2026-11-22T15:00:00Z".to_owned(),
            sources: Vec::new(),
            server_version: None,
            tool_version: "bench".to_owned(),
        };
        let mut writer = Writer::create(path, &header).expect("a workload");
        for id in 0..tenants {
            let name = if tenants == 1 { "bench".to_owned() } else { format!("tenant {id}") };
            writer.define_tenant(&Tenant { id, name, tier: None, region: None }).expect("a tenant");
        }
        for session in 0..sessions {
            let (database, user) = ("postgres".to_owned(), "admin".to_owned());
            let open = Open { session, database, user, began_before_capture: true, ..Open::default() };
            writer.write(&Record::Open(open)).expect("an opening");
        }
        Self { writer, sequences: vec![0; sessions as usize], tenant: 0, pending: Vec::new() }
    }

    /// A statement with its values: in its text, or as parameters, numbered as pgbench numbers them.
    fn statement(&mut self, t_us: u64, session: u32, mode: Mode, text: &str, values: &[(&str, i64)]) {
        let mut text = text.to_owned();
        let mut parameters = Vec::new();
        for (name, value) in values {
            let variable = format!(":{name}");
            if text.contains(&variable) {
                parameters.push(Parameter::Text(value.to_string()));
                let place = match mode {
                    Mode::Simple => value.to_string(),
                    Mode::Prepared => format!("${}", parameters.len()),
                };
                text = text.replace(&variable, &place);
            }
        }
        let sql: SqlRef = self.writer.sql_ref(&text).expect("a text");
        let sent = match (mode, &sql) {
            (Mode::Simple, _) => Sent::Simple { sql },
            (Mode::Prepared, SqlRef::Id(id)) => {
                let statement = format!("P_{id}");
                Sent::Execute(Execute {
                    sql,
                    statement,
                    portal: String::new(),
                    parameters,
                    result_formats: Vec::new(),
                    row_limit: 0,
                    parse: None,
                    describe: None,
                })
            }
            (Mode::Prepared, SqlRef::Inline(_)) => unreachable!("five texts have a definition"),
        };
        let sequence = &mut self.sequences[session as usize];
        let (results, transaction, tenant) = (Vec::new(), None, Some(self.tenant));
        let request = Request { t_us, session, sequence: *sequence, tenant, sent, results, transaction, at: None };
        *sequence += 1;
        self.writer.write(&Record::Request(request)).expect("a request");
    }

    fn finish(mut self, t_us: u64, sessions: u32) {
        for session in 0..sessions {
            self.writer.write(&Record::Close(Close { t_us, session })).expect("a closing");
        }
        self.writer.finish(BTreeMap::new()).expect("a workload");
    }
}
