//! The server's half of the protocol: reads what a client sends and writes what a server answers.
//!
//! For stand-ins of a server, in tests above all. Takes bytes and gives one client message at a time; appends server
//! messages to a buffer. Bodies are handed over as they are. Must not know about sockets.

use bytes::{BufMut, Bytes, BytesMut};

use super::backend::TransactionStatus;

/// The longest client message that a stand-in takes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Protocol version and the parameters in order.
    Startup { protocol: u32, parameters: Vec<(String, String)> },
    /// SSLRequest (1234.5679), GSSENCRequest (1234.5680) or CancelRequest (1234.5678): code and the rest.
    Request { code: u32, body: Bytes },
    /// Any message with a tag.
    Tagged { tag: u8, body: Bytes },
}

impl ClientMessage {
    /// The text of a Query.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Tagged { tag: b'Q', body } => std::str::from_utf8(body.strip_suffix(b"\0")?).ok(),
            _ => None,
        }
    }
}

/// Takes the next message from `input`; `None` when more bytes are needed. `started` says whether the startup message
/// has been read: those before it have no tag.
///
/// # Errors
/// A text that says what is wrong with the length or the startup message.
pub fn read(input: &mut BytesMut, started: bool) -> Result<Option<ClientMessage>, String> {
    let tag_bytes = usize::from(started);
    let Some(length) = input.get(tag_bytes..tag_bytes + 4) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let shortest = if started { 4 } else { 8 };
    if !(shortest..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(format!("the client sent a message with the impossible length {length}"));
    }
    if input.len() < tag_bytes + length {
        return Ok(None);
    }
    let mut frame = input.split_to(tag_bytes + length).freeze();
    if started {
        return Ok(Some(ClientMessage::Tagged { tag: frame[0], body: frame.split_off(5) }));
    }
    let body = frame.split_off(8);
    let code = u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
    if code >> 16 == 1234 {
        return Ok(Some(ClientMessage::Request { code, body }));
    }
    let text = std::str::from_utf8(&body).map_err(|_| "the startup message is not UTF-8".to_owned())?;
    let mut texts = text.split('\0').map(str::to_owned);
    let mut parameters = Vec::new();
    while let (Some(name), Some(value)) = (texts.next().filter(|name| !name.is_empty()), texts.next()) {
        parameters.push((name, value));
    }
    Ok(Some(ClientMessage::Startup { protocol: code, parameters }))
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    authentication(out, 0, b"");
}

/// Any Authentication request: its code and what follows.
pub fn authentication(out: &mut BytesMut, code: u32, rest: &[u8]) {
    message(out, b'R', |out| {
        out.put_u32(code);
        out.put_slice(rest);
    });
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| [name, value].iter().for_each(|part| text(out, part)));
}

/// BackendKeyData.
pub fn backend_key_data(out: &mut BytesMut, process_id: i32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.put_i32(process_id);
        out.put_slice(secret);
    });
}

/// NegotiateProtocolVersion: the newest minor version that the server speaks, and no unknown options.
pub fn negotiate_protocol_version(out: &mut BytesMut, newest: u32) {
    message(out, b'v', |out| {
        out.put_u32(newest);
        out.put_u32(0);
    });
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut BytesMut, status: TransactionStatus) {
    message(out, b'Z', |out| out.put_u8(status.byte()));
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

/// RowDescription of text columns (type oid 25).
pub fn row_description(out: &mut BytesMut, columns: &[&str]) {
    message(out, b'T', |out| {
        out.put_u16(columns.len() as u16);
        for column in columns {
            text(out, column);
            out.put_slice(&[0, 0, 0, 0, 0, 0]);
            out.put_u32(25);
            out.put_i16(-1);
            out.put_i32(-1);
            out.put_u16(0);
        }
    });
}

/// DataRow.
pub fn data_row(out: &mut BytesMut, values: &[Option<&[u8]>]) {
    message(out, b'D', |out| {
        out.put_u16(values.len() as u16);
        for value in values {
            match value {
                None => out.put_i32(-1),
                Some(value) => {
                    out.put_i32(value.len() as i32);
                    out.put_slice(value);
                }
            }
        }
    });
}

/// ErrorResponse.
pub fn error_response(out: &mut BytesMut, severity: &str, sqlstate: &str, primary: &str) {
    message(out, b'E', |out| {
        for (kind, value) in [(b'S', severity), (b'V', severity), (b'C', sqlstate), (b'M', primary)] {
            out.put_u8(kind);
            text(out, value);
        }
        out.put_u8(0);
    });
}

/// CopyInResponse (`G`) or CopyOutResponse (`H`) of one text column.
pub fn copy_response(out: &mut BytesMut, tag: u8) {
    message(out, tag, |out| out.put_slice(&[0, 0, 1, 0, 0]));
}

/// ParseComplete (`1`), BindComplete (`2`), NoData (`n`), CopyDone (`c`) and their like: a tag without a body.
pub fn bare(out: &mut BytesMut, tag: u8) {
    message(out, tag, |_| {});
}

/// What a server says after a login: AuthenticationOk, its version, a cancel key and ReadyForQuery.
pub fn welcome(out: &mut BytesMut, server_version: &str) {
    authentication_ok(out);
    parameter_status(out, "server_version", server_version);
    backend_key_data(out, 4242, &[1, 2, 3, 4]);
    ready_for_query(out, TransactionStatus::Idle);
}

fn text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let length_at = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - length_at) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{PROTOCOL_3_0, frontend};
    use super::*;

    #[test]
    fn what_a_client_writes_is_read_back() {
        let mut wire = BytesMut::new();
        frontend::startup(&mut wire, PROTOCOL_3_0, [("user", "ann"), ("options", "")]).unwrap();
        frontend::query(&mut wire, b"SELECT 1").unwrap();
        let parameters = vec![("user".to_owned(), "ann".to_owned()), ("options".to_owned(), String::new())];
        let startup = ClientMessage::Startup { protocol: PROTOCOL_3_0, parameters };
        assert_eq!(read(&mut wire, false), Ok(Some(startup)));
        assert_eq!(read(&mut wire, true).unwrap().unwrap().query(), Some("SELECT 1"));
        assert_eq!(read(&mut wire, true), Ok(None));
    }

    #[test]
    fn requests_in_front_of_the_startup_are_told_apart() {
        let mut wire = BytesMut::new();
        frontend::ssl_request(&mut wire);
        let request = ClientMessage::Request { code: 1234 << 16 | 5679, body: Bytes::new() };
        assert_eq!(read(&mut wire, false), Ok(Some(request)));
    }
}
