//! Finds the password of a login: `PGPASSWORD`, else the pgpass file (manual, "The Password File").
//!
//! Takes who logs in where and a look at the environment; gives the password or none. The file is the only thing that
//! it reads. Must not know what the password is for.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::secret::Secret;

/// Who logs in where: what a line of the file is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// A host name, or the directory of a Unix socket.
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

/// Why a password cannot be had although there is one.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error(
        "password file \"{}\" can be read by others\nhint: its permissions should be u=rw (0600) or less",
        path.display()
    )]
    Permissions { path: PathBuf },
    #[error("could not read password file \"{}\"", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// Looks in `PGPASSWORD`, then in `PGPASSFILE` or `~/.pgpass`. A file that does not exist holds no password; one that
/// others can read is an error once a line of it would be used.
pub fn find(lookup: Lookup<'_>, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Secret>, PasswordError> {
    if let Some(password) = environment("PGPASSWORD").filter(|password| !password.is_empty()) {
        return Ok(Some(Secret::new(password)));
    }
    let file = environment("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".pgpass")));
    file.map_or(Ok(None), |path| find_in_file(lookup, &path))
}

fn find_in_file(lookup: Lookup<'_>, path: &Path) -> Result<Option<Secret>, PasswordError> {
    let failed = |source| PasswordError::Read { path: path.to_owned(), source };
    let text = match std::fs::read(path) {
        // A line that is not UTF-8 must not hide the others.
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = find_in_text(lookup, &text);
    if found.is_some() && std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(PasswordError::Permissions { path: path.to_owned() });
    }
    Ok(found)
}

/// The password of the first line that fits: `host:port:database:user:password`, `*` for anything.
fn find_in_text(lookup: Lookup<'_>, text: &str) -> Option<Secret> {
    // libpq calls a server behind the default socket directory "localhost".
    let host = if lookup.host == "/var/run/postgresql" || lookup.host == "/tmp" { "localhost" } else { lookup.host };
    let port = lookup.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        // What follows the password, behind one more colon, is nothing to libpq.
        let [at_host, at_port, at_database, at_user, password, ..] = &fields[..] else { return None };
        [(at_host, host), (at_port, &*port), (at_database, lookup.database), (at_user, lookup.user)]
            .iter()
            .all(|(field, wanted)| **field == "*" || unprotected(field) == *wanted)
            .then(|| Secret::new(unprotected(password)))
    })
}

/// Splits at the colons that no backslash protects. The backslashes stay: `\*` is a star, and `*` is anything.
fn fields(line: &str) -> Vec<&str> {
    let mut is_protected = false;
    line.split(|character| {
        let ends = character == ':' && !is_protected;
        is_protected = character == '\\' && !is_protected;
        ends
    })
    .collect()
}

/// Takes the backslashes away that protect what follows them.
fn unprotected(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        let plain = if character == '\\' { characters.next().unwrap_or('\\') } else { character };
        text.push(plain);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const LOOKUP: Lookup<'_> = Lookup { host: "db.example", port: 5433, database: "shop", user: "ann" };

    fn found(text: &str) -> Option<String> {
        find_in_text(LOOKUP, text).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# db.example:5433:shop:ann:comment\nother:*:*:*:no\n*:5433:*:ann:yes\n*:*:*:*:late\n";
        assert_eq!(found(text).as_deref(), Some("yes"));
        assert_eq!(found("db.example:5432:shop:ann:no"), None);
    }

    #[test]
    fn colons_and_backslashes_can_be_protected() {
        assert_eq!(found(r"db.example:5433:shop:ann:a\:b\\c:d").as_deref(), Some(r"a:b\c"));
        assert_eq!(found(r"db.example:5433:shop:\*:no"), None);
        assert_eq!(found(r"db.example:5433:shop:\a\nn:end\").as_deref(), Some(r"end\"));
        assert_eq!(found("db.example:5433:shop:ann:windows\r\n").as_deref(), Some("windows"));
        let star = Lookup { user: "*", ..LOOKUP };
        assert_eq!(find_in_text(star, r"*:*:*:\*:yes").unwrap().expose(), "yes");
    }

    #[test]
    fn a_socket_in_its_default_directory_is_localhost() {
        for (host, fits) in [("/var/run/postgresql", true), ("/tmp", true), ("/run/pg", false), ("localhost", true)] {
            assert_eq!(find_in_text(Lookup { host, ..LOOKUP }, "localhost:*:*:*:p").is_some(), fits, "{host}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_when_it_would_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(&path, "*:*:*:ann:x").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let environment = |name: &str| (name == "PGPASSFILE").then(|| path.display().to_string());
        assert!(matches!(find(LOOKUP, environment), Err(PasswordError::Permissions { .. })));
        assert!(find(Lookup { user: "bob", ..LOOKUP }, environment).unwrap().is_none());
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(find(LOOKUP, environment).unwrap().is_some());
    }

    #[test]
    fn the_environment_comes_first() {
        let secret = find(LOOKUP, |name| (name == "PGPASSWORD").then(|| "p".to_owned())).unwrap().unwrap();
        assert_eq!((secret.expose(), format!("{secret} {secret:?}")), ("p", "*** ***".to_owned()));
    }
}
