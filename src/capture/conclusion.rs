//! The last step of a capture from the wire: sessions that are all read to a workload file and its report.
//!
//! pcap and proxy both end here. Takes what all sessions shared and what was read; the workload stands under its name
//! only if all of it does. Must not know where the bytes came from.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CaptureError;
use super::output::{self, Naming};
use super::report::CaptureReport;
use super::session::Shared;
use super::wire::Reason;
use crate::tenant::Mapping;
use crate::workload::record::{Loss, Skipped, Source};

/// What was read, for the report.
pub(super) struct Conclusion {
    pub sources: Vec<Source>,
    /// How much, and of what.
    pub read: (u64, &'static str),
    /// What the sessions do not know to be missing.
    pub skipped: BTreeMap<String, Skipped>,
}

/// Counts something that is not in the workload, and that the sessions do not know of; what they see as a gap in their
/// bytes they count as a loss themselves.
pub(super) fn skip(skipped: &mut BTreeMap<String, Skipped>, reason: &str, (count, loss): (u64, Loss), at: (u16, u64)) {
    skipped.entry(reason.to_owned()).or_insert(Skipped::none(at)).add(count, loss);
}

impl Conclusion {
    /// Writes the workload. `nothing` makes the error for a capture without a request of what was seen instead.
    ///
    /// # Errors
    /// There is no request; a temporary file cannot be read, or the workload cannot be written.
    pub fn write(
        self,
        shared: Shared,
        mapping: Option<&Mapping>,
        path: &Path,
        nothing: impl FnOnce(String) -> CaptureError,
    ) -> Result<CaptureReport, CaptureError> {
        let set_aside = encrypted_share(&shared);
        let mut skipped = self.skipped;
        for (reason, counted) in &shared.skipped {
            skipped.insert(reason.name().to_owned(), *counted);
        }
        let finished = shared.out.finish().map_err(|source| CaptureError::Temporary { source })?;
        let (counts, captured, events) = finished;
        if counts.requests() == 0 {
            let seen = skipped.iter().map(|(reason, skipped)| format!("{} {reason}", skipped.count));
            let sessions = format!("{} sessions", counts.sessions);
            return Err(nothing(std::iter::once(sessions).chain(seen).collect::<Vec<_>>().join(", ")));
        }
        let mut report = CaptureReport {
            sources: self.sources,
            lines: self.read.0,
            unit: self.read.1,
            skipped,
            set_aside,
            ..CaptureReport::of(&counts)
        };
        let naming = Naming { captured: &captured, rules: &shared.rules, mapping };
        output::write(events, &naming, shared.server_version, |_| None, &mut report, path)?;
        Ok(report)
    }
}

/// How much of what was said cannot be read.
fn encrypted_share(shared: &Shared) -> Vec<(String, u64)> {
    let encrypted = shared.skipped.get(&Reason::EncryptedBytes).map_or(0, |skipped| skipped.count);
    match encrypted {
        0 => Vec::new(),
        _ => {
            let share = 100.0 * encrypted as f64 / shared.wire_bytes.max(1) as f64;
            vec![(format!("encrypted bytes, {share:.1} % of all that was said"), encrypted)]
        }
    }
}
