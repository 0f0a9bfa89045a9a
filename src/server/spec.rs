//! What a local cluster shall be like, and how initdb is told.
//!
//! Plain values. Must not know whether the cluster exists.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::binaries::Installation;
use crate::words::ids::PgMajor;

/// What a cluster shall be like.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    pub installation: Installation,
    pub data_dir: PathBuf,
    pub socket_dir: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    /// Lines of `postgresql.conf`; where to listen is added.
    pub settings: BTreeMap<String, String>,
    pub checksums: bool,
    pub encoding: String,
    pub locale: String,
    /// The bootstrap superuser; `pg_upgrade` wants the same on both sides.
    pub superuser: String,
    /// None: initdb's default.
    pub wal_segment_bytes: Option<u64>,
    /// The server's standard output and error, and initdb's. Appended to.
    pub log_file: PathBuf,
}

impl ClusterSpec {
    /// The options of initdb, all but the data directory.
    pub(super) fn initdb_arguments(&self) -> Vec<String> {
        // Durability across a crash of the machine is of no use to a temporary cluster's creation, hence --no-sync.
        let mut arguments = vec!["--no-sync".to_owned(), "--auth=trust".to_owned()];
        arguments.push(format!("--username={}", self.superuser));
        arguments.push(format!("--encoding={}", self.encoding));
        arguments.push(format!("--locale={}", self.locale));
        // Since 18 checksums are on by default, and only since then there is an option for off.
        if self.checksums {
            arguments.push("--data-checksums".to_owned());
        } else if self.installation.version.major >= PgMajor(18) {
            arguments.push("--no-data-checksums".to_owned());
        }
        if let Some(bytes) = self.wal_segment_bytes {
            arguments.push(format!("--wal-segsize={}", bytes >> 20));
        }
        arguments
    }
}

/// The locale that sorts by code point and exists everywhere that the pinned builds do.
pub fn default_locale() -> &'static str {
    if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(major: u16, checksums: bool) -> ClusterSpec {
        ClusterSpec {
            installation: Installation {
                version: format!("{major}.1").parse().unwrap(),
                bin_dir: "/bin".into(),
                origin: crate::server::binaries::Origin::Path,
            },
            data_dir: "/data".into(),
            socket_dir: "/sockets".into(),
            port: 5432,
            settings: BTreeMap::new(),
            checksums,
            encoding: "UTF8".into(),
            locale: "C".into(),
            superuser: "postgres".into(),
            wal_segment_bytes: None,
            log_file: "/log".into(),
        }
    }

    #[test]
    fn checksums_are_said_in_the_majors_own_words() {
        let has =
            |major, checksums, option: &str| spec(major, checksums).initdb_arguments().iter().any(|o| o == option);
        assert!(has(16, true, "--data-checksums") && has(18, true, "--data-checksums"));
        assert!(has(18, false, "--no-data-checksums"));
        assert!(!has(16, false, "--no-data-checksums"));
    }
}
