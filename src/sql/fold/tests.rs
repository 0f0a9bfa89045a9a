//! Folding as a specification: texts with their folded forms, and what must not change a fingerprint.

use proptest::prelude::*;

use super::*;

fn assert_folds(cases: &[(&str, &str)]) {
    for (text, folded) in cases {
        assert_eq!(fold(text), *folded, "{text}");
        assert_eq!(fold(folded), *folded, "folding twice changes nothing");
    }
}

#[test]
fn values_fold_and_names_stay() {
    assert_folds(&[
        ("SELECT  *\nFROM Users u WHERE u.id=42 -- why", "select * from users u where u.id = ?"),
        (
            "select count( * ), E'a\\'b' from \"Big Table\" where x = $1::int;",
            "select count(*), ? from \"Big Table\" where x = ?::int",
        ),
        ("select -5, a - 5, a -5, x=-1", "select ?, a - ?, a - ?, x = ?"),
        ("select a[1], b is null, c = NULL, d is not true", "select a[?], b is null, c = ?, d is not true"),
        ("select 'one'\n 'text'", "select ?"),
        ("select data->>'k', data ? 'k'", "select data ->> ?, data ? ?"),
        ("/*tenant='acme'*/ COMMIT;", "commit"),
        ("select $$it's$$, $t$x$t$, U&'d\\0061', x'1F', B'01', 0x1F, 1_000, 1.5e-3", "select ?, ?, ?, ?, ?, ?, ?, ?"),
        ("select date '2024-01-01' + interval '1 day'", "select date ? + interval ?"),
        ("select '1'::uuid, cast('x' as text), '{1,2}'::int[]", "select ?::uuid, cast(? as text), ?::int[]"),
        ("select 1 limit 10 offset 20", "select ? limit ? offset ?"),
        ("select 1 fetch first 10 rows only", "select ? fetch first ? rows only"),
        ("select a is distinct from -1", "select a is distinct from ?"),
        ("SELECT 1;\n;", "select ?"),
        ("select 1; select 2", "select ?; select ?"),
    ]);
}

#[test]
fn lists_fold_to_one_value() {
    assert_folds(&[
        ("select 1 from t where a in (1,2,3)", "select ? from t where a in (?)"),
        ("select 1 from t where a in ($1,$2)", "select ? from t where a in (?)"),
        ("select 1 from t where a in (-1, 'x'::text, 'y'::text)", "select ? from t where a in (?, ?::text)"),
        ("select 1 from t where (a,b) in ((1,2),(3,4))", "select ? from t where (a, b) in ((?, ?))"),
        ("select a = any(array[1,2])", "select a = any (array[?])"),
        ("select array[array[1,2],array[3,4]], array[[1,2],[3,4]]", "select array[array[?]], array[[?]]"),
        ("insert into t (a,b) values (1,'x'),(2,'y'),(3,default)", "insert into t(a, b) values (?, ?), (?, default)"),
        ("insert into t values ($1, now()), ($2, now())", "insert into t values (?, now())"),
        ("select f(1,2)", "select f(?, ?)"),
        ("select a in (select b, b from t)", "select a in (select b, b from t)"),
    ]);
}

#[test]
fn a_statement_folds_the_same_as_a_simple_query_and_as_an_extended_execution() {
    for (simple, extended) in [
        ("INSERT INTO t VALUES (1, true, NULL, 'x')", "insert into t values ($1, $2, $3, $4)"),
        ("SELECT * FROM t WHERE active = true AND a != -4", "select * from t where active = $1 and a <> $2"),
        ("UPDATE t SET a = NULL, b = 1.5e3 WHERE c = 'x'::text", "update t set a = $1, b = $2 where c = $3::text"),
        ("SELECT * FROM t WHERE a BETWEEN -1 AND 2 LIMIT 10", "select * from t where a between $1 and $2 limit $3"),
        (
            "SELECT * FROM t WHERE (a, b) = (1, 'x') AND c = ANY ('{1,2}')",
            "select * from t where (a, b) = ($1, $2) and c = any ($3)",
        ),
        ("SELECT * FROM t WHERE a IN (1, NULL, -3)", "select * from t where a in ($1, $2)"),
        (
            "SELECT coalesce(a, NULL), CASE WHEN b THEN -1 ELSE 0 END",
            "select coalesce(a, $1), case when b then $2 else $3 end",
        ),
    ] {
        assert_eq!(fold(simple), fold(extended));
    }
    // What is asked of a value is no value.
    assert_ne!(fold("select a is true from t"), fold("select a is null from t"));
}

#[test]
fn quotes_that_a_name_does_not_need_go() {
    assert_folds(&[
        ("SELECT \"users\".\"id\" FROM \"users\"", "select users.id from users"),
        ("SELECT \"Users\".\"id\" FROM \"Users\"", "select \"Users\".id from \"Users\""),
        ("SELECT \"order\", \"a b\", \"a\"\"b\", \"1a\"", "select \"order\", \"a b\", \"a\"\"b\", \"1a\""),
        ("SELECT \"user\", user", "select \"user\", user"),
    ]);
}

#[test]
fn what_is_set_is_one_value() {
    assert_folds(&[
        ("SET search_path TO acme, \"Big Co\", public", "set search_path to ?"),
        ("SET statement_timeout = '5s'", "set statement_timeout = ?"),
        ("set local work_mem to 64", "set local work_mem to ?"),
        ("SET app.tenant = $1; select 1", "set app.tenant = ?; select ?"),
        ("SET x TO DEFAULT", "set x to default"),
        ("SET TIME ZONE 'UTC'", "set time zone ?"),
        ("SET timezone TO -5", "set timezone to ?"),
        ("SET ROLE bob", "set role bob"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set transaction isolation level serializable"),
        ("UPDATE t SET a = b, c = 1", "update t set a = b, c = ?"),
    ]);
}

#[test]
fn numbers_in_names_that_clients_count_up_are_all_one() {
    assert_folds(&[
        ("SAVEPOINT sp_12", "savepoint sp_0"),
        ("RELEASE SAVEPOINT \"s140_x7\"", "release savepoint s0_x0"),
        ("ROLLBACK TO SAVEPOINT sp9", "rollback to savepoint sp0"),
        ("DECLARE \"C_5\" CURSOR FOR SELECT a1 FROM t2", "declare \"C_0\" cursor for select a1 from t2"),
        ("FETCH FORWARD 100 FROM \"C_5\"", "fetch forward ? from \"C_0\""),
        ("CLOSE c5", "close c0"),
        ("PREPARE plan12 (int) AS SELECT a1 FROM t2", "prepare plan0(int) as select a1 from t2"),
        ("EXECUTE plan12(1, 2)", "execute plan0(?, ?)"),
        ("DEALLOCATE \"pdo_stmt_0000000b\"", "deallocate pdo_stmt_0b"),
        ("UPDATE t2 SET a1 = 1 WHERE CURRENT OF c17", "update t2 set a1 = ? where current of c0"),
        ("PREPARE TRANSACTION 'tx12'", "prepare transaction ?"),
        ("LISTEN channel1", "listen channel1"),
    ]);
}

#[test]
fn the_fingerprint_never_changes_between_releases() {
    for (text, expected) in [
        ("SELECT 1", "e1c71d1661ae46e0"),
        ("BEGIN", "e6f07d43b5c21db0"),
        ("SELECT * FROM tasks WHERE org_id = $1 AND id = $2", "cda518a412249a59"),
        ("SELECT id, name FROM users WHERE org_id = 4 AND id IN (1, 10, 15) ORDER BY id", "bfd2f327640f0478"),
    ] {
        assert_eq!(fingerprint(text).to_string(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn folding_twice_changes_nothing(
        text in "\\PC*|(in|values|array|a|null|is|select|1|'x'|\\$1|\"q\"|[-+:=?.,;()\\[\\]{}$'\"/*~] ?| |\n){0,24}"
    ) {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded);
    }

    #[test]
    fn folding_utility_statements_twice_changes_nothing(
        text in "(set|fetch|savepoint|declare|prepare|current|of|to|=|default|x1|\"C_1\"|\"q\"|\"set\"|1|-|,|\\(|\\)|;){1}( (set|to|=|default|current|of|x1|2|\"C_1\"|\"q\"|\"null\"|-|1|'s'|,|\\(|\\)|;|\\?|values)){0,12}"
    ) {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded);
    }

    #[test]
    fn the_fingerprint_sees_no_values(number in any::<i64>(), text in "[^'\\\\]*", count in 1_usize..9) {
        let list = vec![number.to_string(); count].join(", ");
        let written = format!("UPDATE t SET a = {number}, b = '{text}' WHERE id IN ({list})");
        prop_assert_eq!(fingerprint(&written), fingerprint("update t set a=$1, b=$2 where id in ($3)"));
    }

    #[test]
    fn case_whitespace_and_comments_change_nothing(
        spaces in proptest::collection::vec("[ \t\r\n]|/\\*[a-z ]*\\*/| --[a-z]*\n", 14),
        upper in any::<bool>(),
    ) {
        let words = [
            "select", "u.id", ",", "count(*)", "from", "users", "u", "where", "u.id", "=", "$1", "and", "name", "<>", "'x'",
        ];
        let mut written = String::new();
        for (at, word) in words.iter().enumerate() {
            let is_name = word.starts_with('\'');
            written.push_str(&if upper && !is_name { word.to_uppercase() } else { (*word).to_owned() });
            written.extend(spaces.get(at).map(String::as_str));
        }
        prop_assert_eq!(fold(&written), "select u.id, count(*) from users u where u.id = ? and name <> ?");
    }
}
