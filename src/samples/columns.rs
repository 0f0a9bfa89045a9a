//! The columns of a sample file, version 1: names, types, and how a sample becomes cells.
//!
//! Times are signed 64-bit microseconds, so that a person's `done_us - due_us` never wraps; names stand as text, so
//! that a file can be read alone. Must not know about files or row groups.

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::SerializedColumnWriter;

use super::sample::Sample;
use super::texts::Texts;

/// How a column gets its cells.
pub(super) enum Cells {
    Int32(fn(&Sample) -> i32),
    Int64(fn(&Sample) -> i64),
    /// Nullable.
    Int64OrNull(fn(&Sample) -> Option<u64>),
    /// Text that does not depend on the run's names.
    Text(fn(&Sample) -> ByteArray),
    /// Nullable.
    TextOrNull(fn(&Sample) -> Option<ByteArray>),
    /// One of the run's names. Nullable.
    Named(for<'a> fn(&Sample, &'a Texts) -> Option<&'a ByteArray>),
    Fingerprint,
}

/// A column: its name and where its cells come from.
pub(super) struct Column {
    pub name: &'static str,
    pub cells: Cells,
}

/// The columns in the order in which they are written. A reader finds them by name and ignores those that it does not
/// know, so that a later version may add some.
pub(super) const COLUMNS: [Column; 25] = [
    column("kind", Cells::Text(|s| fixed(s.kind.name()))),
    // Identifiers keep their bits.
    column("event", Cells::Int64(|s| s.event as i64)),
    column("session", Cells::Int64(|s| i64::from(s.session))),
    column("copy", Cells::Int32(|s| i32::from(s.copy))),
    column("tenant", Cells::Named(|s, texts| texts.tenants.get(s.tenant? as usize))),
    column("database", Cells::Named(|s, texts| texts.databases.get(usize::from(s.database)))),
    column("endpoint", Cells::Named(|s, texts| texts.endpoints.get(usize::from(s.endpoint)))),
    column("fingerprint", Cells::Fingerprint),
    column("class", Cells::Text(|s| fixed(s.class.name()))),
    column("due_us", Cells::Int64(|s| us(s.due_us))),
    column("ready_us", Cells::Int64OrNull(|s| s.ready_us)),
    column("sent_us", Cells::Int64OrNull(|s| s.sent_us)),
    column("first_us", Cells::Int64OrNull(|s| s.first_us)),
    column("done_us", Cells::Int64(|s| us(s.done_us))),
    column("deadline_us", Cells::Int64(|s| us(s.deadline_us))),
    column("order_wait_us", Cells::Int64(|s| us(s.order_wait_us))),
    column("other_tenant_wait_us", Cells::Int64(|s| us(s.other_tenant_wait_us))),
    column("outcome", Cells::Text(|s| fixed(s.outcome.name()))),
    column("sqlstate", Cells::TextOrNull(|s| s.sqlstate.map(|code| ByteArray::from(code.as_str())))),
    column("message", Cells::TextOrNull(|s| s.message.as_deref().map(ByteArray::from))),
    column("rows", Cells::Int64(|s| us(s.rows))),
    column("bytes", Cells::Int64(|s| us(s.bytes))),
    column("attempt", Cells::Int32(|s| i32::from(s.attempt))),
    column("result", Cells::Text(|s| fixed(s.result.name()))),
    column("difference", Cells::TextOrNull(|s| s.result.difference().map(|difference| fixed(difference.name())))),
];

const fn column(name: &'static str, cells: Cells) -> Column {
    Column { name, cells }
}

fn fixed(name: &'static str) -> ByteArray {
    ByteArray::from(bytes::Bytes::from_static(name.as_bytes()))
}

/// A count or time as it is stored; what does not fit is as good as the largest.
fn us(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Column {
    pub(super) fn is_integer(&self) -> bool {
        matches!(self.cells, Cells::Int32(_) | Cells::Int64(_) | Cells::Int64OrNull(_))
    }

    /// The column's line of the schema.
    fn declaration(&self) -> String {
        let declared = match &self.cells {
            Cells::Int32(_) => "required int32",
            Cells::Int64(_) => "required int64",
            Cells::Int64OrNull(_) => "optional int64",
            Cells::Text(_) | Cells::Fingerprint => "required binary",
            // Every named cell may be null: a request need not have a tenant.
            Cells::TextOrNull(_) | Cells::Named(_) => "optional binary",
        };
        let annotation = if declared.ends_with("binary") { " (STRING)" } else { "" };
        format!("  {declared} {}{annotation};\n", self.name)
    }

    /// Writes the column's cells of `samples` as one chunk.
    pub(super) fn write(
        &self,
        samples: &[Sample],
        texts: &mut Texts,
        writer: &mut SerializedColumnWriter<'_>,
    ) -> Result<()> {
        match &self.cells {
            Cells::Int32(get) => {
                let cells: Vec<i32> = samples.iter().map(get).collect();
                writer.typed::<Int32Type>().write_batch(&cells, None, None)?;
            }
            Cells::Int64(get) => {
                let cells: Vec<i64> = samples.iter().map(get).collect();
                writer.typed::<Int64Type>().write_batch(&cells, None, None)?;
            }
            Cells::Int64OrNull(get) => {
                let (levels, cells) = nullable(samples.iter().map(|s| get(s).map(us)));
                writer.typed::<Int64Type>().write_batch(&cells, Some(&levels), None)?;
            }
            Cells::Text(get) => {
                let cells: Vec<ByteArray> = samples.iter().map(get).collect();
                writer.typed::<ByteArrayType>().write_batch(&cells, None, None)?;
            }
            Cells::TextOrNull(get) => {
                let (levels, cells) = nullable(samples.iter().map(get));
                writer.typed::<ByteArrayType>().write_batch(&cells, Some(&levels), None)?;
            }
            Cells::Named(get) => {
                let (levels, cells) = nullable(samples.iter().map(|s| get(s, texts).cloned()));
                writer.typed::<ByteArrayType>().write_batch(&cells, Some(&levels), None)?;
            }
            Cells::Fingerprint => {
                let cells: Vec<ByteArray> = samples.iter().map(|s| texts.fingerprint(s.fingerprint)).collect();
                writer.typed::<ByteArrayType>().write_batch(&cells, None, None)?;
            }
        }
        Ok(())
    }
}

/// Definition levels, and the cells that are not null.
fn nullable<T>(cells: impl ExactSizeIterator<Item = Option<T>>) -> (Vec<i16>, Vec<T>) {
    let mut levels = Vec::with_capacity(cells.len());
    let mut present = Vec::with_capacity(cells.len());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        present.extend(cell);
    }
    (levels, present)
}

/// The schema in Parquet's own notation.
pub(super) fn schema_text() -> String {
    let declarations: String = COLUMNS.iter().map(Column::declaration).collect();
    format!("message samples {{\n{declarations}}}")
}
