//! The entries of a session's chain: requests, and behind each the COPY data that its client sent.
//!
//! Takes and gives the bytes of one entry; reading borrows from them. Must not know where the bytes lie, nor what a request
//! holds.

use super::bytes::{Take, put_int};
use crate::workload::record::CopyEnd;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Request {
        mark: Mark,
        record: &'a [u8],
    },
    /// Data of a COPY, at most as much as a line of the workload has.
    CopyData(&'a [u8]),
    CopyEnded(CopyEnd),
    /// The request before has no more data, whatever the server asks for.
    NoMoreData,
}

/// What came after a request and belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its data follows, up to [`Entry::NoMoreData`].
    pub brings_data: bool,
    /// Its client asked for its cancellation this long after its start.
    pub cancelled_after_us: Option<u64>,
}

const REQUEST: u8 = 0;
const BRINGS_DATA: u8 = 1;
const CANCELLED: u8 = 2;
const COPY_DATA: u8 = 4;
const COPY_DONE: u8 = 5;
const COPY_FAILED: u8 = 6;
const NO_MORE_DATA: u8 = 7;

impl Mark {
    /// Appends what stands in front of a request's record.
    pub fn put(&self, out: &mut Vec<u8>) {
        let data = if self.brings_data { BRINGS_DATA } else { REQUEST };
        let cancelled = if self.cancelled_after_us.is_some() { CANCELLED } else { REQUEST };
        out.push(data | cancelled);
        if let Some(after_us) = self.cancelled_after_us {
            put_int(out, after_us);
        }
    }
}

impl<'a> Entry<'a> {
    /// Appends the entry's bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request { mark, record } => {
                mark.put(out);
                out.extend_from_slice(record);
            }
            Self::CopyData(bytes) => {
                out.push(COPY_DATA);
                out.extend_from_slice(bytes);
            }
            Self::CopyEnded(CopyEnd::Done) => out.push(COPY_DONE),
            Self::CopyEnded(CopyEnd::Failed) => out.push(COPY_FAILED),
            Self::NoMoreData => out.push(NO_MORE_DATA),
        }
    }

    /// The entry in these bytes, if they are one.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut take = Take(bytes);
        Some(match take.byte()? {
            COPY_DATA => Self::CopyData(take.0),
            COPY_DONE => Self::CopyEnded(CopyEnd::Done),
            COPY_FAILED => Self::CopyEnded(CopyEnd::Failed),
            NO_MORE_DATA => Self::NoMoreData,
            bits if bits < COPY_DATA => {
                let cancelled_after_us = if bits & CANCELLED != 0 { Some(take.int()?) } else { None };
                let mark = Mark { brings_data: bits & BRINGS_DATA != 0, cancelled_after_us };
                Self::Request { mark, record: take.0 }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_survives_its_bytes(bytes: Vec<u8>, brings_data: bool, cancelled_after_us: Option<u64>) {
            let entries = [
                Entry::Request { mark: Mark { brings_data, cancelled_after_us }, record: &bytes },
                Entry::CopyData(&bytes),
                Entry::CopyEnded(CopyEnd::Done),
                Entry::CopyEnded(CopyEnd::Failed),
                Entry::NoMoreData,
            ];
            for entry in entries {
                let mut out = Vec::new();
                entry.put(&mut out);
                prop_assert_eq!(Entry::decode(&out), Some(entry));
            }
        }

        #[test]
        fn garbage_is_no_panic(garbage: Vec<u8>) {
            let _ = Entry::decode(&garbage);
        }
    }
}
