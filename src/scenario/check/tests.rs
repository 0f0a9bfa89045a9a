//! What is said against scenarios, and what is not.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::scenario::tests::scenario;

const WORKLOAD: &str = "[workload]\nfile = \"w.jsonl\"\n";

fn versions(source: &str, target: &str) -> ServerVersions {
    ServerVersions { source: source.parse().ok(), target: target.parse().ok() }
}

fn workload() -> WorkloadFacts {
    WorkloadFacts {
        span_us: 300_000_000,
        sessions: 200,
        peak_connections: 40,
        peak_sessions: BTreeMap::new(),
        databases: vec!["a".into(), "b".into()],
        users: vec!["u".into()],
        tenants: vec!["acme".into(), "bolt".into()],
        requests: 1000,
    }
}

fn said(text: &str) -> Vec<String> {
    said_with(text, &workload(), ServerVersions::default())
}

fn said_with(text: &str, workload: &WorkloadFacts, versions: ServerVersions) -> Vec<String> {
    check(&scenario(text), Some(workload), versions).iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_scenario_has_nothing_said_against_it() {
    assert_eq!(said_with(WORKLOAD, &workload(), versions("16.14", "18.4")), Vec::<String>::new());
}

#[test]
fn a_target_released_before_its_source_is_refused() {
    let scenario = scenario(WORKLOAD);
    let findings = check(&scenario, None, versions("15.20", "18.4"));
    assert_eq!(findings[0].level, Level::Error);
    assert_eq!(findings[0].message, "the target 18.4 (May 2026) was released before the source 15.20 (November 2026)");
    assert!(check(&scenario, None, versions("15.18", "18.4")).is_empty());
    assert_eq!(check(&scenario, None, versions("18.4", "99.1"))[0].level, Level::Warning);
}

#[test]
fn majors_and_modes_must_fit() {
    let said_to = |to: &str, mode: &str| said(&format!("{WORKLOAD}[upgrade]\nto = {to}\nmode = \"{mode}\"\n"));
    assert!(said_to("15", "link")[0].contains("is older than the source"));
    assert!(said_to("16", "link")[0].starts_with("warning: source and target are the same major"));
    assert!(said_to("17", "swap")[0].contains("mode \"swap\" needs a target of PostgreSQL 18"));
    assert!(said_to("16", "copy-file-range").iter().any(|finding| finding.contains("PostgreSQL 17 or later")));
    assert!(said_to("18", "swap").is_empty());
}

#[test]
fn a_workload_shorter_than_its_phases_is_warned_about() {
    let short = WorkloadFacts { span_us: 90_000_000, ..workload() };
    let said = said_with(WORKLOAD, &short, ServerVersions::default());
    assert!(said[0].starts_with("warning: the workload lasts 90s at this speed, and the phases take 80s"), "{said:?}");
    let fast = format!("{WORKLOAD}speed = 4.0\n");
    assert!(said_with(&fast, &workload(), ServerVersions::default())[0].contains("lasts 75s"));
    for looped in ["loop = 2", "loop = \"5m\""] {
        let looped = format!("{WORKLOAD}{looped}\n");
        assert!(said_with(&looped, &short, ServerVersions::default()).is_empty(), "{looped}");
    }
    let shorter = format!("{WORKLOAD}loop = \"85s\"\n");
    assert!(said_with(&shorter, &workload(), ServerVersions::default())[0].contains("lasts 85s"));
    let rising = format!("{WORKLOAD}[[load.stage]]\ntarget = 9\nduration = \"10s\"\n");
    assert!(said_with(&rising, &workload(), ServerVersions::default())[0].contains("lasts 37s"));
}

#[test]
fn a_workload_without_a_length_cannot_go_on_for_a_time() {
    let nothing = WorkloadFacts { span_us: 0, ..workload() };
    let said = said_with(&format!("{WORKLOAD}loop = \"5m\"\n"), &nothing, ServerVersions::default());
    assert!(said[0].starts_with("error: a workload without a length cannot go on for a time"), "{said:?}");
}

#[test]
fn connections_beyond_the_limit_are_warned_about() {
    let said_with_copies = |copies: u64, settings: &str| {
        let workload = WorkloadFacts { peak_connections: 40 * copies, ..workload() };
        said_with(&format!("{WORKLOAD}[staging]\nsettings = {{ {settings} }}\n"), &workload, ServerVersions::default())
    };
    assert!(said_with_copies(1, "").is_empty(), "40 + 18 of 97");
    assert!(said_with_copies(2, "")[0].contains("up to 80 replayed connections and 18 of the probes"));
    assert!(said_with_copies(3, "max_connections = 200").is_empty());
}

#[test]
fn a_pool_for_fewer_sessions_than_are_open_at_once_is_warned_about() {
    let login = |user: &str| ("shop".to_owned(), user.to_owned());
    let peak_sessions = [(login("web"), 12), (login("batch"), 2)].into();
    let workload = WorkloadFacts { peak_sessions, ..workload() };
    let said_of =
        |size| said_with(&format!("{WORKLOAD}[clients.pool]\nsize = {size}\n"), &workload, ServerVersions::default());
    assert!(said_of(12).is_empty());
    let said = said_of(10);
    assert!(
        said[0].starts_with("warning: up to 12 sessions of user \"web\" in database \"shop\" are open"),
        "{said:?}"
    );
    assert!(said[0].contains("clients.pool.size lets 10 of them have a connection"), "{said:?}");
}

#[test]
fn a_tenant_that_the_workload_does_not_have_is_warned_about() {
    let tenants = |name: &str| format!("{WORKLOAD}[[workload.tenant]]\ntenant = \"{name}\"\ncopies = 2\n");
    assert!(said(&tenants("ac*")).is_empty());
    assert_eq!(
        said(&tenants("acmee")),
        ["warning: no tenant of the workload is called \"acmee\"\nhint: did you mean \"acme\"?"]
    );
    assert!(said(&tenants("other*"))[0].ends_with("hint: pgrehearse workload info names them"));
}

#[test]
fn a_closed_loop_refuses_objectives_on_response_times() {
    let text = |objective: &str| format!("objectives = [\"{objective}\"]\n{WORKLOAD}speed = \"max\"\n");
    assert!(said(&text("downtime < 30s"))[0].contains("cannot be judged with speed = \"max\""));
    assert!(said(&text("service.p99 < 30ms")).is_empty());
    let thinking = text("downtime < 30s").replace("speed = \"max\"", "pacing = \"think-time\"");
    assert!(said(&thinking)[0].contains("cannot be judged with pacing = \"think-time\""));
}

#[test]
fn objectives_bound_steps_that_exist() {
    let text = |name: &str| format!("objectives = [\"step({name}).duration < 30s\"]\n{WORKLOAD}");
    assert!(said(&text("pg_upgrade")).is_empty());
    assert!(said(&text("pg_upgrad"))[0].contains("did you mean \"pg_upgrade\"?"));
    assert!(said(&text("Creating dump of global objects"))[0].starts_with("warning:"));
    let none = format!("{}[upgrade]\nstrategy = \"none\"\n", text("pg_upgrade"));
    assert!(said(&none)[0].starts_with("error:"));
}

#[test]
fn a_switch_of_external_staging_needs_somewhere_to_go() {
    let text =
        format!("{WORKLOAD}[staging]\nprovider = \"external\"\ndsn = \"host=x\"\n[upgrade]\nsteps = [\"switch\"]\n");
    assert!(said(&text)[0].contains("nowhere to go"));
}

#[test]
fn too_many_probes_are_stretched() {
    let many = WorkloadFacts { databases: (0..200).map(|n| format!("d{n}")).collect(), ..workload() };
    let said = said_with(WORKLOAD, &many, ServerVersions::default());
    assert!(said.iter().any(|finding| finding.contains("stretched to 200ms")), "{said:?}");
}
