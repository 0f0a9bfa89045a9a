//! The fuzz targets in one program; `PGREHEARSE_FUZZ_TARGET` names the one that runs.
//!
//! Every target takes any bytes. None may panic, hang or hoard; what else must hold, each asserts.
#![no_main]

mod files;
mod log;
mod sql;
mod tenants;
mod wire;
mod workload;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// What takes the fuzzer's bytes.
type Target = fn(&[u8]);

/// Each by its name.
const TARGETS: &[(&str, Target)] = &[
    ("sql", sql::fuzz),
    ("log", log::fuzz),
    ("line_prefix", log::fuzz_prefix),
    ("log_file", files::fuzz_log),
    ("pcap", files::fuzz_pcap),
    ("journal", files::fuzz_journal),
    ("wire", wire::fuzz),
    ("tenants", tenants::fuzz),
    ("workload", workload::fuzz),
];

fn chosen() -> Target {
    let name = std::env::var("PGREHEARSE_FUZZ_TARGET").unwrap_or_default();
    let chosen = TARGETS.iter().find(|(target, _)| *target == name);
    chosen.unwrap_or_else(|| panic!("PGREHEARSE_FUZZ_TARGET is to name one of the targets, not \"{name}\"")).1
}

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| CHOSEN.get_or_init(chosen)(bytes));
