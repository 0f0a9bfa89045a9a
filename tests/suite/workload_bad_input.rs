//! Workload tools on what they cannot use: a clear message, exit code 2, and nothing half written; and on a sound workload,
//! results that `workload info` and `check` have nothing against.

use crate::inputs::{Desk, SCENARIO, WORKLOAD};

/// Every tool that reads workloads as it is typed, `IN` and `OUT` in the place of the files.
const TOOLS: [&str; 6] = [
    "info IN",
    "cat IN --from 1h",
    "slice IN -o OUT --from 1ms",
    "peak IN --length 1s -o OUT",
    "merge IN IN -o OUT",
    "retag IN -o OUT --tenant-by user",
];

fn typed(tool: &str, input: &str, output: &str) -> Vec<String> {
    let words = tool.split(' ').map(|word| match word {
        "IN" => input.to_owned(),
        "OUT" => output.to_owned(),
        word => word.to_owned(),
    });
    ["workload".to_owned()].into_iter().chain(words).collect()
}

fn files(desk: &Desk) -> Vec<String> {
    let entries = std::fs::read_dir(desk.path(".")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The program must say this, exit 2 and leave the directory as it is.
fn refuses(desk: &Desk, arguments: &[String], expected: &str) {
    let before = files(desk);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    desk.fails(&arguments, expected);
    assert_eq!(files(desk), before, "{arguments:?}");
}

#[test]
fn a_workload_that_cannot_be_read_is_refused_by_every_tool() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("dir")).unwrap();
    desk.write("newer.jsonl", WORKLOAD.replacen("\"version\":1", "\"version\":2", 1));
    let cut = WORKLOAD.lines().take(12).map(|line| format!("{line}\n")).collect::<String>();
    desk.write("cut.jsonl.zst", zstd::encode_all(cut.as_bytes(), 3).unwrap());
    desk.write("empty.jsonl", "");
    desk.write("log.csv", "2026-01-05 09:00:00.000 UTC,\"web\",\"app\",1,\n");
    for (input, expected) in [
        ("none.jsonl", "error: could not open workload \"none.jsonl\": No such file or directory\n"),
        ("dir", "error: could not read workload \"dir\" after line 0: Is a directory\n"),
        ("empty.jsonl", "error: workload \"empty.jsonl\" is empty\n"),
        (
            "newer.jsonl",
            "error: newer.jsonl:1:1: workload version 2 is newer than this program, which reads up to version 1\n\
             hint: use a newer pgrehearse\n",
        ),
        (
            "cut.jsonl.zst",
            "error: workload \"cut.jsonl.zst\" is truncated: no \"end\" line follows line 12\n\
             hint: capture or copy it again; a workload that is whole ends with a line of kind \"end\"\n",
        ),
        (
            "log.csv",
            "error: log.csv:1:4: not a line of a workload: expected a JSON object\n\
             hint: a workload is what \"pgrehearse capture log\" writes\n",
        ),
    ] {
        for tool in TOOLS {
            refuses(&desk, &typed(tool, input, "out.jsonl"), expected);
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_and_what_was_there_stays() {
    let desk = Desk::new();
    desk.write("old.jsonl", "what was there before");
    std::fs::create_dir(desk.path("dir")).unwrap();
    let writing = TOOLS.iter().copied().filter(|tool| tool.contains("OUT")).chain(["repair IN -o OUT"]);
    for tool in writing {
        let same =
            "error: the output \"./good.jsonl\" would overwrite its own input\nhint: give the output another name\n";
        refuses(&desk, &typed(tool, "good.jsonl", "./good.jsonl"), same);
        let missing = "error: could not create \"none/out.jsonl\": No such file or directory\n";
        refuses(&desk, &typed(tool, "good.jsonl", "none/out.jsonl"), missing);
        let directory = "error: could not write \"dir\": Is a directory\n";
        refuses(&desk, &typed(tool, "good.jsonl", "dir"), directory);
    }
    let cut = WORKLOAD.lines().take(12).collect::<Vec<_>>().join("\n");
    desk.write("cut.jsonl", cut);
    desk.call(&["workload", "slice", "cut.jsonl", "-o", "old.jsonl"]);
    assert_eq!(std::fs::read_to_string(desk.path("old.jsonl")).unwrap(), "what was there before");
    assert_eq!(std::fs::read_to_string(desk.path("good.jsonl")).unwrap(), WORKLOAD);
}

#[test]
fn what_is_asked_for_in_vain_is_said() {
    let desk = Desk::new();
    let vain = "error: no request of the workload is selected\n\
                hint: \"pgrehearse workload info\" shows its length, tenants and databases\n";
    for selection in ["--tenant nobody", "--database none", "--session 77", "--from 1h"] {
        refuses(&desk, &typed(&format!("slice IN -o OUT {selection}"), "good.jsonl", "out.jsonl"), vain);
    }
    let backwards = "error: the window ends before it begins\nhint: give --from an earlier moment than --to\n";
    refuses(&desk, &typed("slice IN -o OUT --from 2s --to 1s", "good.jsonl", "out.jsonl"), backwards);
    // cat shows what there is, which may be nothing.
    let shown = desk.call(&["workload", "cat", "good.jsonl", "--tenant", "nobody"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (0, ""));
}

#[test]
fn what_stands_before_a_damaged_place_is_listed_before_the_error() {
    let desk = Desk::new();
    desk.write("cut.jsonl", WORKLOAD.lines().take(9).map(|line| format!("{line}\n")).collect::<String>());
    let listed = desk.call(&["workload", "cat", "cut.jsonl"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (2, 4), "{}{}", listed.stdout, listed.stderr);
    assert!(listed.stderr.starts_with("error: workload \"cut.jsonl\" is truncated"), "{}", listed.stderr);
}

#[test]
fn every_result_is_a_sound_workload() {
    let desk = Desk::new();
    desk.write("cut.jsonl", WORKLOAD.lines().take(16).map(|line| format!("{line}\n")).collect::<String>());
    let writing = TOOLS.iter().copied().filter(|tool| tool.contains("OUT"));
    for (tool, input) in writing.map(|tool| (tool, "good.jsonl")).chain([("repair IN -o OUT", "cut.jsonl")]) {
        for output in ["out.jsonl", "out.jsonl.zst"] {
            let arguments = typed(tool, input, output);
            let made = desk.call(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{tool}");
            let info = desk.call(&["workload", "info", output]);
            assert_eq!((info.code, info.stderr.as_str()), (0, ""), "{tool}");
            desk.write("s.toml", SCENARIO.replace("good.jsonl", output));
            let checked = desk.call(&["check", "s.toml"]);
            assert_eq!((desk.said(&checked).as_str(), checked.code), ("", 0), "{tool}");
        }
    }
}
