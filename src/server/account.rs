//! The account that servers run under. PostgreSQL refuses root, so root lends its servers an unprivileged account.
//!
//! Takes the process's effective user and `/etc/passwd`; gives the account and says which path it cannot use. Must not
//! know what a server is.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Accounts that root may lend to servers, the first that exists.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Why no server can run under an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(
        "servers cannot run as root and no unprivileged account was found\n\
         hint: create one of the accounts postgres or nobody, or run pgrehearse as another user"
    )]
    NoAccount,
    #[error("could not read \"/etc/passwd\"")]
    Passwd(#[source] io::Error),
    #[error("could not look at \"{}\"", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error(
        "account \"{account}\" cannot use \"{}\": \"{}\" is not {lacking} for it\n\
         hint: servers of root run under that account; put the files where it can read them, or run pgrehearse as \
         another user",
        wanted.display(), at.display()
    )]
    NotUsable { account: String, wanted: PathBuf, at: PathBuf, lacking: &'static str },
}

/// A user that servers run under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether this is another user than the process's own, so that children must change to it.
    pub lent: bool,
}

impl Account {
    /// The current user, or for root the first of `postgres` and `nobody` that exists.
    ///
    /// # Errors
    /// When root finds neither.
    pub fn for_servers() -> Result<Self, AccountError> {
        let uid = rustix::process::geteuid();
        let passwd = std::fs::read_to_string("/etc/passwd").map_err(AccountError::Passwd)?;
        if uid.is_root() {
            return UNPRIVILEGED
                .iter()
                .find_map(|name| by_name(&passwd, name))
                .filter(|account| account.uid != 0)
                .ok_or(AccountError::NoAccount);
        }
        // A user of a directory service or a container is not in the file; its number is all that is needed.
        let uid = uid.as_raw();
        let name = name_of(&passwd, uid).unwrap_or_else(|| uid.to_string());
        Ok(Self { name, uid, gid: rustix::process::getegid().as_raw(), lent: false })
    }

    /// Hands a file or directory over to the account; nothing to do when it is the process's own.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        if self.lent {
            std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Checks that the account can read and execute `path` and pass through every directory above it.
    ///
    /// # Errors
    /// Names the first directory or file on the way that it cannot use.
    pub fn check_executable(&self, path: &Path) -> Result<(), AccountError> {
        if !self.lent {
            return Ok(());
        }
        let resolved = path.canonicalize().map_err(|source| AccountError::Look { path: path.into(), source })?;
        let mut way: Vec<&Path> = resolved.ancestors().collect();
        way.reverse();
        for at in way {
            let metadata = at.metadata().map_err(|source| AccountError::Look { path: at.into(), source })?;
            let needed = if at == resolved { 0o5 } else { 0o1 };
            let has = permissions(metadata.mode(), metadata.uid() == self.uid, metadata.gid() == self.gid);
            if has & needed != needed {
                let lacking = if at == resolved { "readable and executable" } else { "passable" };
                let account = self.name.clone();
                return Err(AccountError::NotUsable { account, wanted: path.into(), at: at.into(), lacking });
            }
        }
        Ok(())
    }
}

/// The three bits (read 4, write 2, execute 1) of `mode` that count for an account.
fn permissions(mode: u32, owner: bool, group: bool) -> u32 {
    let shift = match (owner, group) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    (mode >> shift) & 0o7
}

fn by_name(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (found, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        let account = Account { name: name.to_owned(), uid: number(uid)?, gid: number(gid)?, lent: true };
        (found == name).then_some(account)
    })
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, found) = (fields.next()?, fields.nth(1)?);
        (number(found)? == uid).then(|| name.to_owned())
    })
}

/// A user or group number; macOS writes nobody's as -2.
fn number(text: &str) -> Option<u32> {
    let value: i64 = text.parse().ok()?;
    u32::try_from(value).ok().or_else(|| i32::try_from(value).ok().map(i32::cast_unsigned))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str = "# comment\nroot:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n\
                          nobody:*:-2:-2:Unprivileged:/var/empty:/usr/bin/false\n";

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let postgres = by_name(PASSWD, "postgres").unwrap();
        assert_eq!((postgres.uid, postgres.gid), (101, 104));
        assert_eq!(by_name(PASSWD, "nobody").unwrap().uid, u32::MAX - 1);
        assert_eq!(by_name(PASSWD, "mallory"), None);
        assert_eq!(name_of(PASSWD, 101).as_deref(), Some("postgres"));
    }

    #[test]
    fn only_the_bits_of_the_first_class_that_fits_count() {
        assert_eq!(permissions(0o750, true, true), 7);
        assert_eq!(permissions(0o750, false, true), 5);
        assert_eq!(permissions(0o755, false, false), 5);
        // The owner is not helped by what others may do.
        assert_eq!(permissions(0o077, true, false), 0);
    }

    #[test]
    fn a_private_directory_on_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("initdb");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000, lent: true };
        let error = stranger.check_executable(&file).unwrap_err().to_string();
        let private = dir.path().canonicalize().unwrap();
        assert!(error.contains(&format!("\"{}\" is not passable", private.display())), "{error}");
    }
}
