//! Reads the parts of a client's messages.
//!
//! Takes the body of one message and gives its fields, texts as bytes. A body that is not what its tag promises gives
//! `None`. Must not know about connections or what the server answers.

use super::backend::CancelKey;
use super::frontend::{CANCEL_REQUEST_CODE, Named, Parameter, SSL_REQUEST_CODE};

/// GSSENCRequest stands where a protocol version would.
const GSSENC_REQUEST_CODE: u32 = 1234 << 16 | 5680;

/// What a client sends first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First<'a> {
    /// StartupMessage of protocol 3: its parameters in order.
    Startup(Vec<(&'a [u8], &'a [u8])>),
    /// SSLRequest or GSSENCRequest: the server answers with one byte.
    Encryption,
    Cancel(CancelKey),
}

impl<'a> First<'a> {
    /// Reads the body behind the length.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (code, mut rest) = body.split_first_chunk()?;
        match u32::from_be_bytes(*code) {
            SSL_REQUEST_CODE | GSSENC_REQUEST_CODE => Some(Self::Encryption),
            CANCEL_REQUEST_CODE => CancelKey::parse(rest).map(Self::Cancel),
            protocol if protocol >> 16 == 3 => {
                let mut parameters = Vec::new();
                loop {
                    let name = take_text(&mut rest)?;
                    if name.is_empty() {
                        return Some(Self::Startup(parameters));
                    }
                    parameters.push((name, take_text(&mut rest)?));
                }
            }
            _ => None,
        }
    }
}

/// Parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    pub statement: &'a [u8],
    pub sql: &'a [u8],
    pub parameter_types: Vec<u32>,
}

impl<'a> Parse<'a> {
    /// Reads the body.
    pub fn read(mut body: &'a [u8]) -> Option<Self> {
        let (statement, sql) = (take_text(&mut body)?, take_text(&mut body)?);
        let count = take_u16(&mut body)?;
        let parameter_types = (0..count).map(|_| take_u32(&mut body)).collect::<Option<_>>()?;
        body.is_empty().then_some(Self { statement, sql, parameter_types })
    }
}

/// Bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub portal: &'a [u8],
    pub statement: &'a [u8],
    pub parameters: Vec<Parameter<'a>>,
    pub result_formats: Vec<i16>,
}

impl<'a> Bind<'a> {
    /// Reads the body.
    pub fn parse(mut body: &'a [u8]) -> Option<Self> {
        let (portal, statement) = (take_text(&mut body)?, take_text(&mut body)?);
        let formats = take_formats(&mut body)?;
        let count = usize::from(take_u16(&mut body)?);
        // One format stands for all parameters, none for text.
        if formats.len() > 1 && formats.len() != count {
            return None;
        }
        let format = |index| formats.get(index).or(formats.first().filter(|_| formats.len() == 1)).copied();
        let mut parameters = Vec::with_capacity(count);
        for index in 0..count {
            parameters.push(match (take_value(&mut body)?, format(index).unwrap_or(0)) {
                (None, _) => Parameter::Null,
                (Some(value), 0) => Parameter::Text(value),
                (Some(value), 1) => Parameter::Binary(value),
                _ => return None,
            });
        }
        let result_formats = take_formats(&mut body)?;
        body.is_empty().then_some(Self { portal, statement, parameters, result_formats })
    }
}

/// Reads the body of a Describe or Close.
pub fn named(body: &[u8]) -> Option<Named<'_>> {
    let (kind, mut rest) = body.split_first()?;
    let name = take_text(&mut rest).filter(|_| rest.is_empty())?;
    match kind {
        b'S' => Some(Named::Statement(name)),
        b'P' => Some(Named::Portal(name)),
        _ => None,
    }
}

/// Reads the body of an Execute: the portal and the most rows wanted, 0 for all.
pub fn execute(mut body: &[u8]) -> Option<(&[u8], u32)> {
    let read = (take_text(&mut body)?, take_u32(&mut body)?);
    body.is_empty().then_some(read)
}

/// Reads the body of a Query.
pub fn query(mut body: &[u8]) -> Option<&[u8]> {
    take_text(&mut body).filter(|_| body.is_empty())
}

/// Reads a row's values, of which none is NULL.
pub fn row(mut body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let count = take_u16(&mut body)?;
    (0..count).map(|_| take_value(&mut body)).collect()
}

/// Reads the types of a ParameterDescription.
pub fn parameter_types(mut body: &[u8]) -> Option<Vec<u32>> {
    let count = take_u16(&mut body)?;
    (0..count).map(|_| take_u32(&mut body)).collect()
}

/// Reads the columns' names and format codes of a RowDescription.
pub fn columns(mut body: &[u8]) -> Option<Vec<(&[u8], i16)>> {
    let count = take_u16(&mut body)?;
    let column = |_| {
        let name = take_text(&mut body)?;
        let (rest, after) = body.split_at_checked(18)?;
        body = after;
        Some((name, i16::from_be_bytes([rest[16], rest[17]])))
    };
    (0..count).map(column).collect()
}

fn take_formats(body: &mut &[u8]) -> Option<Vec<i16>> {
    let count = take_u16(body)?;
    (0..count).map(|_| take_u16(body).map(u16::cast_signed)).collect()
}

/// A value behind its length, -1 for NULL.
#[allow(clippy::option_option)] // a value that is missing is no NULL
fn take_value<'a>(body: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_u32(body)?.cast_signed() {
        -1 => Some(None),
        length => {
            let (value, rest) = body.split_at_checked(usize::try_from(length).ok()?)?;
            *body = rest;
            Some(Some(value))
        }
    }
}

fn take_text<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, body)?;
    let text = &body[..end];
    *body = &body[end + 1..];
    Some(text)
}

fn take_u16(body: &mut &[u8]) -> Option<u16> {
    let (number, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u16::from_be_bytes(*number))
}

fn take_u32(body: &mut &[u8]) -> Option<u32> {
    let (number, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::frontend;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = BytesMut::new();
        let parameters = [Parameter::Text(b"a"), Parameter::Null, Parameter::Binary(b"\x00\x01")];
        frontend::bind(&mut out, b"p", b"s", parameters, &[1, 0]).unwrap();
        let bind = Bind::parse(&out[5..]).unwrap();
        assert_eq!((bind.portal, bind.statement, &bind.parameters[..]), (&b"p"[..], &b"s"[..], &parameters[..]));
        assert_eq!(bind.result_formats, [1, 0]);
        out.clear();
        frontend::parse(&mut out, b"s", b"SELECT $1", &[23]).unwrap();
        assert_eq!(Parse::read(&out[5..]).unwrap().parameter_types, [23]);
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (First::parse(&body), Parse::read(&body), Bind::parse(&body), named(&body));
            let _ = (execute(&body), query(&body), row(&body), columns(&body), parameter_types(&body));
        }
    }
}
