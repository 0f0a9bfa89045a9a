//! The SQL script of an anonymisation on real servers: it maps each value as the tool does, and a whole database so that
//! everything that was joined still is.

use std::path::PathBuf;
use std::process::Command;

use pgrehearse::reshape::anonymize::{Key, Mapping};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::server::Server;

const MAJORS: [&str; 2] = ["16", "18"];

/// Values of every form for each server.
const VALUES: usize = 4_000;

fn mapping() -> Mapping {
    let key = Key::parse(&"5a".repeat(32), "the test").unwrap();
    Mapping::new(key, ["open", "closed", "happy", "sad", "7", "it's $$ {a}"].map(str::to_owned))
}

/// Puts a file into the server's directory.
fn file(server: &Server, name: &str, text: &str) -> PathBuf {
    let path = server.path(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn run_file(server: &Server, database: &str, path: &std::path::Path) -> String {
    server.ask(database, &["-f", path.to_str().unwrap()])
}

/// Pieces that are values of their own, and pieces of other values.
fn simple() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (any::<i64>(), 0_u32..63).prop_map(|(number, shift)| (number >> shift).to_string()),
        "[-+]?(0{0,3}[0-9]{1,6}(\\.[0-9]{0,6})?|\\.[0-9]{1,5})([eE][-+]?[0-9]{1,3})?",
        "-?[0-9]{18,40}",
        prop::sample::select(vec![
            "32768",
            "-2147483648",
            "9223372036854775808",
            "open",
            "OPEN",
            "it's $$ {a}",
            "Null",
            "+7"
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,12}",
        "[A-Za-zäöüßΩ0-9]{1,5}([ _.,/-][A-Za-z0-9é]{1,8}){0,5}",
        "[α-ωА-я漢字カナ한글🎉אب ]{1,8}",
        "[a-z]{1,8}(\\.[a-z0-9]{1,5})?@[a-z]{3,9}\\.(com|example)",
        "[0-9a-fA-F]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        "(00|19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([ T][012][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?(Z| ?[+-]0[0-9](:30)?)?)?",
        "[012][0-9]:[0-5][0-9](:[0-5][0-9])?",
        "-?[0-9]{1,2} (day|mons|YEARS|foo)( 04:05:06)?( ago)?",
        "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9])(\\.(0|[1-9][0-9]?|1[0-9]{2})){3}(/8|/17|/24)?",
        "(10|192)\\.(0\\.0\\.0/1[0-9]|128\\.0\\.0/9)",
        "(2001|fe80|abcd):([0-9a-f]{1,4}:){0,3}:[0-9a-f]{1,4}",
        "([0-9a-f]{2}:){5}[0-9a-f]{2}",
        "\\\\x([0-9a-fA-F]{2}){0,40}",
        "[0-9a-f]{14,40}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let in_json = prop::collection::vec(("[a-zé]{1,5}", simple()), 0..4).prop_map(|pairs| {
        serde_json::Value::Object(pairs.into_iter().map(|(k, v)| (k, v.into())).collect()).to_string()
    });
    let quoted = |text: String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let in_array = prop::collection::vec(simple().prop_map(quoted), 0..4)
        .prop_map(|elements| format!("{{{}}}", elements.join(",")));
    prop_oneof![
        8 => simple(),
        2 => in_json,
        1 => "\\{(\"[a-z]{1,4}\": ?(-?[1-9][0-9]{0,6}(\\.[0-9]e5)?|\"[a-zA-Z é\\\\\\\\n]{0,9}\"|true|null|\\[1,2\\])(, ?\"[a-z]{5}\": ?[0-9.]{1}[1-9])?)?\\}",
        2 => in_array,
        1 => "(\\[0:1\\]=)?\\{([a-z0-9]{1,5}|\"[a-z ,]{1,9}\"|NULL|\\{[a-z1]\\})(,([a-z0-9]{1,5}|\"[a-z ]{1,9}\"|\\{b\\}))*\\}",
        1 => "[\\[(](|2026-0[1-9]-0[1-9]|-?[0-9]{1,3}),(|2027-0[1-9]-0[1-9]|infinity|[0-9.]{1,4})[)\\]]",
        1 => "\\{\\[2026-0[1-9]-0[1-9],2027-01-01\\),[\\[(][0-9]?,[0-9]?\\)\\}",
        1 => "\\(-?[0-9]{1,4}(\\.[0-9]{1,4})?,([a-z]{1,5}|-?[0-9]{1,4})\\)",
        // Longer than what the functions work on at once.
        1 => "[a-zA-Z0-9 ,]{1000,1100}|[a-zé ]{1000,1100}|\\\\x([0-9a-f]{2}){1025,1100}",
        1 => "[%\\t ]{0,2}[a-zA-Z0-9 ]{1,9}[% ]{0,2}",
        1 => "[-0-9a-z{}\\[\\]()\",:\\\\ @%.\\n]{0,30}",
    ]
}

#[test]
fn sql_maps_each_value_as_the_tool_does() {
    let mut runner = TestRunner::deterministic();
    let values: Vec<String> = (0..VALUES).map(|_| value().new_tree(&mut runner).unwrap().current()).collect();
    let images: Vec<String> = values.iter().map(|value| mapping().text(value, &mut ())).collect();
    assert!(images.iter().zip(&values).filter(|(image, value)| image != value).count() > VALUES / 2);
    // A JSON string a line: nothing in it has a meaning to COPY's csv with these two signs.
    let lines =
        values.iter().map(|value| serde_json::Value::from(value.as_str()).to_string() + "\n").collect::<String>();
    let asked = format!(
        "CREATE TEMPORARY TABLE v (at serial, j text);\n\
         COPY v (j) FROM STDIN (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02');\n{lines}\\.\n\
         SELECT to_json(pgrehearse_anonymize.value(j::json #>> '{{}}')) FROM v ORDER BY at;\n"
    );
    for major in MAJORS {
        let server = Server::start(major, "");
        run_file(&server, "postgres", &file(&server, "script.sql", &mapping().script()));
        let answer = run_file(&server, "postgres", &file(&server, "asked.sql", &asked));
        let answers: Vec<String> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), values.len());
        for ((value, image), answer) in values.iter().zip(&images).zip(&answers) {
            assert_eq!(answer, image, "PostgreSQL {major}, of {value:?}");
        }
    }
}

/// What a type's value is stored as: of each, the text of the value and its image as the server prints them.
#[test]
fn a_typed_value_becomes_what_its_text_becomes() {
    let typed = [
        ("smallint", "-32768"),
        ("smallint", "31999"),
        ("integer", "-2147483648"),
        ("integer", "2147483647"),
        ("bigint", "-9223372036854775808"),
        ("bigint", "9223372036854775807"),
        ("numeric", "123456789012345678901234567890.50"),
        ("double precision", "0.1"),
        ("double precision", "1e+20"),
        ("real", "3.25"),
        ("uuid", "0b0c9a5e-9f3c-4c62-8d8a-1de1c1a4a0a5"),
        ("bytea", "\\x00ff10"),
        ("date", "2026-01-31"),
        ("date", "infinity"),
        ("timestamp", "2026-01-31 10:00:00.5"),
        ("timestamptz", "2026-01-31 10:00:00.5+00"),
        ("jsonb", "{\"a\": [1, \"Ann Brown\"], \"b\": null}"),
    ];
    for major in MAJORS {
        let server = Server::start(major, "");
        run_file(&server, "postgres", &file(&server, "script.sql", &mapping().script()));
        for (name, text) in typed {
            let asked = format!(
                "SET timezone = 'UTC'; SELECT pgrehearse_anonymize.value('{text}'::{name}) IS NOT DISTINCT FROM '{}'::{name}",
                mapping().text(text, &mut ())
            );
            assert_eq!(server.ask("postgres", &["-c", &asked]), "t", "PostgreSQL {major}: {asked}");
        }
    }
}

/// Keys of every kind, partitions, generated and identity columns, domains, an enumeration, a trigger, a materialised view.
const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN amount AS int CHECK (value > 0);
CREATE TABLE orgs (id int PRIMARY KEY, slug text UNIQUE NOT NULL, mood mood DEFAULT 'happy');
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id int NOT NULL REFERENCES orgs, email varchar(60) UNIQUE,
    code char(8), born date, seen_at timestamptz, doc jsonb, tags text[], price numeric(10,2), share float8, token uuid,
    hash bytea, ip inet, net cidr, place point, valid daterange, ok bool, pieces amount, alarm time,
    small_email text GENERATED ALWAYS AS (lower(email)) STORED,
    status text DEFAULT 'open' CHECK (status IN ('open', 'closed'))
);
CREATE INDEX ON users (lower(email)) WHERE status = 'open';
CREATE TABLE items (
    id serial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE, parent int REFERENCES items,
    org_slug text REFERENCES orgs (slug), valid daterange, EXCLUDE USING gist (valid WITH &&)
);
CREATE TABLE events (id int, user_id bigint, verb text, PRIMARY KEY (id)) PARTITION BY hash (id);
CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "Odd Name" ("Some Column" text, "x" int UNIQUE);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''fired''; END';
CREATE MATERIALIZED VIEW totals AS SELECT slug, count(*) FROM orgs JOIN users ON org_id = orgs.id GROUP BY 1;
INSERT INTO orgs SELECT i, 'org-' || i FROM generate_series(1, 50) i;
INSERT INTO users (org_id, email, code, born, seen_at, doc, tags, price, share, token, hash, ip, net, place, valid, ok, pieces,
        alarm, status)
    SELECT 1 + i % 50, 'User' || i || '@example.com', 'c' || i, date '1970-01-01' + i, '2026-01-01', jsonb_build_object('id', i),
        ARRAY['a' || i, 'b c', NULL], i * 1.37, i / 3.0, md5(i::text)::uuid, decode(md5(i::text), 'hex'), '10.0.3.7',
        '10.128.0.0/9', point(i, i / 2.0), daterange(date '2020-01-01' + i, NULL), i % 2 = 0, i, '10:00',
        CASE i % 2 WHEN 0 THEN 'open' ELSE 'closed' END
    FROM generate_series(1, 1000) i;
INSERT INTO items (user_id, parent, org_slug, valid)
    SELECT 1 + i % 1000, nullif(i - 1, 0), 'org-' || 1 + i % 50, daterange(date '2020-01-01' + i, date '2020-01-02' + i)
    FROM generate_series(1, 2000) i;
INSERT INTO events SELECT i, 1 + i % 1000, 'verb ' || i % 7 FROM generate_series(1, 2000) i;
INSERT INTO "Odd Name" SELECT 'x' || i, i FROM generate_series(1, 500) i;
CREATE TRIGGER refused BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse();
REFRESH MATERIALIZED VIEW totals;
"#;

/// Counts that no permutation of values changes.
const COUNTS: &str = r#"
SELECT (SELECT count(*) FROM users JOIN orgs ON org_id = orgs.id),
    (SELECT count(*) FROM items JOIN users ON user_id = users.id JOIN orgs ON slug = org_slug),
    (SELECT count(*) FROM items a JOIN items b ON a.parent = b.id),
    (SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id),
    (SELECT count(*) FROM users WHERE doc ->> 'id' = pieces::text),
    (SELECT count(DISTINCT verb) FROM events), (SELECT count(DISTINCT email) FROM users),
    (SELECT array_agg(count ORDER BY count) FROM totals),
    (SELECT max(born) - min(born) FROM users), (SELECT count(*) FROM users WHERE status = 'open' AND price > 0)
"#;

#[test]
fn a_mapped_database_joins_as_before() {
    for major in MAJORS {
        let server = Server::start(major, "");
        run_file(&server, "postgres", &file(&server, "schema.sql", SCHEMA));
        let originals =
            server.ask("postgres", &["-c", "SELECT email || slug || hash FROM users JOIN orgs ON org_id = orgs.id"]);
        let before = server.ask("postgres", &["-c", COUNTS]);
        run_file(&server, "postgres", &file(&server, "script.sql", &mapping().script()));
        let labels = server.ask("postgres", &["-c", "SELECT string_agg(l, ' ') FROM pgrehearse_anonymize.labels() l"]);
        assert_eq!(labels, "closed happy open sad");
        server.ask("postgres", &["-c", "SELECT * FROM pgrehearse_anonymize.database()"]);
        assert_eq!(server.ask("postgres", &["-c", COUNTS]), before, "PostgreSQL {major}");
        let dump = dump(&server);
        for original in originals.lines() {
            assert!(!dump.contains(original), "{original}");
        }
        for kept in ["example.com", "org-1", "c81e728d9d4c2f636f067f89cc14862c"] {
            assert!(!dump.contains(kept), "{kept}");
        }
        // New ids come behind the mapped ones, constraints stand, and triggers fire again.
        server.ask("postgres", &["-c", "INSERT INTO items (user_id) SELECT id FROM users"]);
        let refused = failure(&server, "INSERT INTO users (org_id) SELECT id FROM orgs");
        assert!(refused.contains("fired"), "{refused}");
        let refused = failure(&server, "INSERT INTO items (user_id) VALUES (0)");
        assert!(refused.contains("items_user_id_fkey"), "{refused}");
        server.ask("postgres", &["-c", "DROP SCHEMA pgrehearse_anonymize CASCADE"]);
    }
}

#[test]
fn what_cannot_be_mapped_is_refused_before_anything_changes() {
    let server = Server::start("18", "");
    let schema = "CREATE TABLE shapes (id int PRIMARY KEY, shape polygon, words tsvector);
        CREATE TABLE grades (grade int CHECK (grade BETWEEN 1 AND 6), shape_id int REFERENCES shapes);
        INSERT INTO shapes SELECT i, '((0,0),(1,1))', 'a b' FROM generate_series(1, 20) i;
        INSERT INTO grades SELECT 1 + i % 6, i FROM generate_series(1, 20) i;";
    run_file(&server, "postgres", &file(&server, "schema.sql", schema));
    run_file(&server, "postgres", &file(&server, "script.sql", &mapping().script()));
    let all = "SELECT * FROM pgrehearse_anonymize.database";
    let mut refusals = String::new();
    for arguments in [
        "()",
        "(keep => '{shapes.shap}')",
        "(keep => '{shapes.shape}', blank => '{public.shapes.words}')",
        "(keep => '{shapes.shape,shapes.id}', blank => '{shapes.words}')",
    ] {
        refusals += &failure(&server, &format!("{all}{arguments}"));
    }
    let primary: Vec<&str> =
        refusals.lines().filter(|line| line.starts_with("ERROR") || line.starts_with("HINT")).collect();
    insta::assert_snapshot!(primary.join("\n"));
    let count = "SELECT count(*), sum(id) FROM shapes WHERE words IS NOT NULL";
    assert_eq!(server.ask("postgres", &["-c", count]), "20|210");
    server.ask(
        "postgres",
        &["-c", &format!("{all}(keep => '{{shapes.shape,grades.grade}}', blank => '{{shapes.words}}')")],
    );
    let joined = "SELECT count(*), count(words) FROM shapes JOIN grades ON shape_id = id";
    assert_eq!(server.ask("postgres", &["-c", joined]), "20|0");
}

/// All data as pg_dump writes it.
fn dump(server: &Server) -> String {
    let mut command = server.connecting(Command::new(server.bin.join("pg_dump")), server.port, "postgres");
    let output = command.args(["--data-only", "--disable-triggers"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What psql says to a statement that fails.
fn failure(server: &Server, sql: &str) -> String {
    let output = server.client("psql", server.port, "postgres").args(["-X", "-c", sql]).output().unwrap();
    assert!(!output.status.success(), "{sql}");
    String::from_utf8(output.stderr).unwrap()
}
