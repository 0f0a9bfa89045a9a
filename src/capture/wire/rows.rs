//! The rows of one result as they pass: counted, digested, and kept only where RETURNING or a sequence gave them.
//!
//! Takes the pieces of rows. Must not know whose rows they are.

use super::super::event::{Outcome, Value};
use super::batch::value;
use crate::pgwire::{client, digest::RowsDigest};

/// Values that RETURNING or a sequence gave are kept up to this size, whole rows only.
const RETURNED_BYTES_MAX: usize = 64 << 10;

/// The rows so far.
#[derive(Debug, Default)]
pub(super) struct Rows {
    digest: RowsDigest,
    /// Of values, without the lengths between them.
    bytes: u64,
    pub columns: Vec<String>,
    /// The current row, where it is kept.
    row: Vec<u8>,
    returned: Vec<Value>,
    returned_bytes: usize,
    is_copy: bool,
    header: u64,
    /// The first two bytes of the current row: the number of its values.
    count: [u8; 2],
}

impl Rows {
    /// Takes a part of a row; `kept` where its values may be wanted.
    pub fn row_part(&mut self, part: &[u8], is_kept: bool) {
        self.digest.update(part);
        for byte in part.iter().take(2usize.saturating_sub(self.header.min(2) as usize)) {
            self.count[self.header as usize] = *byte;
            self.header += 1;
        }
        self.bytes += part.len() as u64;
        if is_kept && self.returned_bytes + self.row.len() + part.len() <= RETURNED_BYTES_MAX {
            self.row.extend_from_slice(part);
        } else if is_kept {
            self.returned_bytes = RETURNED_BYTES_MAX;
        }
    }

    /// The row is whole.
    pub fn end_row(&mut self, result_formats: &[i16]) {
        self.digest.end_row();
        let lengths_bytes = 2 + 4 * u64::from(u16::from_be_bytes(self.count));
        self.bytes = self.bytes.saturating_sub(lengths_bytes);
        (self.header, self.count) = (0, [0, 0]);
        let row = std::mem::take(&mut self.row);
        let whole = client::row(&row).filter(|_| self.returned_bytes < RETURNED_BYTES_MAX);
        let format = |index: usize| match result_formats {
            [] => 0,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(0),
        };
        self.returned_bytes += row.len();
        self.returned.extend(whole.into_iter().flatten().enumerate().map(|(n, bytes)| value(bytes, format(n))));
    }

    /// Takes a part of a message of COPY data.
    pub fn copy_part(&mut self, part: &[u8]) {
        self.is_copy = true;
        self.digest.update(part);
        self.bytes += part.len() as u64;
    }

    /// The message of COPY data is whole.
    pub fn end_copy_data(&mut self) {
        self.digest.end_row();
    }

    /// What is known of the result from its rows.
    pub fn outcome(self, tag: Option<&str>, order_counts: bool, asks_sequences: bool) -> Outcome {
        let has_result = !self.columns.is_empty() || self.digest.rows() > 0;
        let writes = tag.is_some_and(|tag| ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|c| tag.starts_with(c)));
        let asks = asks_sequences && tag.is_some_and(|tag| tag.starts_with("SELECT"));
        let returns = (writes || asks) && !self.returned.is_empty();
        Outcome {
            rows: (has_result && !self.is_copy).then_some(self.digest.rows()),
            bytes: has_result.then_some(self.bytes),
            digest: has_result.then(|| self.digest.text(order_counts)),
            returned_columns: if returns { self.columns } else { Vec::new() },
            returned: if returns { self.returned } else { Vec::new() },
            ..Outcome::default()
        }
    }
}
