//! Steps and sub-steps as timeline events.
//!
//! Takes names and outcomes; numbers the steps and sends their events to the recorder, such that each step that started
//! also ends, whatever becomes of the code in between. Must not know what a step does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::Recorder;
use crate::timeline::{StepOutcome, What};

/// Numbers steps. Clones count together.
#[derive(Clone, Debug)]
pub struct Track {
    recorder: Recorder,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    /// Sub-steps that have not ended.
    open: Vec<u32>,
}

impl Track {
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, state: Arc::default() }
    }

    /// A step of the plan begins; gives its number.
    pub fn start(&self, name: &str) -> u32 {
        self.begin(None, name)
    }

    /// A sub-step begins; gives its number.
    pub fn start_part(&self, parent: u32, name: &str) -> u32 {
        let step = self.begin(Some(parent), name);
        self.locked().open.push(step);
        step
    }

    /// A sub-step has ended.
    pub fn end_part(&self, step: u32, outcome: StepOutcome, detail: Option<String>) {
        self.locked().open.retain(|open| *open != step);
        self.recorder.event(What::StepEnded { step, outcome, detail });
    }

    /// A step of the plan has ended, and with it every sub-step that has not.
    pub fn end(&self, step: u32, outcome: StepOutcome, detail: Option<String>) {
        let open = std::mem::take(&mut self.locked().open);
        for part in open.into_iter().rev() {
            self.recorder.event(What::StepEnded { step: part, outcome, detail: None });
        }
        self.recorder.event(What::StepEnded { step, outcome, detail });
    }

    fn begin(&self, parent: Option<u32>, name: &str) -> u32 {
        let step = {
            let mut state = self.locked();
            state.next += 1;
            state.next - 1
        };
        self.recorder.event(What::StepStarted { step, parent, name: name.to_owned() });
        step
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Item, channel};
    use crate::words::time::RunClock;

    #[test]
    fn a_step_that_times_out_takes_its_open_parts_with_it() {
        let (recorder, items) = channel(RunClock::start());
        let track = Track::new(recorder);
        let step = track.start("pg_upgrade");
        let done = track.start_part(step, "Checking cluster versions");
        track.end_part(done, StepOutcome::Ok, None);
        track.start_part(step, "Restoring database schemas");
        track.end(step, StepOutcome::TimedOut, Some("deadline".into()));
        drop(track);

        let ended: Vec<(u32, StepOutcome)> = items
            .iter()
            .filter_map(|item| match item {
                Item::Event(event) => match event.what {
                    What::StepEnded { step, outcome, .. } => Some((step, outcome)),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        assert_eq!(ended, [(1, StepOutcome::Ok), (2, StepOutcome::TimedOut), (0, StepOutcome::TimedOut)]);
    }
}
