//! What can be said against a scenario by a look at this machine: files, environment variables, the port.
//!
//! Takes the resolved scenario; starts nothing and leaves nothing behind.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::check::Finding;
use super::resolved::{ExternalStaging, LoadSource, LocalStaging, Scenario, ServerChoice, Staging};

/// Everything that this machine lacks.
pub fn check_host(scenario: &Scenario) -> Vec<Finding> {
    let mut findings = Vec::new();
    readable("workload.file", &scenario.workload.file, &mut findings);
    match &scenario.staging {
        Staging::Local(local) => check_local(local, &mut findings),
        Staging::External(external) => check_external(external, &mut findings),
    }
    if let Some(to) = &scenario.upgrade.to {
        check_binaries("upgrade", to, &["postgres", "pg_upgrade"], &mut findings);
    }
    findings
}

/// Opening says more than a look at the permissions.
fn readable(key: &str, path: &Path, findings: &mut Vec<Finding>) {
    if let Err(error) = std::fs::File::open(path) {
        findings.push(Finding::error(format!("{key}: could not open \"{}\": {error}", path.display()), ""));
    }
}

fn check_local(local: &LocalStaging, findings: &mut Vec<Finding>) {
    check_binaries("staging", &local.server, &["postgres", "initdb"], findings);
    for load in &local.load {
        match &load.source {
            LoadSource::Sql(path) => readable("staging.load.sql", path, findings),
            LoadSource::Dump(path) => readable("staging.load.dump", path, findings),
            LoadSource::BaseBackup(path) => readable("staging.load.base_backup", path, findings),
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

fn check_binaries(table: &str, choice: &ServerChoice, programs: &[&str], findings: &mut Vec<Finding>) {
    let Some(bin_dir) = &choice.bin_dir else { return };
    for program in programs.iter().filter(|program| !bin_dir.join(program).is_file()) {
        let message = format!("{table}.bin_dir: there is no {program} in \"{}\"", bin_dir.display());
        findings.push(Finding::error(message, "give the directory that pg_config --bindir prints"));
    }
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
            "[workload]\nfile = \"none.jsonl\"\n[staging]\nport = {port}\n[[staging.load]]\nsql = \"here.sql\"\n[upgrade]\nbin_dir = \"bin\"\n"
        );
        std::fs::write(dir.path().join("here.sql"), "").unwrap();
        std::fs::write(dir.path().join("a.toml"), text).unwrap();
        let scenario = load(&dir.path().join("a.toml"), &[]).unwrap();
        let findings = check_host(&scenario);
        let said: Vec<&str> = findings.iter().map(|finding| finding.message.split(':').next().unwrap()).collect();
        assert_eq!(said, ["workload.file", "staging.port", "upgrade.bin_dir", "upgrade.bin_dir"]);
    }
}
