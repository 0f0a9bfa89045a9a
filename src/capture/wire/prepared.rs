//! What a session has prepared, and a client's messages read with it.
//!
//! Takes whole messages and gives them in the workload's form, each with what the server will say to it. Must not know
//! answers.

use std::sync::Arc;

use super::super::event::{Message, Value};
use super::batch::Step;
use super::found::Reason;
use super::memory::{Names, Portal, Statement};
use crate::pgwire::client::{self, Bind, Parse};
use crate::pgwire::frontend::{Named, Parameter};

/// A client's message as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub message: Message,
    /// What the server will say to it, if anything.
    pub step: Option<Step>,
    /// Why it cannot be kept.
    pub skip: Option<Reason>,
}

impl Read {
    fn new(message: Message, step: Option<Step>) -> Self {
        Self { message, step, skip: None }
    }

    /// A message that cannot be kept: only what the server will say to it counts.
    pub fn unread(tag: u8, reason: Reason) -> Self {
        let (message, step) = match tag {
            b'Q' => (Message::Query { sql: Vec::new() }, Some(Step::Query(Arc::default()))),
            b'E' => (
                Message::Execute { portal: Vec::new(), row_limit: 0, sql: None },
                Some(Step::Execute { statement: None, result_formats: Vec::new() }),
            ),
            b'D' => (Message::Flush, Some(Step::DescribePortal)),
            b'H' => (Message::Flush, None),
            b'S' | b'F' => (Message::Sync, Some(Step::Sync)),
            _ => (Message::Flush, Some(Step::Complete)),
        };
        Self { message, step, skip: Some(reason) }
    }
}

/// Statements and portals by name.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    statements: Names<Arc<Statement>>,
    portals: Names<Portal>,
}

impl Prepared {
    /// Reads a message; none if its body is not what its tag promises.
    pub fn read(&mut self, tag: u8, body: &[u8]) -> Option<Read> {
        Some(match tag {
            b'Q' => {
                let sql = client::query(body)?.to_vec();
                let statement = Arc::new(Statement::new(sql.clone(), Vec::new()));
                Read::new(Message::Query { sql }, Some(Step::Query(statement)))
            }
            b'P' => self.parse(&Parse::read(body)?),
            b'B' => self.bind(&Bind::parse(body)?),
            b'D' => match client::named(body)? {
                Named::Statement(name) => {
                    let step = Step::DescribeStatement(self.statements.get(name));
                    Read::new(Message::DescribeStatement { name: name.to_vec() }, Some(step))
                }
                Named::Portal(name) => {
                    Read::new(Message::DescribePortal { name: name.to_vec() }, Some(Step::DescribePortal))
                }
            },
            b'E' => self.execute(client::execute(body)?),
            b'C' => match client::named(body)? {
                Named::Statement(name) => {
                    self.statements.remove(name);
                    Read::new(Message::CloseStatement { name: name.to_vec() }, Some(Step::Complete))
                }
                Named::Portal(name) => {
                    self.portals.remove(name);
                    Read::new(Message::ClosePortal { name: name.to_vec() }, Some(Step::Complete))
                }
            },
            b'H' => Read::new(Message::Flush, None),
            b'S' => Read::new(Message::Sync, Some(Step::Sync)),
            _ => Read::new(Message::Raw { tag, body: body.to_vec() }, Some(Step::Sync)),
        })
    }

    /// The server refused a Parse: its name stands for what it stood for before.
    pub fn refused(&mut self, name: &[u8], before: Option<Arc<Statement>>) {
        match before {
            Some(before) => {
                let bytes = before.sql.len();
                self.statements.set(name, before, bytes);
            }
            None => self.statements.remove(name),
        }
    }

    /// Bytes that names and what they stand for hold.
    pub fn bytes(&self) -> usize {
        self.statements.bytes() + self.portals.bytes()
    }

    /// Forgets everything; says how many names there were.
    pub fn forget(&mut self) -> u64 {
        self.statements.forget() + self.portals.forget()
    }

    fn parse(&mut self, parse: &Parse<'_>) -> Read {
        let Parse { statement, sql, parameter_types } = parse;
        let bytes = sql.len() + 4 * parameter_types.len();
        let text = Arc::new(Statement::new(sql.to_vec(), parameter_types.clone()));
        let before = self.statements.set(statement, text, bytes);
        let step = Step::Parse { name: statement.to_vec(), before };
        let message = Message::Parse {
            statement: statement.to_vec(),
            sql: sql.to_vec(),
            parameter_types: parameter_types.clone(),
        };
        Read::new(message, Some(step))
    }

    fn bind(&mut self, bind: &Bind<'_>) -> Read {
        let Bind { portal, statement, parameters, result_formats } = bind;
        let known = self.statements.get(statement);
        let skip = known.is_none().then_some(Reason::StatementUnknown);
        match known {
            Some(statement) => {
                let bytes = statement.sql.len();
                self.portals.set(portal, Portal { statement, result_formats: result_formats.clone() }, bytes);
            }
            None => self.portals.remove(portal),
        }
        let value = |parameter: &Parameter<'_>| match parameter {
            Parameter::Null => Value::Null,
            Parameter::Text(value) => Value::Text(value.to_vec()),
            Parameter::Binary(value) => Value::Binary(value.to_vec()),
        };
        let message = Message::Bind {
            portal: portal.to_vec(),
            statement: statement.to_vec(),
            parameters: parameters.iter().map(value).collect(),
            result_formats: result_formats.clone(),
        };
        Read { message, step: Some(Step::Complete), skip }
    }

    fn execute(&mut self, (name, row_limit): (&[u8], u32)) -> Read {
        let (statement, result_formats) = match self.portals.get(name) {
            Some(Portal { statement, result_formats }) => (Some(statement), result_formats),
            None => (None, Vec::new()),
        };
        let skip = statement.is_none().then_some(Reason::PortalUnknown);
        let sql = statement.as_ref().map(|text| (text.sql.clone(), text.types().to_vec()));
        let message = Message::Execute { portal: name.to_vec(), row_limit, sql };
        Read { message, step: Some(Step::Execute { statement, result_formats }), skip }
    }
}
