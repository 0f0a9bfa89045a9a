//! The keys of `[workload]`: what is replayed, at which pace, and how often.
//!
//! Takes the section and gives the choice. Must not know the workload's file.

use std::path::Path;
use std::time::Duration;

use super::resolved::{
    Loop, Order, Pacing, Speed, TENANT_COPIES_MAX, TenantCopies, UNIQUE_COLUMNS_MAX, UniqueColumn, WorkloadChoice,
};
use super::section::{Problems, Section, number_of, text_of};
use super::tree::{Node, Value};
use crate::objective::Pattern;

/// The paces that a replay may have, as multiples of the captured one.
pub(super) const FACTORS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// Numbers of unique columns grow by this with each copy or round: 214 of them fit into an int4.
const STRIDE: u64 = 10_000_000;
const STRIDE_MAX: i64 = 1_000_000_000_000;

/// Rounds of the workload, at most.
const ROUNDS_MAX: u32 = 1_000_000;

/// Copies of a session, at most.
const COPIES_MAX: i64 = 10_000;

/// The choice; what is wrong goes to the section's problems, with a default in its place.
pub(super) fn workload(mut section: Section<'_>, base: &Path, problems: &Problems) -> WorkloadChoice {
    let file = section.file("file", base);
    if file.is_none() && (!section.is_written() || section.node("file").is_none()) {
        section.problem_at("file", "workload.file is missing", "add file = \"...\" under [workload]");
    }
    let choice = WorkloadChoice {
        file: file.unwrap_or_default(),
        speed: speed(&mut section),
        pacing: section.choice("pacing", Pacing::NAMES, Pacing::from_name).unwrap_or(Pacing::Open),
        order: section.choice("order", Order::NAMES, Order::from_name).unwrap_or(Order::Free),
        order_wait: section.duration_at_least("order_wait", Duration::from_millis(1)).unwrap_or(Duration::from_secs(1)),
        copies: section.integer("copies", 1, COPIES_MAX).map_or(1, |copies| copies as u16),
        copy_jitter: section.duration("copy_jitter").unwrap_or_default(),
        seed: section.integer("seed", 0, i64::MAX).map_or(0, i64::unsigned_abs),
        repeats: repeats(&mut section),
        unique: unique(&mut section),
        unique_stride: section.integer("unique_stride", 1, STRIDE_MAX).map_or(STRIDE, i64::unsigned_abs),
        read_only: section.boolean("read_only").unwrap_or(false),
        tenants: tenants(&mut section, problems),
    };
    if choice.speed == Speed::Max && choice.pacing == Pacing::ThinkTime {
        let hint = "\"think-time\" keeps the captured pauses, and \"max\" leaves them out: write one of the two";
        section.problem_at("pacing", "workload.pacing cannot be \"think-time\" with speed = \"max\"", hint);
    }
    section.finish();
    choice
}

fn unique(section: &mut Section<'_>) -> Vec<UniqueColumn> {
    let nodes = section.array("unique");
    if nodes.len() > UNIQUE_COLUMNS_MAX {
        let message = format!("workload.unique has {} columns, and {UNIQUE_COLUMNS_MAX} at most are read", nodes.len());
        section.problem_at("unique", message, "");
    }
    let column = |node: &Node| {
        let written = text_of(node);
        let parts: Vec<&str> = written.iter().flat_map(|text| text.split('.')).collect();
        if let [table, column] = parts[..]
            && !table.is_empty()
            && !column.is_empty()
        {
            return Some(UniqueColumn { table: table.to_owned(), column: column.to_owned() });
        }
        section.problem_of(node, "each of workload.unique must be a table and a column", "write \"orders.id\"");
        None
    };
    nodes.iter().take(UNIQUE_COLUMNS_MAX).filter_map(column).collect()
}

fn repeats(section: &mut Section<'_>) -> Loop {
    let hint = "3 goes through it three times, \"10m\" for ten minutes";
    let Some(node) = section.node("loop") else { return Loop::Times(1) };
    match node.value {
        Value::Integer(times) => match u32::try_from(times) {
            Ok(times) if (1..=ROUNDS_MAX).contains(&times) => Loop::Times(times),
            _ => {
                let message = format!("workload.loop must lie between 1 and {ROUNDS_MAX}, and is {times}");
                section.problem_of(node, message, hint);
                Loop::Times(1)
            }
        },
        Value::Text(_) => section.duration_at_least("loop", Duration::from_millis(1)).map_or(Loop::Times(1), Loop::For),
        _ => {
            let message = format!("workload.loop must be an integer or a duration, not {}", node.value.kind());
            section.problem_of(node, message, hint);
            Loop::Times(1)
        }
    }
}

fn tenants(section: &mut Section<'_>, problems: &Problems) -> Vec<TenantCopies> {
    let path = section.path_of("tenant");
    let nodes = section.array("tenant");
    if nodes.len() > TENANT_COPIES_MAX {
        let message = format!("workload.tenant has {} entries, and {TENANT_COPIES_MAX} at most are read", nodes.len());
        section.problem_at("tenant", message, "name several tenants by one pattern with *");
    }
    nodes.iter().take(TENANT_COPIES_MAX).filter_map(|node| tenant(&path, node, problems)).collect()
}

fn tenant(path: &str, node: &Node, problems: &Problems) -> Option<TenantCopies> {
    let mut section = Section::of_node(path, node, problems)?;
    if section.node("tenant").is_none() {
        section.problem_at("tenant", "workload.tenant.tenant is missing", "add tenant = \"acme\" or a pattern with *");
    }
    let tenant = section.text("tenant").map(Pattern::new);
    let copies = section.node("copies").map_or(f64::NAN, |node| number_of(&node.value));
    let is_sound = (0.0..=COPIES_MAX as f64).contains(&copies);
    if !is_sound {
        let message = format!("workload.tenant.copies must be a number between 0 and {COPIES_MAX}");
        section.problem_at("copies", message, "1.5 is all of the tenant's traffic and half of its sessions once more");
    }
    section.finish();
    Some(TenantCopies { tenant: tenant?, copies }).filter(|_| is_sound)
}

fn speed(section: &mut Section<'_>) -> Speed {
    let Some(node) = section.node("speed") else { return Speed::Factor(1.0) };
    let factor = match &node.value {
        Value::Text(text) if text == "max" => return Speed::Max,
        value => number_of(value),
    };
    if !FACTORS.contains(&factor) {
        let hint = "1.0 is the captured pace, 2.0 twice as fast; \"max\" is as fast as it goes";
        section.problem_at("speed", "workload.speed must be a number between 0.001 and 1000, or \"max\"", hint);
    }
    Speed::Factor(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::{refused, scenario};

    const WORKLOAD: &str = "[workload]\nfile = \"w.jsonl\"\n";

    #[test]
    fn sessions_of_copies_may_start_by_chance() {
        let scenario = scenario(&format!("{WORKLOAD}copies = 4\ncopy_jitter = \"500ms\"\nseed = 7\n"));
        let workload = &scenario.workload;
        assert_eq!((workload.copies, workload.copy_jitter, workload.seed), (4, Duration::from_millis(500), 7));
        let shown = crate::scenario::render_text(&scenario);
        assert!(shown.contains("copies 4, their sessions up to 500ms later by chance (seed 7)\n"), "{shown}");
        let json = crate::scenario::to_json(&scenario);
        assert_eq!((&json["workload"]["copy_jitter_ms"], &json["workload"]["seed"]), (&500.0.into(), &7.into()));
    }

    #[test]
    fn tenants_may_have_copies_of_their_own() {
        let scenario = scenario(&format!(
            "{WORKLOAD}copies = 2\n[[workload.tenant]]\ntenant = \"acme*\"\ncopies = 3\n
             [[workload.tenant]]\ntenant = \"acme-eu\"\ncopies = 1.5\n"
        ));
        let copies_of = |tenant| scenario.workload.copies_of(tenant);
        assert_eq!([copies_of("acme-eu"), copies_of("bolt")], [3.0, 2.0], "the first that matches counts");
        let shown = crate::scenario::render_text(&scenario);
        assert!(shown.contains("            tenant acme-eu: copies 1.5\n"), "{shown}");
        let json = crate::scenario::to_json(&scenario);
        assert_eq!(json["workload"]["tenants"][0], serde_json::json!({"tenant": "acme*", "copies": 3.0}));
    }

    #[test]
    fn what_a_tenant_lacks_or_has_out_of_range_is_said_at_its_place() {
        for (tenant, message, place) in [
            ("copies = 2", "workload.tenant.tenant is missing", "a.toml:3"),
            ("tenant = \"a\"", "workload.tenant.copies must be a number between 0 and 10000", "a.toml:3"),
            ("tenant = \"a\"\ncopies = -1", "workload.tenant.copies must be a number", "a.toml:5:10"),
            ("tenant = \"a\"\ncopies = \"2\"", "workload.tenant.copies must be a number", "a.toml:5:10"),
            ("tenant = 5\ncopies = 2", "workload.tenant.tenant must be a string", "a.toml:4:10"),
            ("tenant = \"a\"\ncopies = 2\nspeed = 2", "unknown key \"speed\"", "a.toml:6:1"),
        ] {
            let shown = refused(&format!("{WORKLOAD}[[workload.tenant]]\n{tenant}\n"), &[]);
            assert!(shown.contains(message) && shown.contains(place), "{tenant}\n{shown}");
        }
        let many = "[[workload.tenant]]\ntenant = \"a\"\ncopies = 2\n".repeat(1_001);
        let shown = refused(&format!("{WORKLOAD}{many}"), &[]);
        assert!(shown.contains("workload.tenant has 1001 entries, and 1000 at most are read"), "{shown}");
    }

    #[test]
    fn a_workload_may_go_on_for_rounds_or_for_a_time() {
        for (written, repeats, text, json) in [
            ("3", Loop::Times(3), "3 rounds", serde_json::json!({ "rounds": 3 })),
            (
                "\"10m\"",
                Loop::For(Duration::from_secs(600)),
                "again and again for 10m",
                serde_json::json!({ "for_ms": 600_000.0 }),
            ),
        ] {
            let scenario = scenario(&format!("{WORKLOAD}loop = {written}\n"));
            assert_eq!(scenario.workload.repeats, repeats);
            let shown = crate::scenario::render_text(&scenario);
            assert!(shown.contains(&format!("copies 1, {text}\n")), "{shown}");
            assert_eq!(crate::scenario::to_json(&scenario)["workload"]["loop"], json);
        }
    }

    #[test]
    fn columns_may_have_other_values_in_each_copy() {
        let scenario =
            scenario(&format!("{WORKLOAD}unique = [\"orders.id\", \"users.email\"]\nunique_stride = 1000\n"));
        let column = |table: &str, column: &str| UniqueColumn { table: table.into(), column: column.into() };
        assert_eq!(scenario.workload.unique, [column("orders", "id"), column("users", "email")]);
        let shown = crate::scenario::render_text(&scenario);
        assert!(
            shown.contains("            others in each copy and round: orders.id, users.email; numbers by 1000\n"),
            "{shown}"
        );
        let json = crate::scenario::to_json(&scenario);
        assert_eq!(json["workload"]["unique"], serde_json::json!(["orders.id", "users.email"]));
        assert_eq!(json["workload"]["unique_stride"], 1000);
    }

    #[test]
    fn a_replay_may_leave_out_what_writes() {
        let scenario = scenario(&format!("{WORKLOAD}read_only = true\n"));
        assert!(scenario.workload.read_only);
        let shown = crate::scenario::render_text(&scenario);
        assert!(shown.contains("            requests that write are left out, sessions are read-only\n"), "{shown}");
        assert_eq!(crate::scenario::to_json(&scenario)["workload"]["read_only"], true);
    }

    #[test]
    fn what_is_out_of_range_is_said_at_its_place() {
        for (line, message) in [
            ("copies = 0", "workload.copies must lie between 1 and 10000, and is 0"),
            ("copy_jitter = 500", "workload.copy_jitter must be a duration"),
            ("loop = 0", "workload.loop must lie between 1 and 1000000, and is 0"),
            ("loop = \"0s\"", "workload.loop must be at least 1ms"),
            ("loop = \"often\"", "workload.loop: "),
            ("loop = true", "workload.loop must be an integer or a duration, not a boolean"),
            ("unique = [\"orders\"]", "each of workload.unique must be a table and a column"),
            ("unique = [\"shop.orders.id\"]", "each of workload.unique must be a table and a column"),
            ("unique = [5]", "each of workload.unique must be a table and a column"),
            ("unique_stride = 0", "workload.unique_stride must lie between 1 and"),
            ("read_only = \"yes\"", "workload.read_only must be true or false"),
            ("seed = -1", "workload.seed must lie between 0 and"),
        ] {
            let shown = refused(&format!("{WORKLOAD}{line}\n"), &[]);
            assert!(shown.contains(message) && shown.contains("a.toml:3"), "{shown}");
        }
    }
}
