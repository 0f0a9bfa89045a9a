//! A timer for moments that hardly ever come: the deadlines of requests that are answered long before.
//!
//! To set and clear the runtime's timer for each request costs more than all else that is done for its deadline. This one
//! stays set to an earlier request's deadline, and is set on only when that has passed. Must not know what it is for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// One session's timer.
#[derive(Debug, Default)]
pub(super) struct FarTimer {
    /// None until it is needed for the first time.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl FarTimer {
    /// Waits until `at`, rounded up to a millisecond as the runtime does. Cancel-safe.
    pub fn until(&mut self, at: Instant) -> impl Future<Output = ()> + '_ {
        poll_fn(move |cx| {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
            if sleep.deadline() > at.into() {
                sleep.as_mut().reset(at.into());
            }
            while sleep.as_mut().poll(cx).is_ready() {
                if sleep.deadline() >= at.into() {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(at.into());
            }
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn it_ends_no_earlier_than_asked_for_whatever_was_asked_before() {
        let mut timer = FarTimer::default();
        let zero = Instant::now();
        for (given_up_ms, asked_ms) in [(5, 8), (60_000, 19), (15, 21), (40, 40), (1, 50)] {
            let earlier = timer.until(zero + Duration::from_millis(given_up_ms));
            // Polled once, then dropped: its request was answered.
            tokio::select! { biased; () = earlier => {}, () = std::future::ready(()) => {} }
            timer.until(zero + Duration::from_millis(asked_ms)).await;
            assert!(zero.elapsed() >= Duration::from_millis(asked_ms));
        }
        // The minute that was asked for first was not waited for.
        assert!(zero.elapsed() < Duration::from_secs(60));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_moment_that_has_passed_is_over() {
        let mut timer = FarTimer::default();
        timer.until(Instant::now()).await;
        timer.until(Instant::now() - Duration::from_millis(1)).await;
    }
}
