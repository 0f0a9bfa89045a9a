//! A spool on disk: made from a workload, or found in the cache, and opened.
//!
//! Takes a workload file, a cache directory and staging's names of captured databases; gives sessions with their requests and
//! the facts that a run directory keeps. Must not know when anything is sent.
//!
//! ```text
//! "pgrspool" version  |  blocks of all sessions and of the times, mixed  |  index as JSON  |  its offset, "pgrspool"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{self, Unfinished};
use super::chain::{BlockFile, ChainReader};
use super::index::{Index, Session, Totals};
use super::pass::Pass;
use super::session_requests::SessionRequests;
use super::times::Times;
use super::waits::SessionWaits;
use crate::facts::{StatementFact, TenantFact};
use crate::scenario::resolved::Order;
use crate::workload;
use crate::workload::record::{Header, Record};

/// Raised with every change of the layout or of what the pass decides.
const VERSION: u32 = 15;

const MAGIC: &[u8; 8] = b"pgrspool";
const TAIL_BYTES: usize = 16;

/// Captured databases to staging's. What is not here keeps its name.
pub type DatabaseNames = BTreeMap<String, String>;

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The workload is missing, truncated or corrupt.
    #[error(transparent)]
    Workload(#[from] workload::ReadError),
    /// The workload file cannot be read, or the spool not written (a full disk).
    #[error("could not {action} \"{}\"", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// What was renamed as complete does not read as it was written.
    #[error("the prepared workload is damaged\nhint: Remove it; it is made again by the next run.")]
    Damaged,
}

/// A workload that is ready to be replayed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    file: Arc<File>,
    index: Arc<Index>,
    names: Arc<DatabaseNames>,
    databases: Arc<Vec<String>>,
}

impl Spool {
    /// Finds the spool of `workload_file` in `cache`, or makes it there in one pass; with [`Order::Commit`] it also says which
    /// requests wait for which. Blocks: it reads the whole workload.
    ///
    /// # Errors
    /// Those of the workload's reader, unchanged, and of the file system.
    pub fn prepare(workload_file: &Path, cache: &Path, names: DatabaseNames, order: Order) -> Result<Self, SpoolError> {
        let reader = workload::Reader::open(workload_file)?.forgetting_texts();
        let reading = |source| SpoolError::File { action: "read", path: workload_file.to_owned(), source };
        let sha256 = workload::sha256_of_file(workload_file).map_err(reading)?;
        let path = cache::path_of(cache, &sha256, order, VERSION);
        // A spool that cannot be read is as good as none: it is made again.
        if let Ok(spool) = Self::open(&path, names.clone()) {
            cache::touch(&spool.file);
            return Ok(spool);
        }
        let writing = |source| SpoolError::File { action: "write", path: path.clone(), source };
        let (unfinished, file) = Unfinished::create(&path).map_err(writing)?;
        let header = reader.header().clone();
        let file = make(header, reader.map(|line| line.map(|(_, record)| record)), file, sha256, order, writing)?;
        unfinished.finish(&file).map_err(writing)?;
        cache::trim(cache);
        Self::from_file(file, names)
    }

    fn open(path: &Path, names: DatabaseNames) -> Result<Self, SpoolError> {
        let file = File::options().read(true).write(true).open(path);
        let opening = |source| SpoolError::File { action: "open", path: path.to_owned(), source };
        Self::from_file(file.map_err(opening)?, names)
    }

    fn from_file(file: File, names: DatabaseNames) -> Result<Self, SpoolError> {
        let index = read_index(&file).ok_or(SpoolError::Damaged)?;
        let databases: BTreeSet<_> =
            index.sessions.iter().map(|session| staging_name(&names, &session.database).to_owned()).collect();
        Ok(Self {
            file: Arc::new(file),
            index: Arc::new(index),
            names: Arc::new(names),
            databases: Arc::new(databases.into_iter().collect()),
        })
    }

    /// SHA-256 of the workload file, hexadecimal.
    pub fn workload_sha256(&self) -> &str {
        &self.index.workload_sha256
    }

    /// What the pass counted.
    pub fn totals(&self) -> &Totals {
        &self.index.totals
    }

    /// Name of a file that was captured from.
    pub fn source(&self, number: u16) -> Option<&str> {
        self.index.sources.get(usize::from(number)).map(String::as_str)
    }

    /// Share of the replayed requests without a tenant, 0 to 1.
    pub fn unmapped_share(&self) -> f64 {
        self.index.totals.unmapped as f64 / self.index.totals.replayed.max(1) as f64
    }

    /// Share of the captured traffic's requests that the workload lacks by its own count, 0 to 1: at least so many.
    pub fn capture_lost_share(&self) -> f64 {
        let Totals { requests, lost, .. } = self.index.totals;
        lost as f64 / requests.saturating_add(lost).max(1) as f64
    }

    /// The sessions in the order of their beginning, names as captured.
    pub fn sessions(&self) -> &[Session] {
        &self.index.sessions
    }

    /// Staging's databases that the workload goes to, sorted: the fate groups behind a sample's `database`.
    pub fn databases(&self) -> &[String] {
        &self.databases
    }

    /// The database index of a session's samples.
    pub fn database_index(&self, session: &Session) -> u16 {
        let name = staging_name(&self.names, &session.database);
        self.databases.binary_search_by(|known| known.as_str().cmp(name)).map_or(0, |at| at as u16)
    }

    /// The tenants by their index in samples, with staging's names of their databases.
    pub fn tenants(&self) -> Vec<TenantFact> {
        let fact = |tenant: &super::index::Tenant| TenantFact {
            tenant: tenant.name.clone(),
            tier: tenant.tier.clone(),
            region: tenant.region.clone(),
            databases: {
                let names: BTreeSet<_> = tenant.databases.iter().map(|name| staging_name(&self.names, name)).collect();
                names.into_iter().map(str::to_owned).collect()
            },
        };
        self.index.tenants.iter().map(fact).collect()
    }

    /// The distinct statements with the errors that the capture had.
    pub fn statements(&self) -> &[StatementFact] {
        &self.index.statements
    }

    /// The moments of all requests.
    pub(super) fn times(&self) -> Times {
        Times::new(Arc::clone(&self.file), self.index.times)
    }

    /// What a session's requests wait for; nothing in a spool that was made for [`Order::Free`].
    pub fn waits(&self, session: &Session) -> SessionWaits {
        SessionWaits::new(Arc::clone(&self.file), session.waits)
    }

    /// A session's requests, before the first.
    pub fn requests(&self, session: &Session) -> SessionRequests {
        SessionRequests::new(ChainReader::new(Arc::clone(&self.file), session.chain))
    }
}

/// The staging database that stands for a captured one.
fn staging_name<'a>(names: &'a DatabaseNames, captured: &'a str) -> &'a str {
    names.get(captured).map_or(captured, String::as_str)
}

/// Writes the spool of these lines into an empty file.
fn make(
    header: Header,
    records: impl Iterator<Item = Result<Record, workload::ReadError>>,
    file: File,
    workload_sha256: String,
    order: Order,
    writing: impl Fn(io::Error) -> SpoolError,
) -> Result<File, SpoolError> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    file.write_all_at(&head, 0).map_err(&writing)?;
    let mut pass = Pass::new(header, BlockFile::new(file, head.len() as u64), order);
    for record in records {
        pass.take(record?).map_err(&writing)?;
    }
    let (mut blocks, mut index) = pass.finish().map_err(&writing)?;
    index.workload_sha256 = workload_sha256;
    let json = serde_json::to_vec(&index).map_err(|error| writing(error.into()))?;
    let at = blocks.append(&json).map_err(&writing)?;
    let mut tail = at.to_le_bytes().to_vec();
    tail.extend_from_slice(MAGIC);
    blocks.append(&tail).map_err(&writing)?;
    Ok(blocks.into_file())
}

/// None for a file that is no complete spool of this version.
fn read_index(file: &File) -> Option<Index> {
    let length = file.metadata().ok()?.len();
    let mut head = [0; MAGIC.len() + 4];
    file.read_exact_at(&mut head, 0).ok()?;
    let tail_at = length.checked_sub(TAIL_BYTES as u64)?;
    let mut tail = [0; TAIL_BYTES];
    file.read_exact_at(&mut tail, tail_at).ok()?;
    let (at, magic) = tail.split_first_chunk::<8>()?;
    let at = u64::from_le_bytes(*at);
    let is_spool = head[..8] == MAGIC[..] && head[8..] == VERSION.to_le_bytes() && magic == MAGIC;
    let json_bytes = usize::try_from(tail_at.checked_sub(at)?).ok()?;
    let mut json = vec![0; json_bytes];
    file.read_exact_at(&mut json, at).ok().filter(|()| is_spool)?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Spool {
    /// The spool of a workload's lines, written as it writes them.
    pub(in crate::replay) fn from_lines(lines: &[serde_json::Value], names: DatabaseNames) -> Self {
        let records = lines.iter().map(|line| Ok(serde_json::from_value(line.clone()).unwrap()));
        let source = serde_json::json!({"file": "postgresql.csv", "sha256": "", "type": "csvlog"});
        let header = serde_json::json!({"version": 1, "started_at": "", "sources": [source], "tool_version": ""});
        let header = serde_json::from_value(header).unwrap();
        let file =
            make(header, records, tempfile::tempfile().unwrap(), "ab".into(), Order::Commit, |error| panic!("{error}"));
        let file = file.unwrap();
        Self::from_file(file, names).unwrap()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Body, TransactionPart};
    use super::*;
    use crate::replay::pace::Pace;
    use crate::scenario::resolved::Speed;
    use crate::words::class::SampleClass;

    fn spool_of(lines: &[serde_json::Value]) -> Spool {
        Spool::from_lines(lines, [("app".into(), "app_staging".into())].into())
    }

    macro_rules! lines {
        ($($line:tt),* $(,)?) => { [$(serde_json::json!($line)),*] };
    }

    fn two_sessions() -> Spool {
        spool_of(&lines![
            {"kind": "tenant", "id": 0, "name": "acme", "tier": "gold"},
            {"kind": "sql", "id": 0, "text": "BEGIN", "fingerprint": "0000000000000001", "class": "transaction"},
            {"kind": "sql", "id": 1, "text": "UPDATE t SET a = $1", "fingerprint": "0000000000000002",
             "class": "write", "parameter_types": [23]},
            {"kind": "sql", "id": 2, "text": "COMMIT", "fingerprint": "0000000000000003", "class": "transaction"},
            {"kind": "sql", "id": 3, "text": "COPY t FROM STDIN", "fingerprint": "0000000000000004", "class": "copy"},
            {"kind": "open", "t_us": 0, "session": 7, "database": "app", "user": "u"},
            {"kind": "open", "t_us": 5, "session": 9, "database": "other", "user": "u", "began_before_capture": true},
            {"kind": "request", "t_us": 10, "session": 7, "sequence": 0, "tenant": 0, "simple": {"sql": 0}},
            {"kind": "request", "t_us": 11, "session": 9, "sequence": 0, "simple": {"sql": 3}},
            {"kind": "request", "t_us": 20, "session": 7, "sequence": 1, "tenant": 0,
             "execute": {"sql": 1, "statement": "s1", "parameters": [null, "x", {"binary_base64": "AAE="}]},
             "results": [{"total_us": 300, "rows": 4}]},
            {"kind": "request", "t_us": 21, "session": 9, "sequence": 1, "simple": {"sql": 1},
             "results": [{"sqlstate": "42P02"}]},
            {"kind": "request", "t_us": 30, "session": 7, "sequence": 2, "tenant": 0, "simple": {"sql": 2}},
            {"kind": "close", "t_us": 40, "session": 7},
            {"kind": "end", "sessions": 2, "requests": 5, "tenants": 1, "span_us": 50},
        ])
    }

    #[test]
    fn a_session_reads_its_own_requests_alone() {
        let spool = two_sessions();
        let session = &spool.sessions()[0];
        assert_eq!((session.session, session.closed_us, session.requests), (7, Some(40), 3));
        let mut requests = spool.requests(session);
        assert_eq!(requests.advance().unwrap().unwrap().class, SampleClass::Transaction);
        let update = requests.advance().unwrap().unwrap();
        assert_eq!((update.t_us, update.event, update.tenant), (20, 2, Some(0)));
        assert_eq!(update.class, SampleClass::WriteInTransaction);
        assert_eq!(update.part, TransactionPart { inside: true, stays_open: true, commits: false });
        assert_eq!((update.captured.total_us, update.captured.rows), (300, Some(4)));
        let Body::Execute(execution) = requests.current().unwrap().body else { panic!("a simple query") };
        assert_eq!((execution.statement, execution.sql), (&b"s1"[..], &b"UPDATE t SET a = $1"[..]));
        assert_eq!(execution.parameters.parameters().count(), 3);
        let commit = requests.advance().unwrap().unwrap();
        assert!(commit.part.commits);
        assert_eq!(commit.class, SampleClass::Commit);
        assert!(requests.advance().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_sent_again_is_counted() {
        let spool = two_sessions();
        let totals = spool.totals();
        assert_eq!((totals.requests, totals.replayed, totals.unmapped, totals.span_us), (5, 4, 1, 50));
        assert_eq!(totals.not_replayed.values().sum::<u64>(), 1);
        assert!(totals.not_replayed.keys().all(|reason| reason.starts_with("COPY FROM STDIN")));
    }

    #[test]
    fn the_mapping_names_databases_and_fate_groups() {
        let spool = two_sessions();
        assert_eq!(spool.databases(), ["app_staging", "other"]);
        assert_eq!(spool.database_index(&spool.sessions()[1]), 1);
        assert_eq!(spool.tenants()[0].databases, ["app_staging"]);
        assert_eq!(spool.tenants()[0].tier.as_deref(), Some("gold"));
    }

    #[test]
    fn statements_know_the_errors_of_the_capture() {
        let spool = two_sessions();
        let update = spool.statements().iter().find(|fact| fact.fingerprint.0 == 2).unwrap();
        assert_eq!(update.captured_errors, ["42P02"]);
    }

    #[test]
    fn requests_are_counted_by_their_due_time() {
        let spool = two_sessions();
        let due = |speed, copies, until_us| spool.requests_due(&Pace::new(speed, copies), until_us).unwrap();
        assert_eq!(due(Speed::Factor(1.0), 1, 20), Some(1));
        assert_eq!(due(Speed::Factor(1.0), 1, 21), Some(2));
        assert_eq!(due(Speed::Factor(0.5), 1, 41), Some(2));
        assert_eq!(due(Speed::Factor(1.0), 2, 500_011), Some(5));
        assert_eq!(due(Speed::Max, 1, 1_000), None);
    }

    #[test]
    fn a_file_that_was_cut_is_no_spool() {
        let file = tempfile::tempfile().unwrap();
        let spool = two_sessions();
        let length = spool.file.metadata().unwrap().len();
        let mut bytes = vec![0; length as usize];
        spool.file.read_exact_at(&mut bytes, 0).unwrap();
        file.write_all_at(&bytes[..bytes.len() - 1], 0).unwrap();
        assert!(matches!(Spool::from_file(file, DatabaseNames::new()), Err(SpoolError::Damaged)));
    }

    const LINES: &str = concat!(
        r#"{"kind":"header","version":1,"started_at":"2026-01-05T09:00:00Z","sources":[],"tool_version":"0"}"#,
        "\n",
        r#"{"kind":"open","t_us":0,"session":1,"database":"app","user":"u"}"#,
        "\n",
        r#"{"kind":"end","sessions":1,"requests":0,"tenants":0,"span_us":9}"#,
        "\n",
    );

    #[test]
    fn a_workload_is_prepared_once() {
        let directory = tempfile::tempdir().unwrap();
        let (workload, cache) = (directory.path().join("w.jsonl"), directory.path().join("cache"));
        std::fs::write(&workload, LINES).unwrap();
        let inode = |spool: Spool| std::os::unix::fs::MetadataExt::ino(&spool.file.metadata().unwrap());
        let first = Spool::prepare(&workload, &cache, DatabaseNames::new(), Order::Free).unwrap();
        assert_eq!((first.totals().span_us, first.totals().started_at.as_str()), (9, "2026-01-05T09:00:00Z"));
        let again = Spool::prepare(&workload, &cache, DatabaseNames::new(), Order::Free).unwrap();
        assert_eq!((first.workload_sha256().len(), inode(first)), (64, inode(again)));

        // What does not read as a spool is made again.
        let path = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        File::options().write(true).open(path).unwrap().set_len(20).unwrap();
        assert_eq!(Spool::prepare(&workload, &cache, DatabaseNames::new(), Order::Free).unwrap().sessions().len(), 1);
    }

    #[test]
    fn a_truncated_workload_is_its_reader_s_error_and_leaves_no_spool() {
        let directory = tempfile::tempdir().unwrap();
        let (workload, cache) = (directory.path().join("w.jsonl"), directory.path().join("cache"));
        std::fs::write(&workload, LINES.split_inclusive('\n').take(2).collect::<String>()).unwrap();
        let error = Spool::prepare(&workload, &cache, DatabaseNames::new(), Order::Free).unwrap_err();
        assert!(matches!(error, SpoolError::Workload(workload::ReadError::Truncated { last_good_line: 2, .. })));
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
    }
}
