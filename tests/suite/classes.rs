//! Statement classes against the server's own judgement: what a read-only transaction refuses with 25006 is a write or DDL,
//! and nothing else is, but for what is listed with its reason.

use pgrehearse::sql::classify;
use pgrehearse::words::class::StatementClass;

use crate::server::Server;

/// What the statements below need.
const SCHEMA: &str = "
CREATE TABLE t (id int PRIMARY KEY, x int);
INSERT INTO t VALUES (1, 1);
CREATE TABLE u (id int);
CREATE SEQUENCE s;
CREATE MATERIALIZED VIEW v AS SELECT 1 AS one;
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';
SELECT lo_create(4711);
";

/// The class decides whether the server refuses them.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM t",
    "VALUES (1)",
    "TABLE t",
    "SHOW work_mem",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE",
    "SELECT * FROM t FOR SHARE",
    "SELECT * FROM t FOR KEY SHARE OF t",
    "SELECT * FROM (SELECT * FROM t FOR UPDATE SKIP LOCKED) q",
    "SELECT * INTO w FROM t",
    "CREATE TABLE w AS SELECT 1",
    "CREATE TEMP TABLE w (id int)",
    "INSERT INTO t VALUES (2, 2)",
    "INSERT INTO t VALUES (1, 1) ON CONFLICT DO NOTHING",
    "UPDATE t SET x = 1",
    "DELETE FROM t",
    "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE",
    "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "WITH a AS (SELECT 1), b AS MATERIALIZED (UPDATE t SET x = 1 RETURNING x) SELECT * FROM b",
    "WITH a AS (SELECT 1 AS id) INSERT INTO t SELECT id, id FROM a",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SELECT nextval('s')",
    "SELECT pg_catalog.setval('s', 1)",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put(4711, 0, 'x')",
    "SELECT lo_unlink(4711)",
    "SELECT lo_get(4711)",
    "SELECT lo_open(4711, 131072)",
    "SELECT lo_open(4711, 262144)",
    "TABLE t FOR UPDATE",
    "VALUES (nextval('s'))",
    "EXPLAIN (ANALYZE, FORMAT json) INSERT INTO t VALUES (5, 5)",
    "SELECT pg_current_xact_id()",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_notify('c', 'x')",
    "SELECT set_config('work_mem', '5MB', true)",
    "SELECT now()",
    "EXPLAIN DELETE FROM t",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN (ANALYZE off) DELETE FROM t",
    "EXPLAIN (ANALYZE) SELECT * FROM t",
    "COPY t TO STDOUT",
    "COPY (SELECT * FROM t) TO STDOUT",
    "COPY (DELETE FROM t RETURNING *) TO STDOUT",
    "COPY (SELECT * FROM t FOR UPDATE) TO STDOUT",
    "PREPARE q AS INSERT INTO t VALUES (3, 3)",
    "DECLARE c CURSOR FOR SELECT * FROM t",
    "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
    "LOCK TABLE t IN ACCESS SHARE MODE",
    "TRUNCATE t",
    "DROP TABLE t",
    "ALTER TABLE t ADD y int",
    "CREATE INDEX ON t (x)",
    "COMMENT ON TABLE t IS 'x'",
    "GRANT SELECT ON t TO public",
    "REVOKE SELECT ON t FROM public",
    "REFRESH MATERIALIZED VIEW v",
    "REASSIGN OWNED BY admin TO admin",
    "SECURITY LABEL ON TABLE t IS 'x'",
    "SET LOCAL work_mem = '5MB'",
    "RESET work_mem",
    "LISTEN c",
    "NOTIFY c",
    "UNLISTEN *",
    "DEALLOCATE ALL",
    "SAVEPOINT a",
    "CHECKPOINT",
];

/// Write or DDL, though a read-only transaction lets them through.
const LET_THROUGH: &[&str] = &[
    // It makes the table all the same.
    "EXPLAIN ANALYZE CREATE TABLE w AS SELECT 1",
    // What they run is not known from their text.
    "CALL p()",
    "DO $$ BEGIN END $$",
    // Locks like those of writes; a standby refuses the second.
    "LOCK TABLE t IN ROW EXCLUSIVE MODE",
    "LOCK TABLE t",
    // They change files and statistics, but nothing that can be read; a standby refuses them.
    "ANALYZE t",
    "REINDEX TABLE t",
    "CLUSTER t USING t_pkey",
];

/// Neither, though a read-only transaction refuses them: COPY is a class of its own.
const REFUSED: &[&str] = &["COPY t FROM '/dev/null'"];

/// The SQLSTATE of the statement in a read-only transaction, which is rolled back; empty where it succeeds.
fn sqlstate(server: &Server, statement: &str) -> String {
    let script = format!(
        "\\set VERBOSITY sqlstate\nBEGIN READ ONLY;\n\\o /dev/null\n{statement};\n\\o\n\\echo :SQLSTATE\nROLLBACK;\n"
    );
    let path = server.path("statement.sql");
    std::fs::write(&path, script).unwrap();
    let mut command = server.client("psql", server.port, "postgres");
    let output = command.args(["-X", "-q", "-A", "-t", "-w", "-f"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().rev().find(|line| line.len() == 5 && !line.contains(' ')).unwrap_or_default().to_owned()
}

fn is_write(statement: &str) -> bool {
    matches!(classify(statement), StatementClass::Write | StatementClass::Ddl)
}

fn assert_server_agrees(major: &str) {
    let server = Server::start(major, "");
    server.ask("postgres", &["-c", SCHEMA]);
    let refused = |statement: &str| match sqlstate(&server, statement).as_str() {
        "25006" => true,
        "" => panic!("psql said nothing to {statement}"),
        _ => false,
    };
    let wrong: Vec<_> = STATEMENTS.iter().filter(|statement| refused(statement) != is_write(statement)).collect();
    assert!(wrong.is_empty(), "PostgreSQL {major} thinks otherwise: {wrong:#?}");
    for statement in LET_THROUGH {
        assert!(is_write(statement) && !refused(statement), "PostgreSQL {major}: {statement}");
    }
    for statement in REFUSED {
        assert!(!is_write(statement) && refused(statement), "PostgreSQL {major}: {statement}");
    }
}

#[test]
fn a_write_is_what_a_read_only_transaction_of_16_refuses() {
    assert_server_agrees("16");
}

#[test]
fn a_write_is_what_a_read_only_transaction_of_18_refuses() {
    assert_server_agrees("18");
}
