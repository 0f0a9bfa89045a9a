//! Floor 1: samples and their Parquet files.

mod columns;
mod files;
mod read;
pub mod sample;
mod stored;
mod texts;
mod write;

use std::path::PathBuf;

use parquet::errors::ParquetError;

pub use files::{compact, part_path, parts};
pub use read::read_part;
pub use stored::StoredSamples;
pub use write::PartWriter;

/// The version of the columns; stands in each file's key-value metadata under [`VERSION_KEY`].
pub const VERSION: u32 = 1;

/// The key of the version in a file's metadata.
pub const VERSION_KEY: &str = "pgrehearse.samples.version";

/// Why a part could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    #[error("could not {action} \"{}\"", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("could not write samples to \"{}\"", path.display())]
    Encode { path: PathBuf, source: ParquetError },
    #[error("\"{}\" is damaged or not a Parquet file", path.display())]
    Damaged { path: PathBuf, source: ParquetError },
    #[error("\"{}\" holds no samples of version {VERSION}: its {VERSION_KEY} is {found}", path.display())]
    Version { path: PathBuf, found: String },
    #[error("\"{}\": {detail}", path.display())]
    Content { path: PathBuf, detail: String },
    #[error("a sample names {what} number {index}, which the run does not have")]
    UnknownName { what: &'static str, index: usize },
}
