//! The part files of a run: their names, which of them count, and how many small ones become few large ones.
//!
//! A part is `part-00007.parquet`; one that took the place of several says which: `part-00000-00041.parquet`. So a run
//! that is killed between renaming the large one and removing the small ones counts no sample twice. Must not know
//! what is in a sample.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::{Interned, PartReader};
use super::sample::Names;
use super::write::ROW_GROUP_SAMPLES;
use super::{PartWriter, SamplesError};
use crate::words::limits::SAMPLES_PER_PART_MAX;

/// The path of part `number` in a samples directory.
pub fn part_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("part-{number:05}.parquet"))
}

/// The closed parts of a samples directory in order; none when there is no such directory. Open parts (`.tmp`) and
/// parts that a merged one holds are left out.
///
/// # Errors
/// When the directory cannot be listed.
pub fn parts(dir: &Path) -> Result<Vec<PathBuf>, SamplesError> {
    Ok(numbered_parts(dir)?.into_iter().map(|part| part.path).collect())
}

/// Merges small parts into parts of up to `SAMPLES_PER_PART_MAX` samples and removes the small ones. To be called when nobody writes any more.
///
/// # Errors
/// When a part cannot be read or written: what was not yet merged then stays as it is, and every sample still counts
/// once.
pub fn compact(dir: &Path, names: &Arc<Names>) -> Result<(), SamplesError> {
    let mut batch: Vec<Part> = Vec::new();
    let mut batch_samples = 0;
    for part in numbered_parts(dir)? {
        let samples = count(&part.path)?;
        if batch_samples + samples > SAMPLES_PER_PART_MAX {
            merge(dir, &std::mem::take(&mut batch), names)?;
            batch_samples = 0;
        }
        batch_samples += samples;
        batch.push(part);
    }
    merge(dir, &batch, names)?;
    remove_superseded(dir)
}

/// A part with the inclusive range of numbers that it holds.
struct Part {
    first: u32,
    last: u32,
    path: PathBuf,
}

impl Part {
    fn of(path: PathBuf) -> Option<Self> {
        let range = path.file_name()?.to_str()?.strip_prefix("part-")?.strip_suffix(".parquet")?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()?, path })
    }

    fn holds(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last && self.path != other.path
    }
}

/// Every part file, superseded ones included, wider ranges first where they begin alike.
fn every_part(dir: &Path) -> Result<Vec<Part>, SamplesError> {
    let io = |source| SamplesError::Io { action: "list", path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut parts = Vec::new();
    for entry in entries {
        parts.extend(Part::of(entry.map_err(io)?.path()));
    }
    parts.sort_by_key(|part| (part.first, std::cmp::Reverse(part.last)));
    Ok(parts)
}

fn numbered_parts(dir: &Path) -> Result<Vec<Part>, SamplesError> {
    let mut kept: Vec<Part> = Vec::new();
    for part in every_part(dir)? {
        if !kept.last().is_some_and(|before| before.holds(&part)) {
            kept.push(part);
        }
    }
    Ok(kept)
}

fn count(path: &Path) -> Result<usize, SamplesError> {
    let part = PartReader::open(path)?;
    let rows = (0..part.row_groups()).map(|at| part.row_group(at).num_rows()).sum::<i64>();
    Ok(usize::try_from(rows).unwrap_or(0))
}

/// Writes the samples of `batch` as one part; a batch of one stays as it is. Row groups that are large already are
/// copied, only small ones are decoded and made into large ones.
fn merge(dir: &Path, batch: &[Part], names: &Arc<Names>) -> Result<(), SamplesError> {
    let [first, .., last] = batch else { return Ok(()) };
    let merged = dir.join(format!("part-{:05}-{:05}.parquet", first.first, last.last));
    let mut writer = PartWriter::create(&merged, Arc::clone(names))?;
    // Reading adds what is unknown behind the known names, so the indices agree with the writer's.
    let mut read_names = Names::clone(names);
    let mut read_names = Interned::new(&mut read_names);
    for part in batch {
        let from = PartReader::open(&part.path)?;
        let io = |source| SamplesError::Io { action: "open", path: part.path.clone(), source };
        let file = File::open(&part.path).map_err(io)?;
        for at in 0..from.row_groups() {
            let group = from.row_group(at);
            if usize::try_from(group.num_rows()).is_ok_and(|rows| rows > ROW_GROUP_SAMPLES / 2) {
                writer.append(&file, group)?;
                continue;
            }
            let mut pushed = Ok(());
            from.read(at, &mut read_names, |sample| {
                if pushed.is_ok() {
                    pushed = writer.push(sample);
                }
            })?;
            pushed?;
        }
    }
    writer.close()
}

fn remove_superseded(dir: &Path) -> Result<(), SamplesError> {
    let kept = numbered_parts(dir)?;
    for part in every_part(dir)? {
        if kept.iter().any(|kept| kept.holds(&part)) {
            std::fs::remove_file(&part.path).map_err(|source| SamplesError::Io {
                action: "remove",
                path: part.path,
                source,
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::read_part;
    use crate::samples::sample::{Difference, Outcome, ResultCheck, Sample, SampleKind};
    use crate::words::class::SampleClass;
    use crate::words::ids::Fingerprint;

    fn names() -> Arc<Names> {
        Arc::new(Names {
            tenants: vec!["acme".into(), "globex".into()],
            databases: vec!["app_1".into(), "app_2".into()],
            endpoints: vec!["primary".into(), "replica".into()],
        })
    }

    /// A sample in which every column has a value of its own, or null where it may.
    fn sample(event: u64, full: bool) -> Sample {
        Sample {
            kind: if full { SampleKind::Request } else { SampleKind::Probe },
            class: if full { SampleClass::Commit } else { SampleClass::Connect },
            outcome: if full { Outcome::Indeterminate } else { Outcome::Ok },
            result: if full { ResultCheck::Differs(Some(Difference::Rows)) } else { ResultCheck::Unknown },
            event,
            session: u32::MAX,
            copy: 3,
            tenant: full.then_some(1),
            database: 1,
            endpoint: u8::from(full),
            fingerprint: Fingerprint(0xfedc_ba98_7654_3210),
            due_us: 1_000_000,
            ready_us: full.then_some(1_000_010),
            sent_us: full.then_some(1_000_020),
            first_us: full.then_some(1_000_900),
            done_us: 1_001_000,
            deadline_us: 5_000_000,
            order_wait_us: 7,
            other_tenant_wait_us: 8,
            sqlstate: full.then(|| "57P01".parse().unwrap()),
            message: full.then(|| "terminating connection due to administrator command".into()),
            rows: 12,
            bytes: 3_456,
            attempt: 2,
        }
    }

    fn write(path: &Path, events: std::ops::Range<u64>) {
        let mut writer = PartWriter::create(path, names()).unwrap();
        for event in events {
            writer.push(sample(event, event % 2 == 0)).unwrap();
        }
        writer.close().unwrap();
    }

    fn read_all(dir: &Path) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut read_names = Names::clone(&names());
        for part in parts(dir).unwrap() {
            read_part(&part, &mut read_names, |sample| samples.push(sample)).unwrap();
        }
        assert_eq!(read_names, *names(), "a run's own files hold no new names");
        samples
    }

    #[test]
    fn what_is_written_can_be_read_back_over_several_row_groups() {
        let dir = tempfile::tempdir().unwrap();
        write(&part_path(dir.path(), 0), 0..70_000);
        let samples = read_all(dir.path());
        assert_eq!(samples.len(), 70_000);
        for (event, found) in (0..).zip(&samples) {
            assert_eq!(*found, sample(event, event % 2 == 0));
        }
    }

    #[test]
    fn an_open_part_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PartWriter::create(&part_path(dir.path(), 0), names()).unwrap();
        writer.push(sample(0, true)).unwrap();
        assert_eq!(writer.samples(), 1);
        drop(writer);
        assert!(dir.path().join("part-00000.parquet.tmp").exists());
        assert_eq!(parts(dir.path()).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_run_without_samples_has_no_parts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(parts(&dir.path().join("samples")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn compacting_keeps_every_sample_in_order() {
        let dir = tempfile::tempdir().unwrap();
        // Small ones, and one with a small rest behind large row groups.
        let ends = [0, 10, 10 + 2 * ROW_GROUP_SAMPLES as u64 + 5, 20_000, 20_010];
        for (part, events) in (0..).zip(ends.windows(2)) {
            write(&part_path(dir.path(), part), events[0]..events[1]);
        }
        let before = read_all(dir.path());
        assert_eq!(before.len(), 20_010);
        compact(dir.path(), &names()).unwrap();
        assert_eq!(parts(dir.path()).unwrap(), [dir.path().join("part-00000-00003.parquet")]);
        assert_eq!(read_all(dir.path()), before);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the small parts are gone");
    }

    #[test]
    fn a_kill_while_compacting_counts_no_sample_twice() {
        let dir = tempfile::tempdir().unwrap();
        write(&part_path(dir.path(), 0), 0..10);
        write(&part_path(dir.path(), 1), 10..20);
        // The large part has its name already, the small ones are still there.
        write(&dir.path().join("part-00000-00001.parquet"), 0..20);
        write(&part_path(dir.path(), 2), 20..30);
        assert_eq!(read_all(dir.path()).len(), 30);
    }

    #[test]
    fn a_sample_of_an_unknown_tenant_is_refused_when_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PartWriter::create(&part_path(dir.path(), 0), names()).unwrap();
        let error = writer.push(Sample { tenant: Some(2), ..sample(0, true) }).unwrap_err();
        assert_eq!(error.to_string(), "a sample names tenant number 2, which the run does not have");
    }

    #[test]
    fn unknown_names_are_added_when_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        write(&part_path(dir.path(), 0), 0..1);
        let mut names = Names { tenants: vec!["initech".into()], ..Names::default() };
        let mut found = Vec::new();
        read_part(&part_path(dir.path(), 0), &mut names, |sample| found.push(sample.tenant)).unwrap();
        assert_eq!((found, names.tenants), (vec![Some(1)], vec!["initech".to_owned(), "globex".to_owned()]));
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = part_path(dir.path(), 0);
        std::fs::write(&path, "not parquet").unwrap();
        let error = read_part(&path, &mut Names::default(), |_| ()).unwrap_err();
        assert!(error.to_string().contains("is damaged or not a Parquet file"), "{error}");
    }

    /// The stored file of format version 1. It was written once by this program and never changes: every later version
    /// must read it.
    #[test]
    fn the_golden_file_of_version_1_can_be_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/samples-1.parquet");
        let mut names = Names::clone(&names());
        let mut samples = Vec::new();
        read_part(&path, &mut names, |sample| samples.push(sample)).unwrap();
        let first = Sample { result: ResultCheck::Differs(None), ..sample(0, true) };
        assert_eq!(samples, [first, sample(1, false)]);
    }
}
