//! Floor 2: the workload file (`.jsonl`, `.jsonl.zst`): its lines, a streaming reader, a streaming writer, a listing, a summary.

mod error;
mod executed;
mod forms;
mod info;
mod input;
pub mod listing;
mod live;
mod marks;
mod output;
mod place;
mod plain;
mod reader;
pub mod record;
mod salvage;
mod writer;

pub use error::{LineFault, ReadError, WriteError};
pub use executed::Executed;
pub use info::{Info, NamedCount, Shown, StatementInfo, TenantInfo, summarize};
pub use input::{Input, Observer, sha256_of_file};
pub use live::{Statement, StatementText};
pub use marks::{KnownMarks, Marks};
pub use plain::{PlainExecute, PlainRequest, PlainSql};
pub use reader::Reader;
pub use salvage::{SalvageError, Salvaged, salvage};
pub use writer::Writer;
