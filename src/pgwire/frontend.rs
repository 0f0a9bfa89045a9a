//! Writes the messages that a client sends.
//!
//! Takes the parts of a message and appends its bytes to a buffer that the caller keeps and reuses; texts are bytes,
//! since captured SQL need not be UTF-8. A message that cannot be written leaves the buffer as it was. Must not know
//! about sockets or about what the server answers.

use bytes::{BufMut, BytesMut};

/// The largest message that a server accepts (`PQ_LARGE_MESSAGE_LIMIT`), length field included.
const MESSAGE_BYTES_MAX: usize = 0x3fff_ffff;

/// Request codes that stand where a protocol version would (manual, "Message Formats").
pub(super) const CANCEL_REQUEST_CODE: u32 = 1234 << 16 | 5678;
pub(super) const SSL_REQUEST_CODE: u32 = 1234 << 16 | 5679;

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("a text for the server holds a zero byte")]
    ZeroByte,
    #[error("a message for the server is larger than 1 GiB")]
    TooLarge,
    #[error("a statement has more than 65535 parameters")]
    TooManyParameters,
}

/// The value of a parameter in Bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    Null,
    /// The value's text form.
    Text(&'a [u8]),
    /// The value's binary form.
    Binary(&'a [u8]),
}

/// What Describe and Close speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
}

/// StartupMessage: `protocol` as [`super::PROTOCOL_3_2`]; parameters such as `user` and `database`.
pub fn startup<'a>(
    out: &mut BytesMut,
    protocol: u32,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), EncodeError> {
    framed(out, None, |out| {
        out.put_u32(protocol);
        for (name, value) in parameters {
            text(out, name.as_bytes())?;
            text(out, value.as_bytes())?;
        }
        out.put_u8(0);
        Ok(())
    })
}

/// SSLRequest: the server answers with one byte, `S` or `N`.
pub fn ssl_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(SSL_REQUEST_CODE);
}

/// CancelRequest, to be sent on a connection of its own. Fails only for a key that no server gives out.
pub fn cancel_request(out: &mut BytesMut, process_id: i32, secret_key: &[u8]) -> Result<(), EncodeError> {
    framed(out, None, |out| {
        out.put_u32(CANCEL_REQUEST_CODE);
        out.put_i32(process_id);
        out.put_slice(secret_key);
        Ok(())
    })
}

/// Query: one or more statements in the simple protocol.
pub fn query(out: &mut BytesMut, sql: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'Q'), |out| text(out, sql))
}

/// Parse: `types` are type oids, 0 or missing where the server is to infer one.
pub fn parse(out: &mut BytesMut, statement: &[u8], sql: &[u8], types: &[u32]) -> Result<(), EncodeError> {
    framed(out, Some(b'P'), |out| {
        text(out, statement)?;
        text(out, sql)?;
        out.put_u16(count(types.len())?);
        types.iter().for_each(|oid| out.put_u32(*oid));
        Ok(())
    })
}

/// Bind: `result_formats` are format codes (0 text, 1 binary); empty means text for every column.
pub fn bind<'a, P>(
    out: &mut BytesMut,
    portal: &[u8],
    statement: &[u8],
    parameters: P,
    result_formats: &[i16],
) -> Result<(), EncodeError>
where
    P: IntoIterator<Item = Parameter<'a>> + Clone,
{
    framed(out, Some(b'B'), |out| {
        text(out, portal)?;
        text(out, statement)?;
        let number = count(parameters.clone().into_iter().count())?;
        out.put_u16(number);
        for parameter in parameters.clone() {
            out.put_u16(matches!(parameter, Parameter::Binary(_)).into());
        }
        out.put_u16(number);
        for parameter in parameters {
            match parameter {
                Parameter::Null => out.put_i32(-1),
                Parameter::Text(value) | Parameter::Binary(value) => {
                    out.put_i32(i32::try_from(value.len()).map_err(|_| EncodeError::TooLarge)?);
                    out.put_slice(value);
                }
            }
        }
        out.put_u16(count(result_formats.len())?);
        result_formats.iter().for_each(|format| out.put_i16(*format));
        Ok(())
    })
}

/// Describe.
pub fn describe(out: &mut BytesMut, what: Named<'_>) -> Result<(), EncodeError> {
    named(out, b'D', what)
}

/// Close.
pub fn close(out: &mut BytesMut, what: Named<'_>) -> Result<(), EncodeError> {
    named(out, b'C', what)
}

/// Execute: `rows_max` 0 means all rows.
pub fn execute(out: &mut BytesMut, portal: &[u8], rows_max: u32) -> Result<(), EncodeError> {
    framed(out, Some(b'E'), |out| {
        text(out, portal)?;
        out.put_u32(rows_max);
        Ok(())
    })
}

/// Sync: ends an extended exchange; the server answers ReadyForQuery.
pub fn sync(out: &mut BytesMut) {
    empty(out, b'S');
}

/// Flush: asks for the answers so far, without ReadyForQuery.
pub fn flush(out: &mut BytesMut) {
    empty(out, b'H');
}

/// FunctionCall: its body as another client wrote it.
pub fn function_call(out: &mut BytesMut, body: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'F'), |out| {
        out.put_slice(body);
        Ok(())
    })
}

/// Terminate.
pub fn terminate(out: &mut BytesMut) {
    empty(out, b'X');
}

/// CopyDone.
pub fn copy_done(out: &mut BytesMut) {
    empty(out, b'c');
}

/// CopyData.
pub fn copy_data(out: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'd'), |out| {
        out.put_slice(data);
        Ok(())
    })
}

/// CopyFail: the server answers with an error that quotes `reason`.
pub fn copy_fail(out: &mut BytesMut, reason: &str) -> Result<(), EncodeError> {
    framed(out, Some(b'f'), |out| text(out, reason.as_bytes()))
}

/// PasswordMessage: a cleartext password or an MD5 answer.
pub fn password(out: &mut BytesMut, password: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'p'), |out| text(out, password))
}

/// SASLInitialResponse.
pub fn sasl_initial_response(out: &mut BytesMut, mechanism: &str, data: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'p'), |out| {
        text(out, mechanism.as_bytes())?;
        out.put_i32(i32::try_from(data.len()).map_err(|_| EncodeError::TooLarge)?);
        out.put_slice(data);
        Ok(())
    })
}

/// SASLResponse.
pub fn sasl_response(out: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    framed(out, Some(b'p'), |out| {
        out.put_slice(data);
        Ok(())
    })
}

fn named(out: &mut BytesMut, tag: u8, what: Named<'_>) -> Result<(), EncodeError> {
    framed(out, Some(tag), |out| {
        let (kind, name) = match what {
            Named::Statement(name) => (b'S', name),
            Named::Portal(name) => (b'P', name),
        };
        out.put_u8(kind);
        text(out, name)
    })
}

fn empty(out: &mut BytesMut, tag: u8) {
    out.put_u8(tag);
    out.put_u32(4);
}

fn text(out: &mut BytesMut, bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.contains(&0) {
        return Err(EncodeError::ZeroByte);
    }
    out.put_slice(bytes);
    out.put_u8(0);
    Ok(())
}

fn count(number: usize) -> Result<u16, EncodeError> {
    u16::try_from(number).map_err(|_| EncodeError::TooManyParameters)
}

/// Writes tag, length and body; takes everything back if the body cannot be written.
fn framed(
    out: &mut BytesMut,
    tag: Option<u8>,
    body: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let started = out.len();
    if let Some(tag) = tag {
        out.put_u8(tag);
    }
    let length_at = out.len();
    out.put_u32(0);
    let mut written = body(out);
    let length = out.len() - length_at;
    if length > MESSAGE_BYTES_MAX {
        written = written.and(Err(EncodeError::TooLarge));
    }
    match written {
        Ok(()) => out[length_at..length_at + 4].copy_from_slice(&(length as u32).to_be_bytes()),
        Err(_) => out.truncate(started),
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_its_text_with_a_length_that_counts_itself() {
        let mut out = BytesMut::new();
        query(&mut out, b"SELECT 1").unwrap();
        assert_eq!(&out[..], b"Q\x00\x00\x00\x0dSELECT 1\x00");
    }

    #[test]
    fn parameters_keep_their_formats_and_nulls() {
        let mut out = BytesMut::new();
        let parameters = [Parameter::Text(b"a"), Parameter::Null, Parameter::Binary(b"\x00\x01")];
        bind(&mut out, b"", b"s1", parameters, &[1]).unwrap();
        let body: &[u8] = b"\0s1\0\x00\x03\x00\x00\x00\x00\x00\x01\x00\x03\
            \x00\x00\x00\x01a\xff\xff\xff\xff\x00\x00\x00\x02\x00\x01\x00\x01\x00\x01";
        assert_eq!(out[0], b'B');
        assert_eq!(out[1..5], (body.len() as u32 + 4).to_be_bytes());
        assert_eq!(&out[5..], body);
    }

    #[test]
    fn a_text_that_cannot_be_sent_leaves_the_buffer_as_it_was() {
        let mut out = BytesMut::from(&b"before"[..]);
        assert_eq!(parse(&mut out, b"s", b"SELECT\0 1", &[]), Err(EncodeError::ZeroByte));
        assert_eq!(bind(&mut out, b"", b"", vec![Parameter::Null; 70_000], &[]), Err(EncodeError::TooManyParameters));
        assert_eq!(&out[..], b"before");
    }

    #[test]
    fn requests_before_the_startup_have_no_tag() {
        let mut out = BytesMut::new();
        ssl_request(&mut out);
        cancel_request(&mut out, 7, &[1, 2, 3, 4]).unwrap();
        assert_eq!(&out[..], b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03\x04");
    }
}
