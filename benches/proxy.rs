//! What `capture proxy` costs: latency added and throughput, against a direct connection to the same server in one run.
//!
//! Takes turns between both ways, so that a machine whose speed changes slows both; prints figures of both and their
//! ratios. Everything that is relayed is recorded meanwhile, and the run fails if a single execution was not.
//! `cargo bench --bench proxy [SECONDS OF EACH TURN]`

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

#[allow(dead_code)]
#[path = "../tests/suite/server.rs"]
mod server;

/// What the server of the tests needs of them.
mod bench {
    pub fn program() -> std::process::Command {
        std::process::Command::new(env!("CARGO_BIN_EXE_pgrehearse"))
    }
}

const TURNS: usize = 5;

/// A row of 1,000 bytes, many times.
const BULK: &str = "COPY (SELECT repeat('x', 999) FROM generate_series(1, 200000)) TO STDOUT";
const BULK_BYTES: f64 = 200e6;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|text| text.parse::<u64>().ok()).unwrap_or(2);
    let server = server::Server::start("18", "max_connections = 50");
    let proxy = Proxy::start(&server);
    let ports = [server.port, proxy.port];
    println!("{TURNS} turns of {seconds} s each way; {} processors", std::thread::available_parallelism().unwrap());
    let mut executed = latency(ports, Duration::from_secs(seconds), &proxy);
    for (mode, clients) in [("simple", "1"), ("prepared", "1"), ("simple", "8"), ("prepared", "8")] {
        let what = format!("pgbench -M {mode} -c {clients}");
        let tps = both(ports, &mut executed, |port| transactions(&server, port, mode, clients, seconds));
        show(&what, "tps", tps);
    }
    let bulk = both(ports, &mut executed, |port| (bulk_mb_per_second(&server, port), 1));
    show("COPY TO STDOUT of 200 MB", "MB/s", bulk);
    let report = proxy.finish();
    assert!(report.contains(&format!("executions  {executed} in")), "{executed} were executed: {report}");
    println!("{report}");
}

/// The best of the turns each way: what else runs on the machine only slows. `measure` gives a rate, and how much was
/// executed for it; what went through the proxy is added to `executed`.
fn both(ports: [u16; 2], executed: &mut u64, mut measure: impl FnMut(u16) -> (f64, u64)) -> [f64; 2] {
    let mut best = [0.0_f64; 2];
    for _ in 0..TURNS {
        for (best, port) in best.iter_mut().zip(ports) {
            let (rate, count) = measure(port);
            *best = best.max(rate);
            *executed += if port == ports[1] { count } else { 0 };
        }
    }
    best
}

fn show(what: &str, unit: &str, [direct, proxied]: [f64; 2]) {
    println!("{what:<28} direct {direct:>9.0} {unit}   proxy {proxied:>9.0} {unit}   ratio {:.2}", proxied / direct);
}

/// One client, one `SELECT 1` after the other. Gives how many went through the proxy.
fn latency(ports: [u16; 2], turn: Duration, proxy: &Proxy) -> u64 {
    let mut taken_us: [Vec<f64>; 2] = Default::default();
    let before_s = proxy.cpu_seconds();
    for _ in 0..TURNS {
        for (taken_us, port) in taken_us.iter_mut().zip(ports) {
            let mut session = Session::open(port);
            let started = Instant::now();
            while started.elapsed() < turn {
                let sent = Instant::now();
                session.ask();
                taken_us.push(sent.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    let cpu_us = (proxy.cpu_seconds() - before_s) * 1e6 / taken_us[1].len() as f64;
    taken_us.iter_mut().for_each(|taken_us| taken_us.sort_by(f64::total_cmp));
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let [direct, proxied] = taken_us.each_ref().map(|taken| taken[(taken.len() as f64 * share) as usize]);
        let (added, ratio) = (proxied - direct, proxied / direct);
        println!(
            "SELECT 1, {name}   direct {direct:>6.1} us   proxy {proxied:>6.1} us   added {added:>5.1} us   ratio {ratio:.2}"
        );
    }
    println!("the proxy's processor time for each: {cpu_us:.1} us");
    taken_us[1].len() as u64
}

/// Transactions of one query: a second, and in all.
fn transactions(server: &server::Server, port: u16, mode: &str, clients: &str, seconds: u64) -> (f64, u64) {
    let script = server.path("select.sql");
    std::fs::write(&script, "\\set n random(1, 100000)\nSELECT :n::int + 1;\n").unwrap();
    let mut pgbench = server.client("pgbench", port, "postgres");
    pgbench.args(["-n", "-M", mode, "-c", clients, "-T", &seconds.to_string(), "-f"]).arg(script);
    let ended = pgbench.output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    let number =
        |before: &str| text.lines().find_map(|line| line.strip_prefix(before)?.split(' ').next()?.parse::<f64>().ok());
    let both = number("tps = ").zip(number("number of transactions actually processed: "));
    let (tps, count) = both.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&ended.stderr)));
    (tps, count as u64)
}

fn bulk_mb_per_second(server: &server::Server, port: u16) -> f64 {
    let mut psql = server.client("psql", port, "postgres");
    let started = Instant::now();
    let status = psql.args(["-X", "-q", "-c", BULK]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    BULK_BYTES / 1e6 / started.elapsed().as_secs_f64()
}

/// A session of the simple protocol, without anything in between that would take time.
struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Session {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut session = Self { stream, buffer: vec![0; 16 << 10] };
        let startup = b"\0\0\0\x26\0\x03\0\0user\0admin\0database\0postgres\0\0";
        session.stream.write_all(startup).unwrap();
        session.await_ready();
        session
    }

    fn ask(&mut self) {
        self.stream.write_all(b"Q\0\0\0\x0dSELECT 1\0").unwrap();
        self.await_ready();
    }

    fn await_ready(&mut self) {
        let mut end = 0;
        while !self.buffer[..end].ends_with(b"Z\0\0\0\x05I") {
            let read = self.stream.read(&mut self.buffer[end..]).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&self.buffer[..end]));
            end += read;
        }
    }
}

struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    fn start(server: &server::Server) -> Self {
        let mut command: Command = bench::program();
        command.args(["capture", "proxy", "--listen", "127.0.0.1:0", "--upstream"]);
        command.arg(format!("127.0.0.1:{}", server.port)).arg("-o").arg(server.path("out.jsonl.zst"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("listening on 127.0.0.1:").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        Self { child, port: port.unwrap_or_else(|| panic!("{line}")) }
    }

    /// Processor time of all its threads so far.
    fn cpu_seconds(&self) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            stat.split(' ').next().unwrap().parse::<f64>().unwrap()
        };
        threads.map(nanoseconds).sum::<f64>() / 1e9
    }

    /// Ends it, and gives its report, by which everything was recorded.
    fn finish(self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let ended = self.child.wait_with_output().unwrap();
        let report = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success() && report.contains("skipped     nothing"), "{report}");
        report
    }
}
