//! Finds PostgreSQL installations on the machine.
//!
//! Takes what is wanted (a major, perhaps a directory or the pinned build); looks in the order scenario directory,
//! `PGREHEARSE_PG_BIN_<major>`, own cache, the layouts of Debian, Red Hat and Homebrew, PATH; gives an installation with its
//! exact version, or the list of places that were looked at. Must not install anything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs, io};

use super::account::{Account, AccountError};
use super::cache::Cache;
use super::pinned;
use crate::scenario::resolved::{ServerChoice, ServerSource};
use crate::words::ids::{PgMajor, PgVersion};

/// Programs without which a cluster cannot be created and run.
const SERVER_PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_ctl", "pg_controldata"];

/// What the target of an upgrade needs besides.
const TARGET_PROGRAMS: [&str; 7] =
    ["pg_upgrade", "pg_dump", "pg_dumpall", "pg_restore", "pg_resetwal", "psql", "vacuumdb"];

/// Where programs of this major are, if the environment says so: `PGREHEARSE_PG_BIN_16`.
pub fn bin_variable(major: PgMajor) -> String {
    format!("PGREHEARSE_PG_BIN_{major}")
}

/// Which part an installation plays in the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The server before the upgrade, or the only one.
    Source,
    /// The server after it: `pg_upgrade` and its company must be there too.
    Target,
}

/// What to look for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub major: PgMajor,
    /// A directory that the scenario names: only this one counts then.
    pub bin_dir: Option<PathBuf>,
    pub source: ServerSource,
    pub part: Part,
}

impl Wanted {
    /// What a scenario's choice asks for.
    pub fn of(choice: &ServerChoice, part: Part) -> Self {
        Self { major: choice.version, bin_dir: choice.bin_dir.clone(), source: choice.source, part }
    }
}

/// How an installation was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Scenario,
    Environment,
    Pinned,
    Debian,
    RedHat,
    Homebrew,
    Path,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scenario => "scenario",
            Self::Environment => "environment",
            Self::Pinned => "pinned build",
            Self::Debian => "Debian package",
            Self::RedHat => "Red Hat package",
            Self::Homebrew => "Homebrew",
            Self::Path => "PATH",
        })
    }
}

/// A directory with the programs of one exact version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub version: PgVersion,
    pub bin_dir: PathBuf,
    pub origin: Origin,
}

impl Installation {
    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

/// A place that was looked at, and why it will not do.
#[derive(Debug)]
pub struct Rejected {
    pub bin_dir: PathBuf,
    pub origin: Origin,
    pub reason: Unusable,
}

/// Why a directory is no installation that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("no such directory")]
    Absent,
    #[error("holds no {}", .0.join(", no "))]
    Lacks(Vec<&'static str>),
    #[error("is PostgreSQL {0}")]
    OtherMajor(PgVersion),
    #[error("its \"postgres --version\" could not be run: {0}")]
    NotRun(io::Error),
    #[error("its \"postgres --version\" said \"{0}\"")]
    NotUnderstood(String),
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Why no installation was found. `looked` is in the order of looking.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("{origin} names \"{}\" for PostgreSQL {major}, but it cannot be used: {reason}", bin_dir.display())]
    Named { major: PgMajor, origin: String, bin_dir: PathBuf, reason: Box<Unusable> },
    #[error("PostgreSQL {major} was not found{}", looked_text(looked))]
    NotFound { major: PgMajor, looked: Vec<Rejected> },
}

/// A line for each directory that is there and will not do, and one for all that are not there.
fn looked_text(looked: &[Rejected]) -> String {
    let (absent, others): (Vec<_>, Vec<_>) =
        looked.iter().partition(|rejected| matches!(rejected.reason, Unusable::Absent));
    let mut text: String = others
        .iter()
        .map(|rejected| {
            format!("\ndetail: {} \"{}\": {}", rejected.origin, rejected.bin_dir.display(), rejected.reason)
        })
        .collect();
    if !absent.is_empty() {
        let places: Vec<String> = absent.iter().map(|rejected| rejected.bin_dir.display().to_string()).collect();
        text.push_str(&format!("\ndetail: nothing is at {}", places.join(", ")));
    }
    text
}

/// Finds the first installation that fits and that `account` can execute.
///
/// # Errors
/// A directory that was named for this major (by the scenario or the environment) and does not fit is an error and no
/// reason to look further. Otherwise every place that was looked at is listed.
pub fn find(wanted: &Wanted, cache: &Cache, account: &Account) -> Result<Installation, BinariesError> {
    let major = wanted.major;
    let inspected = |bin_dir: &Path, origin| inspect(bin_dir, origin, Some(wanted), Some(account));
    if let Some(bin_dir) = &wanted.bin_dir {
        let named = |reason| BinariesError::Named {
            major,
            origin: "the scenario".into(),
            bin_dir: bin_dir.clone(),
            reason: Box::new(reason),
        };
        return inspected(bin_dir, Origin::Scenario).map_err(named);
    }
    if wanted.source == ServerSource::Any
        && let Some(bin_dir) = env::var_os(bin_variable(major)).filter(|dir| !dir.is_empty()).map(PathBuf::from)
    {
        let named = |reason| BinariesError::Named {
            major,
            origin: bin_variable(major),
            bin_dir: bin_dir.clone(),
            reason: Box::new(reason),
        };
        return inspected(&bin_dir, Origin::Environment).map_err(named);
    }
    let mut looked = Vec::new();
    for (bin_dir, origin) in places(major, wanted.source, cache) {
        match inspected(&bin_dir, origin) {
            Ok(installation) => return Ok(installation),
            Err(reason) => looked.push(Rejected { bin_dir, origin, reason }),
        }
    }
    Err(BinariesError::NotFound { major, looked })
}

/// Every installation on the machine that can run a server, newest first; the pinned build before others of its version.
pub fn discover_all(cache: &Cache) -> Vec<Installation> {
    let mut found: Vec<Installation> = Vec::new();
    for major in (10..=99).map(PgMajor) {
        let named = env::var_os(bin_variable(major)).map(|dir| (PathBuf::from(dir), Origin::Environment));
        for (bin_dir, origin) in named.into_iter().chain(layouts(major, cache)) {
            found.extend(inspect(&bin_dir, origin, None, None));
        }
    }
    for bin_dir in path_places() {
        found.extend(inspect(&bin_dir, Origin::Path, None, None));
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|installation| {
        seen.insert(installation.bin_dir.canonicalize().unwrap_or_else(|_| installation.bin_dir.clone()))
    });
    found.sort_by_key(|installation| std::cmp::Reverse(installation.version));
    found
}

/// The places to look at for a major, in order.
fn places(major: PgMajor, source: ServerSource, cache: &Cache) -> Vec<(PathBuf, Origin)> {
    match source {
        ServerSource::Pinned => pinned::bin_dir(cache, major).map(|dir| (dir, Origin::Pinned)).into_iter().collect(),
        ServerSource::Any => {
            layouts(major, cache).into_iter().chain(path_places().map(|dir| (dir, Origin::Path))).collect()
        }
    }
}

fn layouts(major: PgMajor, cache: &Cache) -> Vec<(PathBuf, Origin)> {
    let pinned = pinned::bin_dir(cache, major).map(|dir| (dir, Origin::Pinned));
    let system = [
        (format!("/usr/lib/postgresql/{major}/bin"), Origin::Debian),
        (format!("/usr/pgsql-{major}/bin"), Origin::RedHat),
        (format!("/opt/homebrew/opt/postgresql@{major}/bin"), Origin::Homebrew),
        (format!("/usr/local/opt/postgresql@{major}/bin"), Origin::Homebrew),
        (format!("/home/linuxbrew/.linuxbrew/opt/postgresql@{major}/bin"), Origin::Homebrew),
    ];
    pinned.into_iter().chain(system.map(|(dir, origin)| (PathBuf::from(dir), origin))).collect()
}

/// Directories of PATH that hold a `postgres`, which may be a link into the directory with its company.
fn path_places() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .filter_map(|dir| fs::canonicalize(dir.join("postgres")).ok()?.parent().map(Path::to_path_buf))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Looks whether a directory holds the programs and which version they are.
fn inspect(
    bin_dir: &Path,
    origin: Origin,
    wanted: Option<&Wanted>,
    account: Option<&Account>,
) -> Result<Installation, Unusable> {
    if !bin_dir.is_dir() {
        return Err(Unusable::Absent);
    }
    let company: &[&str] =
        if wanted.is_some_and(|wanted| wanted.part == Part::Target) { &TARGET_PROGRAMS } else { &[] };
    let lacking: Vec<&'static str> =
        SERVER_PROGRAMS.iter().chain(company).copied().filter(|name| !bin_dir.join(name).is_file()).collect();
    if !lacking.is_empty() {
        return Err(Unusable::Lacks(lacking));
    }
    if let Some(account) = account {
        account.check_executable(&bin_dir.join("postgres"))?;
        account.check_executable(&bin_dir.join("initdb"))?;
    }
    let bin_dir = std::path::absolute(bin_dir).map_err(Unusable::NotRun)?;
    let version = version_of(&bin_dir.join("postgres"))?;
    if wanted.is_some_and(|wanted| wanted.major != version.major) {
        return Err(Unusable::OtherMajor(version));
    }
    Ok(Installation { version, bin_dir, origin })
}

/// Runs `postgres --version`, which works for root as well.
fn version_of(postgres: &Path) -> Result<PgVersion, Unusable> {
    let output = Command::new(postgres).arg("--version").output().map_err(Unusable::NotRun)?;
    parse_version(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Unusable::NotUnderstood(stderr.lines().chain([""]).next().unwrap_or_default().to_owned())
    })
}

/// Reads `postgres (PostgreSQL) 16.14 (Debian 16.14-1)`.
fn parse_version(line: &str) -> Option<PgVersion> {
    line.trim().strip_prefix("postgres (PostgreSQL) ")?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with programs that say they are `version`.
    fn pretended(version: &str, programs: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            let path = dir.path().join(program);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn own_account() -> Account {
        Account { name: "me".into(), uid: 0, gid: 0, lent: false }
    }

    fn wanted(major: u16, bin_dir: &Path, part: Part) -> Wanted {
        Wanted { major: PgMajor(major), bin_dir: Some(bin_dir.into()), source: ServerSource::Any, part }
    }

    #[test]
    fn the_version_is_the_one_that_postgres_says() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").unwrap().minor, 18);
        assert_eq!(parse_version("initdb (PostgreSQL) 15.18\n"), None);
    }

    #[test]
    fn a_named_directory_that_lacks_programs_says_which() {
        let dir = pretended("18.4", &["initdb", "postgres", "pg_ctl", "pg_controldata"]);
        let cache = Cache::at("/nonexistent");
        let found = find(&wanted(18, dir.path(), Part::Source), &cache, &own_account()).unwrap();
        assert_eq!((found.version.to_string().as_str(), found.origin), ("18.4", Origin::Scenario));
        let error = find(&wanted(18, dir.path(), Part::Target), &cache, &own_account()).unwrap_err().to_string();
        assert!(error.contains("the scenario names") && error.contains("no pg_upgrade"), "{error}");
    }

    #[test]
    fn a_named_directory_of_another_major_is_refused() {
        let dir = pretended("15.18 (Debian)", &SERVER_PROGRAMS);
        let error = find(&wanted(16, dir.path(), Part::Source), &Cache::at("/nonexistent"), &own_account());
        assert!(error.unwrap_err().to_string().ends_with("is PostgreSQL 15.18"));
    }

    #[test]
    fn a_pinned_source_looks_into_the_cache_alone() {
        let wanted = Wanted { major: PgMajor(16), bin_dir: None, source: ServerSource::Pinned, part: Part::Source };
        let error = find(&wanted, &Cache::at("/nonexistent/cache"), &own_account()).unwrap_err();
        let BinariesError::NotFound { looked, .. } = error else { panic!("{error}") };
        assert_eq!(looked.len(), 1);
        assert!(looked[0].bin_dir.starts_with("/nonexistent/cache"));
    }
}
