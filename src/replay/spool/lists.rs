//! Lists within a record: type oids, parameters, format codes and messages, each with its number in front.
//!
//! Written element by element while a workload is prepared; read by borrowing, so nothing is allocated per request. Must
//! not know what a list belongs to.

use super::bytes::{Take, put_bytes, put_int, put_signed};
use crate::pgwire::frontend::Parameter;

const NULL: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Encoded elements with their number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct List<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> List<'a> {
    /// The elements as type oids.
    pub fn oids(self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.elements(|take| take.int().map(|oid| oid as u32))
    }

    /// The elements as parameters.
    pub fn parameters(self) -> impl Iterator<Item = Parameter<'a>> + Clone + use<'a> {
        self.elements(|take| match take.byte()? {
            NULL => Some(Parameter::Null),
            TEXT => take.bytes().map(Parameter::Text),
            BINARY => take.bytes().map(Parameter::Binary),
            _ => None,
        })
    }

    /// The elements as format codes.
    pub fn formats(self) -> impl Iterator<Item = i16> + Clone + use<'a> {
        self.elements(|take| take.signed().map(|code| code as i16))
    }

    /// The elements as `read` takes them, up to the first that is damaged.
    pub(super) fn elements<T>(
        self,
        read: impl Fn(&mut Take<'a>) -> Option<T> + Clone,
    ) -> impl Iterator<Item = T> + Clone {
        let mut take = Take(self.encoded);
        (0..self.count).map_while(move |_| read(&mut take))
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        put_int(out, self.count as u64);
        put_bytes(out, self.encoded);
    }

    pub(super) fn take(take: &mut Take<'a>) -> Option<Self> {
        let count = usize::try_from(take.int()?).ok()?;
        Some(Self { count, encoded: take.bytes()? })
    }
}

/// A list in the making.
#[derive(Debug, Default)]
pub(super) struct ListWriter {
    count: usize,
    encoded: Vec<u8>,
}

impl ListWriter {
    pub fn of_oids(oids: &[u32]) -> Self {
        let mut list = Self::default();
        oids.iter().for_each(|oid| put_int(list.next(), u64::from(*oid)));
        list
    }

    pub fn of_formats(codes: &[i16]) -> Self {
        let mut list = Self::default();
        codes.iter().for_each(|code| put_signed(list.next(), i64::from(*code)));
        list
    }

    pub fn push_parameter(&mut self, parameter: Parameter<'_>) {
        let out = self.next();
        match parameter {
            Parameter::Null => out.push(NULL),
            Parameter::Text(bytes) => {
                out.push(TEXT);
                put_bytes(out, bytes);
            }
            Parameter::Binary(bytes) => {
                out.push(BINARY);
                put_bytes(out, bytes);
            }
        }
    }

    /// Where the next element is to be written.
    pub fn next(&mut self) -> &mut Vec<u8> {
        self.count += 1;
        &mut self.encoded
    }

    pub fn list(&self) -> List<'_> {
        List { count: self.count, encoded: &self.encoded }
    }
}
