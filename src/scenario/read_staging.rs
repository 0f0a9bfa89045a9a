//! The `[staging]` table.
//!
//! Takes its keys and gives the staging with every default filled in. Must not know how servers are found or reached.

use std::path::Path;

use super::resolved::{
    Dsn, ExternalStaging, ExternalUser, Load, LoadSource, LocalStaging, Sequences, ServerChoice, ServerSource, Staging,
};
use super::section::{Problems, Section, text_of};
use super::tree::{Entry, Node, Value};
use crate::words::ids::PgMajor;

/// The majors that the quick start rehearses, and the defaults where a scenario names none.
pub(super) const DEFAULT_FROM: PgMajor = PgMajor(16);
pub(super) const DEFAULT_TO: PgMajor = PgMajor(18);

/// Data checksums are on by default since this major.
const CHECKSUMS_SINCE: PgMajor = PgMajor(18);

#[derive(Clone, Copy)]
enum Provider {
    Local,
    External,
}

pub(super) fn staging(mut section: Section<'_>, base: &Path, problems: &Problems) -> Staging {
    let provider = section.choice("provider", &["local", "external"], |name| match name {
        "local" => Some(Provider::Local),
        "external" => Some(Provider::External),
        // Known, so it is reported below with its reason.
        "docker" => Some(Provider::Local),
        _ => None,
    });
    if section.node("provider").and_then(text_of).as_deref() == Some("docker") {
        let hint = "use provider = \"local\", or start the containers yourself and use \"external\"";
        section.problem_at(
            "provider",
            "provider \"docker\" is not supported: this version rehearses local and external staging",
            hint,
        );
    }
    let staging = match provider.unwrap_or(Provider::Local) {
        Provider::Local => Staging::Local(local(&mut section, base, problems)),
        Provider::External => Staging::External(external(&mut section, base, problems)),
    };
    section.finish();
    staging
}

fn local(section: &mut Section<'_>, base: &Path, problems: &Problems) -> LocalStaging {
    let server = server_choice(section, "version", DEFAULT_FROM, base);
    let mut load = Vec::new();
    for node in section.array("load") {
        load.extend(Section::of_node("staging.load", node, problems).and_then(|entry| one_load(entry, base)));
    }
    let name = |section: &mut Section<'_>, key, default: &str| {
        let name = section.text(key).unwrap_or_else(|| default.to_owned());
        if name.is_empty() || name.contains(['\n', '\0']) {
            section.problem_at(key, format!("staging.{key} must not be empty"), "");
        }
        name
    };
    LocalStaging {
        port: section.integer("port", 1024, 65_535).map(|port| port as u16),
        settings: section.plain_values("settings"),
        load,
        checksums: section.boolean("checksums").unwrap_or(server.version >= CHECKSUMS_SINCE),
        encoding: name(section, "encoding", "UTF8"),
        locale: name(section, "locale", "C"),
        superuser: name(section, "superuser", "postgres"),
        tmp_dir: section.file("tmp_dir", base),
        server,
    }
}

/// A major version under `key`, with `source` and `bin_dir` beside it.
pub(super) fn server_choice(
    section: &mut Section<'_>,
    key: &'static str,
    default: PgMajor,
    base: &Path,
) -> ServerChoice {
    ServerChoice {
        version: major(section, key).unwrap_or(default),
        source: section.choice("source", ServerSource::NAMES, ServerSource::from_name).unwrap_or(ServerSource::Any),
        bin_dir: section.file("bin_dir", base),
    }
}

/// A major version, as a string or an integer.
fn major(section: &mut Section<'_>, key: &'static str) -> Option<PgMajor> {
    let node = section.node(key)?;
    let text = match &node.value {
        Value::Integer(number) => number.to_string(),
        _ => section.text(key)?,
    };
    match text.parse::<PgMajor>() {
        Ok(major) => Some(major),
        Err(message) => {
            let hint = match text.split_once('.') {
                Some((major, _)) => format!("write \"{major}\"; the minor is that of the server that is found"),
                None => String::new(),
            };
            section.problem_at(key, format!("{}: {message}", section.path_of(key)), hint);
            None
        }
    }
}

fn one_load(mut entry: Section<'_>, base: &Path) -> Option<Load> {
    const SOURCES: [&str; 4] = ["sql", "dump", "base_backup", "command"];
    if entry.entries().iter().filter(|entry| SOURCES.contains(&entry.key.as_str())).count() != 1 {
        entry.problem_at("", "a load has exactly one of sql, dump, base_backup and command", "");
    }
    let sources = [
        entry.file("sql", base).map(LoadSource::Sql),
        entry.file("dump", base).map(LoadSource::Dump),
        entry.file("base_backup", base).map(LoadSource::BaseBackup),
        program(&mut entry, "command").map(LoadSource::Command),
    ];
    let database = entry.text("database").unwrap_or_else(|| "postgres".to_owned());
    let sequences = sequences(&mut entry);
    entry.finish();
    sources.into_iter().flatten().next().map(|source| Load { source, database, sequences })
}

/// `sequences = "from-tables"`, or a table of names and values.
fn sequences(entry: &mut Section<'_>) -> Sequences {
    let Some(node) = entry.node("sequences") else { return Sequences::AsLoaded };
    let Value::Table(table) = &node.value else {
        if text_of(node).as_deref() != Some("from-tables") {
            let message = format!("{} must be \"from-tables\" or a table of values", entry.path_of("sequences"));
            entry.problem_of(node, message, "write sequences = { \"shop.orders_id_seq\" = 1000 }");
        }
        return Sequences::FromTables;
    };
    let mut values = std::collections::BTreeMap::new();
    for Entry { key, node, .. } in &table.entries {
        match node.value {
            Value::Integer(value) if !key.is_empty() => {
                values.insert(key.clone(), value);
            }
            // Unquoted dots make tables of a name with its schema.
            Value::Table(_) => {
                let message = format!("the sequence \"{key}\" of {} has no value", entry.path_of("sequences"));
                entry.problem_of(node, message, "a name with a dot is quoted: \"shop.orders_id_seq\" = 1000");
            }
            _ => {
                let path = entry.path_of("sequences");
                entry.problem_of(node, format!("each of {path} is an integer: the last value given out"), "");
            }
        }
    }
    Sequences::To(values)
}

/// A program with its arguments: an array, or a text for the shell.
pub(super) fn program(section: &mut Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let program = match section.node(key)? {
        Node { value: Value::Array(_), .. } => section.texts(key),
        _ => match section.text(key)? {
            text if text.trim().is_empty() => Vec::new(),
            text => vec!["sh".to_owned(), "-c".to_owned(), text],
        },
    };
    if program.first().is_none_or(String::is_empty) {
        section.problem_at(key, format!("{} names no program", section.path_of(key)), "");
        return None;
    }
    Some(program)
}

fn external(section: &mut Section<'_>, base: &Path, problems: &Problems) -> ExternalStaging {
    let dsn = section.text("dsn");
    if dsn.is_none() && section.node("dsn").is_none() {
        section.problem_at("dsn", "staging.dsn is missing", "external staging needs dsn = \"postgresql://...\"");
    }
    let mut users = std::collections::BTreeMap::new();
    for entry in section.section("users").entries() {
        let path = format!("staging.users.{}", entry.key);
        users.extend(external_user(&path, &entry.node, problems).map(|user| (entry.key.clone(), user)));
    }
    ExternalStaging {
        dsn: Dsn::new(dsn.unwrap_or_default()),
        new_dsn: section.text("new_dsn").map(Dsn::new),
        password_env: section.text("password_env"),
        passfile: section.file("passfile", base),
        databases: section.plain_values("databases"),
        users,
    }
}

/// `captured = "user"`, or `captured = { user = "...", password_env = "..." }`.
fn external_user(path: &str, node: &Node, problems: &Problems) -> Option<ExternalUser> {
    if let Some(user) = text_of(node) {
        return Some(ExternalUser { user, password_env: None });
    }
    let mut section = Section::of_node(path, node, problems)?;
    let user = section.text("user");
    if user.is_none() {
        section.problem_at("user", format!("{path}.user is missing"), "");
    }
    let password_env = section.text("password_env");
    section.finish();
    user.map(|user| ExternalUser { user, password_env })
}
