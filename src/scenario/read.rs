//! The keys of a scenario and their defaults, all but the workload, staging and the upgrade.
//!
//! Takes the tree and gives the resolved scenario; what is wrong goes to the problems, with a default in its place. Must
//! not know about files other than their names.

use std::path::Path;
use std::time::Duration;

use super::load::base_of;
use super::read_load;
use super::read_staging;
use super::read_upgrade;
use super::read_workload;
use super::resolved::{Clients, ObjectiveText, Phases, Probes, Scenario, Trust};
use super::section::{Problems, Section, text_of};
use super::tree::{Node, Origin, Table, Value};
use crate::objective;

/// The scenario format that this program reads.
const VERSION: i64 = 1;

/// The resolved scenario. It is only of use where no problem was found.
pub(super) fn scenario(root: &Table, file: &Path, text: &str, problems: &Problems) -> Scenario {
    let base = base_of(file);
    let mut top = Section::root(root, problems);
    version(&mut top, problems);
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = top.text("name").unwrap_or(stem);
    if name.is_empty() || name.contains(['/', '\0']) {
        top.problem_at("name", "name must not be empty, nor hold a slash", "");
    }
    let objectives = top.array("objectives").iter().filter_map(|node| objective(node, text, problems)).collect();
    let workload = read_workload::workload(top.section("workload"), &base, problems);
    let staging = read_staging::staging(top.section("staging"), &base, problems);
    let upgrade = read_upgrade::upgrade(top.section("upgrade"), &staging, &base, problems);
    let clients = Clients::read(top.section("clients"));
    let load_stages = read_load::stages(top.section("load"), &workload, problems);
    let scenario = Scenario {
        name,
        file: file.to_path_buf(),
        objectives,
        workload,
        staging,
        upgrade,
        phases: phases(top.section("phases")),
        load_stages,
        probes: probes(top.section("probes"), &clients),
        clients,
        trust: trust(top.section("trust")),
    };
    top.finish();
    scenario
}

fn version(top: &mut Section<'_>, problems: &Problems) {
    let Some(node) = top.node("version") else { return };
    match node.value {
        Value::Integer(VERSION) => {}
        Value::Integer(newer) if newer > VERSION => {
            let message = format!("the scenario is of version {newer}, and this program reads up to {VERSION}");
            problems.add(Some(&node.origin), message, "use a newer pgrehearse");
        }
        _ => problems.add(Some(&node.origin), "version must be 1", "the server's version is staging.version"),
    }
}

fn objective(node: &Node, text: &str, problems: &Problems) -> Option<ObjectiveText> {
    let Some(written) = text_of(node) else {
        let message = format!("each of objectives must be a string, not {}", node.value.kind());
        problems.add(Some(&node.origin), message, "write \"downtime max < 30s\"");
        return None;
    };
    let offset = match &node.origin {
        Origin::File(span) => Some(span.start),
        Origin::Override(_) => None,
    };
    if let Err(error) = objective::parse(&written) {
        problems.add(Some(&inside(node, &written, text, error.at)), error.message, error.hint.unwrap_or_default());
    }
    Some(ObjectiveText { text: written, offset })
}

/// The place of some bytes of a string: exact where the file has them as they are, else the whole string.
fn inside(node: &Node, value: &str, text: &str, at: std::ops::Range<usize>) -> Origin {
    if let Origin::File(span) = &node.origin
        && let Some(begin) = text.get(span.clone()).and_then(|written| written.find(value))
    {
        let start = span.start + begin;
        return Origin::File(start + at.start..start + at.end);
    }
    node.origin.clone()
}

fn phases(mut section: Section<'_>) -> Phases {
    let phases = Phases {
        warmup: section.duration("warmup").unwrap_or(Duration::from_secs(5)),
        before: section.duration("before").unwrap_or(Duration::from_secs(15)),
        after: section.duration("after").unwrap_or(Duration::from_secs(60)),
    };
    section.finish();
    phases
}

const MILLISECOND: Duration = Duration::from_millis(1);

fn probes(mut section: Section<'_>, clients: &Clients) -> Probes {
    let probes = Probes {
        enabled: section.boolean("enabled").unwrap_or(true),
        interval: section.duration_at_least("interval", MILLISECOND).unwrap_or(Duration::from_millis(100)),
        deadline: section.duration_at_least("deadline", MILLISECOND).unwrap_or(clients.deadline),
        connections: section.integer("connections", 1, 64).map_or(4, |connections| connections as u16),
    };
    section.finish();
    probes
}

fn trust(mut section: Section<'_>) -> Trust {
    let lag = section.duration_at_least("schedule_lag_p99", MILLISECOND);
    section.finish();
    Trust { schedule_lag_p99: lag.unwrap_or(Duration::from_millis(20)) }
}
