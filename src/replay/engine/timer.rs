//! The moments that a worker's sessions wait for: one heap of them all, and one alarm set to the earliest.
//!
//! Takes moments of the run, and wakes whoever waits when they have come: no earlier, and later by no more than the system
//! needs to wake a thread. The timers of the runtime round up to a millisecond, which is as long as many a statement.
//! Must not know what is waited for.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::alarm::Alarm;
use crate::words::time::RunClock;

/// Tickets that nobody holds any more are swept out when they are as many as those that somebody does, and this many more.
const STALE_MAX: usize = 64;

/// One worker's timer. Its waits end only while [`Timer::run`] runs.
#[derive(Debug)]
pub(super) struct Timer {
    clock: RunClock,
    alarm: Alarm,
    waiting: RefCell<Waiting>,
    /// What the alarm is set to.
    alarm_us: Cell<Option<u64>>,
}

impl Timer {
    /// A timer of the runtime that this thread is in.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn new(clock: RunClock) -> io::Result<Self> {
        Ok(Self::with_alarm(clock, Alarm::new()?))
    }

    /// A timer that goes by this alarm.
    pub fn with_alarm(clock: RunClock, alarm: Alarm) -> Self {
        Self { clock, alarm, waiting: RefCell::default(), alarm_us: Cell::new(None) }
    }

    /// Waits until microsecond `at_us` of the run; for ever when there is none. Cancel-safe.
    pub fn until(&self, at_us: Option<u64>) -> Until<'_> {
        Until { timer: self, at_us, ticket: None }
    }

    /// Wakes those whose moment has come, for ever.
    ///
    /// # Errors
    /// The alarm does not work.
    pub async fn run(&self) -> io::Result<()> {
        loop {
            self.alarm.rang().await?;
            self.alarm_us.set(None);
            self.waiting.borrow_mut().wake_due(self.clock.now_us());
            self.set_alarm()?;
        }
    }

    /// Sets the alarm to the earliest moment, unless it is.
    fn set_alarm(&self) -> io::Result<()> {
        let Some(next_us) = self.waiting.borrow_mut().next_us() else { return Ok(()) };
        if self.alarm_us.get().is_some_and(|alarm_us| alarm_us <= next_us) {
            return Ok(());
        }
        self.alarm_us.set(Some(next_us));
        self.alarm.set(Duration::from_micros(next_us.saturating_sub(self.clock.now_us())))
    }
}

/// A wait for a moment.
pub(super) struct Until<'t> {
    timer: &'t Timer,
    at_us: Option<u64>,
    ticket: Option<Ticket>,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at_us) = self.at_us else { return Poll::Pending };
        if at_us <= self.timer.clock.now_us() {
            return Poll::Ready(());
        }
        let mut waiting = self.timer.waiting.borrow_mut();
        match self.ticket.filter(|ticket| waiting.renew(*ticket, cx.waker())) {
            Some(_) => {}
            None => {
                let ticket = waiting.add(at_us, cx.waker().clone());
                drop(waiting);
                self.ticket = Some(ticket);
                // An alarm that cannot be set shows in `run` at the latest; a wait has nobody to tell it to.
                let _ = self.timer.set_alarm();
            }
        }
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.timer.waiting.borrow_mut().remove(ticket);
        }
    }
}

/// A place among those who wait, which others may take later under another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    slot: u32,
    number: u32,
}

/// Everyone who waits. A wait that was dropped leaves its moment in the queue until that comes, or a sweep does.
#[derive(Debug, Default)]
struct Waiting {
    queue: BinaryHeap<Reverse<(u64, Ticket)>>,
    slots: Vec<(u32, Option<Waker>)>,
    free: Vec<u32>,
}

impl Waiting {
    fn add(&mut self, at_us: u64, waker: Waker) -> Ticket {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        let (number, place) = &mut self.slots[slot as usize];
        *place = Some(waker);
        let ticket = Ticket { slot, number: *number };
        self.queue.push(Reverse((at_us, ticket)));
        self.sweep();
        ticket
    }

    /// Lets another waker take the place of a ticket's; false when the ticket's moment has come.
    fn renew(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        match self.place(ticket) {
            Some(place) => {
                place.clone_from(waker);
                true
            }
            None => false,
        }
    }

    fn place(&mut self, ticket: Ticket) -> Option<&mut Waker> {
        let (number, place) = &mut self.slots[ticket.slot as usize];
        if *number == ticket.number { place.as_mut() } else { None }
    }

    fn is_held(&self, ticket: Ticket) -> bool {
        let (number, place) = &self.slots[ticket.slot as usize];
        *number == ticket.number && place.is_some()
    }

    /// Takes a ticket back, if its moment has not come.
    fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        let (number, place) = &mut self.slots[ticket.slot as usize];
        if *number != ticket.number {
            return None;
        }
        *number = number.wrapping_add(1);
        self.free.push(ticket.slot);
        place.take()
    }

    /// Wakes everyone whose moment is not after `now_us`.
    fn wake_due(&mut self, now_us: u64) {
        while let Some(Reverse((at_us, ticket))) = self.queue.peek().copied()
            && at_us <= now_us
        {
            self.queue.pop();
            if let Some(waker) = self.remove(ticket) {
                waker.wake();
            }
        }
    }

    /// The earliest moment that somebody waits for.
    fn next_us(&mut self) -> Option<u64> {
        while let Some(Reverse((at_us, ticket))) = self.queue.peek().copied() {
            if self.is_held(ticket) {
                return Some(at_us);
            }
            self.queue.pop();
        }
        None
    }

    /// Keeps the queue in proportion to those who wait, however many waits are dropped.
    fn sweep(&mut self) {
        let held = self.slots.len() - self.free.len();
        if self.queue.len() > 2 * held + STALE_MAX {
            let mut queue = std::mem::take(&mut self.queue);
            queue.retain(|Reverse((_, ticket))| self.is_held(*ticket));
            self.queue = queue;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU64);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    proptest! {
        #[test]
        fn each_is_woken_once_at_its_moment_unless_it_was_taken_back(
            moments in proptest::collection::vec((0_u64..50, any::<bool>()), 0..60),
        ) {
            let mut waiting = Waiting::default();
            let counter = Arc::new(Counter::default());
            let tickets: Vec<_> = moments.iter().map(|(at_us, _)| waiting.add(*at_us, Arc::clone(&counter).into())).collect();
            for (ticket, (_, dropped)) in tickets.iter().zip(&moments) {
                prop_assert_eq!(waiting.renew(*ticket, &Arc::clone(&counter).into()), true);
                if *dropped {
                    prop_assert!(waiting.remove(*ticket).is_some());
                }
            }
            for now_us in 0..50 {
                waiting.wake_due(now_us);
                let expected = moments.iter().filter(|(at_us, dropped)| !dropped && *at_us <= now_us).count() as u64;
                prop_assert_eq!(counter.0.load(Ordering::Relaxed), expected);
                let next_us = moments.iter().filter(|(at_us, dropped)| !dropped && *at_us > now_us).map(|(at_us, _)| *at_us).min();
                prop_assert_eq!(waiting.next_us(), next_us);
            }
        }
    }

    #[test]
    fn waits_that_are_dropped_take_no_space() {
        let mut waiting = Waiting::default();
        let counter = Arc::new(Counter::default());
        for at_us in 0..100_000 {
            let ticket = waiting.add(at_us, Arc::clone(&counter).into());
            waiting.remove(ticket);
        }
        assert!(waiting.queue.len() <= STALE_MAX + 2 && waiting.slots.len() == 1);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn on_a_clock_that_stands_still_a_wait_ends_within_a_millisecond() {
        let clock = RunClock::start();
        let timer = Timer::with_alarm(clock, Alarm::of_runtime());
        let waits = async {
            for at_us in [3_000, 2_000, 7_500, 60_000_001] {
                let asked_us = clock.now_us();
                timer.until(Some(at_us)).await;
                assert!((0..1_000).contains(&(clock.now_us() - at_us.max(asked_us))));
            }
        };
        tokio::select! {
            ended = timer.run() => panic!("{ended:?}"),
            () = waits => {}
        }
    }

    #[tokio::test]
    async fn a_wait_ends_when_its_moment_has_come_and_not_before() {
        let clock = RunClock::start();
        let timer = Timer::new(clock).unwrap();
        let waits = async {
            for at_us in [3_000, 2_000, 7_500, 7_501] {
                timer.until(Some(at_us)).await;
                assert!(clock.now_us() >= at_us);
            }
            let dropped = timer.until(Some(9_000));
            tokio::select! {
                () = timer.until(Some(8_000)) => {}
                () = dropped => panic!("the later moment came first"),
            }
        };
        tokio::select! {
            ended = timer.run() => panic!("{ended:?}"),
            () = waits => {}
        }
    }
}
