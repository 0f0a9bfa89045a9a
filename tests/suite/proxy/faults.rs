//! When the recorder fails, traffic goes on, and the gap is told.

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use super::running::{Proxy, records};
use crate::bench::program;
use crate::server::Server;

fn limit_files(proxy: &Proxy, current: Option<u64>) {
    prlimit(Some(proxy.pid()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

#[test]
fn while_the_journal_cannot_grow_traffic_goes_on_and_the_gap_is_counted() {
    let server = Server::start("18", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let ask = |sql: &str| {
        let asked = server.client("psql", proxy.port, "postgres").args(["-X", "-A", "-t", "-c", sql]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        asked.stdout.len()
    };
    ask("SELECT 'before'");
    proxy.await_recorded(b"'before'");
    limit_files(&proxy, Some(std::fs::metadata(proxy.journal()).unwrap().len() + 10));
    ask("SELECT 'kept in memory'");
    proxy.await_said("warning: could not write", |_| Some(()));
    // More than memory is given to.
    let many = ask("SELECT repeat('x', 1000000) FROM generate_series(1, 40)");
    assert!(many > 40_000_000, "{many}");
    limit_files(&proxy, None);
    proxy.await_said("the journal can be written again", |_| Some(()));
    ask("SELECT 'behind'");
    let output = proxy.output.clone();
    let report = proxy.finish();
    assert!(report.contains("bytes that the capture lost"), "{report}");
    assert!(report.contains("time that the journal could not be written"), "{report}");
    let (_, end) = records(&output);
    let lost = &end.skipped["bytes that the capture lost"];
    assert!((20_000_000..40_000_000).contains(&lost.count), "{lost:?}");
    let text = std::fs::read_to_string(&output).unwrap();
    for kept in ["'before'", "'kept in memory'", "'behind'"] {
        assert!(text.contains(kept), "{kept}");
    }
}

#[test]
fn where_the_workload_cannot_be_written_the_journal_is_left_and_repair_makes_it_later() {
    let server = Server::start("16", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let asked = server.client("psql", proxy.port, "postgres").args(["-X", "-c", "SELECT 'kept'"]).output().unwrap();
    assert!(asked.status.success());
    proxy.await_recorded(b"SELECT 1\0Z");
    limit_files(&proxy, Some(10));
    let (journal, output) = (proxy.journal(), proxy.output.clone());
    let ended = proxy.end(Some(Signal::INT));
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("error: could not make a workload of what was relayed"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: the journal is left"), "{}", ended.stderr);
    assert!(!output.exists());
    let repaired = program().args(["workload", "repair"]).arg(&journal).arg("-o").arg(&output).output().unwrap();
    assert!(repaired.status.success(), "{}", String::from_utf8_lossy(&repaired.stderr));
    assert_eq!(records(&output).1.requests, 1);
}
