//! An alarm that rings once after a time, as exactly as the system can: on Linux a timerfd (timerfd_create(2)).
//!
//! That of the runtime goes by the runtime's clock, which a test can let stand still. Must not know who waits for it.

use std::io;
use std::time::Duration;

/// An alarm set to no time at all would never ring.
const SHORTEST: Duration = Duration::from_nanos(1);

/// One worker's alarm.
#[derive(Debug)]
pub(super) enum Alarm {
    #[cfg(target_os = "linux")]
    System(timerfd::Alarm),
    #[cfg(any(test, not(target_os = "linux")))]
    Runtime(runtime::Alarm),
}

impl Alarm {
    /// The most exact one that there is.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return timerfd::Alarm::new().map(Self::System);
        #[cfg(not(target_os = "linux"))]
        Ok(Self::of_runtime())
    }

    #[cfg(any(test, not(target_os = "linux")))]
    pub fn of_runtime() -> Self {
        Self::Runtime(runtime::Alarm::default())
    }

    /// Has it ring after this time, and not at the time that was set before.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let after = after.max(SHORTEST);
        match self {
            #[cfg(target_os = "linux")]
            Self::System(alarm) => alarm.set(after),
            #[cfg(any(test, not(target_os = "linux")))]
            Self::Runtime(alarm) => {
                alarm.set(after);
                Ok(())
            }
        }
    }

    /// Waits until it rings. Cancel-safe.
    pub async fn rang(&self) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::System(alarm) => alarm.rang().await,
            #[cfg(any(test, not(target_os = "linux")))]
            Self::Runtime(alarm) => {
                alarm.rang().await;
                Ok(())
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod timerfd {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::*;

    #[derive(Debug)]
    pub struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        // The newer constructor is unsafe and has its caller promise that the descriptor stays the same, which holds of
        // every `OwnedFd`.
        #[allow(deprecated)]
        pub fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let alarm = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(AsyncFd::with_interest(alarm, Interest::READABLE)?))
        }

        pub fn set(&self, after: Duration) -> io::Result<()> {
            let once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) };
            timerfd_settime(
                self.0.get_ref(),
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: once, it_value: value },
            )?;
            Ok(())
        }

        pub async fn rang(&self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                let mut expirations = [0; 8];
                if let Ok(read) = ready.try_io(|alarm| Ok(rustix::io::read(alarm.get_ref(), &mut expirations)?)) {
                    return read.map(drop);
                }
            }
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
pub(super) mod runtime {
    use std::cell::Cell;

    use tokio::sync::Notify;
    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// By the runtime's timers, which round up to a millisecond.
    #[derive(Debug, Default)]
    pub struct Alarm {
        at: Cell<Option<Instant>>,
        changed: Notify,
    }

    impl Alarm {
        pub fn set(&self, after: Duration) {
            self.at.set(Some(Instant::now() + after));
            self.changed.notify_one();
        }

        pub async fn rang(&self) {
            loop {
                let at = self.at.get();
                let ringing = async {
                    match at {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    () = ringing => {
                        self.at.set(None);
                        return;
                    }
                }
            }
        }
    }
}
