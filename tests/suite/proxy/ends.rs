//! How a proxy begins and ends: signals, a kill, and what cannot work.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use pgrehearse::workload::record::Record;
use rustix::process::Signal;

use super::running::{Proxy, records};
use crate::bench::{Ran, program, ran};
use crate::server::Server;

fn ask(server: &Server, port: u16, sql: &str) {
    let asked = server.client("psql", port, "postgres").args(["-X", "-c", sql]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}

/// A psql that asks one thing and waits for what to ask next.
fn ask_and_stay(server: &Server, port: u16, asked: &str) -> Child {
    let mut command = server.client("psql", port, "postgres");
    let mut psql = command.args(["-X", "-q"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(psql.stdin.as_mut().unwrap(), format!("{asked}\n").as_bytes()).unwrap();
    psql
}

fn repair(journal: &Path, output: &Path) -> Ran {
    let repaired = program().args(["workload", "repair"]).arg(journal).arg("-o").arg(output).output().unwrap();
    ran(repaired, output.to_owned())
}

#[test]
fn ctrl_c_and_sigterm_end_it_with_a_whole_workload_though_sessions_are_open() {
    let server = Server::start("18", "");
    for signal in [Signal::INT, Signal::TERM] {
        let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
        let mut psql = ask_and_stay(&server, proxy.port, "SELECT 'asked and at rest';");
        proxy.await_recorded(b"SELECT 1\0Z");
        let output = proxy.output.clone();
        let ended = proxy.end(Some(signal));
        assert_eq!(ended.code, 0, "{signal:?}: {}\n{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("executions  1 in"), "{}", ended.stdout);
        let (records, end) = records(&output);
        assert_eq!((end.sessions, end.requests), (1, 1));
        assert!(records.iter().any(|record| matches!(record, Record::Close(_))));
        drop(psql.stdin.take());
        psql.wait().unwrap();
    }
}

#[test]
fn of_a_killed_proxy_repair_gives_everything_up_to_the_last_second() {
    let server = Server::start("18", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    for number in 0..20 {
        ask(&server, proxy.port, &format!("SELECT 'statement {number}'"));
    }
    proxy.await_recorded(b"statement 19");
    let (journal, output) = (proxy.journal(), proxy.output.clone());
    let killed = proxy.end(Some(Signal::KILL));
    assert_eq!(killed.code, -1);
    assert!(!output.exists());

    let again = Proxy::spawn("127.0.0.1:0", "127.0.0.1:1", &output, &[]).end(None);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("is there already") && again.stderr.contains("workload repair"), "{}", again.stderr);

    let whole = std::fs::read(&journal).unwrap();
    let repaired = repair(&journal, &output);
    assert_eq!(repaired.code, 0, "{}", repaired.stderr);
    assert!(repaired.stdout.contains("executions  20 in"), "{}", repaired.stdout);
    assert_eq!(records(&output).1.requests, 20);
    assert_eq!(std::fs::read(&journal).unwrap(), whole, "the journal stays as it is");

    // The kill may come in the middle of a write.
    std::fs::write(&journal, [&whole[..], &[200, 0, 0, 0, 1, 2, 3, 4, 200, 0, 0, 0, 1, 1]].concat()).unwrap();
    let torn = repair(&journal, &server.path("torn.jsonl"));
    assert_eq!(torn.code, 0, "{}", torn.stderr);
    assert!(torn.stdout.contains("the last 14 bytes at the end of the journal are no whole batch"), "{}", torn.stdout);
    assert_eq!(records(&server.path("torn.jsonl")).1.requests, 20);
}

#[test]
fn a_second_signal_leaves_at_once_and_keeps_the_journal() {
    let server = Server::start("18", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let mut psql = ask_and_stay(&server, proxy.port, "BEGIN; SELECT 'under way';");
    proxy.await_recorded(b"SELECT 1\0Z");
    proxy.send(Signal::INT);
    proxy.await_said("1 open ones end when they are at rest", |_| Some(()));
    let (journal, output) = (proxy.journal(), proxy.output.clone());
    let left = proxy.end(Some(Signal::INT));
    assert_eq!(left.code, 130, "{}", left.stderr);
    assert!(left.stderr.contains("left at once") && left.stderr.contains("workload repair"), "{}", left.stderr);
    assert!(!output.exists());
    let repaired = repair(&journal, &output);
    assert!(repaired.stdout.contains("executions  2 in"), "{}", repaired.stdout);
    drop(psql.stdin.take());
    psql.wait().unwrap();
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_relayed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl");
    for (listen, output, wanted) in [
        (in_use.as_str(), output.clone(), "error: could not listen on "),
        ("127.0.0.1:0", directory.path().join("missing/out.jsonl"), "error: could not create the journal"),
        ("127.0.0.1:0", directory.path().to_owned(), "is a directory"),
        ("nonsense:port", output.clone(), "is no address"),
    ] {
        let ended = Proxy::spawn(listen, "127.0.0.1:1", &output, &[]).end(None);
        assert_eq!(ended.code, 2, "{listen}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{wanted}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn clients_are_told_when_the_server_is_away_and_when_there_are_too_many() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start("16", "");
    let proxy = Proxy::start(&closed, &server.path("away.jsonl"), &[]);
    proxy.await_said("does not answer yet", |_| Some(()));
    let refused = server.client("psql", proxy.port, "postgres").args(["-X", "-c", "SELECT 1"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the proxy of pgrehearse could not reach the server"), "{said}");
    let ended = proxy.end(Some(Signal::INT));
    assert_eq!(ended.code, 2, "{}", ended.stderr);

    let proxy =
        Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("many.jsonl"), &["--max-connections", "1"]);
    let mut first = ask_and_stay(&server, proxy.port, "SELECT 'first';");
    proxy.await_recorded(b"SELECT 1\0Z");
    let second = server.client("psql", proxy.port, "postgres").args(["-X", "-c", "SELECT 2"]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("takes no more than 1 connections"), "{said}");
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    let report = proxy.finish();
    assert!(report.contains("connection turned away: too many at a time"), "{report}");
}
