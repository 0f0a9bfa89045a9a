//! What a log's entries become, told as short logs.

use std::borrow::Cow;

use super::super::event::{Event, Execute, Request, Sent, Value};
use super::super::sort::Sorter;
use super::assembler::{Assembled, Assembler};
use super::entry::{LogEntry, SessionKey, Severity};
use super::tally::Reason;
use crate::tenant::Rules;

/// The log of one server, entry by entry. Every entry is a millisecond after the one before.
struct Log {
    assembler: Assembler,
    directory: tempfile::TempDir,
    time_us: i64,
    process: u32,
    tag: &'static [u8],
}

/// The second in which the log begins and every process starts.
const START_S: i64 = 1_000;

impl Log {
    fn new(rules: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rules = Rules::parse(rules.iter().copied()).unwrap();
        let assembler = Assembler::new(rules, Sorter::new(directory.path()));
        Self { assembler, directory, time_us: START_S * 1_000_000, process: 7, tag: b"SELECT" }
    }

    fn entry(&mut self, severity: Severity, change: impl FnOnce(&mut LogEntry<'_>)) -> &mut Self {
        self.time_us += 1_000;
        let mut entry = LogEntry {
            at: (0, u64::try_from(self.time_us / 1_000 - START_S * 1_000).unwrap()),
            time_us: self.time_us,
            session: SessionKey { started_s: START_S, process: self.process },
            background: false,
            user: Cow::Borrowed(b"app"),
            database: Cow::Borrowed(b"shop"),
            application_name: Cow::Borrowed(b""),
            command_tag: self.tag,
            severity,
            sqlstate: None,
            message: Cow::Borrowed(b""),
            detail: Cow::Borrowed(b""),
            values_whole: false,
            context: Cow::Borrowed(b""),
            query: Cow::Borrowed(b""),
        };
        change(&mut entry);
        self.assembler.push(&entry).unwrap();
        self
    }

    /// Later entries come from another process.
    fn process(&mut self, process: u32) -> &mut Self {
        self.process = process;
        self
    }

    /// Later entries come from a process that shows this title.
    fn tag(&mut self, tag: &'static [u8]) -> &mut Self {
        self.tag = tag;
        self
    }

    fn log(&mut self, message: &'static str) -> &mut Self {
        self.detailed(message, "")
    }

    fn detailed(&mut self, message: &'static str, detail: &'static str) -> &mut Self {
        self.entry(Severity::Log, |entry| {
            entry.message = Cow::Borrowed(message.as_bytes());
            entry.detail = Cow::Borrowed(detail.as_bytes());
        })
    }

    fn error(&mut self, sqlstate: &str, query: &'static str) -> &mut Self {
        self.entry(Severity::Error { session_ends: false }, |entry| {
            entry.sqlstate = Some(sqlstate.parse().unwrap());
            entry.query = Cow::Borrowed(query.as_bytes());
        })
    }

    fn finish(self) -> (Vec<(i64, u32, Event)>, Assembled) {
        let mut assembled = self.assembler.finish().unwrap();
        let mut events = Vec::new();
        while let Some((key, event)) = assembled.events.next_event().unwrap() {
            events.push((key.time_us - START_S * 1_000_000, key.session, event));
        }
        drop(self.directory);
        (events, assembled)
    }

    fn requests(self) -> Vec<(i64, Request)> {
        let (events, _) = self.finish();
        events
            .into_iter()
            .filter_map(|(time_us, _, event)| match event {
                Event::Request(request) => Some((time_us, *request)),
                _ => None,
            })
            .collect()
    }
}

/// How the extended protocol executed it, if it did.
fn execution(request: &Request) -> Option<&Execute> {
    match &request.sent {
        Sent::Execute(execute) => Some(execute),
        _ => None,
    }
}

fn total_us(request: &Request) -> Option<u64> {
    request.results.first()?.total_us
}

fn texts(requests: &[(i64, Request)]) -> Vec<&str> {
    requests.iter().map(|(_, request)| std::str::from_utf8(request.first_sql()).unwrap()).collect()
}

#[test]
fn a_statement_counts_once_in_every_style() {
    for lines in [
        ["statement: select 1", ""],
        ["duration: 0.500 ms  statement: select 1", ""],
        ["statement: select 1", "duration: 0.500 ms"],
        ["execute <unnamed>: select 1", "duration: 0.500 ms"],
    ] {
        let mut log = Log::new(&["database"]);
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            log.log(line);
        }
        log.log("statement: select 2");
        assert_eq!(texts(&log.requests()), ["select 1", "select 2"], "{lines:?}");
    }
}

#[test]
fn a_line_stamped_at_the_end_goes_back_to_the_start() {
    let mut log = Log::new(&["database"]);
    log.process(8).log("statement: begin").process(7).log("duration: 1.500 ms  statement: select 1");
    let requests = log.requests();
    assert_eq!(texts(&requests), ["select 1", "begin"]);
    assert_eq!((requests[0].0, total_us(&requests[0].1)), (500, Some(1_500)));
    assert_eq!((requests[1].0, total_us(&requests[1].1)), (1_000, None));
}

#[test]
fn a_statement_of_hours_starts_a_minute_before_the_log_at_most() {
    let mut log = Log::new(&["database"]);
    log.log("duration: 7200000.000 ms  statement: vacuum");
    assert_eq!(log.requests()[0].0, 1_000 - 60_000_000);
}

#[test]
fn a_session_keeps_its_order_whatever_its_durations_say() {
    let mut log = Log::new(&["database"]);
    log.log("statement: a").log("duration: 9.000 ms  statement: b").log("statement: c");
    let requests = log.requests();
    assert_eq!(texts(&requests), ["a", "b", "c"]);
    assert!(requests.iter().map(|(_, request)| request.sequence).eq(0..3));
}

#[test]
fn parse_and_bind_are_part_of_their_execution() {
    let mut log = Log::new(&["database"]);
    log.log("duration: 0.1 ms  parse S_1: select $1, $2")
        .detailed("duration: 0.1 ms  bind S_1/C_1: select $1, $2", "Parameters: $1 = 'a', $2 = NULL")
        .detailed("duration: 0.1 ms  execute S_1/C_1: select $1, $2", "parameters: $1 = 'a', $2 = NULL")
        .log("duration: 0.1 ms  execute fetch from S_1/C_1: select $1, $2");
    let (events, assembled) = log.finish();
    let [_, (_, _, Event::Request(request)), _] = events.as_slice() else { panic!("{events:?}") };
    let extended = execution(request).unwrap();
    assert_eq!((extended.statement.as_slice(), extended.portal.as_slice()), (b"S_1".as_slice(), b"C_1".as_slice()));
    assert_eq!(extended.parameters, [Value::Text(b"a".to_vec()), Value::Null]);
    assert_eq!(assembled.tally.skipped(Reason::PortalFetch), 1);
}

#[test]
fn an_error_belongs_to_the_statement_that_was_logged() {
    let mut log = Log::new(&["database"]);
    log.log("statement: select 1/0").error("22012", "select 1/0").log("statement: select 2");
    let requests = log.requests();
    assert_eq!(texts(&requests), ["select 1/0", "select 2"]);
    assert_eq!(requests[0].1.sqlstate(), Some("22012".parse().unwrap()));
    assert_eq!(requests[1].1.sqlstate(), None);
}

#[test]
fn an_error_without_another_line_is_the_execution() {
    let mut log = Log::new(&["database"]);
    log.log("duration: 0.1 ms  statement: select 1").error("42601", "selec 2").error("25P02", "select 3");
    assert_eq!(texts(&log.requests()), ["select 1", "selec 2", "select 3"]);
}

#[test]
fn a_failed_execution_takes_the_parameters_of_its_bind() {
    let mut log = Log::new(&["database"]);
    log.detailed("duration: 0.1 ms  bind ins: insert into t values ($1)", "Parameters: $1 = '1'")
        .tag(b"INSERT")
        .error("23505", "insert into t values ($1)");
    let requests = log.requests();
    let extended = execution(&requests[0].1).unwrap();
    assert_eq!((extended.statement.as_slice(), extended.parameters.len()), (b"ins".as_slice(), 1));
}

#[test]
fn a_failed_parse_or_bind_is_not_the_execution_before_it() {
    let mut log = Log::new(&["database"]);
    log.detailed("execute ins: insert into t values ($1)", "Parameters: $1 = '1'")
        .tag(b"BIND")
        .error("22P02", "insert into t values ($1)");
    let requests = log.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].1.sqlstate(), execution(&requests[0].1).is_some()), (None, true));
    // Nothing tells its parameters: as a simple query it fails as it did, and writes nothing.
    assert_eq!((requests[1].1.sqlstate().is_some(), execution(&requests[1].1).is_some()), (true, false));
}

#[test]
fn parameters_of_an_error_may_stand_in_its_context() {
    let mut log = Log::new(&["database"]);
    log.entry(Severity::Error { session_ends: false }, |entry| {
        entry.sqlstate = Some("22012".parse().unwrap());
        entry.query = Cow::Borrowed(b"select f($1, $2)");
        entry.context = Cow::Borrowed(b"SQL function f\nunnamed portal with parameters: $1 = '7', $2 = NULL\nmore");
    });
    let requests = log.requests();
    assert_eq!(execution(&requests[0].1).unwrap().parameters, [Value::Text(b"7".to_vec()), Value::Null]);
}

#[test]
fn what_is_not_whole_is_skipped_and_never_replayed() {
    let mut log = Log::new(&["database"]);
    log.detailed("execute b: select $1", "Parameters: $1 = '\\x25......0a'")
        .log("execute c: select $1")
        .detailed("execute d: select $1", "Parameters: $1 = 'open")
        .log("statement: copy t from stdin")
        .log("statement: begin; copy t (a) from STDIN csv; commit")
        .log("fastpath function call: \"lo_open\" (OID 952)")
        .log("duration: 0.1 ms")
        .log("statement: insert into t values ('from stdin')");
    let (events, Assembled { tally, .. }) = log.finish();
    assert_eq!(events.len(), 2 + 3, "a request, two COPY, opening and closing: {events:?}");
    for (reason, count) in [
        (Reason::ParameterElided, 1),
        (Reason::ParametersMissing, 1),
        (Reason::ParametersUnreadable, 1),
        (Reason::FastPath, 1),
    ] {
        assert_eq!(tally.skipped(reason), count, "{reason:?}");
    }
}

/// A prefix without `%i` does not say what a process was doing.
#[test]
fn durations_of_parse_and_bind_are_no_lost_statements() {
    let parse_bind_execute = |log: &mut Log, sql: &'static str| {
        log.tag(b"").log("duration: 0.1 ms").log("duration: 0.2 ms").log(sql).log("duration: 0.3 ms");
    };
    // log_statement = mod with log_duration: of what is logged when it begins, all is known.
    let mut log = Log::new(&["database"]);
    parse_bind_execute(&mut log, "execute <unnamed>: insert into t values (1)");
    log.log("duration: 0.4 ms");
    let (_, assembled) = log.finish();
    assert_eq!(assembled.tally.skipped(Reason::DurationWithoutStatement), 1);
    // log_statement = all: a session that only prepared something lost nothing.
    let mut log = Log::new(&["database"]);
    log.process(8).tag(b"").log("duration: 0.1 ms").log("duration: 0.1 ms").log("duration: 0.1 ms").process(7);
    parse_bind_execute(&mut log, "execute <unnamed>: select 1");
    let (_, assembled) = log.finish();
    assert!(assembled.tally.skipped_by_name().is_empty());
    assert!(assembled.tally.aside_by_name().contains(&("parse and bind", 5)));
}

#[test]
fn whether_a_value_in_dots_is_whole_is_decided_when_the_log_is_read() {
    let mut log = Log::new(&["database"]);
    log.detailed("execute a: select $1", "Parameters: $1 = 'Loading...'")
        .detailed("execute b: select $1", "Parameters: $1 = 'a value of some length'")
        .detailed("execute c: select $1", "Parameters: $1 = 'a value of a greater length...'");
    let (events, assembled) = log.finish();
    let cut: Vec<_> = events
        .iter()
        .filter_map(|(_, _, event)| match event {
            Event::Request(request) => request.possible_cut,
            _ => None,
        })
        .map(|cut| assembled.longest.may_be_cut(cut))
        .collect();
    assert_eq!(cut, [false, true]);
}

#[test]
fn sessions_open_and_close_as_logged() {
    let mut log = Log::new(&["database"]);
    log.log("connection received: host=1.2.3.4 port=5")
        .log("connection authorized: user=app database=shop application_name=web")
        .log("statement: select 1")
        .log("disconnection: session time: 0:00:00.005 user=app database=shop host=1.2.3.4 port=5")
        .process(8)
        .log("connection received: host=1.2.3.4 port=6")
        .entry(Severity::Error { session_ends: true }, |_| {});
    let (events, assembled) = log.finish();
    let [(1_000, 0, Event::Open(opening)), (3_000, 0, Event::Request(_)), (4_000, 0, Event::Close)] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(opening.parameters["application_name"], "web");
    assert!(!opening.began_before_capture);
    assert_eq!(assembled.tally.skipped(Reason::FailedLogin), 1);
}

#[test]
fn a_session_from_before_opens_with_its_first_request() {
    let mut log = Log::new(&["database"]);
    log.entry(Severity::Log, |entry| {
        entry.session.started_s = START_S - 60;
        entry.message = Cow::Borrowed(b"statement: select 1");
    });
    let (events, _) = log.finish();
    // Without a single disconnection line the session is closed behind its last request.
    let [(1_000, 0, Event::Open(opening)), (_, 0, Event::Request(_)), (1_000, 0, Event::Close)] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(opening.began_before_capture);
}

#[test]
fn a_process_id_that_comes_again_is_another_session() {
    let mut log = Log::new(&["database"]);
    log.log("statement: select 1").log("disconnection: session time: 0:00:00.001");
    log.entry(Severity::Log, |entry| {
        entry.session.started_s += 1;
        entry.message = Cow::Borrowed(b"statement: select 2");
    });
    let (events, assembled) = log.finish();
    assert_eq!(assembled.counts.sessions, 2);
    // Ends are logged, so the second session lived on.
    assert_eq!(events.iter().filter(|(_, _, event)| *event == Event::Close).count(), 1);
}

#[test]
fn a_cancel_follows_the_request_that_it_cancelled() {
    let mut log = Log::new(&["database"]);
    log.log("statement: select pg_sleep(9)").entry(Severity::Error { session_ends: false }, |entry| {
        entry.sqlstate = Some("57014".parse().unwrap());
        entry.message = Cow::Borrowed(b"canceling statement due to user request");
        entry.query = Cow::Borrowed(b"select pg_sleep(9)");
    });
    let (events, _) = log.finish();
    assert!(
        matches!(events.as_slice(), [_, (1_000, _, Event::Request(_)), (2_000, _, Event::Cancel), _]),
        "{events:?}"
    );
}

#[test]
fn an_idle_session_that_the_server_ends_fails_no_statement() {
    let mut log = Log::new(&["database"]);
    log.log("statement: select 1").tag(b"idle").entry(Severity::Error { session_ends: true }, |entry| {
        entry.sqlstate = Some("57P01".parse().unwrap());
    });
    assert_eq!(log.requests()[0].1.sqlstate(), None);
}

#[test]
fn tenants_are_numbered_as_they_are_found_and_shared_within_a_transaction() {
    let mut log = Log::new(&["tag:tenant", "schema"]);
    log.log("statement: begin")
        .log("statement: /* tenant=acme */ select 1")
        .log("statement: commit")
        .log("statement: select 1 from bolt.t")
        .process(8)
        .log("statement: select 1");
    let (events, assembled) = log.finish();
    let tenants: Vec<_> = events
        .iter()
        .filter_map(|(_, _, event)| match event {
            Event::Request(request) => Some(request.tenant),
            _ => None,
        })
        .collect();
    assert_eq!(tenants, [Some(0), Some(0), Some(0), Some(1), None]);
    assert_eq!(assembled.tenants, [("acme".to_owned(), 3), ("bolt".to_owned(), 1)]);
    assert_eq!(assembled.counts.without_tenant, 1);
}

#[test]
fn the_servers_own_processes_send_no_requests() {
    let mut log = Log::new(&["database"]);
    log.log("statement: select 1");
    for message in ["checkpoint starting: time", "statement: select replication"] {
        log.entry(Severity::Log, |entry| {
            entry.background = true;
            entry.message = Cow::Borrowed(message.as_bytes());
        });
    }
    let (_, assembled) = log.finish();
    assert_eq!(assembled.counts.requests(), 1);
    assert_eq!(assembled.tally.skipped(Reason::Replication), 1);
}
