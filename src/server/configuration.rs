//! The part of a cluster's configuration that pgrehearse writes: one included file, replaced as a whole.
//!
//! Takes settings; gives the text of `pgrehearse.conf` and puts it into a data directory. Must not know what the
//! settings mean to the server.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::account::Account;

/// The file, included at the end of `postgresql.conf`, so that what stands in it wins.
pub const FILE: &str = "pgrehearse.conf";

const INCLUDE: &str = "include = 'pgrehearse.conf'";

/// Writes the settings into the data directory and includes them from `postgresql.conf` if that does not do so yet.
/// `pg_upgrade` starts its servers with the same file, so lock table sizes hold for it too.
///
/// # Errors
/// Names no file: the caller says which data directory it was.
pub fn write(data_dir: &Path, settings: &BTreeMap<String, String>, account: &Account) -> io::Result<()> {
    let text = render(settings).map_err(|name| io::Error::other(format!("\"{name}\" is not the name of a setting")))?;
    put(&data_dir.join(FILE), &text, account)?;
    let main = data_dir.join("postgresql.conf");
    let mut lines = fs::read_to_string(&main)?;
    if !lines.lines().any(|line| line == INCLUDE) {
        lines.push_str(&format!("\n{INCLUDE}\n"));
        put(&main, &lines, account)?;
    }
    Ok(())
}

/// Lets every local user in without a password, as initdb's `-A trust` does: for clusters that came from elsewhere.
pub fn write_trusting_hba(data_dir: &Path, account: &Account) -> io::Result<()> {
    let lines = "local all all trust\nhost all all 127.0.0.1/32 trust\nlocal replication all trust\n";
    put(&data_dir.join("pg_hba.conf"), lines, account)
}

fn put(path: &Path, text: &str, account: &Account) -> io::Result<()> {
    fs::write(path, text)?;
    account.give(path)
}

/// One line per setting.
///
/// # Errors
/// A name that is none.
fn render(settings: &BTreeMap<String, String>) -> Result<String, String> {
    let mut text = String::from("# Written by pgrehearse at each start; changes are lost.\n");
    for (name, value) in settings {
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')) {
            return Err(name.clone());
        }
        text.push_str(&format!("{name} = {}\n", quote(value)));
    }
    Ok(text)
}

/// A value as configuration files take it: quotes doubled, backslashes and line ends escaped.
fn quote(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r");
    format!("'{escaped}'")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_out_of_their_line() {
        let settings = BTreeMap::from([
            ("log_line_prefix".to_owned(), r"%m 'x' \ ".to_owned()),
            ("app.name".to_owned(), "a\nport = 1".to_owned()),
        ]);
        let text = render(&settings).unwrap();
        assert!(text.ends_with("app.name = 'a\\nport = 1'\nlog_line_prefix = '%m ''x'' \\\\ '\n"), "{text}");
        assert_eq!(render(&BTreeMap::from([("a b".to_owned(), String::new())])), Err("a b".to_owned()));
    }

    #[test]
    fn the_file_is_included_once() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("postgresql.conf");
        fs::write(&main, "port = 5432").unwrap();
        let account = Account { name: "me".into(), uid: 0, gid: 0, lent: false };
        for value in ["1", "2"] {
            write(dir.path(), &BTreeMap::from([("work_mem".into(), value.into())]), &account).unwrap();
        }
        assert_eq!(fs::read_to_string(&main).unwrap().matches("include").count(), 1);
        assert!(fs::read_to_string(dir.path().join(FILE)).unwrap().contains("work_mem = '2'"));
    }
}
