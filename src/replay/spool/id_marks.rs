//! What a request has to do with ids that the server generates: those that its rows give, and those that it sends.
//!
//! Takes and gives the bytes of a part of a request's record. An id has a number, its slot, counted over the whole workload:
//! the request that returns it fills the slot, and what sends it later sends what is there then. Must not know values.

use super::bytes::{Take, put_int};

/// Values of one request that are followed; of the others nothing is known.
pub(super) const FILLS_MAX: usize = 1_024;
pub(super) const PATCHES_MAX: usize = 1_024;

/// The ids of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMarks {
    pub fills: Vec<Fill>,
    /// In the order in which they stand.
    pub patches: Vec<Patch>,
    /// Values that may be ids of the server's and are sent as captured, since it is not sure whose they are.
    pub unsure: u32,
}

/// A value of the rows that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which of the request's results, row and column of it, each from 0.
    pub statement: u32,
    pub row: u32,
    pub column: u16,
    pub is_binary: bool,
    pub slot: u64,
}

/// A value that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Which of the request's messages, from 0; 0 where it is not a list of messages.
    pub message: u32,
    pub target: PatchTarget,
    pub slot: u64,
}

/// Where a value is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchTarget {
    /// Bytes of the message's text: a number, or a string with its quotes.
    Text { start: u32, length: u32 },
    /// A bound parameter, from 0.
    Parameter(u16),
}

impl IdMarks {
    /// Whether it gets or sends ids.
    pub(super) fn maps(&self) -> bool {
        !self.fills.is_empty() || !self.patches.is_empty()
    }

    /// Its bytes; none where there is nothing to say.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if *self != Self::default() {
            self.put(&mut bytes);
        }
        bytes
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_int(out, self.fills.len() as u64);
        for fill in &self.fills {
            let column = u64::from(fill.column) << 1 | u64::from(fill.is_binary);
            [fill.statement.into(), fill.row.into(), column, fill.slot].iter().for_each(|part| put_int(out, *part));
        }
        put_int(out, self.patches.len() as u64);
        for Patch { message, target, slot } in &self.patches {
            let [first, second] = match *target {
                PatchTarget::Text { start, length } => [u64::from(start), u64::from(length)],
                // No literal is empty.
                PatchTarget::Parameter(index) => [u64::from(index), 0],
            };
            [u64::from(*message), first, second, *slot].iter().for_each(|part| put_int(out, *part));
        }
        put_int(out, self.unsure.into());
    }

    /// The marks in these bytes, if they are some.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let mut marks = Self::default();
        for _ in 0..take.int()? {
            let (statement, row) = (take.int()?.try_into().ok()?, take.int()?.try_into().ok()?);
            let column = take.int()?;
            let (is_binary, column) = (column & 1 != 0, (column >> 1).try_into().ok()?);
            marks.fills.push(Fill { statement, row, column, is_binary, slot: take.int()? });
        }
        for _ in 0..take.int()? {
            let message = take.int()?.try_into().ok()?;
            let target = match (take.int()?, take.int()?) {
                (index, 0) => PatchTarget::Parameter(index.try_into().ok()?),
                (start, length) => PatchTarget::Text { start: start.try_into().ok()?, length: length.try_into().ok()? },
            };
            marks.patches.push(Patch { message, target, slot: take.int()? });
        }
        marks.unsure = take.int()?.try_into().ok()?;
        Some(marks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_survive_their_bytes(fills: Vec<(u32, u32, u16, bool, u64)>, patches: Vec<(u32, u32, u32, u64)>, unsure: u32) {
            let fill = |(statement, row, column, is_binary, slot)| Fill { statement, row, column, is_binary, slot };
            let patch = |(message, start, length, slot): (u32, u32, u32, u64)| {
                let target = match length {
                    0 => PatchTarget::Parameter(start as u16),
                    length => PatchTarget::Text { start, length },
                };
                Patch { message, target, slot }
            };
            let fills = fills.into_iter().map(fill).collect();
            let marks = IdMarks { fills, patches: patches.into_iter().map(patch).collect(), unsure };
            let mut bytes = Vec::new();
            marks.put(&mut bytes);
            prop_assert_eq!(IdMarks::decode(&bytes), Some(marks));
        }

        #[test]
        fn garbage_is_no_panic(garbage: Vec<u8>) {
            IdMarks::decode(&garbage);
        }
    }
}
