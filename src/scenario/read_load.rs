//! The keys of `[[load.stage]]`: how the pace changes over the replay.
//!
//! Takes the table and the workload's choice, which must be an open loop; gives the stages in their order. Must not know
//! how requests are timed by them.

use std::time::Duration;

use super::read_workload::FACTORS;
use super::resolved::{LOAD_STAGES_MAX, LoadStage, WorkloadChoice};
use super::section::{Problems, Section, number_of};
use super::tree::Node;

/// The stages; what is wrong goes to the problems.
pub(super) fn stages(mut section: Section<'_>, workload: &WorkloadChoice, problems: &Problems) -> Vec<LoadStage> {
    let path = section.path_of("stage");
    let nodes = section.array("stage");
    if let Some(key) = workload.closed_loop().filter(|_| !nodes.is_empty()) {
        let hint = "a closed loop has no pace of its own: give workload.speed a number and leave pacing \"open\"";
        section.problem_at("stage", format!("load.stage cannot go with {key}"), hint);
    }
    if nodes.len() > LOAD_STAGES_MAX {
        let message = format!("load.stage has {} stages, and {LOAD_STAGES_MAX} at most are read", nodes.len());
        section.problem_at("stage", message, "");
    }
    let stages = nodes.iter().filter_map(|node| stage(&path, node, problems)).take(LOAD_STAGES_MAX).collect();
    section.finish();
    stages
}

fn stage(path: &str, node: &Node, problems: &Problems) -> Option<LoadStage> {
    let mut section = Section::of_node(path, node, problems)?;
    let target = target(&mut section);
    let is_written = section.node("duration").is_some();
    let duration = section.duration_at_least("duration", Duration::from_millis(1));
    if !is_written {
        section.problem_at("duration", "load.stage.duration is missing", "add duration = \"30s\" or the like");
    }
    section.finish();
    Some(LoadStage { target: target?, duration: duration? })
}

fn target(section: &mut Section<'_>) -> Option<f64> {
    let target = section.node("target").map_or(f64::NAN, |node| number_of(&node.value));
    if FACTORS.contains(&target) {
        return Some(target);
    }
    let hint = "1.0 is the captured pace, 2.0 twice as fast";
    section.problem_at("target", "load.stage.target must be a number between 0.001 and 1000", hint);
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::tests::{refused, scenario};

    const WORKLOAD: &str = "[workload]\nfile = \"w.jsonl\"\n";

    #[test]
    fn stages_are_read_in_their_order_and_shown_with_where_they_begin() {
        let scenario = scenario(&format!(
            "{WORKLOAD}speed = 0.5\n
             [[load.stage]]\ntarget = 3\nduration = \"30s\"\n
             [[load.stage]]\ntarget = 3.0\nduration = \"2m\"\n"
        ));
        let stage = |target, seconds| LoadStage { target, duration: Duration::from_secs(seconds) };
        assert_eq!(scenario.load_stages, [stage(3.0, 30), stage(3.0, 120)]);
        let shown = crate::scenario::render_text(&scenario);
        assert!(shown.contains("load        30s from 0.5 to 3 times the captured pace\n"), "{shown}");
        assert!(shown.contains("            2m at 3 times the captured pace\n"), "{shown}");
        let json = crate::scenario::to_json(&scenario);
        assert_eq!(json["load"]["stages"][1]["duration_ms"], 120_000.0);
    }

    #[test]
    fn a_closed_loop_has_no_stages() {
        let stages = "[[load.stage]]\ntarget = 2\nduration = \"1s\"\n";
        for key in ["speed = \"max\"", "pacing = \"think-time\""] {
            let shown = refused(&format!("{WORKLOAD}{key}\n{stages}"), &[]);
            assert!(shown.contains(&format!("load.stage cannot go with {key}")), "{shown}");
        }
    }

    #[test]
    fn what_a_stage_lacks_or_has_out_of_range_is_said_at_its_place() {
        for (stage, message, place) in [
            ("duration = \"1s\"", "load.stage.target must be a number between 0.001 and 1000", "a.toml:3"),
            ("target = 0\nduration = \"1s\"", "load.stage.target must be a number", "a.toml:4:10"),
            ("target = 1001\nduration = \"1s\"", "load.stage.target must be a number", "a.toml:4:10"),
            ("target = \"fast\"\nduration = \"1s\"", "load.stage.target must be a number", "a.toml:4:10"),
            ("target = 2", "load.stage.duration is missing", "a.toml:3"),
            ("target = 2\nduration = \"0s\"", "load.stage.duration must be at least 1ms", "a.toml:5:12"),
            ("target = 2\nduration = \"1s\"\nend = 1", "unknown key \"end\"", "a.toml:6:1"),
        ] {
            let shown = refused(&format!("{WORKLOAD}[[load.stage]]\n{stage}\n"), &[]);
            assert!(shown.contains(message) && shown.contains(place), "{stage}\n{shown}");
        }
        let many = "[[load.stage]]\ntarget = 2\nduration = \"1s\"\n".repeat(101);
        let shown = refused(&format!("{WORKLOAD}{many}"), &[]);
        assert!(shown.contains("load.stage has 101 stages, and 100 at most are read"), "{shown}");
    }
}
