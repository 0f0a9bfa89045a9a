//! A real PostgreSQL of a pinned major for one test, in a directory of its own; ended when dropped.
//!
//! Takes settings and gives its programs, run as its account, and what psql answers. The administrator is `admin`.

use std::ffi::OsStr;
use std::fs::{DirEntry, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::bench::program;

/// An account for the server where the tests run as root.
const NOBODY: u32 = 65_534;

/// A running server that listens on 127.0.0.1 and in its directory.
pub struct Server {
    dir: tempfile::TempDir,
    pub bin: PathBuf,
    pub port: u16,
    password: String,
}

impl Server {
    /// A server that trusts everybody. `settings` are lines of postgresql.conf.
    pub fn start(major: &str, settings: &str) -> Self {
        Self::create(major, "", settings)
    }

    /// A server that asks for passwords by SCRAM; this one is the administrator's.
    pub fn start_with_password(major: &str, password: &str, settings: &str) -> Self {
        Self::create(major, password, settings)
    }

    /// A server of these programs that asks for passwords and shows the tests' certificate, copied to `keys`.
    pub fn start_with_tls(bin: PathBuf, password: &str, keys: &Path) -> Self {
        let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/test_certificates");
        for name in ["server.pem", "server.key"] {
            std::fs::copy(certificates.join(name), keys.join(name)).unwrap();
            std::fs::set_permissions(keys.join(name), Permissions::from_mode(0o600)).unwrap();
            give(&keys.join(name));
        }
        give(keys);
        let file = |name: &str| keys.join(name).display().to_string();
        let (certificate, key) = (file("server.pem"), file("server.key"));
        let settings = format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'");
        Self::create_with(bin, password, &settings)
    }

    fn create(major: &str, password: &str, settings: &str) -> Self {
        let installed = program().args(["postgres", "install", major]).output().unwrap();
        let said = String::from_utf8(installed.stdout).unwrap();
        let bin = PathBuf::from(said.trim().rsplit_once(" in ").expect("where PostgreSQL is").1);
        Self::create_with(bin, password, settings)
    }

    fn create_with(bin: PathBuf, password: &str, settings: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { dir: tempfile::tempdir().unwrap(), bin, port, password: password.to_owned() };
        server.give(server.dir.path());
        let options = ["-D", "data", "-U", "admin", "-E", "UTF8", "--locale=C", "--no-sync"];
        if password.is_empty() {
            server.program("initdb", &[&options[..], &["-A", "trust"]].concat());
        } else {
            std::fs::write(server.path("password"), password).unwrap();
            server.give(&server.path("password"));
            server.program("initdb", &[&options[..], &["-A", "scram-sha-256", "--pwfile=password"]].concat());
        }
        let configuration = server.path("data/postgresql.conf");
        let defaults = std::fs::read_to_string(&configuration).unwrap();
        let own = format!("port = {port}\nunix_socket_directories = '{}'\nfsync = off\n", server.dir.path().display());
        std::fs::write(&configuration, format!("{defaults}{own}{settings}\n")).unwrap();
        server.program("pg_ctl", &["start", "-w", "-D", "data", "-l", "log"]);
        server
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A path in the server's directory, where its sockets are too.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file or directory the account's own.
    pub fn give(&self, path: &Path) {
        give(path);
    }

    /// Runs one of the server's programs in its directory, as its account, to a good end.
    pub fn program(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(name));
        command.args(arguments).current_dir(self.dir.path()).stdout(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(command.status().unwrap().success(), "{name} {arguments:?}; the server's log: {}", log());
    }

    /// Kills the postmaster and waits until all of its processes have noticed and are gone.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.path("data/postmaster.pid")).unwrap();
        let pid = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let data = self.path("data").canonicalize().unwrap();
        let works_there = |entry: DirEntry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data);
        let end = Instant::now() + Duration::from_secs(30);
        // The next postmaster does not start while the last one's number is taken.
        while test_kill_process(pid).is_ok() || std::fs::read_dir("/proc").unwrap().flatten().any(works_there) {
            assert!(Instant::now() < end, "processes of {} outlive their postmaster", data.display());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// A client program of the server's, such as psql or pgbench; see [`Server::connecting`].
    pub fn client(&self, name: &str, port: u16, database: &str) -> Command {
        self.connecting(Command::new(self.bin.join(name)), port, database)
    }

    /// A client with the administrator's password in its environment and nothing of the test's own; it connects to
    /// `port`, the server's or that of something in between.
    pub fn connecting(&self, mut command: Command, port: u16, database: &str) -> Command {
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("PG")) {
            command.env_remove(variable);
        }
        command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", "admin");
        command.env("PGDATABASE", database).env("PGPASSWORD", &self.password);
        command
    }

    /// What psql answers the administrator, unaligned.
    pub fn ask<A: AsRef<OsStr>>(&self, database: &str, arguments: &[A]) -> String {
        let mut command = self.client("psql", self.port, database);
        command.args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.path("data/postmaster.pid").exists() {
            self.program("pg_ctl", &["stop", "-D", "data", "-m", "immediate"]);
        }
    }
}

fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
