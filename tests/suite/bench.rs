//! A place for one rehearsal: a small workload, a schema, a scenario, and the real program run on them.
//!
//! The workload has five tenants: `ada`, `bob` and `cyd` share the table of database `app` (and its connections); `dan`
//! and `eve` have a schema and connections of their own in database `ent`. Every tenant reads and writes several times a
//! second. Takes the scenario's varying parts, gives exit code, output and the report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pgrehearse::words::class::StatementClass;
use pgrehearse::words::ids::Fingerprint;
use pgrehearse::workload::record::{
    Close, End, Execute, Header, Open, Outcome, Parameter, Record, Request, Sent, SqlRef, SqlText, Tenant, Text,
};
use serde_json::Value;

/// The servers' own schema for the workload.
const SCHEMA: &str = "
CREATE ROLE app LOGIN;
CREATE DATABASE app OWNER app;
CREATE DATABASE ent OWNER app;
\\connect app
SET ROLE app;
CREATE TABLE notes (tenant text, id int, body text, PRIMARY KEY (tenant, id));
CREATE TABLE observed (at timestamptz DEFAULT clock_timestamp());
INSERT INTO notes SELECT t, i, 'note ' || i FROM unnest('{ada,bob,cyd}'::text[]) t, generate_series(1, 200) i;
\\connect ent
SET ROLE app;
CREATE TABLE observed (at timestamptz DEFAULT clock_timestamp());
CREATE SCHEMA dan;
CREATE SCHEMA eve;
CREATE TABLE dan.notes AS SELECT i AS id, 'note ' || i AS body FROM generate_series(1, 200) i;
CREATE TABLE eve.notes AS SELECT i AS id, 'note ' || i AS body FROM generate_series(1, 200) i;
";

/// One rehearsal at a time: what is measured here must not be the other tests.
static REHEARSING: Mutex<()> = Mutex::new(());

/// A directory of its own with scenario, workload and schema; removed when dropped.
pub struct Bench {
    dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What a run of the program gave.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub dir: PathBuf,
}

impl Ran {
    /// `report.json` of the run directory.
    pub fn report(&self) -> Value {
        let path = self.dir.join("report.json");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), self.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

impl Bench {
    /// Writes workload and schema; `seconds` is how long the workload lasts.
    pub fn new(seconds: u64) -> Self {
        // A test that failed while it held the lock has ended its rehearsal all the same.
        let alone = REHEARSING.lock().unwrap_or_else(PoisonError::into_inner);
        let bench = Self { dir: tempfile::tempdir().unwrap(), _alone: alone };
        std::fs::write(bench.path("schema.sql"), SCHEMA).unwrap();
        std::fs::write(bench.path("small.jsonl"), workload(seconds)).unwrap();
        bench
    }

    /// A path in the bench's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the scenario: the common head, then what the test adds.
    pub fn scenario(&self, rest: &str) -> PathBuf {
        let path = self.path("scenario.toml");
        let head = "
name = \"test\"
[workload]
file = \"small.jsonl\"
[staging]
provider = \"local\"
version = \"16\"
source = \"pinned\"
settings = { fsync = \"off\" }
[[staging.load]]
sql = \"schema.sql\"
";
        std::fs::write(&path, format!("{head}{rest}")).unwrap();
        path
    }

    /// The program's `run` on the scenario, not yet started. Its run directory is `name` in the bench's directory.
    pub fn command(&self, name: &str, rest: &str) -> Command {
        let mut command = program();
        command.arg("run").arg(self.scenario(rest)).arg("--out").arg(self.path(name));
        command
    }

    /// Runs the scenario to its end.
    pub fn run(&self, name: &str, rest: &str) -> Ran {
        ran(self.command(name, rest).output().unwrap(), self.path(name))
    }

    /// Starts the scenario; the caller waits for it, or ends it.
    pub fn spawn(&self, name: &str, rest: &str) -> Child {
        self.command(name, rest).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgrehearse"));
    command.env("NO_COLOR", "1");
    command
}

/// A finished process as what it gave.
pub fn ran(output: Output, dir: PathBuf) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        dir,
    }
}

/// The number at `path` (keys and indices with dots between), in the report's own unit.
pub fn number(report: &Value, path: &str) -> f64 {
    let mut value = report;
    for key in path.split('.') {
        value = key.parse::<usize>().map_or_else(|_| &value[key], |index| &value[index]);
    }
    value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
}

/// Waits until `dir`'s timeline holds `needle`; panics after a minute.
pub fn await_timeline(dir: &Path, needle: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !std::fs::read_to_string(dir.join("timeline.jsonl")).is_ok_and(|text| text.contains(needle)) {
        assert!(std::time::Instant::now() < end, "no {needle} in the timeline of {}", dir.display());
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

fn workload(seconds: u64) -> String {
    let mut lines = Lines::default();
    lines.add(&Record::Header(Header {
        version: 1,
        started_at: "2026-01-05T10:00:00Z".into(),
        sources: Vec::new(),
        server_version: Some("16.14".into()),
        tool_version: "test".into(),
    }));
    let tenants = ["ada", "bob", "cyd", "dan", "eve"];
    for (id, name) in (0..).zip(tenants) {
        lines.add(&Record::Tenant(Tenant { id, name: name.into(), tier: None, region: None }));
    }
    // Sessions 0 and 1 are shared by three tenants; each of the others belongs to one.
    for session in 0..6 {
        let database = if session < 2 { "app" } else { "ent" };
        let parameters = BTreeMap::from([("application_name".to_owned(), "bench".to_owned())]);
        let open = Open { session, database: database.into(), user: "app".into(), parameters, ..Open::default() };
        lines.add(&Record::Open(open));
    }
    for tick in 0..seconds * 10 {
        for session in 0..6 {
            let t_us = tick * 100_000 + u64::from(session) * 13_000;
            lines.tick(t_us, tick, session, &tenants);
        }
    }
    let span_us = seconds * 1_000_000;
    for session in 0..6 {
        lines.add(&Record::Close(Close { t_us: span_us, session }));
    }
    let requests = lines.sequences.iter().sum();
    lines.add(&Record::End(End { sessions: 6, requests, tenants: 5, span_us, ..End::default() }));
    lines.text
}

/// The lines of a workload as they grow.
#[derive(Default)]
struct Lines {
    text: String,
    sql: BTreeMap<String, u32>,
    sequences: [u64; 6],
}

impl Lines {
    fn add(&mut self, record: &Record) {
        writeln!(self.text, "{}", serde_json::to_string(record).unwrap()).unwrap();
    }

    /// What a session sends at one tick: reads and writes by turns, and a transaction now and then.
    fn tick(&mut self, t_us: u64, tick: u64, session: u32, tenants: &[&str; 5]) {
        let tenant = match session {
            0 | 1 => (tick % 3) as u32,
            2 | 3 => 3,
            _ => 4,
        };
        let name = tenants[tenant as usize];
        let id = (tick % 100 + u64::from(session % 2) * 100 + 1).to_string();
        let (table, key) = if session < 2 {
            ("notes".to_owned(), format!("tenant = '{name}' AND id = $1"))
        } else {
            (format!("{name}.notes"), "id = $1".to_owned())
        };
        let read = format!("SELECT body FROM {table} WHERE {key}");
        let write = format!("UPDATE {table} SET body = 'tick' WHERE {key}");
        match tick % 4 {
            0 | 2 => self.execute(t_us, session, tenant, &read, StatementClass::Read, &id),
            1 => self.execute(t_us, session, tenant, &write, StatementClass::Write, &id),
            _ => {
                self.simple(t_us, session, tenant, "BEGIN");
                self.execute(t_us + 2_000, session, tenant, &write, StatementClass::Write, &id);
                self.simple(t_us + 4_000, session, tenant, "COMMIT");
            }
        }
    }

    fn simple(&mut self, t_us: u64, session: u32, tenant: u32, text: &str) {
        let sql = self.sql_ref(text, StatementClass::Transaction);
        self.request(t_us, session, tenant, Sent::Simple { sql });
    }

    fn execute(&mut self, t_us: u64, session: u32, tenant: u32, text: &str, class: StatementClass, id: &str) {
        let sql = self.sql_ref(text, class);
        let execute = Execute {
            statement: format!("s{}", self.sql[text]),
            sql,
            portal: String::new(),
            parameters: vec![Parameter::Text(id.to_owned())],
            result_formats: Vec::new(),
            row_limit: 0,
            parse: None,
            describe: None,
        };
        self.request(t_us, session, tenant, Sent::Execute(execute));
    }

    fn request(&mut self, t_us: u64, session: u32, tenant: u32, sent: Sent) {
        let sequence = self.sequences[session as usize];
        self.sequences[session as usize] += 1;
        let results = vec![Outcome { total_us: Some(500), ..Outcome::default() }];
        let (tenant, transaction, at) = (Some(tenant), None, None);
        self.add(&Record::Request(Request { t_us, session, sequence, tenant, sent, results, transaction, at }));
    }

    fn sql_ref(&mut self, text: &str, class: StatementClass) -> SqlRef {
        if let Some(&id) = self.sql.get(text) {
            return SqlRef::Id(id);
        }
        let id = u32::try_from(self.sql.len()).unwrap();
        self.sql.insert(text.to_owned(), id);
        let fingerprint = Fingerprint(u64::from(id) + 1);
        let text = Text::Text(text.to_owned());
        self.add(&Record::Sql(SqlText { id, text, fingerprint, class, parameter_types: Vec::new() }));
        SqlRef::Id(id)
    }
}
