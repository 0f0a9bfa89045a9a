//! The end of the run, as the sessions of one worker see it, and its moment.
//!
//! One task of the worker watches for it and tells the others, so that a session which looks once a request neither locks
//! nor registers anything. Must not know what anybody does at the end.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::sync::watch;

use crate::words::time::RunClock;

/// The end of the run, for one worker.
#[derive(Debug, Default)]
pub(super) struct RunEnd {
    /// Microsecond of the run at which it came.
    came_us: Cell<Option<u64>>,
    /// Who waits, each in a slot of its own.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl RunEnd {
    /// Waits until `stop` turns true, or its sender is gone; then tells everybody.
    pub async fn watch(&self, mut stop: watch::Receiver<bool>, clock: RunClock) {
        let _ = stop.wait_for(|stop| *stop).await;
        self.came_us.set(Some(clock.now_us()));
        self.waiting.borrow_mut().iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    /// Microsecond of the run at which it ended: what is due later is not offered.
    pub fn came_us(&self) -> Option<u64> {
        self.came_us.get()
    }

    /// One who may wait for the end.
    pub fn waiter(self: &Rc<Self>) -> Stop {
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(None);
            waiting.len() - 1
        });
        Stop { end: Rc::clone(self), slot }
    }
}

/// Waits for the one moment at which the run ends. A session keeps one for its whole life.
#[derive(Debug)]
pub(super) struct Stop {
    end: Rc<RunEnd>,
    slot: usize,
}

impl Stop {
    /// Returns when the run ends, at once ever after. Cancel-safe.
    pub fn requested(&mut self) -> impl Future<Output = ()> + '_ {
        poll_fn(|cx| {
            if self.is_requested() {
                return Poll::Ready(());
            }
            let waiting = &mut self.end.waiting.borrow_mut()[self.slot];
            if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waiting = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Whether the end has come.
    pub fn is_requested(&self) -> bool {
        self.end.came_us.get().is_some()
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.end.waiting.borrow_mut()[self.slot] = None;
        self.end.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn everybody_hears_of_the_end_and_a_slot_is_used_again() {
        let end = Rc::new(RunEnd::default());
        let (sender, receiver) = watch::channel(false);
        drop(end.waiter());
        let (mut one, mut other) = (end.waiter(), end.waiter());
        assert_eq!(end.waiting.borrow().len(), 2);
        let told = async {
            assert!(!one.is_requested());
            sender.send_replace(true);
            one.requested().await;
            other.requested().await;
        };
        tokio::join!(told, end.watch(receiver, RunClock::start()));
        assert!(one.is_requested() && end.came_us().is_some());
        end.waiter().requested().await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_run_whose_head_is_gone_has_ended() {
        let end = Rc::new(RunEnd::default());
        let mut stop = end.waiter();
        let (sender, receiver) = watch::channel(false);
        drop(sender);
        tokio::join!(stop.requested(), end.watch(receiver, RunClock::start()));
        assert!(stop.is_requested());
    }
}
