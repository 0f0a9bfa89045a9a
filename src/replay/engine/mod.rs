//! The running replay: worker threads, each with its share of the sessions, each session a task of its own.
//!
//! ```text
//! run          the engine: starts the workers, gathers what they report
//! worker       one thread: opens its sessions at their times
//! session      one captured session: its requests in order, each when it is due, each booked once
//! rounds       the going through a session's requests, once or again
//! head         the request that is next
//! link         the session's connection: opened, lost, opened again, made what it was
//! pool         the connections that sessions share, where they do
//! lending      a session's share in them
//! read_only    what a replay that is to change nothing does instead
//! rest         the time without a connection of a session that waits for something to send
//! memory       what a new connection must be told: settings and the like
//! prepared     what a connection has prepared, and a request's messages accordingly
//! exchange     one request on a connection, up to its answer or to giving up
//! copying      a request that brings COPY data
//! giving_up    requests that are not sent: expired, or skipped with their transaction
//! retry        requests that are sent again, and when
//! block        transaction blocks that break: their rest is left, or they are run again
//! chance       what is left to chance, the same in every run
//! outcome      what an answer is worth
//! differences  where statements first answered otherwise
//! behind       the wait behind other tenants' statements
//! book         samples and counts on their way to the recorder
//! order        the wait for commits of other sessions
//! ids          ids that the server generates, from those who got them to those who send them
//! in_flight    who waits for an answer, second by second
//! schedule     the run's clock and the pace
//! timer        waiting for a moment of the run; alarm is what the system has for it
//! far          waiting for a deadline that hardly ever comes
//! stop         the end of the run, as sessions see it
//! ```

mod alarm;
mod behind;
mod block;
mod book;
mod chance;
mod copying;
mod differences;
mod exchange;
mod far;
mod giving_up;
mod head;
mod ids;
mod in_flight;
mod lending;
mod link;
mod memory;
mod order;
mod outcome;
mod pool;
mod prepared;
mod read_only;
mod rest;
mod retry;
mod rounds;
mod run;
mod schedule;
mod session;
mod stop;
mod timer;
mod worker;

pub use run::{Engine, EngineError, EngineReport, Settings};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
