//! Watches the tool itself: its CPU use, the moments at which it did not run, and the clock of its machine.
//!
//! Takes the recorder, gives `GeneratorCpu` events every second, `GeneratorBlind` and `ClockStepped` events as they are
//! noticed. The judging wing decides what they mean. Must not know what the tool is busy with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::heartbeat::{HEARTBEAT, Heartbeat, Noticed, Reading};
use crate::record::Recorder;
use crate::timeline::What;

/// How often CPU use is noted.
const CPU_INTERVAL: Duration = Duration::from_secs(1);

/// The running watch; it ends and is joined when dropped.
pub struct GeneratorWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GeneratorWatch {
    /// Starts the heartbeat thread.
    pub fn start(recorder: Recorder) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("heartbeat".into()).spawn(move || beat(&recorder, &seen))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for GeneratorWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(recorder: &Recorder, stop: &AtomicBool) {
    let clock = recorder.clock();
    let allowed_millicores =
        std::thread::available_parallelism().map_or(1000, |cores| u32::try_from(cores.get() * 1000).unwrap_or(1000));
    let mut heartbeat = Heartbeat::new(read_clocks());
    let mut last_cpu = (Instant::now(), process_cpu_time());
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(HEARTBEAT);
        let reading = read_clocks();
        for noticed in heartbeat.beat(reading) {
            recorder.event(match noticed {
                Noticed::Blind(started, ended) => {
                    What::GeneratorBlind { started_us: clock.to_us(started), ended_us: clock.to_us(ended) }
                }
                Noticed::ClockStepped(by_us) => What::ClockStepped { by_us },
            });
        }
        let elapsed = reading.after - last_cpu.0;
        if elapsed >= CPU_INTERVAL {
            let cpu = process_cpu_time();
            let used = cpu.saturating_sub(last_cpu.1).as_secs_f64() / elapsed.as_secs_f64();
            recorder.event(What::GeneratorCpu {
                used_millicores: (used * 1000.0).round() as u32,
                allowed_millicores,
                heartbeat_late_us: u64::try_from(heartbeat.take_late_max().as_micros()).unwrap_or(u64::MAX),
            });
            last_cpu = (reading.after, cpu);
        }
    }
}

fn read_clocks() -> Reading {
    Reading { before: Instant::now(), wall: SystemTime::now(), after: Instant::now() }
}

/// CPU time of this process, all threads, so far.
fn process_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
