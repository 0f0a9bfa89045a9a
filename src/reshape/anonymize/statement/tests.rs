//! What anonymising makes of statements, case by case, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::reshape::anonymize::Key;
use crate::sql::{TokenKind, fingerprint, tokens};

fn mapping() -> Mapping {
    Mapping::new(Key::new([3; 32]), ["open".to_owned()])
}

fn with(text: &str, names: bool) -> String {
    let (mapping, tenants) = (mapping(), HashSet::from(["acme".to_owned()]));
    Statements { mapping: &mapping, names, tenants: &tenants }.map(text, &mut Tally::default())
}

fn map(text: &str) -> String {
    with(text, false)
}

/// The text with each `<value>` replaced by the value's image.
fn images(text: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\u{27e8}') {
        let (value, behind) = behind.split_once('\u{27e9}').unwrap_or((behind, ""));
        written.extend([before, &mapping().text(value, &mut ())]);
        rest = behind;
    }
    written + rest
}

/// The text without the marks around values.
fn plain(text: &str) -> String {
    text.replace(['\u{27e8}', '\u{27e9}'], "")
}

#[test]
fn only_what_is_marked_changes() {
    let texts = [
        "SELECT * FROM t WHERE a = '⟨Ann Brown⟩' AND b = ⟨4711⟩ AND c = 'open' AND d IS NULL AND e = true",
        "SELECT $tag$⟨Ann Brown⟩$tag$, -⟨42⟩, ⟨12.50⟩, E'⟨smith⟩\\n', N'⟨smith⟩'",
        "SELECT a FROM t WHERE a > ⟨5⟩ ORDER BY 1, 2 DESC LIMIT 10 OFFSET 20 FOR UPDATE",
        "SELECT a + ⟨5⟩ FROM t GROUP BY 1, (2) HAVING count(*) > ⟨5⟩ FETCH FIRST 5 ROWS ONLY",
        "SELECT '⟨smith⟩'::varchar(10), CAST(⟨5⟩ AS numeric(10, 2)), x::pg_catalog.bpchar(3), a[1], (b)[2:3]",
        "SELECT INTERVAL '7' DAY, '3'::interval, now() - interval '1 week 2', timestamp '⟨2026-01-31⟩ 10:00:00 PST'",
        "SELECT date_trunc('month', a), to_char(a, 'YYYY-MM'), extract('dow' from a), a AT TIME ZONE 'Europe/Berlin'",
        "SELECT left('⟨smith⟩', 3), substr(a, 2, 5), round(⟨12.345⟩, 2), split_part(a, '/', 1), repeat('⟨smith⟩', 3)",
        "SELECT nextval('users_id_seq'), 'users'::regclass, to_tsvector('english', '⟨smith⟩'), generate_series(1, 5)",
        "SELECT p->>'email', p #> '{a,b}', p ? 'key', p -> 0, p @> '{\"email\": \"⟨smith⟩\"}', p ?| array['key']",
        "SELECT jsonb_build_object('email', '⟨smith⟩', 'age', ⟨42⟩), jsonb_set(p, '{a}', '\"⟨smith⟩\"')",
        "SELECT * FROM t WHERE a ~ '^⟨smith⟩[a-z]+\\d$' AND b LIKE '⟨Ann Brown⟩%' AND c LIKE '⟨x!⟩%' ESCAPE '!'",
        "SELECT format('⟨smith⟩%s%I', a), sum(a) OVER (ROWS BETWEEN 5 PRECEDING AND CURRENT ROW)",
        "SET search_path TO acme, public",
        "SET LOCAL statement_timeout = 500; SET TIME ZONE 'UTC'; SELECT '⟨smith⟩'",
        "SET app.tenant = '⟨smith⟩'; SELECT set_config('app.tenant', '⟨smith⟩', true), set_config('role', 'x', true)",
        "SELECT ⟨5⟩ /*tenant='acme'*/",
        "CREATE TABLE t (a varchar(10) DEFAULT '⟨smith⟩', b int CHECK (b > ⟨5⟩)) WITH (fillfactor = 70)",
        "CREATE TABLE p PARTITION OF t FOR VALUES FROM ('⟨2026-01-31⟩') TO ('⟨2026-02-28⟩')",
        "CREATE SEQUENCE s START WITH 100 INCREMENT BY 5 CACHE 20",
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER ';', NULL 'none')",
        "COPY (SELECT * FROM t WHERE a = '⟨smith⟩') TO STDOUT DELIMITER '|'",
        "FETCH 100 FROM c; MOVE FORWARD 5 IN c; DECLARE c CURSOR FOR SELECT * FROM t WHERE a = ⟨5⟩",
        "DO $$BEGIN FOR i IN 1..10 LOOP PERFORM f('⟨smith⟩', ⟨5⟩); EXECUTE 'DELETE FROM t WHERE a = ''⟨smith⟩'''; END LOOP; END$$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$SELECT ⟨42⟩ FROM t LIMIT 5$f$",
        "CREATE FUNCTION f() RETURNS int AS 'lib', 'symbol' LANGUAGE c",
        "INSERT INTO t VALUES ('⟨smith⟩', ⟨5⟩, B'101', X'1F'), (NULL, 0, '', 'true')",
        "SELECT * FROM t TABLESAMPLE SYSTEM (10) WHERE a = make_date(2026, 1, 31) AND b = ANY('{⟨smith⟩,⟨jones⟩}')",
        "EXPLAIN (ANALYZE, FORMAT 'json') SELECT ⟨5⟩",
        "SELECT * FROM t LIMIT $1 OFFSET $2",
    ];
    let mapped: Vec<String> = texts.iter().map(|text| map(&plain(text))).collect();
    let expected: Vec<String> = texts.iter().map(|text| images(text)).collect();
    assert_eq!(mapped.join("\n"), expected.join("\n"));
}

#[test]
fn a_value_is_the_same_however_it_is_written() {
    let number = mapping().text("31", &mut ());
    let hexadecimal = map("SELECT 0x1F");
    assert_eq!(u64::from_str_radix(hexadecimal.trim_start_matches("SELECT 0x"), 16).ok(), number.parse().ok());
    let name = mapping().text("Zoë", &mut ());
    assert_eq!(map(r"SELECT U&'Zo\00EB'"), format!("SELECT U&'{name}'"));
    assert_eq!(map(r"SELECT E'Zo\u00eb'"), format!("SELECT E'{name}'"));
    assert_eq!(map("SELECT 'Zo'\n 'ë'"), format!("SELECT '{name}'\n ''"));
}

#[test]
fn comments_go_and_tags_stay_with_other_values() {
    let smith = mapping().text("smith", &mut ());
    assert_eq!(map("SELECT a /* Ann called */ FROM t -- smith\n"), "SELECT a   FROM t  \n");
    assert_eq!(map("SELECT a /*+ SeqScan(t) */"), "SELECT a /*+ SeqScan(t) */");
    assert_eq!(map("SELECT a /*tenant='acme',user='smith'*/"), format!("SELECT a /*tenant='acme',user='{smith}'*/"));
    assert_eq!(map("SELECT a /*user:smith*/"), format!("SELECT a /*user:{smith}*/"));
    let acme = mapping().text("acme", &mut ());
    assert_eq!(with("SELECT a /*tenant='acme'*/", true), format!("SELECT a /*tenant='{acme}'*/"));
    assert_eq!(with("SET ROLE acme", true), format!("SET ROLE '{acme}'"));
    assert_eq!(map("SET ROLE acme"), "SET ROLE acme");
}

#[test]
fn a_statement_that_was_cut_gives_nothing_away() {
    assert_eq!(map("SELECT 'smith"), images("SELECT '⟨smith⟩"));
    assert_eq!(map("SELECT $$smith"), images("SELECT $$⟨smith⟩"));
}

/// A literal of any kind.
fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        "'([a-zA-Zé0-9 _.%-]|''){0,12}'",
        "[eE]'([a-z0-9 ]|\\\\n|\\\\'|\\\\x41|'')*'",
        "[uU]&'([a-z]|\\\\00e9){0,6}'",
        "\\$t\\$[a-z0-9' ]{0,9}\\$t\\$",
        "[0-9]{1,12}(\\.[0-9]{1,4})?",
        "0x[0-9a-f]{1,8}",
        "(DATE )?'20[0-9]{2}-0[1-9]-1[0-9]'",
        "'\\{\"a\": [1-9][0-9]?, \"b\": \"[a-z ]{1,9}\"\\}'",
        "NULL|true|\\$[1-9]",
    ]
}

proptest! {
    #[test]
    fn tokens_stay_but_for_their_values(
        literals in proptest::collection::vec((literal(), "( = |, |\\+| LIKE | AND b = | LIMIT | -- x\n|::text, )"), 1..8),
    ) {
        let text: String = literals.iter().flat_map(|(literal, between)| ["", literal, between]).collect();
        let text = format!("SELECT a FROM \"T\" WHERE b = {text} 5");
        let image = map(&text);
        prop_assert_eq!(map(&text), image.clone());
        prop_assert_eq!(fingerprint(&image), fingerprint(&text));
        let significant = |text: &str| -> Vec<(TokenKind, String)> {
            let is_value = |kind| matches!(kind, TokenKind::String | TokenKind::Number);
            tokens(text)
                .without_comments()
                .map(|token| (token.kind, if is_value(token.kind) { String::new() } else { token.text.to_owned() }))
                .collect()
        };
        prop_assert_eq!(significant(&image), significant(&text));
    }

    #[test]
    fn any_text_can_be_mapped(text in "\\PC{0,40}|([-'\"$/*;()\\[\\]a1.:? \\\\\n]|select|set |execute|'|E'|U&'|do |limit ){0,30}") {
        let image = map(&text);
        prop_assert_eq!(fingerprint(&image), fingerprint(&text), "{}", image);
    }
}
