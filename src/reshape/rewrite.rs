//! Copies records of one or more workloads into another, where texts, tenants and sessions get new numbers.
//!
//! Takes records as a reader gives them, and an [`Edit`] that changes or drops them; gives a workload whose definitions
//! are those that its records use. Must not know why anything is changed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::error::ReshapeError;
use crate::workload::record::{End, Header, Message, Record, Sent, Skipped, SqlRef, Tenant, WireMessage};
use crate::workload::{Input, Reader, Statement, Writer};

/// What becomes of records on their way. Everything stays as it is where nothing else is said.
pub trait Edit {
    /// Another text for a statement. Asked once for each definition that is used, and for each text that stands inline.
    ///
    /// # Errors
    /// As the edit defines.
    fn text(&mut self, _statement: Statement<'_>) -> Result<Option<Vec<u8>>, ReshapeError> {
        Ok(None)
    }

    /// Another tenant for one, asked before its first request is written. Its id counts for nothing; tenants of the same
    /// name become one.
    ///
    /// # Errors
    /// As the edit defines.
    fn tenant(&mut self, tenant: &Tenant) -> Result<Tenant, ReshapeError> {
        Ok(tenant.clone())
    }

    /// The tenant behind the number that an event has when [`Edit::event`] has given it: one of the input's, unless the
    /// edit has numbers of its own. Asked once for each number.
    ///
    /// # Errors
    /// As the edit defines.
    fn numbered_tenant(&mut self, id: u32, reader: &Reader) -> Result<Option<Tenant>, ReshapeError> {
        reader.tenant(id).map(|tenant| self.tenant(tenant)).transpose()
    }

    /// The event that is written in the place of this one, or none. References are the input's: `reader` resolves them.
    ///
    /// # Errors
    /// As the edit defines.
    fn event(&mut self, event: Record, _reader: &Reader) -> Result<Option<Record>, ReshapeError> {
        Ok(Some(event))
    }
}

/// The edit that changes nothing.
pub struct Unchanged;

impl Edit for Unchanged {}

/// What the numbers of one input became.
#[derive(Debug, Default)]
pub struct Origin {
    texts: HashMap<u32, u32>,
    tenants: HashMap<u32, u32>,
    /// None where sessions keep their numbers.
    sessions: Option<HashMap<u32, u32>>,
    /// Where the input's sources begin among those of the output.
    first_source: u16,
}

impl Origin {
    /// An input whose sessions keep their numbers: it has the output for itself.
    pub fn alone() -> Self {
        Self::default()
    }

    /// One of several inputs: its sessions get new numbers, and its sources stand behind `first_source` others.
    pub fn among_others(first_source: u16) -> Self {
        Self { sessions: Some(HashMap::new()), first_source, ..Self::default() }
    }
}

/// A workload that is made from others. Memory is bounded by the definitions and open sessions of the output.
pub struct Rewriter {
    writer: Writer,
    tenants: HashMap<String, u32>,
    sessions: u32,
    requests: u64,
    skipped: BTreeMap<String, Skipped>,
}

impl Rewriter {
    /// Begins the workload under its temporary name.
    ///
    /// # Errors
    /// The output is one of the inputs, or cannot be created.
    pub fn create(output: &Path, inputs: &[&Path], header: &Header) -> Result<Self, ReshapeError> {
        refuse_same_file(output, inputs)?;
        let writer = Writer::create(output, header)?;
        Ok(Self { writer, tenants: HashMap::new(), sessions: 0, requests: 0, skipped: BTreeMap::new() })
    }

    /// Copies a record that `reader` gave last, and says whether an event was written. Definitions are written when
    /// something uses them, and the end by [`Rewriter::finish`].
    ///
    /// # Errors
    /// The edit failed, the event does not fit those before it, or the file cannot be written.
    pub fn copy(
        &mut self,
        record: Record,
        reader: &Reader,
        origin: &mut Origin,
        edit: &mut dyn Edit,
    ) -> Result<bool, ReshapeError> {
        match record {
            Record::Header(_) | Record::Tenant(_) => Ok(false),
            Record::Sql(sql) => {
                // The id has another text from here on.
                origin.texts.remove(&sql.id);
                Ok(false)
            }
            Record::End(end) => {
                self.take_skipped(end.skipped, origin);
                Ok(false)
            }
            event => match edit.event(event, reader)? {
                Some(event) => self.write(event, reader, origin, edit).map(|()| true),
                None => Ok(false),
            },
        }
    }

    /// Counts what could not be copied, beside what the captures could not use.
    pub fn skip(&mut self, reason: &str, skipped: Skipped) {
        self.skipped.entry(reason.to_owned()).or_insert(Skipped::none(skipped.first)).join(skipped);
    }

    /// Writes the end, and gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub fn finish(self) -> Result<End, ReshapeError> {
        Ok(self.writer.finish(self.skipped)?)
    }

    /// As [`Rewriter::finish`], for a part of a workload that must hold a request.
    ///
    /// # Errors
    /// No request was written, or as [`Rewriter::finish`].
    pub fn finish_unless_empty(self) -> Result<End, ReshapeError> {
        if self.requests == 0 {
            return Err(ReshapeError::Asked {
                primary: "no request of the workload is selected".to_owned(),
                hint: "\"pgrehearse workload info\" shows its length, tenants and databases".to_owned(),
            });
        }
        self.finish()
    }

    fn take_skipped(&mut self, skipped: BTreeMap<String, Skipped>, origin: &Origin) {
        for (reason, skipped) in skipped {
            let (source, line) = skipped.first;
            self.skip(&reason, Skipped { first: (source.saturating_add(origin.first_source), line), ..skipped });
        }
    }

    fn write(
        &mut self,
        mut event: Record,
        reader: &Reader,
        origin: &mut Origin,
        edit: &mut dyn Edit,
    ) -> Result<(), ReshapeError> {
        self.number_session(&mut event, origin);
        match &mut event {
            Record::Open(open) => {
                for reference in open.state.iter_mut().flat_map(|state| state.prepared.values_mut()) {
                    self.refer(reference, reader, origin, edit)?;
                }
            }
            Record::Request(request) => {
                if let Some(tenant) = &mut request.tenant {
                    *tenant = self.tenant(*tenant, reader, origin, edit)?;
                }
                if let Some((source, _)) = &mut request.at {
                    *source = source.saturating_add(origin.first_source);
                }
                for reference in references(&mut request.sent) {
                    self.refer(reference, reader, origin, edit)?;
                }
            }
            _ => {}
        }
        self.writer.write(&event)?;
        self.requests += u64::from(matches!(event, Record::Request(_)));
        Ok(())
    }

    fn number_session(&mut self, event: &mut Record, origin: &mut Origin) {
        let Some(numbers) = &mut origin.sessions else { return };
        let closes = matches!(event, Record::Close(_));
        let opens = matches!(event, Record::Open(_));
        let Some((_, session)) = event.place_mut() else { return };
        let captured = *session;
        if opens {
            numbers.insert(captured, self.sessions);
            self.sessions += 1;
        }
        if let Some(number) = numbers.get(&captured) {
            *session = *number;
        }
        if closes {
            numbers.remove(&captured);
        }
    }

    fn refer(
        &mut self,
        reference: &mut SqlRef,
        reader: &Reader,
        origin: &mut Origin,
        edit: &mut dyn Edit,
    ) -> Result<(), ReshapeError> {
        if let SqlRef::Id(id) = reference
            && let Some(known) = origin.texts.get(id)
        {
            *reference = SqlRef::Id(*known);
            return Ok(());
        }
        // The reader has refused references to what is not defined.
        let Some(statement) = reader.statement(reference) else { return Ok(()) };
        let new = match edit.text(statement)? {
            Some(text) => self.writer.sql_ref_of_bytes(&text, statement.parameter_types)?,
            None => self.writer.sql_ref_of_bytes(&statement.text.bytes(), statement.parameter_types)?,
        };
        if let (SqlRef::Id(id), SqlRef::Id(new)) = (&*reference, &new) {
            origin.texts.insert(*id, *new);
        }
        *reference = new;
        Ok(())
    }

    fn tenant(
        &mut self,
        id: u32,
        reader: &Reader,
        origin: &mut Origin,
        edit: &mut dyn Edit,
    ) -> Result<u32, ReshapeError> {
        if let Some(known) = origin.tenants.get(&id) {
            return Ok(*known);
        }
        let Some(tenant) = edit.numbered_tenant(id, reader)? else { return Ok(id) };
        let next = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        let number = *self.tenants.entry(tenant.name.clone()).or_insert(next);
        if number == next {
            self.writer.define_tenant(&Tenant { id: number, ..tenant })?;
        }
        origin.tenants.insert(id, number);
        Ok(number)
    }
}

/// Copies a whole workload. The header is the caller's, so that it can say what was done.
///
/// # Errors
/// As [`Rewriter::create`] and [`Rewriter::copy`]; whatever is wrong with the input.
pub fn rewrite<'a>(
    input: impl Into<Input<'a>>,
    output: &Path,
    header: impl FnOnce(&Header) -> Header,
    edit: &mut dyn Edit,
) -> Result<End, ReshapeError> {
    let input = input.into();
    let mut reader = Reader::open(input)?;
    let mut rewriter = Rewriter::create(output, &[input.path()], &header(reader.header()))?;
    let mut origin = Origin::alone();
    while let Some((_, record)) = reader.next_record()? {
        rewriter.copy(record, &reader, &mut origin, edit)?;
    }
    rewriter.finish()
}

/// All references to statements, those of prepared statements too.
fn references(sent: &mut Sent) -> Vec<&mut SqlRef> {
    match sent {
        Sent::Simple { sql } => vec![sql],
        Sent::Execute(execute) => vec![&mut execute.sql],
        Sent::Messages(messages) => messages
            .iter_mut()
            .filter_map(|message| match message {
                WireMessage::Named(Message::Query { sql } | Message::Parse { sql, .. }) => Some(sql),
                WireMessage::Named(Message::Execute { sql, .. }) => sql.as_mut(),
                _ => None,
            })
            .collect(),
    }
}

/// Refuses an output whose name, or temporary name, is that of an input.
pub(super) fn refuse_same_file(output: &Path, inputs: &[&Path]) -> Result<(), ReshapeError> {
    let mut temporary = output.as_os_str().to_owned();
    temporary.push(".tmp");
    match inputs.iter().any(|input| is_same_file(input, output) || is_same_file(input, Path::new(&temporary))) {
        true => Err(ReshapeError::SameFile { file: output.to_owned() }),
        false => Ok(()),
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests;
