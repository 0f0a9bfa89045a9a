//! Module docs, names of files, and words that do not belong into the sources.

use super::sources::{all, assert_none};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "misc", "manager", "stuff"];

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let broken: Vec<String> =
        all().into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path).collect();
    assert_none(&broken, "these files have no module doc");
}

#[test]
fn names_of_files_say_something() {
    let says_nothing = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part));
    let broken: Vec<String> = all().into_iter().map(|source| source.path).filter(|path| says_nothing(path)).collect();
    assert_none(&broken, "these names say nothing");
}

/// Words that no source may hold, with the reason. They stand here in two pieces, so as not to find themselves.
const NOWHERE: &[(&str, &str, &str)] = &[
    ("to", "do!(", "what is not done is an issue, not a panic"),
    ("unimpl", "emented!(", "what is not done is an issue, not a panic"),
    ("TO", "DO", "what is not done is an issue, not a comment"),
    ("FIX", "ME", "what is not done is an issue, not a comment"),
    ("/wo", "rk/", "no path of one machine"),
];

/// Words that only some sources may hold: the word, who may hold it, and the reason.
const ONLY_THERE: &[(&str, &[&str], &str)] = &[
    ("process::exit", &["src/main.rs"], "one place ends the process"),
    ("println!", &[], "results and messages go through src/cli/show.rs"),
    ("print!(", &[], "results and messages go through src/cli/show.rs"),
    ("io::stdout()", &["src/cli/show.rs"], "results and messages go through src/cli/show.rs"),
    // A heartbeat is made of sleeping, and the end of a process that is not our child can only be asked for.
    ("thread::sleep", &["src/rehearsal/generator.rs", "src/server/process.rs"], "wait for a condition, not for a time"),
];

#[test]
fn no_source_holds_a_banned_word() {
    let mut broken = Vec::new();
    for source in all() {
        for (start, end, reason) in NOWHERE {
            let word = format!("{start}{end}");
            if source.text.contains(&word) {
                broken.push(format!("{}: {word} ({reason})", source.path));
            }
        }
    }
    assert_none(&broken, "banned words");
}

#[test]
fn printing_exiting_and_sleeping_have_their_places() {
    let mut broken = Vec::new();
    for source in all() {
        for (word, places, reason) in ONLY_THERE {
            if source.shipped().contains(word) && !places.contains(&source.path.as_str()) {
                broken.push(format!("{}: {word} ({reason})", source.path));
            }
        }
    }
    assert_none(&broken, "these stand in the wrong place");
}
