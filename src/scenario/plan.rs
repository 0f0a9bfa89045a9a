//! The upgrade as a list of typed steps, and what strategies expand to.
//!
//! Gives plain values with every default filled in. Must not know how a step is carried out, nor how it was written.

use std::collections::BTreeMap;
use std::time::Duration;

/// Steps in the order in which they are carried out; names are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// One step of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique within the plan: as written, else the kind's name with `-2`, `-3`, ... where it occurs again.
    pub name: String,
    /// The step has failed when it is not done after this time.
    pub deadline: Duration,
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Runs a program in the scenario's directory. A shell text is `["sh", "-c", text]` here.
    Command { program: Vec<String>, env: BTreeMap<String, String> },
    /// Sends statements to the endpoint, in one session outside a transaction.
    Sql(SqlTarget),
    /// Lets time pass, or waits for a condition.
    Wait(Wait),
    /// `pg_upgrade --check`, with the options that the upgrade itself will have.
    Check(PgUpgradeOptions),
    /// Stops a local server.
    Stop { cluster: Cluster, mode: StopMode },
    /// Starts a local server.
    Start { cluster: Cluster },
    /// Runs `pg_upgrade`.
    PgUpgrade(PgUpgradeOptions),
    /// Points an endpoint at a server: clients that connect from now on reach it.
    Switch { endpoint: String, cluster: Cluster },
    /// Gathers statistics in every database with `vacuumdb`.
    Analyze { mode: AnalyzeMode, jobs: u32 },
}

impl StepKind {
    /// The written name of the kind, which is also the default name of a step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Sql(_) => "sql",
            Self::Wait(_) => "wait",
            Self::Check(_) => "check",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::PgUpgrade(_) => "pg_upgrade",
            Self::Switch { .. } => "switch",
            Self::Analyze { .. } => "analyze",
        }
    }

    /// The written names of all kinds.
    pub const NAMES: [&'static str; 9] =
        ["command", "sql", "wait", "check", "stop", "start", "pg_upgrade", "switch", "analyze"];

    /// Whether only servers that pgrehearse started itself can take the step.
    pub fn needs_local_server(&self) -> bool {
        !matches!(self, Self::Command { .. } | Self::Sql(_) | Self::Wait(_) | Self::Switch { .. })
    }
}

/// Statements and where they go.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlTarget {
    pub text: String,
    pub database: String,
    /// None: the bootstrap superuser of local staging, the DSN's user of external staging.
    pub user: Option<String>,
}

/// What a `wait` step waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    For(Duration),
    /// Until the query's first column of its first row is true; asked every `poll`. An error counts as not yet.
    Until {
        query: SqlTarget,
        poll: Duration,
    },
}

/// How `pg_upgrade` is run.
#[derive(Clone, Debug, PartialEq)]
pub struct PgUpgradeOptions {
    pub mode: TransferMode,
    pub jobs: u32,
    /// Further options, handed over as written.
    pub options: Vec<String>,
}

/// The side of the upgrade that a local server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cluster {
    Old,
    New,
}

/// Defines an enum with its written names, in one place so that reading, printing and suggesting cannot differ.
macro_rules! written {
    ($($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident => $name:literal),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_meta])* $variant),+ }

        impl $type {
            /// Every written name.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The written name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value with this written name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    )+};
}
pub(super) use written;

written! {
    /// How `pg_upgrade` moves the user's files.
    TransferMode {
        Copy => "copy",
        Link => "link",
        /// Needs a file system with reflinks.
        Clone => "clone",
        /// Since PostgreSQL 17.
        CopyFileRange => "copy-file-range",
        /// Since PostgreSQL 18; the old cluster cannot be started again.
        Swap => "swap",
    }

    /// The shutdown modes of `pg_ctl`.
    StopMode {
        Smart => "smart",
        Fast => "fast",
        Immediate => "immediate",
    }

    /// How statistics are gathered after the upgrade.
    AnalyzeMode {
        /// `vacuumdb --analyze-in-stages`.
        InStages => "in-stages",
        /// `vacuumdb --analyze-only`.
        Full => "full",
        None => "none",
    }
}

impl Cluster {
    /// The written name, as in the timeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }

    /// The cluster with this written name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "old" => Some(Self::Old),
            "new" => Some(Self::New),
            _ => None,
        }
    }
}
