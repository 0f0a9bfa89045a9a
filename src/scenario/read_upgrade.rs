//! The `[upgrade]` table: strategies, inserted steps and the plan that they make.
//!
//! Takes its keys and gives the upgrade with its plan expanded: every step has a unique name and a deadline. Must not know
//! how a step is carried out.

use std::path::Path;

use super::plan::{AnalyzeMode, Cluster, PgUpgradeOptions, Plan, Step, StepKind, TransferMode};
use super::read_staging::{DEFAULT_TO, server_choice};
use super::read_step::{Draft, StepDefaults, bare, pg_upgrade_options, step};
use super::resolved::{Staging, Strategy, Upgrade};
use super::section::{Problems, Section};
use crate::words::suggest;

pub(super) fn upgrade(mut section: Section<'_>, staging: &Staging, base: &Path, problems: &Problems) -> Upgrade {
    let local = matches!(staging, Staging::Local(_));
    let strategy = strategy(&mut section, local);
    // Without a word pg_upgrade copies, with one job: its own defaults.
    let defaults = PgUpgradeOptions { mode: TransferMode::Copy, jobs: 1, options: Vec::new() };
    let mode = section.choice("mode", TransferMode::NAMES, TransferMode::from_name);
    let options = pg_upgrade_options(&mut section, &defaults, mode);
    let analyze =
        section.choice("analyze", AnalyzeMode::NAMES, AnalyzeMode::from_name).unwrap_or(AnalyzeMode::InStages);
    let defaults = StepDefaults { pg_upgrade: options.clone(), analyze };
    let written = section.array("steps").iter().filter_map(|node| step("upgrade.steps", node, &defaults, problems));
    let mut drafts: Vec<Draft> = match strategy {
        Strategy::PgUpgrade => expand_pg_upgrade(&defaults),
        Strategy::None => Vec::new(),
        Strategy::Steps => written.collect(),
    };
    insert_steps(&mut section, &mut drafts, &defaults, problems);
    let plan = plan(drafts, local, problems);
    let to = server_choice(&mut section, "to", DEFAULT_TO, base);
    let needs_new = plan.steps.iter().any(|step| matches!(step.kind, StepKind::Check(_) | StepKind::PgUpgrade(_)));
    let settings = section.plain_values("settings");
    let upgrade = Upgrade {
        strategy,
        to: (needs_new || section.node("to").is_some()).then_some(to),
        settings,
        pg_upgrade: options,
        analyze,
        plan: deadlines(&mut section, plan, problems),
    };
    section.finish();
    upgrade
}

/// `steps` stand for a strategy of their own; without either, local staging rehearses `pg_upgrade`.
fn strategy(section: &mut Section<'_>, local: bool) -> Strategy {
    const NAMES: [&str; 3] = ["pg_upgrade", "none", "steps"];
    let has_steps = section.node("steps").is_some();
    let named = section.choice("strategy", &NAMES, |name| match name {
        "pg_upgrade" => Some(Strategy::PgUpgrade),
        "none" => Some(Strategy::None),
        "steps" => Some(Strategy::Steps),
        _ => None,
    });
    match named {
        Some(Strategy::PgUpgrade | Strategy::None) if has_steps => {
            section.problem_at(
                "steps",
                "an upgrade has a strategy or steps, not both",
                "use [[upgrade.insert]] to add steps to a strategy",
            );
        }
        Some(Strategy::Steps) if !has_steps => {
            section.problem_at(
                "strategy",
                "upgrade.steps is missing",
                "write steps = [\"check\", { command = \"...\" }]",
            );
        }
        Some(Strategy::PgUpgrade) if !local => {
            let hint = "write steps = [ ... ] with command and sql steps";
            section.problem_at("strategy", "strategy \"pg_upgrade\" needs local staging", hint);
        }
        _ => {}
    }
    named.unwrap_or(match (has_steps, local) {
        (true, _) => Strategy::Steps,
        (false, true) => Strategy::PgUpgrade,
        (false, false) => Strategy::None,
    })
}

fn expand_pg_upgrade(defaults: &StepDefaults) -> Vec<Draft> {
    ["check", "stop", "pg_upgrade", "start", "switch", "analyze"]
        .into_iter()
        .filter(|name| *name != "analyze" || defaults.analyze != AnalyzeMode::None)
        .filter_map(|name| bare(name, defaults))
        .collect()
}

/// Puts each `[[upgrade.insert]]` before or after the step that it names. Those at the same place keep their order.
fn insert_steps(section: &mut Section<'_>, drafts: &mut Vec<Draft>, defaults: &StepDefaults, problems: &Problems) {
    let mut after: Vec<String> = Vec::new();
    for node in section.array("insert") {
        let Some(mut entry) = Section::of_node("upgrade.insert", node, problems) else { continue };
        let anchors = (entry.text("before"), entry.text("after"));
        let Some(draft) = step("upgrade.insert", node, defaults, problems) else { continue };
        let (key, anchor) = match anchors {
            (Some(anchor), None) => ("before", anchor),
            (None, Some(anchor)) => ("after", anchor),
            _ => {
                entry.problem_at("", "an inserted step has either before or after", "write after = \"start\"");
                continue;
            }
        };
        let names: Vec<&str> = drafts.iter().map(Draft::name).collect();
        let Some(at) = names.iter().position(|name| *name == anchor) else {
            entry.problem_at(
                key,
                format!("there is no step \"{anchor}\" to insert at"),
                suggest::hint(&anchor, &names),
            );
            continue;
        };
        if key == "before" {
            drafts.insert(at, draft);
            continue;
        }
        let earlier = after.iter().filter(|name| **name == anchor).count();
        drafts.insert((at + 1 + earlier).min(drafts.len()), draft);
        after.push(anchor);
    }
}

/// Gives every step its name and the server that it means.
fn plan(drafts: Vec<Draft>, local: bool, problems: &Problems) -> Plan {
    let mut steps: Vec<Step> = Vec::with_capacity(drafts.len());
    let mut upgraded = false;
    let written: Vec<String> = drafts.iter().filter_map(|draft| draft.written_name.clone()).collect();
    for mut draft in drafts {
        let name = match draft.written_name.take() {
            Some(name) if steps.iter().any(|step| step.name == name) => {
                problems.add(draft.origin.as_ref(), format!("two steps are named \"{name}\""), "names must be unique");
                name
            }
            Some(name) => name,
            None => free_name(draft.kind.name(), |name| {
                steps.iter().any(|step| step.name == name) || written.iter().any(|written| written == name)
            }),
        };
        if draft.kind.needs_local_server() && !local {
            let message = format!("a {} step needs local staging", draft.kind.name());
            problems.add(draft.origin.as_ref(), message, "external staging takes command, sql, wait and switch steps");
        }
        if let StepKind::Stop { cluster, .. } | StepKind::Start { cluster } | StepKind::Switch { cluster, .. } =
            &mut draft.kind
        {
            *cluster = draft.cluster.unwrap_or(if upgraded || !local { Cluster::New } else { Cluster::Old });
            if *cluster == Cluster::New && !upgraded && local {
                let message = format!("step \"{name}\" means the new server, and no pg_upgrade step comes before it");
                problems.add(draft.origin.as_ref(), message, "");
            }
        }
        upgraded |= matches!(draft.kind, StepKind::PgUpgrade(_));
        steps.push(Step { name, deadline: draft.deadline, kind: draft.kind });
    }
    Plan { steps }
}

/// The name itself, else with `-2`, `-3`, ... behind it.
fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while taken(&candidate) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

/// `deadlines = { pg_upgrade = "2h" }`: deadlines by the name of the step, for those of a strategy.
fn deadlines(section: &mut Section<'_>, mut plan: Plan, problems: &Problems) -> Plan {
    let table = section.section("deadlines");
    let names: Vec<String> = plan.steps.iter().map(|step| step.name.clone()).collect();
    for entry in table.entries() {
        let Some(step) = plan.steps.iter_mut().find(|step| step.name == entry.key) else {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!("there is no step \"{}\"", entry.key);
            problems.add(Some(&entry.origin), message, suggest::hint(&entry.key, &names));
            continue;
        };
        step.deadline = table.duration_of(&entry.key, &entry.node).unwrap_or(step.deadline);
    }
    plan
}
