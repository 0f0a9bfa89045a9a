//! What can go wrong when one workload is made from another.
//!
//! Gives the error type only. Must not print a statement or a parameter value.

use std::path::PathBuf;

use crate::workload::{ReadError, SalvageError, WriteError};

/// Why a workload could not be made. Nothing stands under the output's name then.
#[derive(Debug, thiserror::Error)]
pub enum ReshapeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Salvage(#[from] SalvageError),
    /// Also where the output's temporary name is the input's.
    #[error(
        "the output \"{}\" would overwrite its own input\n\
         hint: give the output another name",
        file.display()
    )]
    SameFile { file: PathBuf },
    #[error("could not use a temporary file beside the output: {source}")]
    Temporary { source: std::io::Error },
    /// What was asked for cannot be done with this workload.
    #[error("{primary}\nhint: {hint}")]
    Asked { primary: String, hint: String },
}
