//! Writes one part of a run's samples.
//!
//! Takes samples and the run's names; gives a standard Parquet file that has its final name only once it is whole.
//! Must not know which part it is, nor when it is time for the next.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::columns::{COLUMNS, schema_text};
use super::sample::{Names, Sample};
use super::texts::Texts;
use super::{SamplesError, VERSION, VERSION_KEY};

/// Samples of one row group: what writer and reader hold in memory at most.
pub(super) const ROW_GROUP_SAMPLES: usize = 4_096;

/// Columns with the least and the largest value of each row group: whoever asks for a time reads only what holds it. For the
/// others, to compare each cell with the extremes so far would only take time.
const WITH_EXTREMES: [&str; 2] = ["due_us", "done_us"];

/// The writer of one part. Dropped without [`PartWriter::close`] it leaves its `.tmp` file, which readers ignore.
pub struct PartWriter {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    names: Arc<Names>,
    texts: Texts,
    waiting: Vec<Sample>,
    written: usize,
}

impl PartWriter {
    /// Begins a part that will have the name `path` when it is closed, and has `path` with `.tmp` until then.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, names: Arc<Names>) -> Result<Self, SamplesError> {
        let open = temporary(path);
        let file = File::create(&open).map_err(|source| SamplesError::Io { action: "create", path: open, source })?;
        let encode = |source| SamplesError::Encode { path: path.to_owned(), source };
        let schema = parse_message_type(&schema_text()).map_err(encode)?;
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("pgrehearse ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(VERSION_KEY.to_owned(), VERSION.to_string())]));
        for column in COLUMNS.iter().filter(|column| column.is_integer()) {
            // The differences between neighbours are small, and sooner written than looked up in a dictionary.
            properties = properties
                .set_column_dictionary_enabled(ColumnPath::from(column.name), false)
                .set_column_encoding(ColumnPath::from(column.name), Encoding::DELTA_BINARY_PACKED);
        }
        for column in WITH_EXTREMES {
            properties = properties.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Chunk);
        }
        let properties = properties.build();
        let file = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(encode)?;
        let texts = Texts::new(&names);
        Ok(Self { path: path.to_owned(), file, names, texts, waiting: Vec::new(), written: 0 })
    }

    /// Adds a sample; every so many are written out as a row group.
    ///
    /// # Errors
    /// When the sample names a tenant, database or endpoint that the run does not have, or writing fails.
    pub fn push(&mut self, sample: Sample) -> Result<(), SamplesError> {
        self.check_names(&sample)?;
        self.waiting.push(sample);
        if self.waiting.len() >= ROW_GROUP_SAMPLES { self.write_row_group() } else { Ok(()) }
    }

    /// Adds a row group of another part, whose columns are these, as it stands in `file`.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub(super) fn append(&mut self, file: &File, group: &RowGroupMetaData) -> Result<(), SamplesError> {
        self.write_row_group()?;
        self.try_append(file, group).map_err(|source| SamplesError::Encode { path: self.path.clone(), source })?;
        self.written += usize::try_from(group.num_rows()).unwrap_or_default();
        Ok(())
    }

    fn try_append(&mut self, file: &File, group: &RowGroupMetaData) -> Result<(), ParquetError> {
        let mut copy = self.file.next_row_group()?;
        for column in group.columns() {
            let chunk = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                rows_written: u64::try_from(group.num_rows()).unwrap_or_default(),
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            copy.append_column(file, chunk)?;
        }
        copy.close().map(|_| ())
    }

    /// Samples pushed so far.
    pub fn samples(&self) -> usize {
        self.written + self.waiting.len()
    }

    /// Writes what is left, ends the file and gives it its name.
    ///
    /// # Errors
    /// When writing or renaming fails; the `.tmp` file stays.
    pub fn close(mut self) -> Result<(), SamplesError> {
        self.write_row_group()?;
        self.file.close().map_err(|source| SamplesError::Encode { path: self.path.clone(), source })?;
        std::fs::rename(temporary(&self.path), &self.path).map_err(|source| SamplesError::Io {
            action: "rename to",
            path: self.path,
            source,
        })
    }

    fn check_names(&self, sample: &Sample) -> Result<(), SamplesError> {
        let tenant = sample.tenant.map_or(0, |tenant| tenant as usize);
        let (database, endpoint) = (usize::from(sample.database), usize::from(sample.endpoint));
        if sample.tenant.is_some() && tenant >= self.names.tenants.len() {
            return Err(SamplesError::UnknownName { what: "tenant", index: tenant });
        }
        if database >= self.names.databases.len() {
            return Err(SamplesError::UnknownName { what: "database", index: database });
        }
        if endpoint >= self.names.endpoints.len() {
            return Err(SamplesError::UnknownName { what: "endpoint", index: endpoint });
        }
        Ok(())
    }

    fn write_row_group(&mut self) -> Result<(), SamplesError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.try_write_row_group().map_err(|source| SamplesError::Encode { path: self.path.clone(), source })?;
        self.written += self.waiting.len();
        self.waiting.clear();
        Ok(())
    }

    fn try_write_row_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &COLUMNS {
            let mut writer =
                group.next_column()?.ok_or_else(|| ParquetError::General("the schema is short of a column".into()))?;
            column.write(&self.waiting, &mut self.texts, &mut writer)?;
            writer.close()?;
        }
        group.close().map(|_| ())
    }
}

/// The name of a part while it is open.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}
