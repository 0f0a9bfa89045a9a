//! Floor 1: the timeline (`timeline.jsonl`): what the rehearsal did, and when.
//!
//! Takes and gives one JSON object a line; a reader stops at a torn last line, since a killed run may leave one. Must
//! not know who makes the events.

mod phases;

use serde::{Deserialize, Serialize};

use crate::words::ids::Fingerprint;
pub use crate::words::phase::Phase;
pub use phases::{PHASES_FORMAT, PHASES_VERSION, PhaseEvent, PhaseReader, PhasesError, PhasesHeader};

/// The version that stands in the first event.
pub const VERSION: u32 = 1;

/// One line: when (microseconds since the run started) and what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    pub at_us: u64,
    #[serde(flatten)]
    pub what: What,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    Ok,
    Failed,
    TimedOut,
    Cancelled,
}

impl StepOutcome {
    /// The written name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What happened. Names are past tense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Always the first line.
    RunStarted {
        version: u32,
    },
    PhaseStarted {
        phase: Phase,
    },
    PhaseEnded {
        phase: Phase,
    },
    /// Steps are numbered from 0; a sub-step names its parent.
    StepStarted {
        step: u32,
        parent: Option<u32>,
        name: String,
    },
    /// `detail` is the reason of a failure, pg_upgrade's own words where it has some.
    StepEnded {
        step: u32,
        outcome: StepOutcome,
        detail: Option<String>,
    },
    /// A server that clients can reach: `side` is `before` or `after` the upgrade.
    ServerSeen {
        side: Side,
        version: String,
    },
    /// From now on clients that connect reach `server` (`old` or `new`).
    EndpointSwitched {
        endpoint: String,
        server: String,
    },
    /// The driver of several shards goes on; only in the phase file, where it has nothing else to say.
    DriverAlive,
    /// Every second: the tenants (index) that have requests in flight, and since when the oldest was sent.
    InFlight {
        tenants: Vec<(u32, u64)>,
    },
    /// Every second: CPU time of this process in the last second, in thousandths of one core, and by how much the latest
    /// heartbeat of that second came too late.
    GeneratorCpu {
        used_millicores: u32,
        allowed_millicores: u32,
        #[serde(default)]
        heartbeat_late_us: u64,
    },
    /// The wall clock of the tool's machine was set forward by so much, or back.
    ClockStepped {
        by_us: i64,
    },
    /// The tool itself did not run between these moments: a heartbeat came late.
    GeneratorBlind {
        started_us: u64,
        ended_us: u64,
    },
    /// Every captured session has come to its end: nothing is offered from here on.
    WorkloadEnded {
        offered: u64,
    },
    /// The end of a replay with `order = "commit"`: requests that waited for commits of other sessions, and those of them
    /// that were sent without them after the limit.
    OrderKept {
        waits: u64,
        broken: u64,
    },
    /// The end of a replay with `read_only = true`: requests that write, and were left out.
    WritesLeftOut {
        requests: u64,
    },
    /// The end of a replay: settings, prepared statements and the like that sessions had, at the capture's start or before their
    /// connections were lost, and that new connections did not take.
    SettingsLost {
        settings: u64,
    },
    /// The end of a replay in which clients sent ids that the server generates, or may have: those replaced by the server's
    /// new ones, those that were not there yet and were sent as captured, and values of which it is not sure whether they
    /// are such ids, which were sent as captured, too.
    IdsMapped {
        mapped: u64,
        unfilled: u64,
        unsure: u64,
    },
    /// The first request of a statement whose answer was not the captured one: its number in the workload, and the captured
    /// file with the line or packet, where the workload says it. Each worker of the replay tells its own first.
    AnswerDiffered {
        fingerprint: Fingerprint,
        request: u64,
        file: Option<String>,
        line: Option<u64>,
    },
    /// The first database whose ledger could not be read back to its end, and why.
    ReadBackFailed {
        database: String,
        reason: String,
    },
    /// The phase file could not be written to its end, so that the other shards were not told everything, and why.
    PhasesUntold {
        reason: String,
    },
    Interrupted {
        signal: String,
    },
    /// The last line of a run that was not killed, but for `PhasesUntold`. `complete` when every phase was seen to its end.
    RunEnded {
        complete: bool,
    },
}

/// A side of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Before,
    After,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = TimelineEvent {
            at_us: 12,
            what: What::StepEnded { step: 3, outcome: StepOutcome::Failed, detail: Some("no".into()) },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line, r#"{"at_us":12,"event":"step_ended","step":3,"outcome":"failed","detail":"no"}"#);
        assert_eq!(serde_json::from_str::<TimelineEvent>(&line).unwrap(), event);
    }
}
