//! One step as it is written: a bare kind such as `"check"`, or an inline table with exactly one kind as its key.
//!
//! ```toml
//! steps = [
//!   "check",
//!   { command = "./drain.sh", name = "drain", deadline = "30s", env = { MODE = "fast" } },
//!   { sql = "VACUUM", database = "app", user = "app" },
//!   { wait = "1s" },
//!   { wait = { until = "SELECT count(*) = 0 FROM jobs", database = "app", poll = "100ms" } },
//!   { stop = "immediate" },
//!   { pg_upgrade = { mode = "link", jobs = 4 } },
//!   { start = "new" },
//!   "switch",
//!   { analyze = "full" },
//! ]
//! ```
//!
//! Takes a node and gives a draft, which has no place in a plan yet. Must not know about other steps.

use std::time::Duration;

use super::plan::{AnalyzeMode, Cluster, PgUpgradeOptions, SqlTarget, StepKind, StopMode, TransferMode, Wait};
use super::read_staging::program;
use super::section::{Problems, Section, text_of};
use super::tree::{Node, Origin, Value};
use crate::words::suggest;

/// A step before it has its place in the plan.
pub(super) struct Draft {
    pub written_name: Option<String>,
    pub deadline: Duration,
    /// Its `cluster`, where it has one, is only right once the plan is made.
    pub kind: StepKind,
    /// The server that was written, for stop, start and switch.
    pub cluster: Option<Cluster>,
    /// None for a strategy's own steps.
    pub origin: Option<Origin>,
}

impl Draft {
    /// The name by which insertions find it: the written one, else that of the kind.
    pub fn name(&self) -> &str {
        self.written_name.as_deref().unwrap_or(self.kind.name())
    }
}

/// What steps take over from `[upgrade]`.
pub(super) struct StepDefaults {
    pub pg_upgrade: PgUpgradeOptions,
    pub analyze: AnalyzeMode,
}

/// The written names of [`Cluster`].
const SERVERS: &[&str] = &["old", "new"];

/// The one endpoint of this version.
const PRIMARY: &str = "primary";

const JOBS_MAX: i64 = 1024;

const MINUTE: Duration = Duration::from_secs(60);

/// Long enough that only a step that hangs meets it.
fn default_deadline(kind: &StepKind) -> Duration {
    match kind {
        StepKind::Wait(Wait::For(time)) => *time + Duration::from_secs(10),
        StepKind::Switch { .. } => Duration::from_secs(30),
        StepKind::Check(_) | StepKind::Wait(Wait::Until { .. }) => 10 * MINUTE,
        StepKind::Stop { .. } | StepKind::Start { .. } => 5 * MINUTE,
        StepKind::Command { .. } | StepKind::Sql(_) => 30 * MINUTE,
        StepKind::PgUpgrade(_) | StepKind::Analyze { .. } => 240 * MINUTE,
    }
}

/// A kind without arguments; none for a kind that needs some, or that does not exist.
pub(super) fn bare(name: &str, defaults: &StepDefaults) -> Option<Draft> {
    // The plan puts the right cluster in its place.
    let cluster = Cluster::Old;
    let kind = match name {
        "check" => StepKind::Check(defaults.pg_upgrade.clone()),
        "stop" => StepKind::Stop { cluster, mode: StopMode::Fast },
        "pg_upgrade" => StepKind::PgUpgrade(defaults.pg_upgrade.clone()),
        "start" => StepKind::Start { cluster },
        "switch" => StepKind::Switch { endpoint: PRIMARY.to_owned(), cluster },
        "analyze" => StepKind::Analyze { mode: defaults.analyze, jobs: defaults.pg_upgrade.jobs },
        _ => return None,
    };
    Some(Draft { written_name: None, deadline: default_deadline(&kind), kind, cluster: None, origin: None })
}

/// Reads a step. `path` is what messages call it; `before` and `after` are left to the caller.
pub(super) fn step<'a>(path: &str, node: &'a Node, defaults: &StepDefaults, problems: &'a Problems) -> Option<Draft> {
    if let Value::Text(name) = &node.value {
        let mut draft = bare(name, defaults);
        match &mut draft {
            Some(draft) => draft.origin = Some(node.origin.clone()),
            None if StepKind::NAMES.contains(&name.as_str()) => {
                problems.add(
                    Some(&node.origin),
                    format!("a {name} step needs a value"),
                    format!("write {{ {name} = ... }}"),
                );
            }
            None => unknown_kind(name, &node.origin, problems),
        }
        return draft;
    }
    let mut section = Section::of_node(path, node, problems)?;
    let kinds: Vec<&'static str> =
        StepKind::NAMES.into_iter().filter(|name| section.entries().iter().any(|entry| entry.key == *name)).collect();
    let [kind] = kinds.as_slice() else {
        let message = if kinds.is_empty() {
            "a step has a kind as one of its keys".to_owned()
        } else {
            format!("a step has one kind, not {}", kinds.join(" and "))
        };
        problems.add(Some(&node.origin), message, format!("the kinds are {}", StepKind::NAMES.join(", ")));
        return None;
    };
    for place in ["before", "after"] {
        section.node(place);
    }
    let written_name = section.text("name").filter(|name| !name.is_empty());
    let deadline = section.duration_at_least("deadline", Duration::from_millis(1));
    let read = of_kind(kind, &mut section, defaults, problems);
    section.finish();
    let (kind, cluster) = read?;
    let deadline = deadline.unwrap_or_else(|| default_deadline(&kind));
    Some(Draft { written_name, deadline, kind, cluster, origin: Some(node.origin.clone()) })
}

fn unknown_kind(name: &str, origin: &Origin, problems: &Problems) {
    problems.add(Some(origin), format!("unknown step \"{name}\""), suggest::hint(name, &StepKind::NAMES));
}

/// The kind with its arguments, and the server that was written.
fn of_kind<'a>(
    kind: &'static str,
    section: &mut Section<'a>,
    defaults: &StepDefaults,
    problems: &'a Problems,
) -> Option<(StepKind, Option<Cluster>)> {
    let read = match kind {
        "command" => StepKind::Command { program: program(section, kind)?, env: section.plain_values("env") },
        "sql" => {
            let text = section.text(kind)?;
            StepKind::Sql(sql_target(section, text))
        }
        "wait" => StepKind::Wait(wait(section, problems)?),
        _ => return with_arguments(kind, section, defaults, problems),
    };
    Some((read, None))
}

fn sql_target(section: &mut Section<'_>, text: String) -> SqlTarget {
    let database = section.text("database").unwrap_or_else(|| "postgres".to_owned());
    SqlTarget { text, database, user: section.text("user") }
}

fn wait(section: &mut Section<'_>, problems: &Problems) -> Option<Wait> {
    let node = section.node("wait")?;
    if !matches!(node.value, Value::Table(_)) {
        return section.duration("wait").map(Wait::For);
    }
    let mut inner = Section::of_node("wait", node, problems)?;
    let until = inner.text("until");
    if until.is_none() && inner.node("until").is_none() {
        inner.problem_at("until", "wait.until is missing", "write { wait = { until = \"SELECT ...\" } }");
    }
    let poll = inner.duration_at_least("poll", Duration::from_millis(10)).unwrap_or(Duration::from_millis(100));
    let query = sql_target(&mut inner, until.unwrap_or_default());
    inner.finish();
    Some(Wait::Until { query, poll })
}

/// The arguments of a kind: a table of them, or the one that matters most as the kind's own value.
struct Arguments<'s, 'a> {
    kind: &'static str,
    outer: &'s mut Section<'a>,
    inner: Section<'a>,
    shorthand: bool,
}

impl Arguments<'_, '_> {
    /// The argument that matters most, be it in the table under `key` or the kind's own value.
    fn main<T>(&mut self, key: &'static str, names: &[&str], from_name: impl Fn(&str) -> Option<T>) -> Option<T> {
        if self.shorthand {
            self.outer.choice(self.kind, names, from_name)
        } else {
            self.inner.choice(key, names, from_name)
        }
    }
}

/// The kinds that can be bare.
fn with_arguments<'a>(
    kind: &'static str,
    section: &mut Section<'a>,
    defaults: &StepDefaults,
    problems: &'a Problems,
) -> Option<(StepKind, Option<Cluster>)> {
    let mut read = bare(kind, defaults)?.kind;
    let node = section.node(kind)?;
    let shorthand = text_of(node).is_some();
    let inner = if shorthand { section.absent(kind) } else { Section::of_node(kind, node, problems)? };
    let mut arguments = Arguments { kind, outer: section, inner, shorthand };
    let mut cluster = None;
    match &mut read {
        StepKind::Check(options) | StepKind::PgUpgrade(options) => {
            let mode = arguments.main("mode", TransferMode::NAMES, TransferMode::from_name);
            *options = pg_upgrade_options(&mut arguments.inner, options, mode);
        }
        StepKind::Analyze { mode, jobs } => {
            *mode = arguments.main("mode", AnalyzeMode::NAMES, AnalyzeMode::from_name).unwrap_or(*mode);
            *jobs = arguments.inner.integer("jobs", 1, JOBS_MAX).map_or(*jobs, |jobs| jobs as u32);
        }
        StepKind::Stop { mode, .. } => {
            *mode = arguments.main("mode", StopMode::NAMES, StopMode::from_name).unwrap_or(*mode);
            cluster = arguments.inner.choice("server", SERVERS, Cluster::from_name);
        }
        StepKind::Switch { .. } => {
            cluster = arguments.main("server", SERVERS, Cluster::from_name);
            arguments.inner.choice("endpoint", &[PRIMARY], |name| (name == PRIMARY).then_some(()));
        }
        StepKind::Start { .. } => cluster = arguments.main("server", SERVERS, Cluster::from_name),
        StepKind::Command { .. } | StepKind::Sql(_) | StepKind::Wait(_) => {}
    }
    arguments.inner.finish();
    Some((read, cluster))
}

/// The `jobs` and `options` keys of a table, beside the `mode` that was read already.
pub(super) fn pg_upgrade_options(
    section: &mut Section<'_>,
    defaults: &PgUpgradeOptions,
    mode: Option<TransferMode>,
) -> PgUpgradeOptions {
    let options = section.texts("options");
    let written = section.node("options").is_some();
    PgUpgradeOptions {
        mode: mode.unwrap_or(defaults.mode),
        jobs: section.integer("jobs", 1, JOBS_MAX).map_or(defaults.jobs, |jobs| jobs as u32),
        options: if written { options } else { defaults.options.clone() },
    }
}
