//! What real clients did to one server, captured by the proxy, does the same to a fresh one: equal tables, equal results.
//!
//! Among it are COPYs in both protocols that end well, fail at the server or are given up, and a statement that its
//! client cancels.

use std::path::Path;
use std::process::{Command, Stdio};

use pgrehearse::samples::sample::{Outcome, Sample};
use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{End, Record};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, program, ran};
use crate::clients::python;
use crate::proxy::running::Proxy;
use crate::requests::requests;
use crate::server::Server;

/// COPYs of psql: 1.5 MB, bad data in the middle, an empty one, and one inside a transaction that is rolled back.
const COPIES: &str = r"
\copy bulk FROM 'bulk.tsv'
\copy bulk FROM 'bad.tsv'
\copy bulk FROM '/dev/null'
BEGIN;
\copy bulk FROM 'bulk.tsv'
ROLLBACK;
\copy missing FROM 'bulk.tsv'
SELECT count(*) FROM bulk;
";

/// COPYs by the extended protocol: one that its client gives up and one that the server refuses.
const COPIES_OF_PSYCOPG: &str = "
import psycopg
with psycopg.connect(autocommit=True) as connection:
    for rows in ([('1', 'given up')], [('x', 'no number')]):
        try:
            with connection.cursor().copy('COPY bulk FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
                if rows[0][0] == '1':
                    raise KeyError('the client gives up')
        except (KeyError, psycopg.Error):
            pass
    with connection.cursor().copy('COPY bulk FROM STDIN') as copy:
        copy.write_row(('1000000', 'the last'))
    connection.execute('SELECT count(*) FROM bulk').fetchone()
";

/// The tables' contents, times left out.
const CONTENTS: &str = "
    SELECT 'bulk', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM bulk t UNION ALL
    SELECT 'account', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM account t UNION ALL
    SELECT 'entry', count(*), md5(string_agg(t::text, '' ORDER BY t::text))
    FROM (SELECT id, account, amount, note, payload FROM entry) t ORDER BY 1";

fn traffic(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic").join(name).display().to_string()
}

fn server() -> Server {
    let server = Server::start("16", "");
    server.ask("postgres", &["-f", &traffic("schema.sql")]);
    server.ask("postgres", &["-c", "CREATE TABLE bulk (a int, b text)"]);
    server
}

/// Runs a client to its end, in the server's directory.
fn run(command: &mut Command, server: &Server) {
    let ended = command.current_dir(server.path("")).output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn send_traffic(server: &Server, port: u16) {
    let rows = |from: u32, to: u32| (from..to).map(|a| format!("{a}\tsome text\n")).collect::<String>();
    std::fs::write(server.path("bulk.tsv"), rows(0, 80_000)).unwrap();
    std::fs::write(server.path("bad.tsv"), rows(0, 40_000) + "x\tbad\n" + &rows(0, 40_000)).unwrap();
    std::fs::write(server.path("copies.sql"), COPIES).unwrap();
    run(server.client("psql", port, "postgres").args(["-X", "-q", "-f"]).arg(traffic("psql.sql")), server);
    run(server.client("psql", port, "postgres").args(["-X", "-q", "-f", "copies.sql"]), server);
    if let Some(python) = python() {
        for script in ["drive_psycopg.py", "drive_asyncpg.py"] {
            run(server.connecting(Command::new(python), port, "postgres").arg(traffic(script)), server);
        }
        run(server.connecting(Command::new(python), port, "postgres").args(["-c", COPIES_OF_PSYCOPG]), server);
    }
    cancel_a_statement(server, port);
}

/// psql is interrupted while its statement runs, so that it asks the server to cancel it.
fn cancel_a_statement(server: &Server, port: u16) {
    let mut psql = server.client("psql", port, "postgres");
    psql.args(["-X", "-c", "SELECT pg_sleep(60)"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut psql = psql.spawn().unwrap();
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while server.ask("postgres", &["-c", sleeping]) == "0" {}
    kill_process(Pid::from_child(&psql), Signal::INT).unwrap();
    psql.wait().unwrap();
}

/// The end line of a workload.
fn end_of(workload: &Path) -> End {
    let last = Reader::open(workload).unwrap().map(|line| line.unwrap().1).last();
    let Some(Record::End(end)) = last else { panic!("no end line") };
    end
}

#[test]
fn captured_traffic_does_the_same_to_a_fresh_server() {
    let bench = Bench::new(1);
    let (old, fresh) = (server(), server());
    let workload = bench.path("captured.jsonl");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", old.port), &workload, &[]);
    send_traffic(&old, proxy.port);
    proxy.finish();
    let end = end_of(&workload);

    fresh.ask("postgres", &["-c", "CREATE TABLE pgrehearse_disposable ()"]);
    let scenario = format!(
        "name = \"again\"\n[workload]\nfile = \"captured.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[upgrade]\nstrategy = \"none\"\n\
         [phases]\nwarmup = \"0s\"\nbefore = \"1s\"\nafter = \"{}s\"\n[clients]\ndeadline = \"30s\"\n",
        fresh.port,
        end.span_us / 1_000_000 + 3
    );
    std::fs::write(bench.path("again.toml"), scenario).unwrap();
    let mut command = program();
    command.arg("run").arg(bench.path("again.toml")).arg("--out").arg(bench.path("again"));
    let ran = ran(command.output().unwrap(), bench.path("again"));

    let requests = requests(&ran.dir);
    // The COPY into a missing table has no data, and is counted instead.
    assert_eq!(requests.len() as u64, end.requests - 1, "{}\n{}", ran.stdout, ran.stderr);
    let is_as_captured =
        |sample: &&Sample| !sample.result.differs() && matches!(sample.outcome, Outcome::Ok | Outcome::ExpectedError);
    let others: Vec<_> = requests.iter().filter(|sample| !is_as_captured(sample)).collect();
    assert!(others.is_empty(), "{others:#?}");
    let cancelled = requests.last().unwrap();
    assert_eq!(cancelled.sqlstate.map(|code| code.to_string()).as_deref(), Some("57014"), "{cancelled:?}");
    let wanted = old.ask("postgres", &["-c", CONTENTS]);
    assert_eq!(fresh.ask("postgres", &["-c", CONTENTS]), wanted);
    assert!(wanted.contains("bulk|8000"), "{wanted}");
}
