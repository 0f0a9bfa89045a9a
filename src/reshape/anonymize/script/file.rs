//! The script as a file, which holds the key: only its owner may read it, and it is whole or not there.
//!
//! Takes a mapping and a path. Must not know what the script says.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::Mapping;

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
#[error("could not write the SQL script \"{}\": {source}", file.display())]
pub struct ScriptError {
    file: PathBuf,
    source: io::Error,
}

impl Mapping {
    /// Writes the script that creates the mapping in a database; one that stands there is replaced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_script(&self, file: &Path) -> Result<(), ScriptError> {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A temporary file is its owner's alone, and stays so under its name.
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut script| {
            script.write_all(self.script().as_bytes())?;
            script.as_file().sync_all()?;
            script.persist(file).map_err(io::Error::from)
        });
        written.map(drop).map_err(|source| ScriptError { file: file.to_owned(), source })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::super::{Key, Mapping};

    #[test]
    fn the_script_is_its_owners_alone_even_where_another_file_stood() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("map.sql");
        std::fs::write(&file, "an older one").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let mapping = Mapping::new(Key::new([3; 32]), []);
        mapping.write_script(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), mapping.script());
        let missing = directory.path().join("missing/map.sql");
        let error = mapping.write_script(&missing).unwrap_err().to_string();
        assert!(error.starts_with("could not write the SQL script") && !error.contains(&"03".repeat(4)), "{error}");
    }
}
