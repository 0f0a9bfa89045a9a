//! Real clients that a test needs and that are no part of PostgreSQL: Python drivers from PyPI.
//!
//! Gives none, and says so loudly, where they cannot be had; with `PGREHEARSE_REQUIRE_CLIENTS=1`, as in continuous
//! integration, that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Pinned, so that a new release of a driver changes no test's meaning.
const DRIVERS: [&str; 2] = ["psycopg[binary]==3.3.9", "asyncpg==0.32.0"];

/// A Python that has the drivers, in an environment that is made once and kept beside the test binaries.
pub fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| make_environment().map_err(|reason| without("the Python drivers", &reason)).ok()).as_deref()
}

fn make_environment() -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
    let (python, complete) = (directory.join("bin/python"), directory.join("complete"));
    let wanted = DRIVERS.join(" ");
    if std::fs::read_to_string(&complete).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(DRIVERS))?;
    std::fs::write(&complete, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let ended = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ended.stderr).into_owned()),
    }
}

/// Says that a test goes on without something, or fails where everything is required.
pub fn without(what: &str, reason: &str) {
    assert!(std::env::var_os("PGREHEARSE_REQUIRE_CLIENTS").is_none(), "{what} cannot be had: {reason}");
    eprintln!("SKIPPED, without {what}: {reason}");
}
