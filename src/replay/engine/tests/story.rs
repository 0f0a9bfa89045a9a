//! A short workload told line by line, and its replay.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::stand_in::StandIn;
use crate::net::Target;
use crate::record::{self, Item};
use crate::replay::pace::Pace;
use crate::replay::spool::{DatabaseNames, Spool};
use crate::replay::{Engine, EngineReport, Settings};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::scenario::resolved::{BrokenTransaction, Clients, OnDeadline, Reconnect, Retry, Speed};
use crate::server::Login;
use crate::server::endpoint::{Endpoint, Logins};
use crate::sql;
use crate::timeline::What;
use crate::words::sqlstate::SqlState;
use crate::words::time::RunClock;

/// Far more than any of these replays takes.
pub(super) const PATIENT: Duration = Duration::from_secs(60);

/// Clients that wait for ever.
pub(super) const CLIENTS: Clients = Clients {
    deadline: PATIENT,
    on_deadline: OnDeadline::Wait,
    abandon: PATIENT,
    connect_timeout: PATIENT,
    reconnect_first: Duration::from_millis(1),
    reconnect_last: Duration::from_millis(5),
    reconnect_jitter: 0.5,
    reconnect: Reconnect::AtOnce,
    endpoint_lag: Duration::ZERO,
    broken_transaction: BrokenTransaction::Skip,
    retry: Retry::NONE,
    pool: None,
};

/// A workload in the making. Times are milliseconds; tenant 0 is `acme`, 1 is `bolt`.
pub(super) struct Story {
    lines: Vec<Value>,
    span_ms: u64,
    pub clients: Clients,
    pub pace: Pace,
    pub order_wait: Option<Duration>,
}

/// Everything that a replay left.
pub(super) struct Replayed {
    pub report: EngineReport,
    pub samples: Vec<Sample>,
    pub events: Vec<What>,
}

impl Story {
    pub fn new(clients: Clients) -> Self {
        let tenant = |id, name| json!({"kind": "tenant", "id": id, "name": name});
        let lines = vec![tenant(0, "acme"), tenant(1, "bolt")];
        Self { lines, span_ms: 0, clients, pace: Pace::new(Speed::Factor(1.0), 1), order_wait: None }
    }

    /// A session of user `u` in database `app` that was there when the capture began.
    pub fn session(mut self, session: u32) -> Self {
        self.lines.push(json!({"kind": "open", "t_us": 0, "session": session, "database": "app", "user": "u",
            "began_before_capture": true}));
        self
    }

    /// A session of user `u` in database `app` that began during the capture.
    pub fn opened(mut self, at_ms: u64, session: u32) -> Self {
        self.lines
            .push(json!({"kind": "open", "t_us": at_ms * 1_000, "session": session, "database": "app", "user": "u"}));
        self
    }

    /// The session before sent these startup parameters.
    pub fn started_with(self, parameters: Value) -> Self {
        self.with("parameters", parameters)
    }

    /// The session before had these settings when the capture began.
    pub fn carries_in(self, settings: Value) -> Self {
        self.with("state", json!({ "settings": settings }))
    }

    /// A simple query of tenant `acme`.
    pub fn query(self, at_ms: u64, session: u32, sql: &str) -> Self {
        let sent = json!({"simple": {"sql": inline(sql)}});
        self.request(at_ms, session, sent)
    }

    /// An execution of a named statement.
    pub fn execute(self, at_ms: u64, session: u32, statement: &str, sql: &str) -> Self {
        let sent = json!({"execute": {"sql": inline(sql), "statement": statement, "parameters": ["7"]}});
        self.request(at_ms, session, sent)
    }

    /// Exact messages, as a workload writes them.
    pub fn messages(self, at_ms: u64, session: u32, messages: Value) -> Self {
        self.request(at_ms, session, json!({ "messages": messages }))
    }

    /// What came back for each statement of the request before.
    pub fn results(self, results: Value) -> Self {
        self.with("results", results)
    }

    /// The request before failed in the capture.
    pub fn failed_with(self, sqlstate: &str) -> Self {
        self.with("results", json!([{"sqlstate": sqlstate}]))
    }

    /// The request before took this long in the capture, so that its deadline is three times as far.
    pub fn took(self, total_ms: u64) -> Self {
        self.with("results", json!([{"total_us": total_ms * 1_000}]))
    }

    /// The request before is of tenant `bolt`.
    pub fn of_bolt(self) -> Self {
        self.with("tenant", json!(1))
    }

    /// The line of the captured file in which the request before stands.
    pub fn at(self, line: u64) -> Self {
        self.with("at", json!([0, line]))
    }

    /// Data that the client of the request before sent, and how it ended the COPY.
    pub fn data(mut self, at_ms: u64, session: u32, data: &str, ended: Option<&str>) -> Self {
        let is_request = |line: &&Value| line["kind"] == "request" && line["session"] == session;
        let sequence = self.lines.iter().rfind(is_request).unwrap()["sequence"].clone();
        let mut line = json!({"kind": "copy", "t_us": at_ms * 1_000, "session": session, "sequence": sequence,
            "from_client": true, "base64": STANDARD.encode(data)});
        merge(&mut line, ended.map_or(json!({}), |ended| json!({ "ended": ended })));
        self.lines.push(line);
        self
    }

    /// The session's client asks for its cancellation.
    pub fn cancel(mut self, at_ms: u64, session: u32) -> Self {
        self.lines.push(json!({"kind": "cancel", "t_us": at_ms * 1_000, "session": session}));
        self
    }

    pub fn close(mut self, at_ms: u64, session: u32) -> Self {
        self.lines.push(json!({"kind": "close", "t_us": at_ms * 1_000, "session": session}));
        self
    }

    /// The spool of what was told.
    pub fn spool(&self) -> Spool {
        let mut lines = self.lines.clone();
        lines.push(json!({"kind": "end", "sessions": 0, "requests": 0, "tenants": 2, "span_us": self.span_ms * 1_000}));
        Spool::from_lines(&lines, DatabaseNames::new())
    }

    /// Replays it to its end against a stand-in.
    pub async fn replay(&self, server: &StandIn) -> Replayed {
        self.replay_at(&endpoint(server.target()), std::future::pending()).await
    }

    /// Replays it until its end or until `stops` is ready.
    pub async fn replay_at(&self, endpoint: &Endpoint, stops: impl Future<Output = ()>) -> Replayed {
        let spool = self.spool();
        let (recorder, items) = record::channel(RunClock::start());
        let settings = Settings {
            pace: self.pace.clone(),
            clients: self.clients.clone(),
            order_wait: self.order_wait,
            starts_us: recorder.clock().now_us(),
            workers: 2,
        };
        let (stop, stopped) = watch::channel(false);
        let mut engine = Engine::start(&spool, &settings, endpoint, &recorder, stopped).unwrap();
        drop(recorder);
        let report = tokio::select! {
            report = engine.finished() => report,
            () = stops => {
                stop.send_replace(true);
                engine.finished().await
            }
        };
        let (samples, events) = sorted(&items);
        Replayed { report: report.unwrap(), samples, events }
    }

    /// Replays it at an endpoint that leads from `old` to `new` once the old server has heard `heard`.
    pub async fn replay_through_switch(&self, old: &StandIn, new: &StandIn, heard: &str) -> Replayed {
        let place = endpoint(old.target());
        let switching = async {
            old.until_heard(heard).await;
            place.switch(new.target(), "new");
            std::future::pending().await
        };
        self.replay_at(&place, switching).await
    }

    fn request(mut self, at_ms: u64, session: u32, sent: Value) -> Self {
        let sequence = self.lines.len();
        let mut line = json!({"kind": "request", "t_us": at_ms * 1_000, "session": session, "sequence": sequence,
            "tenant": 0});
        merge(&mut line, sent);
        self.lines.push(line);
        self.span_ms = self.span_ms.max(at_ms);
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        merge(self.lines.last_mut().unwrap(), json!({ key: value }));
        self
    }
}

impl Replayed {
    /// The requests' outcomes by session, in the order of the capture.
    pub fn outcomes(&self, session: u32) -> Vec<Outcome> {
        self.requests(session).iter().map(|sample| sample.outcome).collect()
    }

    /// The requests of a session in the order of the capture.
    pub fn requests(&self, session: u32) -> Vec<&Sample> {
        let is_wanted = |sample: &&Sample| sample.kind == SampleKind::Request && sample.session == session;
        self.samples.iter().filter(is_wanted).collect()
    }

    /// The tries to connect.
    pub fn connects(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.kind == SampleKind::Connect)
    }
}

/// The endpoint `primary` that leads there.
pub(super) fn endpoint(target: Target) -> Endpoint {
    Endpoint::new("primary", target, "old", Logins::default(), Login::new("u", "app"))
}

pub(super) fn sqlstate(code: &str) -> Option<SqlState> {
    Some(code.parse().unwrap())
}

pub(super) fn inline(sql: &str) -> Value {
    json!({"text": sql, "fingerprint": sql::fingerprint(sql), "class": sql::classify(sql)})
}

fn merge(line: &mut Value, more: Value) {
    let (Value::Object(line), Value::Object(more)) = (line, more) else { panic!("not objects") };
    line.extend(more);
}

fn sorted(items: &Receiver<Item>) -> (Vec<Sample>, Vec<What>) {
    let (mut samples, mut events) = (Vec::new(), Vec::new());
    for item in items.try_iter() {
        match item {
            Item::Samples(batch) => samples.extend(batch),
            Item::Event(event) => events.push(event.what),
            Item::Ledger(_) => {}
        }
    }
    samples.sort_by_key(|sample| (sample.session, sample.event));
    (samples, events)
}
