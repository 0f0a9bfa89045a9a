//! `workload merge`: several workloads as one, event by event in the order of time.
//!
//! Takes workloads of several servers, shards or hours, and puts their events on one clock: their own absolute times, or
//! their starts on one another. Holds one event of each input. Must not know what was typed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use super::error::ReshapeError;
use super::moment::{rfc3339, started_us};
use super::rewrite::{Origin, Rewriter, Unchanged};
use crate::workload::record::{End, Header, Record, VERSION};
use crate::workload::{Input, Reader};

/// How the clocks of the inputs fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Every event at its own absolute time.
    Time,
    /// All inputs begin at the same moment, that of the earliest.
    Start,
}

/// Writes one workload of all inputs: sessions get new numbers, tenants of the same name become one, sources stand one
/// input's behind another's.
///
/// # Errors
/// An input is damaged, there are more sources than a request can refer to, or the output cannot be written.
pub fn merge<'a, I: Into<Input<'a>>>(
    inputs: impl IntoIterator<Item = I>,
    output: &Path,
    align: Align,
) -> Result<End, ReshapeError> {
    let inputs: Vec<Input<'a>> = inputs.into_iter().map(Into::into).collect();
    let mut opened = Vec::new();
    for input in &inputs {
        let reader = Reader::open(*input)?;
        let started_us = started_us(reader.header())?;
        opened.push((reader, started_us));
    }
    let started_us = opened.iter().map(|(_, started_us)| *started_us).min().unwrap_or(0);
    let header = united_header(&opened, started_us)?;
    let paths: Vec<&Path> = inputs.iter().map(|input| input.path()).collect();
    let mut rewriter = Rewriter::create(output, &paths, &header)?;
    let mut first_source = 0_u16;
    let mut merging = Vec::new();
    for (reader, own_us) in opened {
        // The sum was checked with the header.
        let sources = reader.header().sources.len() as u16;
        let shift_us = match align {
            Align::Time => u64::try_from(own_us.saturating_sub(started_us)).unwrap_or(0),
            Align::Start => 0,
        };
        merging.push(Merging { reader, origin: Origin::among_others(first_source), shift_us, next: None });
        first_source += sources;
    }
    let mut order = BinaryHeap::new();
    for (index, input) in merging.iter_mut().enumerate() {
        order.extend(input.advance(&mut rewriter)?.map(|t_us| Reverse((t_us, index))));
    }
    while let Some(Reverse((_, index))) = order.pop() {
        let input = &mut merging[index];
        if let Some(event) = input.next.take() {
            rewriter.copy(event, &input.reader, &mut input.origin, &mut Unchanged)?;
        }
        order.extend(input.advance(&mut rewriter)?.map(|t_us| Reverse((t_us, index))));
    }
    rewriter.finish()
}

struct Merging {
    reader: Reader,
    origin: Origin,
    shift_us: u64,
    /// The event that was read last and is not written yet: the reader's definitions are those of this moment.
    next: Option<Record>,
}

impl Merging {
    /// Reads up to the next event, and gives its moment on the common clock.
    fn advance(&mut self, rewriter: &mut Rewriter) -> Result<Option<u64>, ReshapeError> {
        while let Some((_, mut record)) = self.reader.next_record()? {
            if let Some((t_us, _)) = record.place_mut() {
                *t_us = t_us.saturating_add(self.shift_us);
                let moment = *t_us;
                self.next = Some(record);
                return Ok(Some(moment));
            }
            rewriter.copy(record, &self.reader, &mut self.origin, &mut Unchanged)?;
        }
        Ok(None)
    }
}

fn united_header(opened: &[(Reader, i64)], started_us: i64) -> Result<Header, ReshapeError> {
    let headers = || opened.iter().map(|(reader, _)| reader.header());
    let sources: Vec<_> = headers().flat_map(|header| header.sources.iter().cloned()).collect();
    if sources.len() > usize::from(u16::MAX) {
        return Err(ReshapeError::Asked {
            primary: format!("the workloads have {} sources; a workload can name {}", sources.len(), u16::MAX),
            hint: "merge fewer workloads at once".to_owned(),
        });
    }
    let first = headers().next().and_then(|header| header.server_version.clone());
    Ok(Header {
        version: VERSION,
        started_at: rfc3339(started_us),
        sources,
        // Several servers have one version to tell only where they agree.
        server_version: first.filter(|first| headers().all(|header| header.server_version.as_ref() == Some(first))),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
