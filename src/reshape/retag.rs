//! `workload retag`: whose each statement of a workload is, found out anew.
//!
//! Takes a workload and rules, and writes the same workload with other tenants. Reads it twice: a statement may take the
//! tenant of one that follows it, perhaps much later, and the order of the file must stay. What the first reading finds is
//! kept in a temporary file, four bytes a request. Must not know what was typed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::ReshapeError;
use super::rewrite::refuse_same_file;
use crate::tenant::{
    Attribution, Census, Execution, MappedTenant, Mapping, Rules, SessionStart, Statement, TenantTable, Value,
};
use crate::workload::record::{
    Execute, Message, Open, Parameter, ParameterBytes, Record, Request, Sent, SqlRef, Tenant, TransactionState,
    WireMessage,
};
use crate::workload::{ReadError, Reader, WriteError, Writer};

/// What to do.
#[derive(Clone, Debug)]
pub struct RetagOptions {
    pub input: PathBuf,
    /// The workload to write; a temporary file lies beside it.
    pub output: PathBuf,
    pub rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// Why a workload could not be retagged. Nothing stands under the output's name then.
#[derive(Debug, thiserror::Error)]
pub enum RetagError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Output(#[from] ReshapeError),
    #[error("could not use a temporary file beside the output: {source}")]
    Temporary { source: io::Error },
}

/// Writes the workload with its tenants by these rules, and gives their table.
///
/// # Errors
/// The workload is damaged, the output is the workload itself or cannot be written, or a temporary file cannot be used.
pub fn retag(options: &RetagOptions) -> Result<TenantTable, RetagError> {
    refuse_same_file(&options.output, &[&options.input])?;
    let directory = options.output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let file = tempfile::tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(|source| WriteError::Create { file: options.output.clone(), source })?;
    let mut marking = Marking { rules: &options.rules, found: Found::new(file), sessions: HashMap::new(), requests: 0 };
    let mut reader = Reader::open(&options.input)?;
    while let Some((_, record)) = reader.next_record()? {
        marking.take(&record, &reader).map_err(|source| RetagError::Temporary { source })?;
    }
    let found = marking.finish().map_err(|source| RetagError::Temporary { source })?;
    rewrite(options, &found)
}

/// The tenant of each request, by its place in the workload.
struct Found {
    file: File,
    captured: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Found {
    const NONE: u32 = u32::MAX;

    fn new(file: File) -> Self {
        Self { file, captured: Vec::new(), ids: HashMap::new() }
    }

    fn note(&mut self, request: u64, tenant: Option<&str>) -> io::Result<()> {
        let id = tenant.map_or(Self::NONE, |tenant| self.id(tenant));
        self.file.write_all_at(&id.to_le_bytes(), request * 4)
    }

    fn id(&mut self, tenant: &str) -> u32 {
        if let Some(id) = self.ids.get(tenant) {
            return *id;
        }
        let id = u32::try_from(self.captured.len()).unwrap_or(Self::NONE);
        self.captured.push(tenant.to_owned());
        self.ids.insert(tenant.to_owned(), id);
        id
    }
}

/// The first reading.
struct Marking<'a> {
    rules: &'a Rules,
    found: Found,
    sessions: HashMap<u32, Session>,
    requests: u64,
}

struct Session {
    database: String,
    user: String,
    attribution: Attribution<u64>,
}

impl Session {
    fn new(open: &Open) -> Self {
        let mut parameters = open.parameters.clone();
        parameters.extend(open.state.iter().flat_map(|state| state.settings.clone()));
        let attribution = Attribution::new(SessionStart::of_parameters(&parameters));
        Self { database: open.database.clone(), user: open.user.clone(), attribution }
    }

    fn push(
        &mut self,
        rules: &Rules,
        number: u64,
        request: &Request,
        reader: &Reader,
        found: &mut Found,
    ) -> io::Result<()> {
        let executions = if rules.read_text() { executions(&request.sent, reader) } else { Vec::new() };
        let statement = Statement {
            database: &self.database,
            user: &self.user,
            application_name: None,
            executions: &executions,
            has_failed: request.results.iter().any(|result| result.sqlstate.is_some()),
            is_in_transaction: request.transaction.map(|state| state != TransactionState::Idle),
        };
        let observed = self.attribution.observe(rules, &statement);
        let mut result = Ok(());
        self.attribution.push(observed, number, |number, tenant| note(&mut result, found, number, tenant));
        result
    }

    fn finish(mut self, found: &mut Found) -> io::Result<()> {
        let mut result = Ok(());
        self.attribution.finish(|number, tenant| note(&mut result, found, number, tenant));
        result
    }
}

/// Notes a tenant unless something went wrong before.
fn note(result: &mut io::Result<()>, found: &mut Found, number: u64, tenant: Option<&str>) {
    if result.is_ok() {
        *result = found.note(number, tenant);
    }
}

impl Marking<'_> {
    fn take(&mut self, record: &Record, reader: &Reader) -> io::Result<()> {
        match record {
            Record::Open(open) => {
                self.sessions.insert(open.session, Session::new(open));
            }
            Record::Request(request) => {
                let number = self.requests;
                self.requests += 1;
                if let Some(session) = self.sessions.get_mut(&request.session) {
                    session.push(self.rules, number, request, reader, &mut self.found)?;
                }
            }
            Record::Close(close) => {
                if let Some(session) = self.sessions.remove(&close.session) {
                    session.finish(&mut self.found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Found> {
        let mut open: Vec<_> = self.sessions.drain().collect();
        open.sort_unstable_by_key(|(session, _)| *session);
        open.into_iter().try_for_each(|(_, session)| session.finish(&mut self.found))?;
        Ok(self.found)
    }
}

/// What the rules look at.
fn executions<'a>(sent: &'a Sent, reader: &'a Reader) -> Vec<Execution<'a>> {
    let execution = |sql: &'a SqlRef, parameters: &'a [Parameter]| {
        let statement = reader.statement(sql);
        Execution {
            sql: statement.map(|statement| statement.text.text()).unwrap_or_default(),
            parameters: parameters.iter().map(value).collect(),
            parameter_types: statement.map_or(&[], |statement| statement.parameter_types),
            is_prepared_only: false,
        }
    };
    match sent {
        Sent::Simple { sql } => vec![execution(sql, &[])],
        Sent::Execute(Execute { sql, parameters, .. }) => vec![execution(sql, parameters)],
        Sent::Messages(messages) => {
            let mut bound: HashMap<&str, &[Parameter]> = HashMap::new();
            let mut executed = Vec::new();
            for message in messages {
                match message {
                    WireMessage::Named(Message::Query { sql }) => executed.push(execution(sql, &[])),
                    WireMessage::Named(Message::Bind { portal, parameters, .. }) => {
                        bound.insert(portal, parameters);
                    }
                    WireMessage::Named(Message::Execute { portal, sql: Some(sql), .. }) => {
                        executed.push(execution(sql, bound.get(portal.as_str()).copied().unwrap_or_default()));
                    }
                    _ => {}
                }
            }
            if executed.is_empty() {
                let prepared = messages.iter().filter_map(WireMessage::sql);
                return prepared.map(|sql| Execution { is_prepared_only: true, ..execution(sql, &[]) }).collect();
            }
            executed
        }
    }
}

fn value(parameter: &Parameter) -> Value<'_> {
    let decoded = |text: &str| STANDARD.decode(text).unwrap_or_default().into();
    match parameter {
        Parameter::Null => Value::Null,
        Parameter::Text(text) => Value::Text(text.as_bytes().into()),
        Parameter::Bytes(ParameterBytes::TextBase64(text)) => Value::Text(decoded(text)),
        Parameter::Bytes(ParameterBytes::BinaryBase64(text)) => Value::Binary(decoded(text)),
    }
}

/// The second reading: everything as it was, but for the tenants.
fn rewrite(options: &RetagOptions, found: &Found) -> Result<TenantTable, RetagError> {
    let mut reader = Reader::open(&options.input)?;
    let mut writer = Writer::create(&options.output, reader.header())?;
    let mut census = Census::new(options.tenants.as_ref());
    let mut tenants = BufReader::new(FromStart { file: &found.file, at: 0 });
    while let Some((_, record)) = reader.next_record()? {
        let record = match record {
            Record::Header(_) | Record::Tenant(_) | Record::Sql(_) => continue,
            Record::End(end) => {
                writer.finish(end.skipped)?;
                break;
            }
            Record::Open(mut open) => {
                let prepared = open.state.iter_mut().flat_map(|state| state.prepared.values_mut());
                copy_references(prepared, &reader, &mut writer)?;
                Record::Open(open)
            }
            Record::Request(mut request) => {
                let mut id = [0; 4];
                tenants.read_exact(&mut id).map_err(|source| RetagError::Temporary { source })?;
                let captured = found.captured.get(u32::from_le_bytes(id) as usize);
                request.tenant = captured.map(|captured| tenant(captured, &mut census, &mut writer)).transpose()?;
                census.count(request.tenant, request.sent.executed().count() as u64);
                copy_references(references(&mut request.sent), &reader, &mut writer)?;
                Record::Request(request)
            }
            other @ (Record::Copy(_) | Record::Cancel(_) | Record::Close(_)) => other,
        };
        writer.write(&record)?;
    }
    Ok(census.table(&options.rules))
}

/// The number of a tenant, whose line is written before its first request.
fn tenant(captured: &str, census: &mut Census<'_>, writer: &mut Writer) -> Result<u32, WriteError> {
    let (id, is_new) = census.enter(captured);
    if let Some(MappedTenant { name, tier, region }) = census.tenant(id).filter(|_| is_new).cloned() {
        writer.define_tenant(&Tenant { id, name, tier, region })?;
    }
    Ok(id)
}

fn references<'a>(sent: &'a mut Sent) -> Vec<&'a mut SqlRef> {
    match sent {
        Sent::Simple { sql } | Sent::Execute(Execute { sql, .. }) => vec![sql],
        Sent::Messages(messages) => {
            let reference = |message: &'a mut WireMessage| match message {
                WireMessage::Named(Message::Query { sql } | Message::Parse { sql, .. }) => Some(sql),
                WireMessage::Named(Message::Execute { sql, .. }) => sql.as_mut(),
                _ => None,
            };
            messages.iter_mut().filter_map(reference).collect()
        }
    }
}

/// The writer numbers texts anew.
fn copy_references<'a>(
    references: impl IntoIterator<Item = &'a mut SqlRef>,
    reader: &Reader,
    writer: &mut Writer,
) -> Result<(), WriteError> {
    for reference in references {
        // The reader has refused a reference to nothing.
        let Some(statement) = reader.statement(reference) else { continue };
        *reference = writer.sql_ref_of_bytes(&statement.text.bytes(), statement.parameter_types)?;
    }
    Ok(())
}

/// Reads a file from its start, wherever it was written last.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::words::class::StatementClass;
    use crate::words::ids::Fingerprint;
    use crate::workload::record::{InlineSql, Text};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl");

    /// The table, and each request's tenant.
    fn retagged(input: &Path, rules: &[&str], tenants: Option<&str>) -> (TenantTable, Vec<Option<String>>) {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.jsonl");
        let options = RetagOptions {
            input: input.to_owned(),
            output: output.clone(),
            rules: Rules::parse(rules.iter().copied()).unwrap(),
            tenants: tenants.map(|csv| Mapping::read(csv.as_bytes(), "t.csv").unwrap()),
        };
        let table = retag(&options).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left but the output");
        let mut reader = Reader::open(&output).unwrap();
        let mut found = Vec::new();
        while let Some((_, record)) = reader.next_record().unwrap() {
            if let Record::Request(request) = record {
                found.push(request.tenant.map(|id| reader.tenant(id).unwrap().name.clone()));
            }
        }
        (table, found)
    }

    /// The text in place of its number.
    fn spell_out(reference: &mut SqlRef, reader: &Reader) {
        let statement = reader.statement(reference).unwrap();
        let text = Text::Text(statement.text.text().into_owned());
        let (fingerprint, class) = (Fingerprint(0), StatementClass::Other);
        let inline = InlineSql { text, fingerprint, class, parameter_types: Vec::new() };
        *reference = SqlRef::Inline(Box::new(inline));
    }

    /// All but what may differ: definitions and tenants.
    fn events(path: &Path) -> Vec<Record> {
        let mut reader = Reader::open(path).unwrap();
        let mut events = Vec::new();
        while let Some((_, mut record)) = reader.next_record().unwrap() {
            match &mut record {
                Record::Tenant(_) | Record::Sql(_) => continue,
                Record::Request(request) => {
                    request.tenant = None;
                    references(&mut request.sent).into_iter().for_each(|reference| spell_out(reference, &reader));
                }
                Record::Open(open) => open.state = None,
                Record::End(end) => end.tenants = 0,
                _ => {}
            }
            events.push(record);
        }
        events
    }

    #[test]
    fn everything_but_the_tenants_stays() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.jsonl.zst");
        let (input, rules) = (PathBuf::from(GOLDEN), Rules::parse(["user"]).unwrap());
        retag(&RetagOptions { input, output: output.clone(), rules, tenants: None }).unwrap();
        assert_eq!(events(&output), events(Path::new(GOLDEN)));
    }

    #[test]
    fn tenants_are_named_by_the_file() {
        let (table, found) = retagged(Path::new(GOLDEN), &["database"], Some("tenant,name\napp,Acme\n"));
        assert!(found.iter().all(|name| name.as_deref() == Some("Acme")), "{found:?}");
        assert_eq!((table.executions_without, table.executions_not_in_file), (0, Some(0)));
        let (table, _) = retagged(Path::new(GOLDEN), &["tag:none"], Some("tenant\napp\n"));
        assert_eq!((table.tenants.len() as u64, table.executions_not_in_file), (0, Some(0)));
        assert_eq!(table.executions_without, 6);
    }

    /// A workload of one session, each statement a simple query.
    fn workload(directory: &Path, parameters: BTreeMap<String, String>, statements: &[&str]) -> PathBuf {
        let path = directory.join("in.jsonl");
        let header = Reader::open(Path::new(GOLDEN)).unwrap().header().clone();
        let mut writer = Writer::create(&path, &header).unwrap();
        let open = Open { database: "shop".into(), user: "app".into(), parameters, ..Open::default() };
        writer.write(&Record::Open(open)).unwrap();
        for (sequence, sql) in statements.iter().enumerate() {
            let sent = Sent::Simple { sql: writer.sql_ref(sql).unwrap() };
            let (t_us, sequence) = (sequence as u64, sequence as u64);
            let (results, transaction) = (Vec::new(), None);
            let request = Request { t_us, session: 0, sequence, tenant: None, sent, results, transaction, at: None };
            writer.write(&Record::Request(request)).unwrap();
        }
        writer.finish(BTreeMap::new()).unwrap();
        path
    }

    #[test]
    fn settings_are_followed_and_a_transaction_takes_its_first_mark() {
        let directory = tempfile::tempdir().unwrap();
        let parameters = BTreeMap::from([
            ("application_name".to_owned(), "web".to_owned()),
            ("options".to_owned(), "-c search_path=home".to_owned()),
        ]);
        let statements = ["select 1", "set application_name = 'acme'", "begin", "select 1 from bolt.t", "commit"];
        let input = workload(directory.path(), parameters, &statements);
        let named = |rules: &[&str]| -> Vec<String> {
            retagged(&input, rules, None).1.into_iter().map(Option::unwrap_or_default).collect()
        };
        assert_eq!(named(&["application_name"]), ["web", "acme", "acme", "acme", "acme"]);
        assert_eq!(named(&["schema"]), ["home", "home", "home", "bolt", "home"]);
        assert_eq!(named(&[r"sql:from (\w+)\.t"]), ["", "", "bolt", "bolt", "bolt"]);
    }

    #[test]
    fn a_workload_is_never_replaced_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let input = workload(directory.path(), BTreeMap::new(), &["select 1"]);
        let before = std::fs::read(&input).unwrap();
        let rules = Rules::parse(["database"]).unwrap();
        let options = RetagOptions { output: input.clone(), input: input.clone(), rules, tenants: None };
        assert!(matches!(retag(&options), Err(RetagError::Output(ReshapeError::SameFile { .. }))));
        assert_eq!(std::fs::read(&input).unwrap(), before);
    }
}
