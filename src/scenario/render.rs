//! The resolved plan as people read it: one screen, with every step and every default.
//!
//! Takes a scenario and gives text; passwords never get in. Must not know how the plan is carried out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::plan::{AnalyzeMode, Cluster, PgUpgradeOptions, SqlTarget, StepKind, Wait};
use super::resolved::{
    ExternalStaging, LoadSource, LoadStage, LocalStaging, Loop, Order, Pacing, Scenario, Sequences, ServerChoice,
    ServerSource, Speed, Staging, Strategy, WorkloadChoice,
};
use super::secret::redact_words;
use crate::objective;
use crate::words::time::format_duration;

/// Characters of a command or statement that are shown.
const TEXT_SHOWN: usize = 60;

/// The resolved plan; ends with a newline.
pub fn render_text(scenario: &Scenario) -> String {
    let mut lines = Lines::default();
    lines.add("scenario", format!("{} ({})", scenario.name, shown_path(&scenario.file)));
    let workload = &scenario.workload;
    lines.add(
        "workload",
        format!("{}, {}, {}{}", shown_path(&workload.file), pace(workload), copies(workload), rounds(workload)),
    );
    if !workload.unique.is_empty() {
        let columns: Vec<String> = workload.unique.iter().map(ToString::to_string).collect();
        let (columns, stride) = (columns.join(", "), workload.unique_stride);
        lines.add("workload", format!("others in each copy and round: {columns}; numbers by {stride}"));
    }
    if workload.read_only {
        lines.add("workload", "requests that write are left out, sessions are read-only");
    }
    for own in &workload.tenants {
        lines.add("workload", format!("tenant {}: copies {}", own.tenant.as_str(), own.copies));
    }
    lines.add("order", order(workload));
    match &scenario.staging {
        Staging::Local(local) => local_lines(&mut lines, local),
        Staging::External(external) => external_lines(&mut lines, external),
    }
    upgrade_lines(&mut lines, scenario);
    let phases = &scenario.phases;
    let [warmup, before, after] = [phases.warmup, phases.before, phases.after].map(format_duration);
    lines.add("phases", format!("warmup {warmup}, before {before}, upgrade as long as it takes, after {after}"));
    load_lines(&mut lines, scenario);
    for line in scenario.clients.lines() {
        lines.add("clients", line);
    }
    let probes = &scenario.probes;
    let probing = format!(
        "every {} for each fate group, deadline {}, warm connections {}",
        format_duration(probes.interval),
        format_duration(probes.deadline),
        probes.connections
    );
    lines.add("probes", if probes.enabled { probing } else { "off".to_owned() });
    lines.add("trust", format!("schedule lag p99 <= {}", format_duration(scenario.trust.schedule_lag_p99)));
    for text in objectives(scenario) {
        lines.add("objectives", text);
    }
    lines.text
}

/// The copies of sessions in words.
fn copies(workload: &WorkloadChoice) -> String {
    let copies = format!("copies {}", workload.copies);
    let has_one = workload.copies == 1 && workload.tenants.is_empty();
    if has_one || workload.copy_jitter.is_zero() {
        return copies;
    }
    let jitter = format_duration(workload.copy_jitter);
    format!("{copies}, their sessions up to {jitter} later by chance (seed {})", workload.seed)
}

/// How often the workload is gone through, in words; nothing for once.
fn rounds(workload: &WorkloadChoice) -> String {
    match workload.repeats {
        Loop::Times(1) => String::new(),
        Loop::Times(times) => format!(", {times} rounds"),
        Loop::For(time) => format!(", again and again for {}", format_duration(time)),
    }
}

/// The order of commits in words.
fn order(workload: &WorkloadChoice) -> String {
    match workload.order {
        Order::Free => "each session by its own due times".to_owned(),
        Order::Commit => {
            format!("commits on the same rows as captured, each wait at most {}", format_duration(workload.order_wait))
        }
    }
}

/// Speed and pacing in words.
fn pace(workload: &WorkloadChoice) -> String {
    match (workload.speed, workload.pacing) {
        (Speed::Max, _) => "as fast as it goes (closed loop)".to_owned(),
        (Speed::Factor(1.0), Pacing::Open) => "at its captured pace".to_owned(),
        (Speed::Factor(factor), Pacing::Open) => format!("at {factor} times its captured pace"),
        (Speed::Factor(1.0), Pacing::ThinkTime) => "with its captured pauses (closed loop)".to_owned(),
        (Speed::Factor(factor), Pacing::ThinkTime) => {
            format!("with its captured pauses divided by {factor} (closed loop)")
        }
    }
}

/// The stages of a changing pace; nothing for a steady one.
fn load_lines(lines: &mut Lines, scenario: &Scenario) {
    let Speed::Factor(mut from) = scenario.workload.speed else { return };
    for stage in &scenario.load_stages {
        let LoadStage { target, duration } = *stage;
        let duration = format_duration(duration);
        let shown = if target == from {
            format!("{duration} at {target} times the captured pace")
        } else {
            format!("{duration} from {from} to {target} times the captured pace")
        };
        lines.add("load", shown);
        from = target;
    }
}

/// The canonical texts of the objectives, those that always hold included.
pub(super) fn objectives(scenario: &Scenario) -> Vec<String> {
    // They were read without an error when the scenario was.
    let written: Vec<_> = scenario.objectives.iter().filter_map(|text| objective::parse(&text.text).ok()).collect();
    objective::with_defaults(written).iter().map(ToString::to_string).collect()
}

/// Lines with a label in front, which stands only where it changes.
#[derive(Default)]
struct Lines {
    text: String,
    label: &'static str,
}

impl Lines {
    fn add(&mut self, label: &'static str, value: impl AsRef<str>) {
        let shown = if self.label == label { "" } else { label };
        self.label = label;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{shown:<12}{}", value.as_ref());
    }
}

fn server(choice: &ServerChoice) -> String {
    let origin = match (&choice.bin_dir, choice.source) {
        (Some(bin_dir), _) => format!("from {}", shown_path(bin_dir)),
        (None, ServerSource::Any) => "any that is found, else installed".to_owned(),
        (None, ServerSource::Pinned) => "pinned build".to_owned(),
    };
    format!("PostgreSQL {} ({origin})", choice.version)
}

fn local_lines(lines: &mut Lines, local: &LocalStaging) {
    let port = local.port.map_or("any free port".to_owned(), |port| format!("port {port}"));
    let checksums = if local.checksums { "on" } else { "off" };
    lines.add("staging", format!("local, {}, {port}", server(&local.server)));
    lines.add(
        "staging",
        format!(
            "superuser {}, encoding {}, locale {}, checksums {checksums}, clusters in {}",
            local.superuser,
            local.encoding,
            local.locale,
            local.tmp_dir.as_ref().map_or("the temporary directory".to_owned(), |dir| shown_path(dir))
        ),
    );
    settings_line(lines, "staging", &local.settings);
    for load in &local.load {
        let (kind, what) = match &load.source {
            LoadSource::Sql(path) => ("sql", shown_path(path)),
            LoadSource::Dump(path) => ("dump", shown_path(path)),
            LoadSource::BaseBackup(path) => ("base_backup", shown_path(path)),
            LoadSource::Command(program) => ("command", shown_program(program)),
        };
        let target = match load.source {
            LoadSource::BaseBackup(_) => String::new(),
            _ => format!(" into {}", load.database),
        };
        lines.add("staging", format!("load {kind} {what}{target}"));
        match &load.sequences {
            Sequences::AsLoaded => {}
            Sequences::FromTables => lines.add("staging", format!("sequences of {} from its tables", load.database)),
            Sequences::To(values) => {
                let shown: Vec<String> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                lines.add("staging", format!("sequences of {}: {}", load.database, shown.join(", ")));
            }
        }
    }
}

fn external_lines(lines: &mut Lines, external: &ExternalStaging) {
    lines.add("staging", format!("external, {}", external.dsn));
    if let Some(new_dsn) = &external.new_dsn {
        lines.add("staging", format!("after a switch {new_dsn}"));
    }
    for (captured, actual) in &external.databases {
        lines.add("staging", format!("database {captured} is {actual}"));
    }
    for (captured, user) in &external.users {
        let password = user.password_env.as_ref().map_or(String::new(), |name| format!(", password from ${name}"));
        lines.add("staging", format!("user {captured} is {}{password}", user.user));
    }
}

fn settings_line(lines: &mut Lines, label: &'static str, settings: &BTreeMap<String, String>) {
    if !settings.is_empty() {
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.add(label, format!("settings {}", redact_words(&settings.join(" "))));
    }
}

fn upgrade_lines(lines: &mut Lines, scenario: &Scenario) {
    let upgrade = &scenario.upgrade;
    let target = upgrade.to.as_ref().map_or(String::new(), |to| format!(" to {}", server(to)));
    lines.add(
        "upgrade",
        match upgrade.strategy {
            Strategy::PgUpgrade => format!("pg_upgrade{target}"),
            Strategy::None => "none: replay only".to_owned(),
            Strategy::Steps => format!("steps of the scenario{target}"),
        },
    );
    settings_line(lines, "upgrade", &upgrade.settings);
    let width = upgrade.plan.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    for (index, step) in upgrade.plan.steps.iter().enumerate() {
        let deadline = format_duration(step.deadline);
        let what = shown_step(&step.kind);
        lines.add("upgrade", format!("{:>2}  {:<width$}  within {deadline:<5} {what}", index + 1, step.name));
    }
}

fn shown_step(kind: &StepKind) -> String {
    let cluster = |cluster: &Cluster| format!("the {} server", cluster.name());
    match kind {
        StepKind::Command { program, env } => {
            let env: String = env.keys().map(|name| format!("{name}=... ")).collect();
            format!("{env}{}", shown_program(program))
        }
        StepKind::Sql(target) => shown_sql(target),
        StepKind::Wait(Wait::For(time)) => format!("wait {}", format_duration(*time)),
        StepKind::Wait(Wait::Until { query, poll }) => {
            format!("every {} until {}", format_duration(*poll), shown_sql(query))
        }
        StepKind::Check(options) => format!("pg_upgrade --check {}", shown_options(options)),
        StepKind::PgUpgrade(options) => format!("pg_upgrade {}", shown_options(options)),
        StepKind::Stop { cluster: which, mode } => format!("stop {}, {}", cluster(which), mode.name()),
        StepKind::Start { cluster: which } => format!("start {}", cluster(which)),
        StepKind::Switch { endpoint, cluster: which } => format!("{endpoint} now leads to {}", cluster(which)),
        StepKind::Analyze { mode: AnalyzeMode::None, .. } => "nothing".to_owned(),
        StepKind::Analyze { mode: AnalyzeMode::Full, jobs } => format!("vacuumdb --all --analyze-only --jobs {jobs}"),
        StepKind::Analyze { mode: AnalyzeMode::InStages, jobs } => {
            format!("vacuumdb --all --analyze-in-stages --jobs {jobs}")
        }
    }
}

fn shown_options(options: &PgUpgradeOptions) -> String {
    let mut shown = format!("--{} --jobs {}", options.mode.name(), options.jobs);
    for option in &options.options {
        shown.push(' ');
        shown.push_str(&redact_words(option));
    }
    shown
}

fn shown_program(program: &[String]) -> String {
    match program {
        [shell, flag, text] if shell == "sh" && flag == "-c" => shortened(text),
        words => shortened(&words.join(" ")),
    }
}

fn shown_sql(target: &SqlTarget) -> String {
    let user = target.user.as_ref().map_or(String::new(), |user| format!(" as {user}"));
    format!("{} in {}{user}", shortened(&target.text), target.database)
}

/// A path without the steps back that a relative one brings along: `a/b/../c` is `a/c`. For the eye alone, since a
/// symbolic link may lead elsewhere.
fn shown_path(path: &Path) -> String {
    let mut shown = PathBuf::new();
    for part in path.components() {
        let goes_back =
            part == Component::ParentDir && matches!(shown.components().next_back(), Some(Component::Normal(_)));
        if goes_back {
            shown.pop();
        } else {
            shown.push(part);
        }
    }
    shown.display().to_string()
}

/// One line of at most [`TEXT_SHOWN`] characters, without passwords.
fn shortened(text: &str) -> String {
    let line = redact_words(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// A duration in whole and parts of milliseconds, as JSON keeps it.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
