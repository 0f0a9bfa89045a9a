//! A module uses lower floors only, never a neighbour on its own floor, and never the other wing.

use super::sources::{Source, all, assert_none};

#[derive(Clone, Copy, PartialEq)]
enum Wing {
    Neither,
    /// Has servers, sockets and a clock.
    Running,
    /// Has files, and nothing else.
    Judging,
}

use Wing::{Judging, Neither, Running};

/// The house, from the ground up.
const FLOORS: &[(&str, u8, Wing)] = &[
    ("words", 0, Neither),
    ("facts", 1, Neither),
    ("objective", 1, Neither),
    ("pgwire", 1, Neither),
    ("samples", 1, Neither),
    ("sql", 1, Neither),
    ("timeline", 1, Neither),
    ("net", 2, Neither),
    ("record", 2, Neither),
    ("tenant", 2, Neither),
    ("workload", 2, Neither),
    ("capture", 3, Neither),
    ("merge", 3, Neither),
    ("reshape", 3, Neither),
    ("scenario", 3, Neither),
    ("server", 4, Running),
    ("analysis", 4, Judging),
    ("probe", 5, Running),
    ("replay", 5, Running),
    ("upgrade", 5, Running),
    ("verdict", 5, Judging),
    ("rehearsal", 6, Running),
    ("report", 6, Judging),
    ("cli", 8, Neither),
];

fn floor_of(module: &str) -> Option<(u8, Wing)> {
    FLOORS.iter().find(|(name, ..)| *name == module).map(|(_, floor, wing)| (*floor, *wing))
}

/// The module of `src` that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(source: &Source) -> Option<&str> {
    let below = source.path.strip_prefix("src/")?;
    below.split_once('/').map(|(module, _)| module)
}

/// The modules behind every `crate::`, groups in braces included.
fn used(text: &str) -> Vec<&str> {
    let name_end = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let mut found = Vec::new();
    for behind in text.split("crate::").skip(1) {
        match behind.strip_prefix('{') {
            None => found.push(&behind[..name_end(behind)]),
            Some(group) => {
                let mut depth = 0;
                let mut at_start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        c if at_start && c.is_alphabetic() => {
                            found.push(&group[at..at + name_end(&group[at..])]);
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The lines that are no comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn modules_use_lower_floors_only_and_never_the_other_wing() {
    let mut broken = Vec::new();
    for source in all() {
        let Some(module) = module_of(&source) else { continue };
        let Some((floor, wing)) = floor_of(module) else {
            broken.push(format!("{}: the module {module} has no floor", source.path));
            continue;
        };
        for other in used(&code(source.shipped())).into_iter().filter(|other| *other != module) {
            let Some((other_floor, other_wing)) = floor_of(other) else { continue };
            if other_floor >= floor {
                broken.push(format!("{}: {module} (floor {floor}) uses {other} (floor {other_floor})", source.path));
            }
            if [(Running, Judging), (Judging, Running)].contains(&(wing, other_wing)) {
                broken.push(format!("{}: {module} uses {other} of the other wing", source.path));
            }
        }
    }
    broken.dedup();
    assert_none(&broken, "the floors do not hold");
}

#[test]
fn the_judging_wing_has_no_server_no_runtime_and_no_clock() {
    let mut broken = Vec::new();
    for source in all() {
        let judging = module_of(&source).and_then(floor_of).is_some_and(|(_, wing)| wing == Judging);
        let code = code(source.shipped());
        for word in ["tokio", "std::net", "std::process", "Instant", "SystemTime", "Timestamp::now"] {
            if judging && code.contains(word) {
                broken.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert_none(&broken, "the judging wing starts from the run directory alone");
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::words::ids; use crate::{net::tls, sql::{a, b}, timeline}; let x = crate::facts::VERSION;";
    assert_eq!(used(text), ["words", "net", "sql", "timeline", "facts"]);
}
