//! Floor 2: the workload file (`.jsonl`, `.jsonl.zst`): its lines, a streaming reader, a streaming writer, a summary.

mod error;
mod info;
mod input;
mod live;
mod output;
mod place;
mod reader;
pub mod record;
mod salvage;
mod writer;

pub use error::{LineFault, ReadError, WriteError};
pub use info::{Info, NamedCount, TenantInfo, summarize};
pub use input::sha256_of_file;
pub use live::{Statement, StatementText};
pub use reader::Reader;
pub use salvage::{SalvageError, Salvaged, salvage};
pub use writer::Writer;
