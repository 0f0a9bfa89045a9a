//! The pool that replayed clients share: the section `[clients.pool]`, from its keys to its line in the resolved plan.
//!
//! Takes a section and gives plain values, their text and their JSON. Must not know who lends the connections.

use std::time::Duration;

use serde_json::{Value, json};

use super::render::milliseconds as ms;
use super::section::Section;
use crate::words::time::format_duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// More connections of one user to one database no server allows.
const SIZE_MAX: i64 = 262_143;

/// How sessions of the same database and user share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections at most for each database and user.
    pub size: u32,
    /// A connection is handed on when its session ended; else it is closed, and only its slot is.
    pub reuse: bool,
    /// How long a request waits for a slot at most.
    pub wait: Duration,
    /// A connection that nobody had for so long is closed.
    pub idle: Duration,
}

impl Pool {
    /// The pool that a section asks for; none where there is no section.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let is_written = section.is_written();
        let pool = Self {
            size: section.integer("size", 1, SIZE_MAX).map_or(10, |size| size as u32),
            reuse: section.boolean("reuse").unwrap_or(true),
            wait: section.duration_at_least("wait", MILLISECOND).unwrap_or(Duration::from_secs(30)),
            idle: section.duration_at_least("idle", MILLISECOND).unwrap_or(Duration::from_secs(600)),
        };
        section.finish();
        is_written.then_some(pool)
    }

    /// It as a line of the resolved plan.
    pub(super) fn line(pool: Option<&Self>) -> String {
        let Some(pool) = pool else { return "pool: none, each session has a connection of its own".to_owned() };
        let then = match pool.reuse {
            true => format!("handed on, closed when unused for {}", format_duration(pool.idle)),
            false => "closed with its session".to_owned(),
        };
        let wait = format_duration(pool.wait);
        format!("pool: {} for each database and user, each {then}; wait {wait}", connections(pool.size))
    }

    /// It as JSON.
    pub(super) fn json(&self) -> Value {
        json!({ "size": self.size, "reuse": self.reuse, "wait_ms": ms(self.wait), "idle_ms": ms(self.idle) })
    }
}

fn connections(number: u32) -> String {
    if number == 1 { "1 connection".to_owned() } else { format!("{number} connections") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::{refused, scenario};

    fn pool(text: &str) -> Option<Pool> {
        scenario(&format!("[workload]\nfile = \"w.jsonl\"\n{text}")).clients.pool
    }

    #[test]
    fn there_is_a_pool_only_where_one_is_asked_for() {
        assert_eq!(pool("[clients]\nabandon = \"1m\"\n"), None);
        let (wait, idle) = (Duration::from_secs(30), Duration::from_secs(600));
        assert_eq!(pool("[clients.pool]\n"), Some(Pool { size: 10, reuse: true, wait, idle }));
        assert_eq!(
            Pool::line(pool("[clients]\npool.size = 4\n").as_ref()),
            "pool: 4 connections for each database and user, each handed on, closed when unused for 10m; wait 30s"
        );
        let single = pool("[clients.pool]\nsize = 1\nreuse = false\nwait = \"500ms\"\n");
        assert_eq!(
            Pool::line(single.as_ref()),
            "pool: 1 connection for each database and user, each closed with its session; wait 500ms"
        );
        assert_eq!(single.map(|pool| pool.json()["wait_ms"].clone()), Some(json!(500.0)));
    }

    #[test]
    fn what_makes_no_pool_is_pointed_at() {
        let text = "[clients.pool]\nsize = 0\nreuse = \"always\"\nwait = \"0s\"\nmax_lifetime = \"30m\"\n";
        let shown = refused(text, &["workload.file=w"]);
        for part in [
            "clients.pool.size must lie between 1 and 262143, and is 0\n  at a.toml:2:8",
            "clients.pool.reuse must be true or false, not a string\n  at a.toml:3:9",
            "clients.pool.wait must be at least 1ms\n  at a.toml:4:8",
            "unknown key \"max_lifetime\" in [clients.pool]\n  at a.toml:5:1",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
