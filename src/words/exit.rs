//! The exit codes of the program. Where several hold, [`ExitCode::first`] picks the one to exit with.
//!
//! Gives constants with their meaning. Must not know how any of it came about.

/// Why the program ended, in the order of DESIGN's precedence: the first that holds is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitCode {
    /// 2: usage, scenario or input error; nothing was rehearsed.
    Usage,
    /// 130: interrupted by ctrl-C or SIGTERM; a partial report is still written.
    Interrupted,
    /// 5: a write that the server had acknowledged was not there after the upgrade.
    WriteLost,
    /// 4: an upgrade step failed.
    StepFailed,
    /// 1: an objective was missed.
    ObjectiveMissed,
    /// 3: the measurement does not allow a verdict.
    Inconclusive,
    /// 0: every objective was met, and the measurement can be trusted.
    Passed,
}

impl ExitCode {
    /// The number for the operating system.
    pub fn code(self) -> i32 {
        match self {
            Self::Usage => 2,
            Self::Interrupted => 130,
            Self::WriteLost => 5,
            Self::StepFailed => 4,
            Self::ObjectiveMissed => 1,
            Self::Inconclusive => 3,
            Self::Passed => 0,
        }
    }

    /// The one that takes precedence among those that hold; passed when none does.
    pub fn first(held: impl IntoIterator<Item = Self>) -> Self {
        held.into_iter().min().unwrap_or(Self::Passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_write_outranks_a_failed_step_and_an_interruption_outranks_both() {
        use ExitCode::*;
        assert_eq!(ExitCode::first([StepFailed, ObjectiveMissed, WriteLost]), WriteLost);
        assert_eq!(ExitCode::first([WriteLost, Interrupted]), Interrupted);
        assert_eq!(ExitCode::first([Inconclusive, ObjectiveMissed]), ObjectiveMissed);
        assert_eq!(ExitCode::first([]), Passed);
    }
}
