//! The whole way from network captures to a workload file.
//!
//! Takes plain options and gives a report; the workload stands under its name only if all of it does. Must not know the
//! command line.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use sha2::{Digest, Sha256};

use super::super::conclusion::Conclusion;
use super::super::error::CaptureError;
use super::super::report::CaptureReport;
use super::super::session::Shared;
use super::super::wire::Reason;
use super::connection::Connection;
use super::packet::{self, Packet, Segment};
use crate::tenant::{Mapping, Rules};
use crate::workload::record::{Skipped, Source};

/// Connections that are followed at a time.
const CONNECTIONS_MAX: usize = 65_536;

/// Read at a time, and the longest block of a file.
const BUFFER_BYTES: usize = 1 << 20;
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// What to capture.
#[derive(Clone, Debug)]
pub struct PcapOptions {
    /// pcap and pcapng files, one after the other; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    pub output: PathBuf,
    /// Only these ports; all where there is none.
    pub ports: Vec<u16>,
    pub tenant_rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// Captures packets into a workload.
///
/// # Errors
/// An input that cannot be read or is no network capture; one without a statement; an output that cannot be written.
pub fn capture(options: &PcapOptions) -> Result<CaptureReport, CaptureError> {
    let directory = options.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reading = Reading {
        ports: options.ports.clone(),
        connections: HashMap::new(),
        shared: Shared::new(options.tenant_rules.clone(), directory),
        packets: 0,
        skipped: BTreeMap::new(),
    };
    let mut sources = Vec::new();
    for path in &options.inputs {
        sources.push(reading.read(path, sources.len() as u16)?);
    }
    let packets = reading.packets;
    let (shared, skipped) = reading.finish().map_err(|source| CaptureError::Temporary { source })?;
    let conclusion = Conclusion { sources, read: (packets, "packets"), skipped };
    conclusion
        .write(shared, options.tenants.as_ref(), &options.output, |seen| CaptureError::NoConversation { packets, seen })
}

struct Reading {
    ports: Vec<u16>,
    connections: HashMap<(SocketAddr, SocketAddr), Connection>,
    shared: Shared,
    packets: u64,
    skipped: BTreeMap<String, Skipped>,
}

/// Of a pcapng interface, or of a whole pcap file.
#[derive(Clone, Copy)]
struct Interface {
    link_type: i32,
    units_per_second: u64,
    offset_s: i64,
}

impl Reading {
    fn read(&mut self, path: &Path, source: u16) -> Result<Source, CaptureError> {
        let file = path.display().to_string();
        let input: Box<dyn Read + Send> = match path == Path::new("-") {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(path).map_err(|source| CaptureError::Open { file: file.clone(), source })?),
        };
        let hasher = Arc::new(Mutex::new(Sha256::new()));
        let hashing = Hashing { input, hasher: Arc::clone(&hasher) };
        let mut reader =
            create_reader(BUFFER_BYTES, hashing).map_err(|_| CaptureError::NotNetworkCapture { file: file.clone() })?;
        self.blocks(&mut *reader, source, &file)?;
        let name = path.file_name().map_or("stdin".into(), |name| name.to_string_lossy().into_owned());
        let hash = hasher.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize();
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Source { file: name, sha256, kind: "pcap".to_owned() })
    }

    fn blocks(&mut self, reader: &mut dyn PcapReaderIterator, source: u16, file: &str) -> Result<(), CaptureError> {
        let (mut interfaces, mut in_file, mut capacity_bytes) = (Vec::new(), 0, BUFFER_BYTES);
        let temporary = |source| CaptureError::Temporary { source };
        loop {
            let taken = match reader.next() {
                Ok((offset, block)) => {
                    self.block(&block, &mut interfaces, source, &mut in_file).map_err(temporary)?;
                    Ok(offset)
                }
                Err(PcapError::Eof) => return Ok(()),
                Err(PcapError::Incomplete(_)) => Err(false),
                Err(PcapError::BufferTooSmall) => Err(true),
                Err(_) if in_file == 0 => return Err(CaptureError::NotNetworkCapture { file: file.to_owned() }),
                Err(_) => {
                    self.skip("rest of a file that is cut short or damaged", (source, in_file));
                    return Ok(());
                }
            };
            match taken {
                Ok(offset) => {
                    reader.consume(offset);
                    continue;
                }
                Err(true) => capacity_bytes *= 2,
                Err(false) => {}
            }
            if reader.reader_exhausted() && reader.data().is_empty() {
                return Ok(());
            }
            let has_grown = taken == Err(false) || (capacity_bytes <= BLOCK_BYTES_MAX && reader.grow(capacity_bytes));
            if reader.reader_exhausted() || !has_grown || reader.refill().is_err() {
                self.skip("rest of a file that is cut short or damaged", (source, in_file));
                return Ok(());
            }
        }
    }

    fn block(
        &mut self,
        block: &PcapBlockOwned<'_>,
        interfaces: &mut Vec<Interface>,
        source: u16,
        in_file: &mut u64,
    ) -> io::Result<()> {
        let (interface, seconds, fraction, is_cut, data) = match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let is_nanoseconds = matches!(header.magic_number, 0xa1b2_3c4d | 0x4d3c_b2a1);
                let units_per_second = if is_nanoseconds { 1_000_000_000 } else { 1_000_000 };
                interfaces.push(Interface { link_type: header.network.0, units_per_second, offset_s: 0 });
                return Ok(());
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                interfaces.clear();
                return Ok(());
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(described)) => {
                let units_per_second = described.ts_resolution().filter(|units| *units > 0).unwrap_or(1_000_000);
                let (link_type, offset_s) = (described.linktype.0, described.ts_offset());
                interfaces.push(Interface { link_type, units_per_second, offset_s });
                return Ok(());
            }
            PcapBlockOwned::Legacy(packet) => {
                let is_cut = packet.caplen < packet.origlen;
                (interfaces.first(), i64::from(packet.ts_sec), u64::from(packet.ts_usec), is_cut, packet.data)
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = interfaces.get(packet.if_id as usize);
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let per_second = interface.map_or(1_000_000, |interface| interface.units_per_second);
                let data = &packet.data[..packet.data.len().min(packet.caplen as usize)];
                let is_cut = packet.caplen < packet.origlen;
                (interface, (units / per_second).cast_signed(), units % per_second, is_cut, data)
            }
            PcapBlockOwned::NG(_) => return Ok(()),
        };
        *in_file += 1;
        self.packets += 1;
        let at = (source, *in_file);
        let Some(interface) = interface else {
            self.skip("packet of an interface that is not described", at);
            return Ok(());
        };
        let fraction_us = u128::from(fraction) * 1_000_000 / u128::from(interface.units_per_second);
        let seconds = seconds.saturating_add(interface.offset_s);
        let time_us = seconds.saturating_mul(1_000_000).saturating_add(fraction_us as i64);
        if is_cut {
            self.skip("packet that is cut short (snapshot length)", at);
        }
        match packet::read(interface.link_type, data) {
            Packet::Tcp(segment) => self.segment(&segment, time_us, at),
            Packet::Fragment => {
                self.skip("fragment of an IP packet", at);
                Ok(())
            }
            Packet::UnknownLink => {
                self.skip("packet of an unknown link type", at);
                Ok(())
            }
            Packet::Other => Ok(()),
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, time_us: i64, at: (u16, u64)) -> io::Result<()> {
        let ports = [segment.from.port(), segment.to.port()];
        if !self.ports.is_empty() && !self.ports.iter().any(|port| ports.contains(port)) {
            return Ok(());
        }
        self.shared.first_us = self.shared.first_us.min(time_us);
        let is_first = segment.from <= segment.to;
        let key = if is_first { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let begins = segment.syn && segment.acknowledged == 0;
        if begins
            && self.connections.get(&key).is_some_and(Connection::has_spoken)
            && let Some(before) = self.connections.remove(&key)
        {
            before.finish(&mut self.shared)?;
        }
        if !self.connections.contains_key(&key) {
            if !segment.syn && segment.payload.is_empty() {
                return Ok(());
            }
            if self.connections.len() >= CONNECTIONS_MAX {
                self.skip("packet of a connection beyond 65,536 at a time", at);
                return Ok(());
            }
            self.connections.insert(key, Connection::new(segment, is_first, at.0));
        }
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        connection.take(segment, is_first, time_us, at.1, &mut self.shared)?;
        if connection.is_finished()
            && let Some(finished) = self.connections.remove(&key)
        {
            finished.finish(&mut self.shared)?;
        }
        self.cancel();
        Ok(())
    }

    fn cancel(&mut self) {
        for (key, time_us, at) in std::mem::take(&mut self.shared.cancels) {
            let met = self.connections.values_mut().find_map(|connection| connection.cancelled(&key, time_us));
            if met != Some(true) {
                self.shared.skip(Reason::CancelWithoutRequest, 1, at);
            }
        }
    }

    fn skip(&mut self, reason: &str, at: (u16, u64)) {
        self.skipped.entry(reason.to_owned()).or_insert(Skipped { count: 0, first: at }).count += 1;
    }

    fn finish(mut self) -> io::Result<(Shared, BTreeMap<String, Skipped>)> {
        // In the order of their ends' addresses, so that the same capture always numbers its sessions alike.
        let mut left: Vec<_> = self.connections.drain().collect();
        left.sort_by_key(|(ends, _)| *ends);
        for (_, connection) in left {
            connection.finish(&mut self.shared)?;
        }
        Ok((self.shared, self.skipped))
    }
}

/// Hashes a file as it is read.
struct Hashing {
    input: Box<dyn Read + Send>,
    hasher: Arc<Mutex<Sha256>>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..read]);
        Ok(read)
    }
}
