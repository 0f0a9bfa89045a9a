//! How far a reading is, on stderr where that is a terminal.
//!
//! Takes the bytes that were read and draws a bar. Must not know what is read for what.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::capture::log::Progress;
use crate::workload::{Input, Observer};

/// A bar on stderr; indicatif hides it where that is no terminal.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{bytes}/{total_bytes} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows how far a capture is.
pub(super) fn show_capture(bar: &ProgressBar, progress: Progress) {
    if progress.total_bytes > 0 {
        bar.set_length(progress.total_bytes);
    }
    bar.set_position(progress.read_bytes);
    bar.set_message(format!("{} requests", progress.requests));
}

/// The reading of workload files, shown until it is dropped.
pub(super) struct Reading {
    bar: ProgressBar,
    observer: Observer,
}

impl Reading {
    /// These files will be read, each as often as `times` says.
    pub(super) fn of<P: AsRef<Path>>(files: &[P], times: u64) -> Self {
        let bar = bar();
        // A file that cannot be looked at is an error soon, where it is opened.
        let bytes: u64 = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum();
        bar.set_length(bytes * times);
        let counting = bar.clone();
        Self { bar, observer: Observer::new(move |bytes| counting.inc(bytes)) }
    }

    /// A reading that shows nothing, for where the results themselves are shown as they come.
    pub(super) fn unseen() -> Self {
        Self { bar: ProgressBar::hidden(), observer: Observer::new(|_| {}) }
    }

    /// One of the files, so that its reading is shown.
    pub(super) fn input<'a>(&'a self, file: &'a Path) -> Input<'a> {
        Input::observed(file, &self.observer)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
