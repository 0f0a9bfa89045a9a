//! Checks and unpacks a wheel, which is a zip archive.
//!
//! Takes a file, a digest and a directory; gives files with the modes that the archive records. Must not know what the
//! wheel holds or where it came from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Why a wheel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    #[error("could not read \"{}\"", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the digest of \"{}\" is wrong, so it was not unpacked\ndetail: SHA-256 is {found}, expected {expected}", path.display())]
    Digest { path: PathBuf, found: String, expected: String },
    #[error("\"{}\" is not a sound zip archive", path.display())]
    Archive { path: PathBuf, source: zip::result::ZipError },
    #[error("the archive entry \"{name}\" leads out of its directory")]
    Escapes { name: String },
    #[error("could not write \"{}\"{}", path.display(), full(source))]
    Write { path: PathBuf, source: io::Error },
}

fn full(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { ": the disk is full" } else { "" }
}

/// Compares the SHA-256 of a file (hexadecimal, lower case).
///
/// # Errors
/// When it differs, or the file cannot be read.
pub fn check_digest(path: &Path, expected: &str) -> Result<(), WheelError> {
    let read = |source| WheelError::Read { path: path.into(), source };
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(read)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == expected {
        return Ok(());
    }
    Err(WheelError::Digest { path: path.into(), found, expected: expected.into() })
}

/// Unpacks the entries whose names `wanted` accepts below `to`, readable for everybody, executable as recorded.
///
/// # Errors
/// A damaged archive, an entry that leads out of `to`, a file that cannot be written.
pub fn unpack(path: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), WheelError> {
    let archive = |source| WheelError::Archive { path: path.into(), source };
    let file = File::open(path).map_err(|source| WheelError::Read { path: path.into(), source })?;
    let mut zip = zip::ZipArchive::new(io::BufReader::new(file)).map_err(archive)?;
    make_dir(to)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(archive)?;
        if !entry.is_file() || !wanted(entry.name()) {
            continue;
        }
        let below = entry.enclosed_name().ok_or_else(|| WheelError::Escapes { name: entry.name().to_owned() })?;
        let target = to.join(&below);
        for dir in below.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            make_dir(&to.join(dir))?;
        }
        let mode = if entry.unix_mode().unwrap_or(0) & 0o100 == 0 { 0o644 } else { 0o755 };
        let write = |source| WheelError::Write { path: target.clone(), source };
        let mut out = File::create(&target).map_err(write)?;
        io::copy(&mut entry, &mut out).map_err(write)?;
        out.set_permissions(fs::Permissions::from_mode(mode)).map_err(write)?;
    }
    Ok(())
}

/// Creates a directory with mode 0755 whatever the umask says: another account must be able to read it.
fn make_dir(path: &Path) -> Result<(), WheelError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|source| WheelError::Write { path: path.into(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(dir: &Path, entries: &[(&str, u32, &str)]) -> PathBuf {
        let path = dir.join("some.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, mode, text) in entries {
            zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn modes_come_from_the_archive_and_unwanted_entries_stay_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("a/bin/x", 0o755, "run"), ("a/lib/y.so", 0o600, "lib"), ("b/z", 0o644, "")]);
        let to = dir.path().join("to");
        unpack(&path, &to, |name| name.starts_with("a/")).unwrap();
        assert_eq!(
            (mode(&to.join("a")), mode(&to.join("a/bin/x")), mode(&to.join("a/lib/y.so"))),
            (0o755, 0o755, 0o644)
        );
        assert!(!to.join("b").exists());
    }

    #[test]
    fn another_digest_is_refused_and_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.whl");
        fs::write(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_digest(&path, abc).unwrap();
        let error = check_digest(&path, &abc.replace('b', "c")).unwrap_err().to_string();
        assert!(error.contains(&format!("SHA-256 is {abc}")), "{error}");
    }

    #[test]
    fn an_entry_that_leads_out_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("../evil", 0o644, "x")]);
        assert!(matches!(unpack(&path, &dir.path().join("to"), |_| true), Err(WheelError::Escapes { .. })));
        assert!(!dir.path().join("evil").exists());
    }
}
