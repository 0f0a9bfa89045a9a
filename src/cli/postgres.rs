//! `postgres list` and `postgres install`.
//!
//! Takes what was typed; prints what is there, or what was done. Must not know how servers are found.

use std::fmt::Write as _;

use serde::Serialize;

use super::args::Postgres;
use super::{Ended, runtime, show};
use crate::server::binaries::{Installation, discover_all};
use crate::server::cache::Cache;
use crate::server::install;
use crate::words::exit::ExitCode;
use crate::words::ids::PgMajor;

/// Carries out a `postgres` command.
pub(super) fn carry_out(command: Postgres) -> Ended {
    let cache = Cache::locate()?;
    match command {
        Postgres::List { json } => {
            let found = discover_all(&cache);
            show::result(&if json { list_json(&found)? } else { list_text(&found) });
        }
        Postgres::Install { version } => {
            let major: PgMajor = version.parse()?;
            let bin_dir = runtime()?.block_on(install::install(major, &cache, &mut |line| show::progress(line)))?;
            show::result(&format!("PostgreSQL {major} is in {}\n", bin_dir.display()));
        }
    }
    Ok(ExitCode::Passed)
}

fn list_text(found: &[Installation]) -> String {
    if found.is_empty() {
        return "no PostgreSQL was found\nhint: \"pgrehearse postgres install 18\" installs a pinned build\n"
            .to_owned();
    }
    let mut text = format!("{:<9} {:<16} {}\n", "version", "from", "where");
    for installation in found {
        let (version, origin) = (installation.version.to_string(), installation.origin.to_string());
        let _ = writeln!(text, "{version:<9} {origin:<16} {}", installation.bin_dir.display());
    }
    text
}

fn list_json(found: &[Installation]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line {
        version: String,
        origin: String,
        bin_dir: String,
    }
    let lines: Vec<Line> = found
        .iter()
        .map(|installation| Line {
            version: installation.version.to_string(),
            origin: installation.origin.to_string(),
            bin_dir: installation.bin_dir.display().to_string(),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&lines)? + "\n")
}
