//! How late requests leave with 500 sessions at half of what the server can take, beside a thread that only sleeps.
//!
//! Once against PostgreSQL, which needs the same cores, and once against the stand-in, which needs hardly any of them. Must
//! not know what else the machine does meanwhile.

use std::path::Path;

use pgrehearse::scenario::resolved::Speed;

use crate::stage::{Recording, in_a_child};
use crate::stand_in::StandIn;
use crate::workload;

const SESSIONS: u32 = 500;

/// Statements of each session from which it is known what the server can take.
const STATEMENTS: u64 = 200;

const SECONDS: u64 = 15;

/// Prints the lags against the PostgreSQL on `port`, then those against the stand-in.
pub fn lag(port: u16, directory: &Path) {
    against("PostgreSQL", port, directory);
    let server = StandIn::start();
    against("stand-in", server.port, directory);
}

fn against(name: &str, port: u16, directory: &Path) {
    let file = directory.join("reads.jsonl.zst");
    workload::reads(&file, SESSIONS, u64::from(SESSIONS) * STATEMENTS, 1);
    let most = in_a_child(&file, port, Speed::Max, Recording::Null);
    let saturation = most.replayed / most.wall_s;
    workload::reads(&file, SESSIONS, (saturation / 2.0) as u64, SECONDS);
    let figures = in_a_child(&file, port, Speed::Factor(1.0), Recording::Lags);
    println!(
        "lag       {name:<10} {SESSIONS} sessions at {:.0} of {saturation:.0}/s: p50 {:.3} ms, p99 {:.3} ms; a sleeping thread \
         {:.3} and {:.3} ms; peak {:.1} MiB",
        saturation / 2.0,
        figures.lag_p50_ms,
        figures.lag_p99_ms,
        figures.bare_p50_ms,
        figures.bare_p99_ms,
        figures.peak_mib,
    );
}
