//! Throughput while the machine has much else to do: our share of pgbench's must not depend on it.
//!
//! Takes a server and prints each comparison twice, idle and beside eight processes that only count, then by how much the
//! share changed. Must not know how anything is replayed.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::beside_pgbench::throughput;
use crate::pgreplay::{self, Logged};
use crate::server::Server;
use crate::workload::Mode;

/// The argument with which the bench starts itself as a process that only counts.
pub const ARGUMENT: &str = "--busy";

const PROCESSES: usize = 8;

/// They end by themselves, too.
const AT_MOST: Duration = Duration::from_secs(900);

/// Prints the throughput of both modes and of pgreplay, idle and under load.
pub fn busy(server: &Server, pairs: usize, directory: &Path) {
    let logged = Logged::record(directory);
    let all = || {
        let beside_pgbench = Mode::ALL.map(|mode| throughput(server, mode, pairs, directory));
        if let Some(logged) = &logged {
            pgreplay::compare(server, logged, pairs, directory);
        }
        beside_pgbench
    };
    println!("idle");
    let idle = all();
    println!("beside {PROCESSES} busy processes");
    let load = Load::start();
    let loaded = all();
    drop(load);
    for (mode, (idle, loaded)) in Mode::ALL.iter().zip(idle.iter().zip(&loaded)) {
        println!("{:<9} our share of pgbench's rate under load is {:.2} of the idle one", mode.name(), loaded / idle);
    }
}

/// Busy processes, ended when dropped.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let itself = std::env::current_exe().expect("this program has a path");
        let busy =
            |_| Command::new(&itself).arg(ARGUMENT).stdin(Stdio::piped()).spawn().expect("the bench starts itself");
        Self((0..PROCESSES).map(busy).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for process in &mut self.0 {
            drop(process.stdin.take());
            process.wait().expect("it ends with its input");
        }
    }
}

/// What a busy process does until its input ends.
pub fn child() {
    static ENDED: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        // Whatever comes of it, nobody wants the load any more.
        let _ = std::io::stdin().read(&mut [0]);
        ENDED.store(true, Ordering::Relaxed);
    });
    let began = Instant::now();
    while !ENDED.load(Ordering::Relaxed) && began.elapsed() < AT_MOST {
        for number in 0..100_000_u32 {
            std::hint::black_box(number);
        }
    }
}
