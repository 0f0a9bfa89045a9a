//! Reads one part of a run's samples, a row group at a time.
//!
//! Takes a file and the run's names, gives samples with indices into them; names that the run did not know are added.
//! Must not know what the samples are for.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use rustc_hash::FxHashMap;

use super::sample::{Difference, Names, Outcome, ResultCheck, Sample, SampleKind};
use super::{SamplesError, VERSION, VERSION_KEY};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// Reads a part and hands over its samples in stored order.
///
/// # Errors
/// When the file cannot be read, is damaged, is of another version, or a cell has no meaning.
pub fn read_part(path: &Path, names: &mut Names, mut take: impl FnMut(Sample)) -> Result<(), SamplesError> {
    let part = PartReader::open(path)?;
    let mut names = Interned::new(names);
    (0..part.row_groups()).try_for_each(|at| part.read(at, &mut names, &mut take))
}

/// A part of which some row groups are read.
pub(super) struct PartReader {
    path: PathBuf,
    reader: SerializedFileReader<File>,
}

impl PartReader {
    /// # Errors
    /// When the file cannot be read, is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, SamplesError> {
        let file =
            File::open(path).map_err(|source| SamplesError::Io { action: "open", path: path.to_owned(), source })?;
        let reader = SerializedFileReader::new(file)
            .map_err(|source| SamplesError::Damaged { path: path.to_owned(), source })?;
        match version(reader.metadata().file_metadata()) {
            Some(found) if found == VERSION.to_string() => Ok(Self { path: path.to_owned(), reader }),
            found => {
                let found = found.unwrap_or_else(|| "missing".into());
                Err(SamplesError::Version { path: path.to_owned(), found })
            }
        }
    }

    pub fn row_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// What is known of a row group without reading it.
    pub fn row_group(&self, at: usize) -> &RowGroupMetaData {
        self.reader.metadata().row_group(at)
    }

    /// Hands over the samples of a row group.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or a cell has no meaning.
    pub fn read(&self, at: usize, names: &mut Interned<'_>, mut take: impl FnMut(Sample)) -> Result<(), SamplesError> {
        let damaged = |source| SamplesError::Damaged { path: self.path.clone(), source };
        let content = |detail| SamplesError::Content { path: self.path.clone(), detail };
        let group = self.reader.get_row_group(at).map_err(damaged)?;
        let columns = Columns::read(group.as_ref()).map_err(damaged)?;
        for row in 0..columns.rows {
            take(columns.sample(row, names).map_err(content)?);
        }
        Ok(())
    }
}

fn version(metadata: &FileMetaData) -> Option<String> {
    metadata.key_value_metadata()?.iter().find(|pair| pair.key == VERSION_KEY)?.value.clone()
}

/// The columns of one row group by name.
struct Columns {
    rows: usize,
    columns: FxHashMap<String, Values>,
}

/// The cells of one column, nulls included.
enum Values {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<ByteArray>>),
}

impl Columns {
    fn read(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let metadata = group.metadata();
        let rows = usize::try_from(metadata.num_rows())
            .map_err(|_| ParquetError::General("a row group has a negative number of rows".into()))?;
        let mut columns = FxHashMap::default();
        for at in 0..metadata.num_columns() {
            let values = match group.get_column_reader(at)? {
                ColumnReader::Int32ColumnReader(reader) => Values::Integers(cells(reader, rows, i64::from)?),
                ColumnReader::Int64ColumnReader(reader) => Values::Integers(cells(reader, rows, |value| value)?),
                ColumnReader::ByteArrayColumnReader(reader) => Values::Texts(cells(reader, rows, |value| value)?),
                // A column that a later version added.
                _ => continue,
            };
            columns.insert(metadata.column(at).column_path().string(), values);
        }
        Ok(Self { rows, columns })
    }

    fn sample(&self, row: usize, names: &mut Interned<'_>) -> Result<Sample, String> {
        let optional_us = |column| self.integer(column, row).map(|value| value.map(|value| value as u64));
        let required_us = |column| self.required_integer(column, row).map(|value| value as u64);
        Ok(Sample {
            kind: self.named("kind", row, SampleKind::from_name)?,
            class: self.named("class", row, SampleClass::from_name)?,
            outcome: self.named("outcome", row, Outcome::from_name)?,
            result: self.result(row)?,
            event: required_us("event")?,
            session: self.small("session", row)?,
            copy: self.small("copy", row)?,
            tenant: self.text("tenant", row)?.map(|name| names.tenant(name)).transpose()?,
            database: names.database(self.required_text("database", row)?)?,
            endpoint: names.endpoint(self.required_text("endpoint", row)?)?,
            fingerprint: self.required_text("fingerprint", row)?.parse::<Fingerprint>()?,
            due_us: required_us("due_us")?,
            ready_us: optional_us("ready_us")?,
            sent_us: optional_us("sent_us")?,
            first_us: optional_us("first_us")?,
            done_us: required_us("done_us")?,
            deadline_us: required_us("deadline_us")?,
            order_wait_us: required_us("order_wait_us")?,
            other_tenant_wait_us: required_us("other_tenant_wait_us")?,
            sqlstate: self.text("sqlstate", row)?.map(str::parse::<SqlState>).transpose()?,
            message: self.text("message", row)?.map(Box::from),
            rows: required_us("rows")?,
            bytes: required_us("bytes")?,
            attempt: self.small("attempt", row)?,
        })
    }

    fn integer(&self, column: &str, row: usize) -> Result<Option<i64>, String> {
        match self.columns.get(column) {
            Some(Values::Integers(cells)) => Ok(cells[row]),
            _ => Err(format!("there is no integer column \"{column}\"")),
        }
    }

    fn required_integer(&self, column: &str, row: usize) -> Result<i64, String> {
        self.integer(column, row)?.ok_or_else(|| format!("\"{column}\" is null in a row"))
    }

    fn small<T: TryFrom<i64>>(&self, column: &str, row: usize) -> Result<T, String> {
        let value = self.required_integer(column, row)?;
        value.try_into().map_err(|_| format!("\"{column}\" has {value} in a row, which is out of range"))
    }

    fn text(&self, column: &str, row: usize) -> Result<Option<&str>, String> {
        match self.columns.get(column) {
            Some(Values::Texts(cells)) => cells[row]
                .as_ref()
                .map(|cell| std::str::from_utf8(cell.data()).map_err(|_| format!("\"{column}\" is not UTF-8")))
                .transpose(),
            _ => Err(format!("there is no text column \"{column}\"")),
        }
    }

    fn required_text(&self, column: &str, row: usize) -> Result<&str, String> {
        self.text(column, row)?.ok_or_else(|| format!("\"{column}\" is null in a row"))
    }

    /// The first files of this version do not say what differs.
    fn result(&self, row: usize) -> Result<ResultCheck, String> {
        let difference = match self.columns.contains_key("difference") {
            true => self.text("difference", row)?.and_then(Difference::from_name),
            false => None,
        };
        self.named("result", row, |name| ResultCheck::from_name(name, difference))
    }

    fn named<T>(&self, column: &str, row: usize, from_name: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let name = self.required_text(column, row)?;
        from_name(name).ok_or_else(|| format!("\"{column}\" has the unknown value \"{name}\""))
    }
}

/// All cells of a column of `rows` rows.
fn cells<T: DataType, V>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    turn: impl Fn(T::T) -> V,
) -> Result<Vec<Option<V>>, ParquetError> {
    let mut present = Vec::with_capacity(rows);
    let mut levels = Vec::new();
    let mut seen = 0;
    while seen < rows {
        let (records, _, _) = reader.read_records(rows - seen, Some(&mut levels), None, &mut present)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!("a column ends after {seen} of {rows} rows")));
        }
        seen += records;
    }
    let mut present = present.into_iter().map(turn);
    // A required column has no levels.
    Ok(if levels.is_empty() {
        present.map(Some).collect()
    } else {
        levels.iter().map(|&level| if level > 0 { present.next() } else { None }).collect()
    })
}

/// Names to indices.
pub(super) struct Interned<'a> {
    names: &'a mut Names,
    tenants: HashMap<String, usize>,
    databases: HashMap<String, usize>,
    endpoints: HashMap<String, usize>,
}

impl<'a> Interned<'a> {
    pub fn new(names: &'a mut Names) -> Self {
        let index = |names: &[String]| names.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
        Self {
            tenants: index(&names.tenants),
            databases: index(&names.databases),
            endpoints: index(&names.endpoints),
            names,
        }
    }

    fn tenant(&mut self, name: &str) -> Result<u32, String> {
        intern(&mut self.tenants, &mut self.names.tenants, name)
    }

    fn database(&mut self, name: &str) -> Result<u16, String> {
        intern(&mut self.databases, &mut self.names.databases, name)
    }

    fn endpoint(&mut self, name: &str) -> Result<u8, String> {
        intern(&mut self.endpoints, &mut self.names.endpoints, name)
    }
}

fn intern<T: TryFrom<usize>>(
    indices: &mut HashMap<String, usize>,
    names: &mut Vec<String>,
    name: &str,
) -> Result<T, String> {
    let at = match indices.get(name) {
        Some(&at) => at,
        None => {
            names.push(name.to_owned());
            indices.insert(name.to_owned(), names.len() - 1);
            names.len() - 1
        }
    };
    T::try_from(at).map_err(|_| format!("there are more names than fit, at \"{name}\""))
}
