//! Exact messages as the spool holds them: what a client sent, one by one, and what must be prepared before.
//!
//! Takes and gives the bytes of a record's body; reading borrows from them. Must not know what a server answers.

use super::bytes::{Take, put_bytes, put_int};
use super::lists::List;
use crate::pgwire::frontend::Named;

/// A message of a client; texts as bytes, since not every captured one is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    Query {
        sql: &'a [u8],
    },
    Parse {
        statement: &'a [u8],
        sql: &'a [u8],
        parameter_types: List<'a>,
    },
    Bind {
        portal: &'a [u8],
        statement: &'a [u8],
        parameters: List<'a>,
        result_formats: List<'a>,
    },
    Describe(Named<'a>),
    Close(Named<'a>),
    /// `copies`: it waits for the client's COPY data, so nothing may follow before that.
    Execute {
        portal: &'a [u8],
        row_limit: u32,
        copies: bool,
    },
    Flush,
    Sync,
    /// FunctionCall: its body as it was.
    FunctionCall {
        body: &'a [u8],
    },
}

/// A request by its exact messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageSequence<'a> {
    /// A Parse for each statement that the messages use and that was prepared before them.
    pub(super) needed: List<'a>,
    pub(super) messages: List<'a>,
    /// The texts among those executed that change the session, with semicolons between them.
    pub(super) session_sql: &'a [u8],
}

impl<'a> MessageSequence<'a> {
    /// What has to be prepared when the messages are sent, each as its Parse.
    pub fn needed(&self) -> impl Iterator<Item = Message<'a>> + use<'a> {
        self.needed.elements(Message::take)
    }

    /// The messages in order.
    pub fn messages(&self) -> impl Iterator<Item = Message<'a>> + use<'a> {
        self.messages.elements(Message::take)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.needed.put(out);
        self.messages.put(out);
        put_bytes(out, self.session_sql);
    }

    pub(super) fn take(take: &mut Take<'a>) -> Option<Self> {
        Some(Self { needed: List::take(take)?, messages: List::take(take)?, session_sql: take.bytes()? })
    }
}

/// The first byte of each message, close to the protocol's own tags.
mod tag {
    pub const QUERY: u8 = b'Q';
    pub const PARSE: u8 = b'P';
    pub const BIND: u8 = b'B';
    pub const DESCRIBE_STATEMENT: u8 = b'D';
    pub const DESCRIBE_PORTAL: u8 = b'd';
    pub const CLOSE_STATEMENT: u8 = b'C';
    pub const CLOSE_PORTAL: u8 = b'c';
    pub const EXECUTE: u8 = b'E';
    pub const EXECUTE_COPY: u8 = b'e';
    pub const FLUSH: u8 = b'H';
    pub const SYNC: u8 = b'S';
    pub const FUNCTION_CALL: u8 = b'F';
}

impl<'a> Message<'a> {
    /// The server answers it with ReadyForQuery.
    pub fn ends_in_ready(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::Sync | Self::FunctionCall { .. })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let named = |out: &mut Vec<u8>, tag, name| {
            out.push(tag);
            put_bytes(out, name);
        };
        match *self {
            Self::Query { sql } => named(out, tag::QUERY, sql),
            Self::Parse { statement, sql, parameter_types } => {
                named(out, tag::PARSE, statement);
                put_bytes(out, sql);
                parameter_types.put(out);
            }
            Self::Bind { portal, statement, parameters, result_formats } => {
                named(out, tag::BIND, portal);
                put_bytes(out, statement);
                parameters.put(out);
                result_formats.put(out);
            }
            Self::Describe(Named::Statement(name)) => named(out, tag::DESCRIBE_STATEMENT, name),
            Self::Describe(Named::Portal(name)) => named(out, tag::DESCRIBE_PORTAL, name),
            Self::Close(Named::Statement(name)) => named(out, tag::CLOSE_STATEMENT, name),
            Self::Close(Named::Portal(name)) => named(out, tag::CLOSE_PORTAL, name),
            Self::Execute { portal, row_limit, copies } => {
                named(out, if copies { tag::EXECUTE_COPY } else { tag::EXECUTE }, portal);
                put_int(out, u64::from(row_limit));
            }
            Self::Flush => out.push(tag::FLUSH),
            Self::Sync => out.push(tag::SYNC),
            Self::FunctionCall { body } => named(out, tag::FUNCTION_CALL, body),
        }
    }

    pub(super) fn take(take: &mut Take<'a>) -> Option<Self> {
        Some(match take.byte()? {
            tag::QUERY => Self::Query { sql: take.bytes()? },
            tag::PARSE => {
                Self::Parse { statement: take.bytes()?, sql: take.bytes()?, parameter_types: List::take(take)? }
            }
            tag::BIND => Self::Bind {
                portal: take.bytes()?,
                statement: take.bytes()?,
                parameters: List::take(take)?,
                result_formats: List::take(take)?,
            },
            tag::DESCRIBE_STATEMENT => Self::Describe(Named::Statement(take.bytes()?)),
            tag::DESCRIBE_PORTAL => Self::Describe(Named::Portal(take.bytes()?)),
            tag::CLOSE_STATEMENT => Self::Close(Named::Statement(take.bytes()?)),
            tag::CLOSE_PORTAL => Self::Close(Named::Portal(take.bytes()?)),
            kind @ (tag::EXECUTE | tag::EXECUTE_COPY) => Self::Execute {
                portal: take.bytes()?,
                row_limit: u32::try_from(take.int()?).ok()?,
                copies: kind == tag::EXECUTE_COPY,
            },
            tag::FLUSH => Self::Flush,
            tag::SYNC => Self::Sync,
            tag::FUNCTION_CALL => Self::FunctionCall { body: take.bytes()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lists::ListWriter;
    use super::*;
    use crate::pgwire::frontend::Parameter;

    proptest! {
        #[test]
        fn messages_survive_their_record(
            names: [Vec<u8>; 3], sql: Vec<u8>, values: Vec<Vec<u8>>, oids: Vec<u32>, formats: Vec<i16>, row_limit: u32,
            copies: bool,
        ) {
            let mut parameters = ListWriter::default();
            values.iter().for_each(|value| parameters.push_parameter(Parameter::Binary(value)));
            let (types, formats) = (ListWriter::of_oids(&oids), ListWriter::of_formats(&formats));
            let [one, two, three] = &names;
            let messages = [
                Message::Query { sql: &sql },
                Message::Parse { statement: one, sql: &sql, parameter_types: types.list() },
                Message::Bind {
                    portal: two, statement: one, parameters: parameters.list(), result_formats: formats.list(),
                },
                Message::Describe(Named::Statement(one)),
                Message::Describe(Named::Portal(two)),
                Message::Execute { portal: two, row_limit, copies },
                Message::Close(Named::Statement(one)),
                Message::Close(Named::Portal(three)),
                Message::Flush,
                Message::Sync,
                Message::FunctionCall { body: &sql },
            ];
            let mut list = ListWriter::default();
            messages.iter().for_each(|message| message.put(list.next()));
            let mut record = Vec::new();
            MessageSequence { needed: List::default(), messages: list.list(), session_sql: &sql }.put(&mut record);
            let read = MessageSequence::take(&mut Take(&record)).expect("what was put");
            prop_assert!(read.messages().eq(messages));
            prop_assert_eq!((read.needed().count(), read.session_sql), (0, &sql[..]));
        }

        #[test]
        fn garbage_is_no_message_and_no_panic(garbage: Vec<u8>) {
            if let Some(sequence) = MessageSequence::take(&mut Take(&garbage)) {
                sequence.messages().chain(sequence.needed()).for_each(drop);
            }
        }
    }
}
