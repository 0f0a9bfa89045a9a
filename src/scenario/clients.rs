//! How replayed clients behave: the section `[clients]`, from its keys to its lines in the resolved plan.
//!
//! Takes a section and gives plain values, their text and their JSON. Must not know who acts on them.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::written;
use super::pool::Pool;
use super::render::milliseconds as ms;
use super::section::{Section, text_of};
use crate::words::sqlstate::SqlState;
use crate::words::time::format_duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// How replayed clients behave.
#[derive(Clone, Debug, PartialEq)]
pub struct Clients {
    /// For each request at least this, and at least three times its captured duration.
    pub deadline: Duration,
    pub on_deadline: OnDeadline,
    /// A request without an answer after this time is given up, whatever `on_deadline` says.
    pub abandon: Duration,
    pub connect_timeout: Duration,
    /// Waits between tries to reconnect: doubled from the first to the last.
    pub reconnect_first: Duration,
    pub reconnect_last: Duration,
    /// The part of such a wait that is left to chance: 0 is none, 1 all of it.
    pub reconnect_jitter: f64,
    pub reconnect: Reconnect,
    /// A switched endpoint is seen by new connections at last after this; each session has its own part of it.
    pub endpoint_lag: Duration,
    pub broken_transaction: BrokenTransaction,
    pub retry: Retry,
    /// None where each session has a connection of its own.
    pub pool: Option<Pool>,
}

/// When a client sends a request again that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries in all; 1 is none but the first.
    pub attempts: u16,
    pub on: Vec<RetryOn>,
    /// The wait before the second try is at most this, doubled with each try.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// Writes whose acknowledgement was lost are sent again, too, and so perhaps done twice.
    pub indeterminate: bool,
}

impl Retry {
    /// Nothing is sent again.
    pub const NONE: Self = Self {
        attempts: 1,
        on: Vec::new(),
        backoff: Duration::ZERO,
        backoff_max: Duration::ZERO,
        indeterminate: false,
    };
}

/// A failure after which a client tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The connection was lost before the answer came.
    Connection,
    Code(SqlState),
    /// The first two characters of a code.
    Class([u8; 2]),
}

impl RetryOn {
    /// The failure that is written so.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"connection" => Some(Self::Connection),
            [first, second] if SqlState::new(&[*first, *second, b'0', b'0', b'0']).is_some() => {
                Some(Self::Class([*first, *second]))
            }
            code => SqlState::new(code).map(Self::Code),
        }
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("connection"),
            Self::Code(code) => code.fmt(f),
            Self::Class(class) => class.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte))),
        }
    }
}

written! {
    /// What a client does when a request has no answer by its deadline.
    OnDeadline {
        /// Waits until `abandon`.
        Wait => "wait",
        /// Sends a cancel request.
        Cancel => "cancel",
        /// Closes the connection and opens another.
        Disconnect => "disconnect",
    }

    /// When a session that lost its connection opens another.
    Reconnect {
        /// As soon as it notices.
        AtOnce => "at-once",
        /// When its next request is due.
        OnDemand => "on-demand",
    }

    /// What a client does with the rest of a transaction block that broke.
    BrokenTransaction {
        /// Leaves it unsent.
        Skip => "skip",
        /// Sends it, each statement for itself.
        Continue => "continue",
        /// Runs the block again from its beginning where `retry` names the failure, and else leaves it unsent.
        Retry => "retry",
    }
}

impl Clients {
    /// The behaviour that a section asks for.
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let deadline = section.duration_at_least("deadline", MILLISECOND).unwrap_or(Duration::from_secs(5));
        let abandon = section.duration_at_least("abandon", MILLISECOND);
        if abandon.is_some_and(|abandon| abandon < deadline) {
            section.problem_at("abandon", "clients.abandon is shorter than clients.deadline", "");
        }
        let reconnect_first =
            section.duration_at_least("reconnect_first", MILLISECOND).unwrap_or(Duration::from_millis(50));
        let reconnect_last = section.duration_at_least("reconnect_last", MILLISECOND);
        if reconnect_last.is_some_and(|last| last < reconnect_first) {
            section.problem_at("reconnect_last", "clients.reconnect_last is shorter than clients.reconnect_first", "");
        }
        let on_deadline = section.choice("on_deadline", OnDeadline::NAMES, OnDeadline::from_name);
        let broken = section.choice("broken_transaction", BrokenTransaction::NAMES, BrokenTransaction::from_name);
        let reconnect = section.choice("reconnect", Reconnect::NAMES, Reconnect::from_name);
        let connect_timeout = section.duration_at_least("connect_timeout", MILLISECOND);
        let retry = retry(section.section("retry"));
        if broken == Some(BrokenTransaction::Retry) && retry.attempts == 1 {
            section.problem_at(
                "broken_transaction",
                "clients.broken_transaction is \"retry\", but clients.retry.attempts allows no second try",
                "set clients.retry.attempts to 2 or more",
            );
        }
        let clients = Self {
            deadline,
            on_deadline: on_deadline.unwrap_or(OnDeadline::Wait),
            abandon: abandon.unwrap_or(Duration::from_secs(30).max(deadline)),
            connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(5)),
            reconnect_first,
            reconnect_last: reconnect_last.unwrap_or(Duration::from_secs(1).max(reconnect_first)),
            reconnect_jitter: section.fraction("reconnect_jitter").unwrap_or(0.5),
            reconnect: reconnect.unwrap_or(Reconnect::AtOnce),
            endpoint_lag: section.duration("endpoint_lag").unwrap_or(Duration::ZERO),
            broken_transaction: broken.unwrap_or(BrokenTransaction::Skip),
            retry,
            pool: Pool::read(section.section("pool")),
        };
        section.finish();
        clients
    }

    /// The behaviour as the lines of the resolved plan.
    pub(super) fn lines(&self) -> [String; 4] {
        let waiting = format!(
            "deadline {} or 3 x captured, then {}; abandon {}, connect timeout {}",
            format_duration(self.deadline),
            self.on_deadline.name(),
            format_duration(self.abandon),
            format_duration(self.connect_timeout),
        );
        let reconnecting = format!(
            "reconnect {} after {} to {}, jitter {}; endpoint lag {}; broken transaction: {}",
            self.reconnect.name(),
            format_duration(self.reconnect_first),
            format_duration(self.reconnect_last),
            self.reconnect_jitter,
            format_duration(self.endpoint_lag),
            self.broken_transaction.name()
        );
        [waiting, reconnecting, self.retry.line(), Pool::line(self.pool.as_ref())]
    }

    /// The behaviour as JSON.
    pub(super) fn json(&self) -> Value {
        let retry = &self.retry;
        json!({
            "deadline_ms": ms(self.deadline),
            "on_deadline": self.on_deadline.name(),
            "abandon_ms": ms(self.abandon),
            "connect_timeout_ms": ms(self.connect_timeout),
            "reconnect_first_ms": ms(self.reconnect_first),
            "reconnect_last_ms": ms(self.reconnect_last),
            "reconnect_jitter": self.reconnect_jitter,
            "reconnect": self.reconnect.name(),
            "endpoint_lag_ms": ms(self.endpoint_lag),
            "broken_transaction": self.broken_transaction.name(),
            "retry": {
                "attempts": retry.attempts,
                "sqlstates": retry.on.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "backoff_ms": ms(retry.backoff),
                "backoff_max_ms": ms(retry.backoff_max),
                "indeterminate": retry.indeterminate,
            },
            "pool": self.pool.as_ref().map(Pool::json),
        })
    }
}

impl Retry {
    fn line(&self) -> String {
        let on: Vec<String> = self.on.iter().map(ToString::to_string).collect();
        let tries = match self.attempts {
            1 => "1 try".to_owned(),
            attempts => format!("{attempts} tries"),
        };
        let writes = if self.indeterminate { "sent again" } else { "never sent again" };
        format!(
            "retry: {tries} on {}, back-off {} to {}; writes without an acknowledgement are {writes}",
            on.join(" "),
            format_duration(self.backoff),
            format_duration(self.backoff_max),
        )
    }
}

fn retry(mut section: Section<'_>) -> Retry {
    let backoff = section.duration("backoff").unwrap_or(Duration::from_millis(50));
    let backoff_max = section.duration("backoff_max");
    if backoff_max.is_some_and(|most| most < backoff) {
        section.problem_at("backoff_max", "clients.retry.backoff_max is shorter than clients.retry.backoff", "");
    }
    let retry = Retry {
        attempts: section.integer("attempts", 1, 100).map_or(1, |attempts| attempts as u16),
        on: retry_on(&mut section),
        backoff,
        backoff_max: backoff_max.unwrap_or(Duration::from_secs(2).max(backoff)),
        indeterminate: section.boolean("indeterminate").unwrap_or(false),
    };
    section.finish();
    retry
}

fn retry_on(section: &mut Section<'_>) -> Vec<RetryOn> {
    const DEFAULT: [&str; 2] = ["40001", "40P01"];
    if section.node("sqlstates").is_none() {
        return DEFAULT.iter().filter_map(|code| RetryOn::from_text(code)).collect();
    }
    let nodes = section.array("sqlstates");
    let known = |node| text_of(node).and_then(|text| RetryOn::from_text(&text));
    for node in nodes.iter().filter(|node| known(node).is_none()) {
        let hint = "write a code as \"40001\", a class as \"08\", or \"connection\" for a connection that was lost";
        section.problem_of(
            node,
            "each of clients.retry.sqlstates must be a SQLSTATE, its class or \"connection\"",
            hint,
        );
    }
    nodes.iter().filter_map(known).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::tests::{refused, scenario};

    fn clients(text: &str) -> Clients {
        scenario(&format!("[workload]\nfile = \"w.jsonl\"\n{text}")).clients
    }

    #[test]
    fn without_a_section_nothing_is_tried_again() {
        let retry = clients("").retry;
        assert_eq!((retry.attempts, retry.indeterminate), (1, false));
        assert_eq!(retry.on, ["40001", "40P01"].map(|code| RetryOn::from_text(code).unwrap()));
        assert_eq!((retry.backoff, retry.backoff_max), (Duration::from_millis(50), Duration::from_secs(2)));
    }

    #[test]
    fn codes_classes_and_lost_connections_can_be_tried_again() {
        let text = "[clients]\nbroken_transaction = \"continue\"
[clients.retry]\nattempts = 5\nsqlstates = [\"55P03\", \"08\", \"connection\"]\nbackoff = \"3s\"\n";
        let clients = clients(text);
        assert_eq!(clients.broken_transaction, BrokenTransaction::Continue);
        let written: Vec<String> = clients.retry.on.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["55P03", "08", "connection"]);
        assert_eq!(clients.retry.backoff_max, Duration::from_secs(3));
        assert_eq!(clients.json()["retry"]["sqlstates"][1], "08");
        assert_eq!(
            clients.lines()[2],
            "retry: 5 tries on 55P03 08 connection, back-off 3s to 3s; writes without an acknowledgement are never sent \
             again"
        );
    }

    #[test]
    fn a_block_can_be_run_again_where_there_is_a_second_try() {
        let clients = clients("[clients]\nbroken_transaction = \"retry\"\nretry.attempts = 3\n");
        assert_eq!(clients.broken_transaction, BrokenTransaction::Retry);
        assert_eq!(clients.json()["broken_transaction"], "retry");
        assert!(clients.lines()[1].ends_with("; broken transaction: retry"));
        let shown = refused("[clients]\nbroken_transaction = \"retry\"\n", &["workload.file=w"]);
        let problem = "clients.broken_transaction is \"retry\", but clients.retry.attempts allows no second try\n  at a.toml:2:22";
        assert!(shown.contains(problem), "{shown}");
    }

    #[test]
    fn a_session_comes_back_as_its_client_would() {
        let unwritten = clients("");
        assert_eq!((unwritten.reconnect, unwritten.reconnect_jitter), (Reconnect::AtOnce, 0.5));
        assert_eq!(unwritten.endpoint_lag, Duration::ZERO);
        let clients = clients("[clients]\nreconnect = \"on-demand\"\nreconnect_jitter = 1\nendpoint_lag = \"30s\"\n");
        assert_eq!((clients.reconnect, clients.reconnect_jitter), (Reconnect::OnDemand, 1.0));
        assert_eq!(clients.json()["endpoint_lag_ms"], 30_000.0);
        assert_eq!(
            clients.lines()[1],
            "reconnect on-demand after 50ms to 1s, jitter 1; endpoint lag 30s; broken transaction: skip"
        );
        let shown = refused("[clients]\nreconnect = \"lazily\"\nreconnect_jitter = 1.5\n", &["workload.file=w"]);
        for part in [
            "clients.reconnect cannot be \"lazily\"\n  at a.toml:2:13",
            "clients.reconnect_jitter must be a number between 0 and 1\n  at a.toml:3:20",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn what_is_no_sqlstate_is_pointed_at() {
        let text = "[clients.retry]\nsqlstates = [\"40001\", \"4\"]\nattempts = 0\nbackoff_max = \"1ms\"\n";
        let shown = refused(text, &["workload.file=w"]);
        for part in [
            "each of clients.retry.sqlstates must be a SQLSTATE, its class or \"connection\"\n  at a.toml:2:23",
            "clients.retry.attempts must lie between 1 and 100, and is 0\n  at a.toml:3:12",
            "clients.retry.backoff_max is shorter than clients.retry.backoff\n  at a.toml:4:15",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
