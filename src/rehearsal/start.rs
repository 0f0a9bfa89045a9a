//! A start that is agreed on beforehand, by the database's clock, so that machines whose clocks differ begin together.
//!
//! Takes the moment and the endpoint; measures how far the database's clock is from ours, waits until shortly before the
//! moment, measures again, and gives the instant. Must not know what starts then.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::timeout;

use super::signals::{Cancelled, wait};
use crate::facts::StartFacts;
use crate::server::connect::ConnectError;
use crate::server::control;
use crate::server::endpoint::Endpoint;
use crate::words::time::{RunClock, format_duration};

/// Everything is got ready in this time before the start: a last look at the clock, files, connections.
pub const GET_READY: Duration = Duration::from_secs(5);

/// What must be left of it when the last look at the clock is done: a start with less lead would be missed while the run
/// directory is begun.
const LEAD_MIN: Duration = Duration::from_secs(1);

/// A start further away than this is a mistake in the date.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Questions for the time; the answer with the shortest way there and back counts.
const ASKS: usize = 15;

const ASK_DEADLINE: Duration = Duration::from_secs(10);

/// Microseconds since 1970 by the database's clock.
const QUESTION: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Why the start cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not ask the database for its time")]
    Ask(#[source] ConnectError),
    #[error(
        "the start at {start_at} cannot be kept: by the database's clock it is {now}\n\
         hint: Choose a start that leaves every shard at least {} to get ready.",
        format_duration(GET_READY)
    )]
    Past { start_at: Timestamp, now: Timestamp },
    #[error(
        "the start at {start_at} is more than {} away: by the database's clock it is {now}",
        format_duration(AHEAD_MAX)
    )]
    Far { start_at: Timestamp, now: Timestamp },
}

/// The database's clock beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// Microseconds since 1970 that it showed.
    database_us: i64,
    /// When it did, by our monotonic clock, and by our wall clock: halfway between question and answer.
    at: Instant,
    wall_us: i64,
    round_trip: Duration,
}

impl Reading {
    /// The instant at which the database's clock shows `us`; none if that was before our own clock began.
    fn instant_of(&self, us: i64) -> Option<Instant> {
        let ahead_us = us.saturating_sub(self.database_us);
        let distance = Duration::from_micros(ahead_us.unsigned_abs());
        if ahead_us < 0 { self.at.checked_sub(distance) } else { self.at.checked_add(distance) }
    }
}

/// An agreed start.
#[derive(Clone, Debug)]
pub struct Start {
    pub at: Instant,
    start_at: Timestamp,
    reading: Reading,
}

impl Start {
    /// What `run.json` says of it; it lies at microsecond `workload_us` of the run.
    pub fn facts(&self, workload_us: u64) -> StartFacts {
        StartFacts {
            at: self.start_at.to_string(),
            workload_us,
            clock_offset_us: self.reading.database_us.saturating_sub(self.reading.wall_us),
            clock_round_trip_us: u64::try_from(self.reading.round_trip.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// The microsecond of the run that `clock` counts at which it lies.
    ///
    /// # Errors
    /// A start to which less than [`LEAD_MIN`] is left.
    pub fn place(&self, clock: RunClock) -> Result<u64, StartError> {
        let workload_us = clock.to_us(self.at);
        let lead_us = workload_us.saturating_sub(clock.now_us());
        if u128::from(lead_us) >= LEAD_MIN.as_micros() {
            return Ok(workload_us);
        }
        let now = timestamp(self.start_at.as_microsecond(), self.at.elapsed());
        let ahead = self.at.saturating_duration_since(Instant::now());
        Err(StartError::Past { start_at: self.start_at, now: now.checked_sub(ahead).unwrap_or(now) })
    }
}

/// Waits until [`GET_READY`] before the start. Gives the name of the signal that came first, if one did.
///
/// # Errors
/// A database that does not tell its time, a start in the past or too far away.
pub async fn await_start(
    start_at: Timestamp,
    endpoint: &Endpoint,
    cancelled: &mut Cancelled,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Result<Start, &'static str>, StartError> {
    let reading = tokio::select! {
        reading = ask(endpoint) => reading.map_err(StartError::Ask)?,
        signal = wait(cancelled) => return Ok(Err(signal)),
    };
    let ready_at = ready_at(&reading, start_at, Instant::now())?;
    say(&format!("waiting for the start at {start_at} by the database's clock"));
    tokio::select! {
        () = tokio::time::sleep_until(ready_at.into()) => {}
        signal = wait(cancelled) => return Ok(Err(signal)),
    }
    // Again, since clocks drift apart while one waits.
    let reading = tokio::select! {
        reading = ask(endpoint) => reading.map_err(StartError::Ask)?,
        signal = wait(cancelled) => return Ok(Err(signal)),
    };
    let start_us = start_at.as_microsecond();
    match reading.instant_of(start_us) {
        Some(at) => Ok(Ok(Start { at, start_at, reading })),
        None => Err(StartError::Past { start_at, now: timestamp(reading.database_us, reading.at.elapsed()) }),
    }
}

/// When everything is to be got ready.
fn ready_at(reading: &Reading, start_at: Timestamp, now: Instant) -> Result<Instant, StartError> {
    let database_now = || timestamp(reading.database_us, now.saturating_duration_since(reading.at));
    let start = reading.instant_of(start_at.as_microsecond());
    match start.and_then(|start| start.checked_sub(GET_READY)) {
        Some(ready) if ready > now + AHEAD_MAX => Err(StartError::Far { start_at, now: database_now() }),
        Some(ready) if ready >= now => Ok(ready),
        _ => Err(StartError::Past { start_at, now: database_now() }),
    }
}

fn timestamp(us: i64, later: Duration) -> Timestamp {
    let us = us.saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX));
    Timestamp::from_microsecond(us).unwrap_or_default()
}

/// Asks several times and keeps the answer whose time is known best.
async fn ask(endpoint: &Endpoint) -> Result<Reading, ConnectError> {
    let place = endpoint.current();
    let login = endpoint.control_login(endpoint.control_database());
    let asking = async {
        let session = control::connect(&place.target, &login, ASK_DEADLINE).await?;
        let question = session.prepare(QUESTION).await.map_err(|error| control::explain(&error))?;
        let mut best: Option<Reading> = None;
        for _ in 0..ASKS {
            let sent = Instant::now();
            let row = session.query_one(&question, &[]).await.map_err(|error| control::explain(&error))?;
            let round_trip = sent.elapsed();
            let since_us = i64::try_from(round_trip.as_micros() / 2).unwrap_or(i64::MAX);
            let wall_us = Timestamp::now().as_microsecond() - since_us;
            let reading = Reading { database_us: row.get(0), at: sent + round_trip / 2, wall_us, round_trip };
            best = Some(best.filter(|best| best.round_trip <= round_trip).unwrap_or(reading));
        }
        session.close().await;
        best.ok_or(ConnectError::TimedOut { within: ASK_DEADLINE })
    };
    timeout(ASK_DEADLINE, asking).await.unwrap_or(Err(ConnectError::TimedOut { within: ASK_DEADLINE }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A database whose clock is an hour before ours.
    fn reading(at: Instant) -> Reading {
        let database_us = "2026-01-05T09:00:00Z".parse::<Timestamp>().unwrap().as_microsecond();
        Reading { database_us, at, wall_us: database_us + 3_600_000_000, round_trip: Duration::from_micros(300) }
    }

    #[test]
    fn the_start_is_reckoned_by_the_database_s_clock() {
        let at = Instant::now();
        let start_at = "2026-01-05T09:01:00Z".parse::<Timestamp>().unwrap();
        let ready = ready_at(&reading(at), start_at, at).unwrap();
        assert_eq!(ready, at + Duration::from_secs(55));
        let start = Start { at: ready + GET_READY, start_at, reading: reading(at) };
        let facts = start.facts(7);
        assert_eq!((facts.clock_offset_us, facts.clock_round_trip_us, facts.workload_us), (-3_600_000_000, 300, 7));
        assert_eq!(facts.at, "2026-01-05T09:01:00Z");
    }

    #[test]
    fn a_start_that_came_too_near_while_all_was_got_ready_is_refused() {
        let now = Instant::now();
        let start_at = "2026-01-05T09:01:00Z".parse::<Timestamp>().unwrap();
        let place = |at| Start { at, start_at, reading: reading(now) }.place(RunClock::start());
        let ahead = place(now + Duration::from_secs(60)).unwrap();
        assert!(ahead > 0 && ahead <= 60_000_000, "{ahead}");
        for near in [now - Duration::from_secs(3), now, now + LEAD_MIN] {
            let error = place(near).unwrap_err().to_string();
            assert!(error.contains("the start at 2026-01-05T09:01:00Z cannot be kept"), "{error}");
        }
    }

    #[test]
    fn a_start_that_is_past_or_too_near_or_too_far_is_refused_with_the_database_s_time() {
        let at = Instant::now();
        let refused = |start_at: &str| ready_at(&reading(at), start_at.parse().unwrap(), at).unwrap_err().to_string();
        for near in ["2026-01-05T08:59:59Z", "2026-01-05T09:00:04Z", "1999-01-01T00:00:00Z"] {
            let error = refused(near);
            assert!(error.contains("cannot be kept") && error.contains("it is 2026-01-05T09:00:00Z"), "{error}");
        }
        assert!(refused("2026-01-06T10:00:00Z").contains("more than 24h away"));
    }
}
