//! What can be said against a scenario by a look at this machine: files, environment variables, the port.
//!
//! Takes the resolved scenario; starts nothing and leaves nothing behind. Must not know how programs and workloads are
//! found: those who need them look for them.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::check::Finding;
use super::resolved::{ExternalStaging, LoadSource, LocalStaging, Scenario, Staging};
use crate::words::ids::PgMajor;

/// Everything that this machine lacks.
pub fn check_host(scenario: &Scenario) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &scenario.staging {
        Staging::Local(local) => check_local(local, &mut findings),
        Staging::External(external) => check_external(external, &mut findings),
    }
    findings
}

/// Opening says more than a look at the permissions.
fn readable(key: &str, path: &Path, findings: &mut Vec<Finding>) {
    if let Err(error) = std::fs::File::open(path) {
        findings.push(not_opened(key, path, &error));
    }
}

fn not_opened(key: &str, path: &Path, error: &io::Error) -> Finding {
    Finding::error(format!("{key}: could not open \"{}\": {error}", path.display()), "")
}

fn check_local(local: &LocalStaging, findings: &mut Vec<Finding>) {
    for load in &local.load {
        match &load.source {
            LoadSource::Sql(path) => readable("staging.load.sql", path, findings),
            LoadSource::Dump(path) => check_dump(path, findings),
            LoadSource::BaseBackup(path) => check_base_backup(path, local.server.version, findings),
            LoadSource::Command(_) => {}
        }
    }
    if let Some(port) = local.port
        && let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
    {
        let message = format!("staging.port: port {port} cannot be used: {error}");
        findings.push(Finding::error(message, "leave staging.port out to have any free port"));
    }
    if let Some(dir) = local.tmp_dir.as_ref().filter(|dir| !dir.is_dir()) {
        findings.push(Finding::error(format!("staging.tmp_dir: \"{}\" is no directory", dir.display()), ""));
    }
}

/// `pg_restore` reads a custom archive, a tar or a directory with a table of contents; a script is for psql.
fn check_dump(path: &Path, findings: &mut Vec<Finding>) {
    let is_archive = if path.is_dir() {
        ["toc.dat", "toc.dat.gz", "toc.dat.lz4", "toc.dat.zst"].iter().any(|name| path.join(name).is_file())
    } else {
        match beginning(path) {
            Ok(bytes) => bytes.starts_with(b"PGDMP") || is_tar(&bytes),
            Err(error) => return findings.push(not_opened("staging.load.dump", path, &error)),
        }
    };
    if !is_archive {
        let message = format!("staging.load.dump: \"{}\" is not an archive of pg_dump", path.display());
        findings.push(Finding::error(message, "for a script of pg_dump write sql = ... instead"));
    }
}

/// A data directory of the source's major, or a tar of one, compressed or not.
fn check_base_backup(path: &Path, source: PgMajor, findings: &mut Vec<Finding>) {
    const KEY: &str = "staging.load.base_backup";
    let refused = |why: String, hint: &str| Finding::error(format!("{KEY}: \"{}\" {why}", path.display()), hint);
    if !path.is_dir() {
        match beginning(path) {
            Ok(bytes) if is_tar(&bytes) || COMPRESSED.iter().any(|magic| bytes.starts_with(magic)) => {}
            Ok(_) => findings.push(refused("is not a tar".into(), "give the base.tar that pg_basebackup wrote")),
            Err(error) => findings.push(not_opened(KEY, path, &error)),
        }
        return;
    }
    match std::fs::read_to_string(path.join("PG_VERSION")) {
        Ok(version) if version.trim() == source.to_string() => {}
        Ok(version) => {
            let why = format!("is of PostgreSQL {}, and staging.version is {source}", version.trim());
            findings.push(refused(why, "set staging.version to the major of the backup"));
        }
        Err(error) => {
            findings.push(refused(format!("is not a data directory: its PG_VERSION: {error}"), ""));
        }
    }
}

/// The magic numbers of gzip, bzip2, xz, zstd and lz4, which tar knows.
const COMPRESSED: [&[u8]; 5] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"];

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// The first block of a file, or all of a shorter one.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(512).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_external(external: &ExternalStaging, findings: &mut Vec<Finding>) {
    if let Some(passfile) = &external.passfile {
        readable("staging.passfile", passfile, findings);
    }
    let of_users = external.users.values().filter_map(|user| user.password_env.as_ref());
    for variable in external.password_env.iter().chain(of_users) {
        if std::env::var_os(variable).is_none() {
            let message = format!("the environment variable {variable}, which holds a password, is not set");
            findings.push(Finding::error(message, ""));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scenario::load;

    #[test]
    fn missing_files_and_a_taken_port_are_found_before_anything_starts() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let text = format!(
            "[workload]\nfile = \"none.jsonl\"\n[staging]\nport = {port}\n[[staging.load]]\nsql = \"here.sql\"\n\
             [[staging.load]]\nsql = \"none.sql\"\n[[staging.load]]\ndump = \"here.sql\"\n"
        );
        std::fs::write(dir.path().join("here.sql"), "").unwrap();
        std::fs::write(dir.path().join("a.toml"), text).unwrap();
        let scenario = load(&dir.path().join("a.toml"), &[]).unwrap();
        let findings = check_host(&scenario);
        let said: Vec<&str> = findings.iter().map(|finding| finding.message.split(':').next().unwrap()).collect();
        assert_eq!(said, ["staging.load.sql", "staging.load.dump", "staging.port"]);
    }
}
