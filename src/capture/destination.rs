//! Where a capture's workload goes: what can never be written is said before hours of input are read.
//!
//! Takes paths. Must not know what is captured.

use std::io;
use std::path::{Path, PathBuf};

use super::error::CaptureError;
use crate::workload::WriteError;

/// Checks that the workload can be written under this name, as far as that can be told now.
///
/// # Errors
/// It is a directory or one of the inputs, or there is no directory for it.
pub fn check(output: &Path, inputs: &[PathBuf]) -> Result<(), CaptureError> {
    let refused = |source: io::Error| CaptureError::Write(WriteError::Create { file: output.to_owned(), source });
    if output.is_dir() {
        return Err(refused(io::ErrorKind::IsADirectory.into()));
    }
    if let Ok(there) = output.canonicalize()
        && inputs.iter().any(|input| input.canonicalize().is_ok_and(|input| input == there))
    {
        return Err(CaptureError::OutputIsInput { file: output.display().to_string() });
    }
    match directory_of(output).metadata() {
        Ok(directory) if directory.is_dir() => Ok(()),
        Ok(_) => Err(refused(io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(refused(error)),
    }
}

/// The directory that the workload will stand in; temporary files lie there too.
pub fn directory_of(output: &Path) -> &Path {
    output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
