//! Why a value keeps its place: what would break its statement, were it another one.
//!
//! Gives the names of these classes, and the tables of functions and types whose values they are. Must not know where
//! a statement comes from.

/// A class of values that stay because of where they stand; its name is what the report shows.
pub(super) type Class = &'static str;

pub(super) const LIMIT: Class = "limits, offsets and counts of rows";
pub(super) const ORDINAL: Class = "numbers of columns in ORDER BY and GROUP BY";
pub(super) const MODIFIER: Class = "modifiers of types";
pub(super) const SUBSCRIPT: Class = "subscripts";
pub(super) const INTERVAL: Class = "intervals";
pub(super) const BOOLEAN: Class = "booleans";
pub(super) const BITS: Class = "bit strings";
pub(super) const SETTING: Class = "PostgreSQL's own settings";
pub(super) const OPTION: Class = "options of utility statements";
pub(super) const ARGUMENT: Class = "arguments that are formats, units, positions or counts";
pub(super) const CATALOG: Class = "names and numbers of tables, types and sequences";
pub(super) const JSON_KEY: Class = "keys of JSON objects";
pub(super) const DATE_WORDS: Class = "dates written in words or without separators";
pub(super) const NAME: Class = "names of databases, users, applications and tenants";
pub(super) const HINT: Class = "hints to the planner";
pub(super) const FOREIGN_BODY: Class = "bodies of functions in other languages than SQL and PL/pgSQL";

/// A class, and whether it holds for numbers alone: `LIMIT '5'` is none, `generate_series` takes dates, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) class: Class,
    pub(super) only_numbers: bool,
}

/// Whatever the value is.
pub(super) const fn always(class: Class) -> Kept {
    Kept { class, only_numbers: false }
}

/// Where the value is a number.
pub(super) const fn numbers(class: Class) -> Kept {
    Kept { class, only_numbers: true }
}

/// What a value stays for that is of a type, by the type's name in lower case.
pub(super) fn of_type(name: &str) -> Option<Kept> {
    match name {
        "bool" | "boolean" => Some(always(BOOLEAN)),
        "interval" => Some(always(INTERVAL)),
        "bit" | "varbit" => Some(always(BITS)),
        "jsonpath" => Some(always(JSON_KEY)),
        "oid" | "xid" | "cid" | "tid" | "xid8" | "pg_lsn" | "pg_snapshot" | "txid_snapshot" | "refcursor" => {
            Some(always(CATALOG))
        }
        _ if name.starts_with("reg") => Some(always(CATALOG)),
        _ => None,
    }
}

/// Whether a type's values are dates.
pub(super) fn is_date_type(name: &str) -> bool {
    matches!(name, "date" | "timestamp" | "timestamptz")
}

/// Whether a word that a string follows, or a parenthesis with modifiers, is a type.
pub(super) fn is_type(word: &str) -> bool {
    of_type(word).is_some() || is_date_type(word) || TYPES.contains(&word)
}

const TYPES: [&str; 38] = [
    "bigint",
    "bpchar",
    "bytea",
    "char",
    "character",
    "cidr",
    "citext",
    "datetime",
    "dec",
    "decimal",
    "double",
    "float",
    "float4",
    "float8",
    "geography",
    "geometry",
    "halfvec",
    "hstore",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "json",
    "jsonb",
    "money",
    "numeric",
    "precision",
    "real",
    "smallint",
    "text",
    "time",
    "timetz",
    "uuid",
    "varchar",
    "varying",
    "vector",
];

/// Functions with arguments that stay: the function, the first and the last of these (from 0), and for what.
const CALLS: &[(&str, usize, usize, Kept)] = &[
    ("array_length", 1, 1, numbers(ARGUMENT)),
    ("array_lower", 1, 1, numbers(ARGUMENT)),
    ("array_upper", 1, 1, numbers(ARGUMENT)),
    ("bernoulli", 0, 0, numbers(ARGUMENT)),
    ("chr", 0, 0, numbers(ARGUMENT)),
    ("convert", 1, 2, always(ARGUMENT)),
    ("convert_from", 1, 1, always(ARGUMENT)),
    ("convert_to", 1, 1, always(ARGUMENT)),
    ("current_setting", 0, 0, always(SETTING)),
    ("currval", 0, 0, always(CATALOG)),
    ("date_bin", 0, 0, always(INTERVAL)),
    ("date_part", 0, 0, always(ARGUMENT)),
    ("date_trunc", 0, 0, always(ARGUMENT)),
    ("date_trunc", 2, 2, always(ARGUMENT)),
    ("decode", 1, 1, always(ARGUMENT)),
    ("encode", 1, 1, always(ARGUMENT)),
    ("extract", 0, 0, always(ARGUMENT)),
    ("generate_series", 0, 3, numbers(ARGUMENT)),
    ("generate_subscripts", 1, 1, numbers(ARGUMENT)),
    ("get_bit", 1, 1, numbers(ARGUMENT)),
    ("get_byte", 1, 1, numbers(ARGUMENT)),
    ("has_column_privilege", 0, 3, always(CATALOG)),
    ("has_database_privilege", 0, 2, always(CATALOG)),
    ("has_function_privilege", 0, 2, always(CATALOG)),
    ("has_schema_privilege", 0, 2, always(CATALOG)),
    ("has_sequence_privilege", 0, 2, always(CATALOG)),
    ("has_table_privilege", 0, 2, always(CATALOG)),
    ("json_extract_path", 1, 64, always(JSON_KEY)),
    ("json_extract_path_text", 1, 64, always(JSON_KEY)),
    ("jsonb_exists", 1, 1, always(JSON_KEY)),
    ("jsonb_extract_path", 1, 64, always(JSON_KEY)),
    ("jsonb_extract_path_text", 1, 64, always(JSON_KEY)),
    ("jsonb_insert", 1, 1, always(JSON_KEY)),
    ("jsonb_path_exists", 1, 1, always(JSON_KEY)),
    ("jsonb_path_match", 1, 1, always(JSON_KEY)),
    ("jsonb_path_query", 1, 1, always(JSON_KEY)),
    ("jsonb_path_query_array", 1, 1, always(JSON_KEY)),
    ("jsonb_path_query_first", 1, 1, always(JSON_KEY)),
    ("jsonb_set", 1, 1, always(JSON_KEY)),
    ("jsonb_set_lax", 1, 1, always(JSON_KEY)),
    ("lag", 1, 1, numbers(ARGUMENT)),
    ("lead", 1, 1, numbers(ARGUMENT)),
    ("left", 1, 1, numbers(ARGUMENT)),
    ("lpad", 1, 1, numbers(ARGUMENT)),
    ("make_date", 0, 2, numbers(ARGUMENT)),
    ("make_interval", 0, 6, numbers(INTERVAL)),
    ("make_time", 0, 2, numbers(ARGUMENT)),
    ("make_timestamp", 0, 5, numbers(ARGUMENT)),
    ("make_timestamptz", 0, 6, always(ARGUMENT)),
    ("nextval", 0, 0, always(CATALOG)),
    ("nth_value", 1, 1, numbers(ARGUMENT)),
    ("ntile", 0, 0, numbers(ARGUMENT)),
    ("overlay", 1, 3, numbers(ARGUMENT)),
    ("percentile_cont", 0, 0, numbers(ARGUMENT)),
    ("percentile_disc", 0, 0, numbers(ARGUMENT)),
    ("pg_get_serial_sequence", 0, 1, always(CATALOG)),
    ("pg_has_role", 0, 2, always(CATALOG)),
    ("pg_relation_size", 0, 1, always(CATALOG)),
    ("pg_size_bytes", 0, 0, always(ARGUMENT)),
    ("pg_sleep", 0, 0, numbers(ARGUMENT)),
    ("pg_sleep_for", 0, 0, always(INTERVAL)),
    ("pg_total_relation_size", 0, 0, always(CATALOG)),
    ("regexp_count", 2, 2, numbers(ARGUMENT)),
    ("regexp_match", 2, 2, always(ARGUMENT)),
    ("regexp_matches", 2, 2, always(ARGUMENT)),
    ("regexp_replace", 3, 5, always(ARGUMENT)),
    ("regexp_split_to_array", 2, 2, always(ARGUMENT)),
    ("regexp_split_to_table", 2, 2, always(ARGUMENT)),
    ("repeat", 1, 1, numbers(ARGUMENT)),
    ("right", 1, 1, numbers(ARGUMENT)),
    ("round", 1, 1, numbers(ARGUMENT)),
    ("rpad", 1, 1, numbers(ARGUMENT)),
    ("set_bit", 1, 2, numbers(ARGUMENT)),
    ("set_config", 0, 0, always(SETTING)),
    ("setseed", 0, 0, numbers(ARGUMENT)),
    ("setval", 0, 0, always(CATALOG)),
    ("split_part", 2, 2, numbers(ARGUMENT)),
    ("substr", 1, 2, numbers(ARGUMENT)),
    ("substring", 1, 2, numbers(ARGUMENT)),
    ("system", 0, 0, numbers(ARGUMENT)),
    ("timezone", 0, 0, always(ARGUMENT)),
    ("to_char", 1, 1, always(ARGUMENT)),
    ("to_date", 0, 1, always(ARGUMENT)),
    ("to_number", 1, 1, always(ARGUMENT)),
    ("to_regclass", 0, 0, always(CATALOG)),
    ("to_timestamp", 1, 1, always(ARGUMENT)),
    ("trunc", 1, 1, numbers(ARGUMENT)),
    ("width_bucket", 3, 3, numbers(ARGUMENT)),
    ("xpath", 0, 0, always(ARGUMENT)),
];

/// Functions whose first argument names a text search configuration where a second one follows.
const TEXT_SEARCH: [&str; 7] = [
    "phraseto_tsquery",
    "plainto_tsquery",
    "to_tsquery",
    "to_tsvector",
    "ts_headline",
    "websearch_to_tsquery",
    "ts_rank",
];

/// What an argument of a function stays for; `has_next` where another argument follows.
pub(super) fn of_argument(call: &str, argument: usize, has_next: bool) -> Option<Kept> {
    if argument == 0 && has_next && TEXT_SEARCH.contains(&call) {
        return Some(always(ARGUMENT));
    }
    if matches!(call, "jsonb_build_object" | "json_build_object") && argument.is_multiple_of(2) {
        return Some(always(JSON_KEY));
    }
    let found = CALLS.iter().find(|(name, first, last, _)| *name == call && (*first..=*last).contains(&argument));
    found.map(|(.., kept)| *kept)
}

/// The argument of a function that is a regular expression.
pub(super) fn is_pattern_argument(call: &str, argument: usize) -> bool {
    argument == 1 && call.starts_with("regexp_")
}
