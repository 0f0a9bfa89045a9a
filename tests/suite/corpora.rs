//! Other people's logs and captures, which are not part of the project: beside it in `../shared/corpora`, or where
//! `PGREHEARSE_CORPORA` says.

use std::path::{Path, PathBuf};

/// The directory of one kind of them, if it is at hand; says so loudly where it is not.
pub fn corpora(kind: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let found = std::env::var_os("PGREHEARSE_CORPORA").map_or(beside, PathBuf::from).join(kind);
    if !found.is_dir() {
        eprintln!("SKIPPED: {} is not there", found.display());
        return None;
    }
    Some(found)
}
