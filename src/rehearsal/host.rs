//! Facts about the machine that the tool runs on, for `run.json`.
//!
//! Reads what the system tells for free; what it does not tell is 0 or none. Must not know what the facts are for.

use crate::facts::HostFacts;

/// The machine as it is now.
pub fn host_facts() -> HostFacts {
    let uname = rustix::system::uname();
    HostFacts {
        cpus: std::thread::available_parallelism().map_or(0, |cpus| u32::try_from(cpus.get()).unwrap_or(0)),
        memory_bytes: read("/proc/meminfo").and_then(|text| memory_bytes(&text)).unwrap_or(0),
        os: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        load_average: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `MemTotal` of Linux' `/proc/meminfo`, which is given in KiB.
fn memory_bytes(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16_384));
        assert_eq!(memory_bytes("nothing"), None);
    }

    #[test]
    fn there_is_at_least_one_cpu() {
        assert!(host_facts().cpus > 0);
    }
}
