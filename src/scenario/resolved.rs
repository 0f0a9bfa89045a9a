//! A scenario with every default filled in and every path made absolute: what `check` prints and `run` carries out.
//!
//! Gives plain values. Must not know TOML, nor where a value was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use super::clients::{BrokenTransaction, Clients, OnDeadline, Reconnect, Retry, RetryOn};
use super::plan::{AnalyzeMode, PgUpgradeOptions, Plan, written};
pub use super::pool::Pool;
use super::ramp::Ramp;
use crate::objective::Pattern;
use crate::words::ids::PgMajor;

/// A whole scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// As written, else the file's name without its extension.
    pub name: String,
    /// The scenario file, absolute. Relative paths in it are relative to its directory, where `command` steps run too.
    pub file: PathBuf,
    /// The texts as written; defaults are added when they are judged.
    pub objectives: Vec<ObjectiveText>,
    pub workload: WorkloadChoice,
    pub staging: Staging,
    pub upgrade: Upgrade,
    pub phases: Phases,
    /// How the speed changes over the replay, at most [`LOAD_STAGES_MAX`] stages; empty for a steady one.
    pub load_stages: Vec<LoadStage>,
    pub clients: Clients,
    pub probes: Probes,
    pub trust: Trust,
}

impl Scenario {
    /// How long a workload that is so long is replayed; none in a closed loop, where nobody knows.
    pub fn replayed_for(&self, span: Duration) -> Option<Duration> {
        let Speed::Factor(factor) = self.workload.speed else { return None };
        let rounds = match self.workload.repeats {
            Loop::Times(times) => times,
            Loop::For(time) => return Some(time),
        };
        let passed = span.saturating_mul(rounds);
        Some(match self.ramp() {
            Some(ramp) => Duration::from_micros(ramp.due_us(passed.as_micros() as u64)),
            None => Duration::try_from_secs_f64(passed.as_secs_f64() / factor).unwrap_or(Duration::MAX),
        })
    }

    /// How the pace changes over the replay; none where it is steady or has no due times.
    pub fn ramp(&self) -> Option<Ramp> {
        match self.workload.speed {
            Speed::Factor(factor) if !self.load_stages.is_empty() => Some(Ramp::new(factor, &self.load_stages)),
            _ => None,
        }
    }
}

/// An objective as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectiveText {
    pub text: String,
    /// Byte offset of the text's opening quote in the scenario file; none from `--set`.
    pub offset: Option<usize>,
}

/// Which workload is replayed, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadChoice {
    pub file: PathBuf,
    pub speed: Speed,
    pub pacing: Pacing,
    pub order: Order,
    /// How long a request waits at most for a commit that `order` puts before it.
    pub order_wait: Duration,
    /// Every session is replayed this many times, shifted; 1 to 10,000.
    pub copies: u16,
    /// Each session of each copy but the first starts later by a part of this, in captured time.
    pub copy_jitter: Duration,
    /// What is left to chance is the same for the same number.
    pub seed: u64,
    /// How long the workload goes on, from its start again when it is at its end.
    pub repeats: Loop,
    /// Requests that write are left out.
    pub read_only: bool,
    /// Columns whose values are others in each copy and round, at most [`UNIQUE_COLUMNS_MAX`].
    pub unique: Vec<UniqueColumn>,
    /// By how much numbers in these columns grow from one copy or round to the next; at least 1.
    pub unique_stride: u64,
    /// Tenants with copies of their own, at most [`TENANT_COPIES_MAX`].
    pub tenants: Vec<TenantCopies>,
}

/// Far more than anybody describes by hand.
pub const TENANT_COPIES_MAX: usize = 1_000;

/// Far more than anybody describes by hand.
pub const UNIQUE_COLUMNS_MAX: usize = 1_000;

/// A column that no two copies share a value of; names as PostgreSQL has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueColumn {
    pub table: String,
    pub column: String,
}

impl fmt::Display for UniqueColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// How often the requests of some tenants are replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantCopies {
    pub tenant: Pattern,
    /// 0 to 10,000; of a fraction, so many of their sessions have one more.
    pub copies: f64,
}

impl WorkloadChoice {
    /// How often this tenant's requests are replayed: as the first that matches says.
    pub fn copies_of(&self, tenant: &str) -> f64 {
        let own = self.tenants.iter().find(|wanted| wanted.tenant.matches(tenant));
        own.map_or(f64::from(self.copies), |own| own.copies)
    }

    /// The key that makes the replay a closed loop, in which due times mean nothing; none where it is open.
    pub fn closed_loop(&self) -> Option<&'static str> {
        match (self.speed, self.pacing) {
            (Speed::Max, _) => Some("speed = \"max\""),
            (_, Pacing::ThinkTime) => Some("pacing = \"think-time\""),
            _ => None,
        }
    }
}

/// How long a workload goes on that begins again when it is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// It is gone through so often, at least once.
    Times(u32),
    /// Nothing is due later than this after its start.
    For(Duration),
}

/// The pace of the replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Captured time divided by this; finite and above 0.
    Factor(f64),
    /// As fast as it goes, a closed loop.
    Max,
}

/// Far more than anybody describes by hand.
pub const LOAD_STAGES_MAX: usize = 100;

/// A stretch of the replay in which the pace goes linearly from where the stage before left it to a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadStage {
    /// Times the captured pace; 0.001 to 1000.
    pub target: f64,
    /// Above 0.
    pub duration: Duration,
}

/// The database under test.
#[derive(Clone, Debug, PartialEq)]
pub enum Staging {
    /// Servers that pgrehearse starts and removes.
    Local(LocalStaging),
    /// A server that is already there and carries the disposable mark.
    External(ExternalStaging),
}

/// A local server to find or install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerChoice {
    pub version: PgMajor,
    pub source: ServerSource,
    /// The directory of `postgres` and `pg_upgrade`; overrides `source`.
    pub bin_dir: Option<PathBuf>,
}

written! {
    /// Where a server's binaries may come from.
    ServerSource {
        /// Whatever is found first; the pinned build where nothing is.
        Any => "any",
        /// Only the pinned build.
        Pinned => "pinned",
    }

    /// What a request waits for before it is due.
    Pacing {
        /// Its captured moment, whatever became of the one before.
        Open => "open",
        /// The answer to the one before, and the captured pause after it.
        ThinkTime => "think-time",
    }

    /// Whether sessions are free of each other.
    Order {
        /// Each goes by its own due times alone.
        Free => "free",
        /// Transactions that touch the same rows commit in the captured order, as far as the capture shows them.
        Commit => "commit",
    }
}

/// `provider = "local"`.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalStaging {
    pub server: ServerChoice,
    /// The endpoint's port; none = any free one.
    pub port: Option<u16>,
    /// Lines of `postgresql.conf` for the old server; they also hold for the new one, whose own settings go on top.
    pub settings: BTreeMap<String, String>,
    /// In the order in which they are loaded.
    pub load: Vec<Load>,
    /// Data checksums of the old cluster; the new one follows it.
    pub checksums: bool,
    pub encoding: String,
    pub locale: String,
    /// The bootstrap superuser, the same on both sides.
    pub superuser: String,
    /// Where temporary clusters are put; none = the tool's own choice.
    pub tmp_dir: Option<PathBuf>,
}

/// Something that fills the staging server before the rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub source: LoadSource,
    /// The database that it goes to, and whose sequences are set; a base backup needs it for those alone.
    pub database: String,
    pub sequences: Sequences,
}

/// Where the sequences of a loaded database stand when the rehearsal begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequences {
    AsLoaded,
    /// Each sequence that belongs to a column stands at the column's last value.
    FromTables,
    /// Names as SQL writes them, with the last value given out: the next is one more.
    To(BTreeMap<String, i64>),
}

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadSource {
    /// A script for psql.
    Sql(PathBuf),
    /// An archive of `pg_dump` (custom, directory or tar), for `pg_restore`.
    Dump(PathBuf),
    /// A data directory or the `base.tar[.gz]` of `pg_basebackup`; it takes the place of initdb.
    BaseBackup(PathBuf),
    /// A program, run in the scenario's directory; a shell text is `["sh", "-c", text]` here.
    Command(Vec<String>),
}

/// `provider = "external"`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalStaging {
    /// The server under test, as its administrator reaches it.
    pub dsn: Dsn,
    /// What a `switch` step points the endpoint at.
    pub new_dsn: Option<Dsn>,
    /// The environment variable with the DSN user's password.
    pub password_env: Option<String>,
    /// A pgpass file; none = `PGPASSFILE`, else `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Captured database to the staging server's; what is not here keeps its name.
    pub databases: BTreeMap<String, String>,
    /// Captured user to the staging server's; what is not here keeps its name.
    pub users: BTreeMap<String, ExternalUser>,
}

/// The user of the staging server that stands for a captured one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUser {
    pub user: String,
    /// The environment variable with the password; none = the pgpass file, or no password.
    pub password_env: Option<String>,
}

/// A connection string. It may hold a password, so printing it shows what [`Dsn::redacted`] gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn(String);

impl Dsn {
    /// Takes a URI (`postgresql://...`) or a key/value string.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text with its password: for the connection alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with `***` for every password; `***` alone where that cannot be told for sure.
    pub fn redacted(&self) -> String {
        super::secret::redact_dsn(&self.0)
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// The upgrade and what it starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    pub strategy: Strategy,
    /// The target server; present where the plan needs one.
    pub to: Option<ServerChoice>,
    /// Lines of `postgresql.conf` for the new server, on top of the old one's.
    pub settings: BTreeMap<String, String>,
    /// What `pg_upgrade` and `check` steps start from.
    pub pg_upgrade: PgUpgradeOptions,
    pub analyze: AnalyzeMode,
    /// What the strategy expanded to, with the inserted steps.
    pub plan: Plan,
}

/// Where the steps come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    PgUpgrade,
    /// Replay only.
    None,
    /// Written out by the scenario.
    Steps,
}

/// Lengths of the phases; the upgrade takes as long as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    pub warmup: Duration,
    pub before: Duration,
    pub after: Duration,
}

/// The tool's own requests, by which a quiet tenant has an answer too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    pub enabled: bool,
    pub interval: Duration,
    pub deadline: Duration,
    /// Warm connections for the reads of each fate group, and as many for its writes.
    pub connections: u16,
}

/// When the measurement itself is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    pub schedule_lag_p99: Duration,
}
