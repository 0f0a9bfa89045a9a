//! The whole way from network captures to a workload file.
//!
//! Takes plain options and gives a report; the workload stands under its name only if all of it does. Must not know the
//! command line.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::super::conclusion::{Conclusion, skip};
use super::super::destination;
use super::super::error::CaptureError;
use super::super::log::Progress;
use super::super::report::CaptureReport;
use super::super::session::Shared;
use super::super::storage::Opened;
use super::super::wire::Reason;
use super::blocks::{Blocks, Captured, Next};
use super::connections::Connections;
use super::files::{self, NetworkCapture};
use super::fragments::Fragments;
use super::packet::{self, Packet};
use crate::tenant::{Mapping, Rules};
use crate::workload::record::{Loss, Skipped, Source};

/// Packets between two calls of `progress`.
const PROGRESS_PACKETS: u64 = 16_384;

/// What to capture.
#[derive(Clone, Debug)]
pub struct PcapOptions {
    /// pcap and pcapng files in any order; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    pub output: PathBuf,
    /// Only these ports; all where there is none.
    pub ports: Vec<u16>,
    pub tenant_rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// Captures packets into a workload. `progress` is called now and then.
///
/// # Errors
/// An input that cannot be read or is no network capture; one without a statement; an output that cannot be written.
pub fn capture(options: &PcapOptions, mut progress: impl FnMut(Progress)) -> Result<CaptureReport, CaptureError> {
    let captures = files::look_at(&options.inputs)?;
    destination::check(&options.output, &options.inputs)?;
    let total_bytes = captures.iter().map(NetworkCapture::size_bytes).sum();
    let directory = destination::directory_of(&options.output);
    let mut reading = Reading {
        connections: Connections::new(&options.ports),
        fragments: Fragments::default(),
        shared: Shared::new(options.tenant_rules.clone(), directory),
        packets: 0,
        skipped: BTreeMap::new(),
    };
    let (mut sources, mut before_bytes): (Vec<Source>, u64) = (Vec::new(), 0);
    for capture in captures {
        let (name, file) = (capture.name.clone(), capture.file.clone());
        let opened = capture.open().map_err(|source| CaptureError::Open { file: file.clone(), source })?;
        let mut report_read = |read_bytes, requests| {
            progress(Progress { read_bytes: before_bytes + read_bytes, total_bytes, requests });
        };
        let opened = reading.read(opened, &file, sources.len() as u16, &mut report_read)?;
        before_bytes += opened.stored_bytes();
        let sha256 = opened.sha256().map_err(|source| CaptureError::Read { file: file.clone(), source })?;
        if let Some(same) = sources.iter().find(|source| source.sha256 == sha256) {
            return Err(CaptureError::SameContent { file, other: same.file.clone() });
        }
        sources.push(Source { file: name, sha256, kind: "pcap".to_owned() });
    }
    let Reading { connections, fragments, mut shared, packets, mut skipped } = reading;
    connections.finish(&mut shared).map_err(|source| CaptureError::Temporary { source })?;
    fragments.finish(&mut skipped);
    let hint = hint(&shared);
    let nothing = |seen| CaptureError::NoConversation { packets, seen, hint };
    let conclusion = Conclusion { sources, read: (packets, "packets"), skipped };
    conclusion.write(shared, options.tenants.as_ref(), &options.output, nothing)
}

/// What to do about captures without a statement.
fn hint(shared: &Shared) -> &'static str {
    match shared.wire_bytes {
        _ if shared.skipped.contains_key(&Reason::EncryptedBytes) => {
            "capture where the traffic is not encrypted, or use capture proxy"
        }
        0 => "capture where the clients' packets pass, and whole packets: tcpdump -i any -s 0 -w FILE port 5432",
        _ => {
            "there are connections of PostgreSQL, but no whole request: capture for longer, and whole packets (tcpdump -s 0)"
        }
    }
}

/// What is carried from file to file.
struct Reading {
    connections: Connections,
    fragments: Fragments,
    shared: Shared,
    packets: u64,
    skipped: BTreeMap<String, Skipped>,
}

impl Reading {
    /// Reads a file to its end.
    fn read(
        &mut self,
        opened: Opened,
        file: &str,
        source: u16,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Opened, CaptureError> {
        let mut blocks = Blocks::new(opened);
        // Packets are numbered from 1, as other tools number them.
        let mut number = 0;
        loop {
            let next = blocks.next_block().map_err(|source| CaptureError::Read { file: file.to_owned(), source })?;
            let at = (source, number + 1);
            match next {
                Next::Packet(captured) => {
                    number += 1;
                    self.packet(&captured, at).map_err(|source| CaptureError::Temporary { source })?;
                }
                Next::Unplaced => {
                    number += 1;
                    self.skip("packet without a time, or of an interface that is not described", (1, Loss::None), at);
                }
                Next::Rest(bytes) => {
                    self.skip("bytes at the end of a file that are too few for a packet", (bytes, Loss::Some), at)
                }
                Next::Damaged => self.skip("rest of a file that is cut short or damaged", (1, Loss::Some), at),
                Next::Unknown => {
                    return Err(CaptureError::NotNetworkCapture { file: file.to_owned(), kind: "something else" });
                }
                Next::End => break,
            }
            if number % PROGRESS_PACKETS == 0 {
                progress(blocks.input().stored_bytes(), self.shared.out.counts().requests());
            }
        }
        self.packets += number;
        let opened = blocks.into_input();
        if opened.is_damaged() {
            self.skip("rest of compressed data that is cut short or damaged", (1, Loss::Some), (source, number));
        }
        Ok(opened)
    }

    fn packet(&mut self, captured: &Captured<'_>, at: (u16, u64)) -> io::Result<()> {
        let Captured { link_type, time_us, is_cut, data } = *captured;
        let put_together;
        let packet = match packet::read(link_type, data) {
            Packet::Fragment(fragment) => {
                put_together = self.fragments.take(&fragment, at);
                match &put_together {
                    Some(whole) => whole.packet(),
                    None => return Ok(()),
                }
            }
            other => other,
        };
        match packet {
            Packet::Tcp(segment) => {
                if is_cut {
                    self.skip("packet that is cut short (snapshot length)", (1, Loss::None), at);
                }
                self.connections.take(&segment, time_us, at, &mut self.shared, &mut self.skipped)
            }
            Packet::UnknownLink => {
                self.skip("packet of an unknown link type", (1, Loss::None), at);
                Ok(())
            }
            Packet::Fragment(_) | Packet::Other => Ok(()),
        }
    }

    fn skip(&mut self, reason: &str, counted: (u64, Loss), at: (u16, u64)) {
        skip(&mut self.skipped, reason, counted, at);
    }
}
