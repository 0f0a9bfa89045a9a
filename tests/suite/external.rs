//! Rehearsals on a server that is not ours: it must carry the mark, keeps nothing of ours, and its passwords stay secret.
//!
//! The server is one of the test's own, with passwords and a log of every statement.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bench::{Bench, Ran, program, ran};
use crate::server::Server;

const ADMIN_PASSWORD: &str = "admin-hush";
const APP_PASSWORD: &str = "app-hush";

/// What gives the captured names others on the server, and its users passwords.
const RENAME: &str = "ALTER ROLE app RENAME TO shop_app; ALTER ROLE shop_app PASSWORD 'app-hush'; \
                      ALTER DATABASE app RENAME TO app_copy";

const PLAN: &str = r#"
[upgrade]
steps = [
  { sql = "CREATE TABLE by_step (id int)", database = "app", user = "app" },
  { command = "psql \"$PGREHEARSE_ENDPOINT\" -X -w -At -c 'SELECT 40 + 2' > \"$PGREHEARSE_RUN_DIR/answer\"", env = { PGPASSWORD = "admin-hush" } },
]
[phases]
warmup = "1s"
before = "3s"
after = "3s"
[trust]
schedule_lag_p99 = "200ms"
"#;

fn start() -> Server {
    Server::start_with_password("16", ADMIN_PASSWORD, "log_statement = all\nlog_line_prefix = 'user=%u '")
}

/// The statements in the server's log.
fn statements(server: &Server) -> Vec<String> {
    let log = std::fs::read_to_string(server.path("log")).unwrap();
    let is_statement = |line: &&str| line.contains("LOG:  statement:") || line.contains("LOG:  execute");
    log.lines().filter(is_statement).map(str::to_owned).collect()
}

/// Runs a rehearsal on the server; `staging` is what the scenario says of its passwords.
fn rehearse(bench: &Bench, server: &Server, name: &str, staging: &str) -> Ran {
    let scenario = bench.path("external.toml");
    let text = format!(
        "name = \"external\"\n[workload]\nfile = \"small.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\ndatabases = {{ app = \"app_copy\" }}\n{staging}\n{PLAN}",
        server.port
    );
    std::fs::write(&scenario, text).unwrap();
    let path = std::env::join_paths(
        std::iter::once(server.bin.clone()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = program();
    command.arg("run").arg(scenario).arg("--out").arg(bench.path(name)).env("PATH", path.unwrap());
    command.env("TEST_ADMIN", ADMIN_PASSWORD).env("TEST_APP", APP_PASSWORD);
    ran(command.output().unwrap(), bench.path(name))
}

#[test]
fn an_external_server_is_rehearsed_on_only_when_marked_and_keeps_nothing() {
    let bench = Bench::new(25);
    let server = start();
    server.ask("postgres", &["-f", bench.path("schema.sql").to_str().unwrap()]);
    server.ask("postgres", &["-c", RENAME]);
    let from_environment = "password_env = \"TEST_ADMIN\"\n\
                            users = { app = { user = \"shop_app\", password_env = \"TEST_APP\" } }";

    let before = statements(&server).len();
    let unmarked = rehearse(&bench, &server, "unmarked", from_environment);
    assert_eq!(unmarked.code, 2, "{}", unmarked.stderr);
    assert!(unmarked.stderr.contains("disposable mark"), "{}", unmarked.stderr);
    assert!(!unmarked.dir.exists());
    let seen = statements(&server).split_off(before);
    assert!(matches!(seen.as_slice(), [look] if look.contains("pgrehearse.disposable")), "{seen:?}");

    server.ask("postgres", &["-c", "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'"]);
    assert_sound(&server, &rehearse(&bench, &server, "by-setting", from_environment));

    server.ask("postgres", &["-c", "ALTER DATABASE postgres RESET pgrehearse.disposable"]);
    server.ask("postgres", &["-c", "CREATE TABLE pgrehearse_disposable ()"]);
    let lines = format!(
        "127.0.0.1:{0}:postgres:admin:{ADMIN_PASSWORD}\n127.0.0.1:{0}:app_copy:shop_app:{APP_PASSWORD}\n",
        server.port
    );
    std::fs::write(bench.path("pgpass"), lines).unwrap();
    std::fs::set_permissions(bench.path("pgpass"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let from_file = "passfile = \"pgpass\"\nusers = { app = \"shop_app\" }";
    assert_sound(&server, &rehearse(&bench, &server, "by-table", from_file));
}

/// The rehearsal measured what it should, told no password, and left only what its steps made; that goes here.
fn assert_sound(server: &Server, ran: &Ran) {
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.report();
    assert_eq!(report["server"]["before"]["version"], "16.14");
    assert_eq!(report["server"]["after"]["version"], "16.14");
    assert_eq!(report["writes"]["lost"], 0, "{}", report["writes"]);
    assert!(report["writes"]["acknowledged"].as_u64().unwrap() > 50, "{}", report["writes"]);
    assert!(report["writes"]["replay_acknowledged"].as_u64().unwrap() > 50, "{}", report["writes"]);
    assert_eq!(std::fs::read_to_string(ran.dir.join("answer")).unwrap().trim(), "42");
    server.ask("app_copy", &["-c", "DROP TABLE by_step"]);
    for database in ["app_copy", "ent"] {
        let schemas = server.ask(database, &["-c", "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgrehearse'"]);
        assert_eq!(schemas, "0", "{database}");
    }
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("-hush"), "{text}");
    }
    assert_no_password(&ran.dir);
}

fn assert_no_password(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_password(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let tells = |password: &str| bytes.windows(password.len()).any(|window| window == password.as_bytes());
        assert!(!tells(ADMIN_PASSWORD) && !tells(APP_PASSWORD), "{} holds a password", path.display());
    }
}
