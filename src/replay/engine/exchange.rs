//! One request on a connection: sent, then awaited up to its answer or to the moment at which its client gives up.
//!
//! Takes what is to be written and the client's patience; gives what came. Must not know what the answer is worth.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::copying::Copying;
use super::far::FarTimer;
use super::stop::Stop;
use crate::net::Target;
use crate::scenario::resolved::OnDeadline;
use crate::server::{ConnectError, Connection, ReplySummary, cancel_request};
use crate::words::time::now;

/// When the run ends, requests that are in flight get this long to be answered.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// How long a client waits for an answer, and what it does then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub deadline: Duration,
    pub abandon: Duration,
    pub on_deadline: OnDeadline,
    /// How long after its start the captured client asked for a cancellation.
    pub cancel_after: Option<Duration>,
    /// How long a cancel request may take.
    pub cancel_within: Duration,
}

impl Patience {
    /// Whether a cancel request may go out, for which the session waits even when it has its answer.
    pub fn may_cancel(&self) -> bool {
        self.cancel_after.is_some() || self.on_deadline == OnDeadline::Cancel
    }

    /// When cancel requests are due: the captured one, and one at the deadline where that is asked for.
    fn cancels(&self, sent_at: Instant) -> impl Iterator<Item = Instant> + use<> {
        let captured = self.cancel_after;
        let at_deadline = (self.on_deadline == OnDeadline::Cancel).then_some(self.deadline);
        let in_order = match (captured, at_deadline) {
            (Some(captured), Some(deadline)) => [Some(captured.min(deadline)), Some(captured.max(deadline))],
            (one, other) => [one.or(other), None],
        };
        in_order.into_iter().flatten().map(move |after| sent_at + after)
    }
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(ReplySummary),
    /// The connection ended before the reply did.
    Lost(ConnectError),
    GivenUp(GivenUp),
}

/// Why nobody waits any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// `on_deadline = "disconnect"`, or `abandon` passed.
    TooLong,
    /// The run ended, and the answer had still time.
    RunEnded,
}

/// Hands what was written to the socket and gives the moment of its first byte; none when the socket took it for too long.
pub(super) async fn hand_over(
    connection: &mut Connection,
    patience: &Patience,
    timer: &mut FarTimer,
) -> Option<Result<Instant, ConnectError>> {
    let within = patience.abandon.max(patience.deadline);
    tokio::select! {
        biased;
        sent = connection.send() => Some(sent),
        // Not even the clock is asked unless the socket is full.
        () = async { timer.until(now() + within).await } => None,
    }
}

/// Waits for the reply to what was handed to the socket at `sent_at`, and gives the data of its COPYs meanwhile; a cancel
/// request goes to `cancels_at`, the server that the connection leads to.
pub(super) async fn await_reply(
    connection: &mut Connection,
    mut copying: Option<Copying<'_>>,
    sent_at: Instant,
    patience: &Patience,
    cancels_at: &Target,
    (stop, timer): (&mut Stop, &mut FarTimer),
) -> Answer {
    let deadline_at = sent_at + patience.deadline;
    let mut give_up_at = match patience.on_deadline {
        OnDeadline::Disconnect => deadline_at,
        OnDeadline::Wait | OnDeadline::Cancel => sent_at + patience.abandon.max(patience.deadline),
    };
    let mut why = GivenUp::TooLong;
    let can_cancel = connection.cancel_key().is_some();
    let mut cancels = patience.cancels(sent_at).filter(|_| can_cancel);
    let mut cancel_at = cancels.next();
    let mut cancelling: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
    let mut ending = false;
    let answer = loop {
        let wake_at = cancel_at.map_or(give_up_at, |at| at.min(give_up_at));
        tokio::select! {
            biased;
            reply = read_reply(connection, &mut copying) => break reply.map_or_else(Answer::Lost, Answer::Reply),
            () = stop.requested(), if !ending => {
                ending = true;
                let drained_at = now() + DRAIN;
                if drained_at < give_up_at {
                    give_up_at = drained_at;
                    if drained_at < deadline_at {
                        why = GivenUp::RunEnded;
                    }
                }
            }
            () = finished(&mut cancelling), if cancelling.is_some() => cancelling = None,
            () = timer.until(wake_at) => {
                if cancel_at.is_none() || now() >= give_up_at {
                    break Answer::GivenUp(why);
                }
                cancel_at = cancels.next();
                cancelling = Some(Box::pin(cancel(connection, cancels_at, patience.cancel_within)));
            }
        }
    };
    // A cancel request that is still on its way must not meet the session's next statement, if there is to be one.
    if matches!(answer, Answer::Reply(_)) && cancelling.is_some() {
        tokio::select! {
            () = finished(&mut cancelling) => {}
            () = stop.requested() => {}
        }
    }
    answer
}

async fn read_reply(
    connection: &mut Connection,
    copying: &mut Option<Copying<'_>>,
) -> Result<ReplySummary, ConnectError> {
    match copying {
        Some(copying) => copying.read_reply(connection).await,
        None => connection.read_reply().await,
    }
}

async fn finished(task: &mut Option<Pin<Box<dyn Future<Output = ()>>>>) {
    if let Some(task) = task {
        task.await;
    }
}

/// Asks for the session's cancellation; whether it worked shows in the session's own answer.
fn cancel(connection: &Connection, target: &Target, within: Duration) -> impl Future<Output = ()> + use<> {
    let key = connection.cancel_key().cloned();
    let target = target.clone();
    async move {
        if let Some(key) = key {
            let _ = cancel_request(&target, &key, within).await;
        }
    }
}
