//! The packets of a pcap or pcapng file, as its bytes come.
//!
//! Takes a reader and gives each packet with its time and link type, and where a file ends too early. Must not know what
//! packets hold.

use std::io::{self, Read};
use std::ops::Range;

use pcap_parser::nom;
use pcap_parser::{
    Block, LegacyPcapBlock, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

/// Read at a time, and the longest block of a file.
const READ_BYTES: usize = 1 << 20;
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// The year 9892: a file that says more is damaged.
const TIME_US_MAX: i64 = 250_000_000_000_000_000;

/// The header of a packet in pcap: fewer bytes hold no packet, not even the start of one's data.
const PACKET_HEADER_BYTES: usize = 16;

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// A number of pcap's LINKTYPE registry.
    pub link_type: i32,
    /// Microseconds since the epoch.
    pub time_us: i64,
    /// The packet was longer than the capture kept.
    pub is_cut: bool,
    pub data: &'a [u8],
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    Packet(Captured<'a>),
    /// A packet of an interface that no block described, or without a time.
    Unplaced,
    /// So many bytes at the end are too few for a packet.
    Rest(u64),
    /// The rest is cut short or damaged.
    Damaged,
    /// No pcap and no pcapng.
    Unknown,
    End,
}

/// A file that is being read.
pub struct Blocks<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    input_ended: bool,
    form: Option<Form>,
    is_over: bool,
}

/// How the rest of a file is framed.
enum Form {
    Pcap { framing: Framing, interface: Interface },
    PcapNg { is_big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
enum Framing {
    LittleEndian,
    BigEndian,
    /// Alexey Kuznetzov's, with a longer header for each packet.
    Modified,
}

/// Of a pcapng interface, or of a whole pcap file.
#[derive(Clone, Copy)]
struct Interface {
    link_type: i32,
    units_per_second: u64,
    offset_s: i64,
}

/// What a piece of the file holds.
enum Step {
    Packet { bytes: usize, link_type: i32, time_us: i64, is_cut: bool, data: Range<usize> },
    Unplaced { bytes: usize },
    Passed { bytes: usize },
    Incomplete,
    Damaged,
}

impl<R: Read> Blocks<R> {
    /// The file that `input` gives.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), at: 0, input_ended: false, form: None, is_over: false }
    }

    /// What comes next; after an end of any kind, the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next_block(&mut self) -> io::Result<Next<'_>> {
        loop {
            if self.is_over {
                return Ok(Next::End);
            }
            let bytes = &self.buffer[self.at..];
            let step = match &mut self.form {
                Some(Form::Pcap { framing, interface }) => pcap_packet(bytes, *framing, *interface),
                Some(Form::PcapNg { is_big_endian, interfaces }) => block(bytes, is_big_endian, interfaces),
                None => match begin(bytes) {
                    Ok(Some((form, bytes))) => {
                        self.form = Some(form);
                        Step::Passed { bytes }
                    }
                    Ok(None) => Step::Incomplete,
                    Err(()) => {
                        self.is_over = true;
                        return Ok(Next::Unknown);
                    }
                },
            };
            match step {
                Step::Packet { bytes, link_type, time_us, is_cut, data } => {
                    let data = &self.buffer[self.at + data.start..self.at + data.end];
                    self.at += bytes;
                    return Ok(Next::Packet(Captured { link_type, time_us, is_cut, data }));
                }
                Step::Unplaced { bytes } => {
                    self.at += bytes;
                    return Ok(Next::Unplaced);
                }
                Step::Passed { bytes } => self.at += bytes,
                Step::Incomplete if self.input_ended || self.buffer.len() - self.at > BLOCK_BYTES_MAX => {
                    return Ok(self.end());
                }
                Step::Incomplete => self.fill()?,
                Step::Damaged => {
                    self.is_over = true;
                    return Ok(Next::Damaged);
                }
            }
        }
    }

    /// The reader.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// The reader, of which more was read than was given.
    pub fn into_input(self) -> R {
        self.input
    }

    fn end(&mut self) -> Next<'_> {
        self.is_over = true;
        match self.buffer.len() - self.at {
            _ if self.form.is_none() => Next::Unknown,
            0 => Next::End,
            rest_bytes if rest_bytes < PACKET_HEADER_BYTES => Next::Rest(rest_bytes as u64),
            _ => Next::Damaged,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        self.buffer.resize(kept + READ_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
        self.input_ended = read? == 0;
        Ok(())
    }
}

/// Tells by a file's first bytes how it is framed, and how many of them that takes; none if there are too few.
fn begin(bytes: &[u8]) -> Result<Option<(Form, usize)>, ()> {
    if bytes.len() >= 4 && bytes[..4] == [0x0a, 0x0d, 0x0d, 0x0a] {
        return Ok(Some((Form::PcapNg { is_big_endian: false, interfaces: Vec::new() }, 0)));
    }
    match parse_pcap_header(bytes) {
        Ok((_, header)) => {
            let framing = match (header.is_modified_format(), header.is_bigendian()) {
                (true, _) => Framing::Modified,
                (false, true) => Framing::BigEndian,
                (false, false) => Framing::LittleEndian,
            };
            let units_per_second = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            // The upper bits may say how long the frames' check sequences are.
            let interface = Interface { link_type: header.network.0 & 0xffff, units_per_second, offset_s: 0 };
            Ok(Some((Form::Pcap { framing, interface }, header.size())))
        }
        Err(nom::Err::Incomplete(_)) => Ok(None),
        Err(_) => Err(()),
    }
}

fn pcap_packet(bytes: &[u8], framing: Framing, interface: Interface) -> Step {
    let parsed = match framing {
        Framing::LittleEndian => parse_pcap_frame(bytes),
        Framing::BigEndian => parse_pcap_frame_be(bytes),
        Framing::Modified => parse_pcap_frame_modified(bytes),
    };
    let Ok((rest, LegacyPcapBlock { ts_sec, ts_usec, caplen, origlen, data })) = parsed else {
        return incomplete(pcap_length(bytes, framing));
    };
    let taken = bytes.len() - rest.len();
    Step::Packet {
        bytes: taken,
        link_type: interface.link_type,
        time_us: interface.time_us(i64::from(ts_sec), u64::from(ts_usec)),
        is_cut: caplen < origlen,
        data: taken - data.len()..taken,
    }
}

/// The length of a packet's data as its header says it.
fn pcap_length(bytes: &[u8], framing: Framing) -> Option<usize> {
    let length = bytes.get(8..12)?.try_into().ok()?;
    Some(match framing {
        Framing::BigEndian => u32::from_be_bytes(length),
        Framing::LittleEndian | Framing::Modified => u32::from_le_bytes(length),
    } as usize)
}

/// A length that no packet has tells that the framing is lost.
fn incomplete(length: Option<usize>) -> Step {
    match length {
        Some(length) if length > BLOCK_BYTES_MAX => Step::Damaged,
        _ => Step::Incomplete,
    }
}

/// The next block of a pcapng file.
fn block(bytes: &[u8], is_big_endian: &mut bool, interfaces: &mut Vec<Interface>) -> Step {
    let parsed = if *is_big_endian { parse_block_be(bytes) } else { parse_block_le(bytes) };
    let (rest, block) = match parsed {
        Ok(parsed) => parsed,
        Err(nom::Err::Incomplete(_)) => {
            let length = bytes.get(4..8).and_then(|length| length.try_into().ok());
            let number = if *is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
            let is_header = bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
            return incomplete(length.map(number).map(|length| length as usize).filter(|_| !is_header));
        }
        Err(_) => return Step::Damaged,
    };
    let taken = bytes.len() - rest.len();
    match block {
        Block::SectionHeader(header) => {
            *is_big_endian = header.big_endian();
            interfaces.clear();
        }
        Block::InterfaceDescription(described) => interfaces.push(Interface {
            link_type: described.linktype.0 & 0xffff,
            units_per_second: described.ts_resolution().filter(|units| *units > 0).unwrap_or(1_000_000),
            offset_s: described.ts_offset(),
        }),
        Block::EnhancedPacket(packet) => {
            // The data stands behind type, length, interface, time and two lengths.
            let (from, kept) = (28, packet.data.len().min(packet.caplen as usize));
            let Some(interface) = interfaces.get(packet.if_id as usize) else {
                return Step::Unplaced { bytes: taken };
            };
            let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let seconds = (units / interface.units_per_second).cast_signed();
            return Step::Packet {
                bytes: taken,
                link_type: interface.link_type,
                time_us: interface.time_us(seconds, units % interface.units_per_second),
                is_cut: packet.caplen < packet.origlen,
                data: from..from + kept,
            };
        }
        Block::SimplePacket(_) => return Step::Unplaced { bytes: taken },
        _ => {}
    }
    Step::Passed { bytes: taken }
}

impl Interface {
    /// Microseconds since the epoch.
    fn time_us(self, seconds: i64, fraction: u64) -> i64 {
        let fraction_us = u128::from(fraction) * 1_000_000 / u128::from(self.units_per_second);
        let seconds = seconds.saturating_add(self.offset_s);
        let time_us = seconds.saturating_mul(1_000_000).saturating_add(i64::try_from(fraction_us).unwrap_or(0));
        time_us.clamp(0, TIME_US_MAX)
    }
}
