//! `workload repair`: a whole workload of what stands in a damaged one.
//!
//! Takes the damaged file and writes another; the damaged one stays. Must not know what was typed.

use std::path::Path;

use super::error::ReshapeError;
use super::rewrite::refuse_same_file;
use crate::workload::{Salvaged, salvage};

/// Writes what stands in `input` into `output`.
///
/// # Errors
/// The output is the input, the input cannot be read or lacks its header, or the output cannot be written.
pub fn repair(input: &Path, output: &Path) -> Result<Salvaged, ReshapeError> {
    refuse_same_file(output, &[input])?;
    Ok(salvage(input, output)?)
}
