//! Network captures made byte by byte: a dialogue of two ends, its packets, and files of every kind.
//!
//! Takes what is said and gives files' bytes. Nothing here is read by the code that it tests.

/// The two ends of a dialogue in IPv4, and the server's port.
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
const CLIENT_PORT: u16 = 40_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A packet from the network layer on.
#[derive(Clone, Debug)]
pub struct Packet {
    pub time_us: i64,
    pub bytes: Vec<u8>,
    /// Bytes that a snapshot length cut off.
    pub cut_bytes: usize,
}

/// A segment of a dialogue.
#[derive(Clone, Debug)]
pub struct Tcp {
    pub time_us: i64,
    pub from_server: bool,
    pub sequence: u32,
    pub acknowledged: u32,
    flags: u8,
    pub payload: Vec<u8>,
}

/// What two ends say to each other; every segment acknowledges all that was said before.
#[derive(Clone, Debug)]
pub struct Dialogue {
    pub segments: Vec<Tcp>,
    pub client_port: u16,
    pub port: u16,
    next: [u32; 2],
    time_us: i64,
}

impl Dialogue {
    /// A dialogue with a server on this port that begins with a handshake; a millisecond passes from segment to segment.
    pub fn open(port: u16, time_us: i64) -> Self {
        // Near the end of the numbers, so that they wrap around.
        let next = [u32::MAX - 20, 1_000];
        let mut dialogue = Self { segments: Vec::new(), client_port: CLIENT_PORT, port, next, time_us };
        dialogue.push(false, SYN, b"");
        dialogue.push(true, SYN | ACK, b"");
        dialogue.push(false, ACK, b"");
        dialogue
    }

    pub fn client(&mut self, said: &[u8]) -> &mut Self {
        self.push(false, ACK, said);
        self
    }

    pub fn server(&mut self, said: &[u8]) -> &mut Self {
        self.push(true, ACK, said);
        self
    }

    pub fn close(&mut self) {
        self.push(false, FIN | ACK, b"");
        self.push(true, FIN | ACK, b"");
        self.push(false, ACK, b"");
    }

    pub fn reset(&mut self) {
        self.push(false, RST | ACK, b"");
    }

    fn push(&mut self, from_server: bool, flags: u8, payload: &[u8]) {
        let (own, other) = (usize::from(from_server), usize::from(!from_server));
        self.segments.push(Tcp {
            time_us: self.time_us,
            from_server,
            sequence: self.next[own],
            acknowledged: if flags & ACK == 0 { 0 } else { self.next[other] },
            flags,
            payload: payload.to_vec(),
        });
        let numbers = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[own] = self.next[own].wrapping_add(numbers);
        self.time_us += 1_000;
    }

    /// The same in segments of this many bytes at most.
    pub fn in_segments(&self, size: usize) -> Self {
        let mut all = Vec::new();
        for segment in &self.segments {
            if segment.payload.len() <= size {
                all.push(segment.clone());
                continue;
            }
            for (n, payload) in segment.payload.chunks(size).enumerate() {
                let sequence = segment.sequence.wrapping_add((n * size) as u32);
                all.push(Tcp { sequence, payload: payload.to_vec(), ..segment.clone() });
            }
        }
        Self { segments: all, ..self.clone() }
    }

    /// Its packets in IPv4.
    pub fn ipv4(&self) -> Vec<Packet> {
        self.packets(|from, to, tcp| ipv4(from, to, 0, tcp))
    }

    /// Its packets in IPv6, with a hop-by-hop header and destination options in front.
    pub fn ipv6(&self) -> Vec<Packet> {
        self.packets(|from, to, tcp| ipv6(from, to, &extensions(6), 0, tcp))
    }

    /// Its packets in IPv4, each in fragments of this many bytes of TCP, a multiple of 8.
    pub fn ipv4_fragments(&self, size: usize) -> Vec<Packet> {
        let mut packets = Vec::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let (tcp, (from, to)) = (self.tcp(segment), ends(segment.from_server));
            let count = tcp.chunks(size).count();
            for (at, part) in tcp.chunks(size).enumerate() {
                let more = if at + 1 < count { 0x2000 } else { 0 };
                let mut bytes = ipv4(from, to, (at * size / 8) as u16 | more, part);
                bytes[4..6].copy_from_slice(&(n as u16).to_be_bytes());
                packets.push(Packet { time_us: segment.time_us, bytes, cut_bytes: 0 });
            }
        }
        packets
    }

    /// Its packets in IPv6, each in fragments of this many bytes of TCP, a multiple of 8.
    pub fn ipv6_fragments(&self, size: usize) -> Vec<Packet> {
        let mut packets = Vec::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let (tcp, (from, to)) = (self.tcp(segment), ends(segment.from_server));
            let count = tcp.chunks(size).count();
            for (at, part) in tcp.chunks(size).enumerate() {
                let offset = (at * size) as u16 | u16::from(at + 1 < count);
                let [high, low] = offset.to_be_bytes();
                let fragment = [6, 0, high, low, 0, 0, 0, n as u8];
                let bytes = ipv6(from, to, &fragment, 44, part);
                packets.push(Packet { time_us: segment.time_us, bytes, cut_bytes: 0 });
            }
        }
        packets
    }

    fn packets(&self, ip: impl Fn([u8; 4], [u8; 4], &[u8]) -> Vec<u8>) -> Vec<Packet> {
        let packet = |segment: &Tcp| {
            let (from, to) = ends(segment.from_server);
            Packet { time_us: segment.time_us, bytes: ip(from, to, &self.tcp(segment)), cut_bytes: 0 }
        };
        self.segments.iter().map(packet).collect()
    }

    fn tcp(&self, segment: &Tcp) -> Vec<u8> {
        let (client, server) = (self.client_port, self.port);
        let (from, to) = if segment.from_server { (server, client) } else { (client, server) };
        // With options, three times padding and a window of 512.
        let mut bytes = Vec::new();
        bytes.extend(from.to_be_bytes());
        bytes.extend(to.to_be_bytes());
        bytes.extend(segment.sequence.to_be_bytes());
        bytes.extend(segment.acknowledged.to_be_bytes());
        bytes.extend([6 << 4, segment.flags, 2, 0, 0, 0, 0, 0, 1, 1, 1, 0]);
        bytes.extend(&segment.payload);
        bytes
    }
}

fn ends(from_server: bool) -> ([u8; 4], [u8; 4]) {
    if from_server { (SERVER, CLIENT) } else { (CLIENT, SERVER) }
}

/// With a router alert as its option.
fn ipv4(from: [u8; 4], to: [u8; 4], flags_and_offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x46, 0];
    bytes.extend((24 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(flags_and_offset.to_be_bytes());
    bytes.extend([64, 6, 0, 0]);
    bytes.extend(from);
    bytes.extend(to);
    bytes.extend([0x94, 4, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// A hop-by-hop header and destination options, each of padding, before a header of this number.
fn extensions(next: u8) -> Vec<u8> {
    vec![60, 0, 1, 4, 0, 0, 0, 0, next, 0, 1, 4, 0, 0, 0, 0]
}

/// `next` is the number of the first header, 0 for hop-by-hop options.
fn ipv6(from: [u8; 4], to: [u8; 4], headers: &[u8], next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(((headers.len() + payload.len()) as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for [a, b, c, d] in [from, to] {
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]);
    }
    bytes.extend(headers);
    bytes.extend(payload);
    bytes
}

/// How packets are framed: pcap's link type, and what stands before the network layer.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    Ethernet,
    Vlan,
    QinQ,
    Null,
    Loop,
    Raw,
    LinuxCooked,
    LinuxCooked2,
}

impl Link {
    pub const ALL: [Self; 8] = [
        Self::Ethernet,
        Self::Vlan,
        Self::QinQ,
        Self::Null,
        Self::Loop,
        Self::Raw,
        Self::LinuxCooked,
        Self::LinuxCooked2,
    ];

    pub fn number(self) -> u16 {
        match self {
            Self::Ethernet | Self::Vlan | Self::QinQ => 1,
            Self::Null => 0,
            Self::Loop => 108,
            Self::Raw => 101,
            Self::LinuxCooked => 113,
            Self::LinuxCooked2 => 276,
        }
    }

    fn frame(self, ip: &[u8]) -> Vec<u8> {
        let is_ipv6 = ip[0] >> 4 == 6;
        let kind: [u8; 2] = if is_ipv6 { [0x86, 0xdd] } else { [8, 0] };
        let ends = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let mut bytes = match self {
            Self::Ethernet => [&ends[..], &kind].concat(),
            Self::Vlan => [&ends[..], &[0x81, 0, 0, 7], &kind].concat(),
            Self::QinQ => [&ends[..], &[0x88, 0xa8, 0, 3, 0x81, 0, 0, 7], &kind].concat(),
            Self::Null => vec![if is_ipv6 { 30 } else { 2 }, 0, 0, 0],
            Self::Loop => vec![0, 0, 0, if is_ipv6 { 30 } else { 2 }],
            Self::Raw => Vec::new(),
            Self::LinuxCooked => [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &kind].concat(),
            Self::LinuxCooked2 => [&kind[..], &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]].concat(),
        };
        bytes.extend(ip);
        // The shortest frame of Ethernet; what lies behind the IP packet is padding.
        if self.number() == 1 {
            bytes.resize(bytes.len().max(60), 0);
        }
        bytes
    }
}

/// The numbers of a pcap or pcapng file.
#[derive(Clone, Copy, Debug)]
pub enum Endian {
    Little,
    Big,
}

impl Endian {
    fn word(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn half(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// A pcap file, in microseconds or nanoseconds.
pub fn pcap(link: Link, endian: Endian, has_nanoseconds: bool, packets: &[Packet]) -> Vec<u8> {
    let magic = if has_nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = endian.word(magic).to_vec();
    file.extend(endian.half(2));
    file.extend(endian.half(4));
    for number in [0, 0, 262_144, u32::from(link.number())] {
        file.extend(endian.word(number));
    }
    for packet in packets {
        let frame = link.frame(&packet.bytes);
        let kept = frame.len() - packet.cut_bytes;
        let fraction = (packet.time_us % 1_000_000) as u32 * if has_nanoseconds { 1_000 } else { 1 };
        for number in [(packet.time_us / 1_000_000) as u32, fraction, kept as u32, frame.len() as u32] {
            file.extend(endian.word(number));
        }
        file.extend(&frame[..kept]);
    }
    file
}

/// A pcapng file with one interface for each link, which its packets take in turns: the first counts microseconds, the
/// second nanoseconds, and so on.
pub fn pcapng(links: &[Link], endian: Endian, packets: &[Packet]) -> Vec<u8> {
    let section = [&endian.word(0x1a2b_3c4d)[..], &endian.half(1), &endian.half(0), &[0xff; 8]].concat();
    let mut file = block(endian, 0x0a0d_0d0a, &section);
    for (n, link) in links.iter().enumerate() {
        let resolution = if n.is_multiple_of(2) { 6 } else { 9 };
        let options = [&endian.half(9)[..], &endian.half(1), &[resolution, 0, 0, 0], &[0; 4]].concat();
        let described = [&endian.half(link.number())[..], &[0, 0], &endian.word(262_144), &options].concat();
        file.extend(block(endian, 1, &described));
    }
    for (n, packet) in packets.iter().enumerate() {
        let interface = n % links.len();
        let frame = links[interface].frame(&packet.bytes);
        let units = packet.time_us as u64 * if interface.is_multiple_of(2) { 1 } else { 1_000 };
        let mut body = Vec::new();
        for number in [interface as u32, (units >> 32) as u32, units as u32, frame.len() as u32, frame.len() as u32] {
            body.extend(endian.word(number));
        }
        body.extend(&frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(endian, 6, &body));
        // What a reader does not know, it passes over.
        file.extend(block(endian, 0x0bad, &[1, 2, 3, 4]));
    }
    file
}

fn block(endian: Endian, kind: u32, body: &[u8]) -> Vec<u8> {
    let length = endian.word(12 + body.len() as u32);
    [&endian.word(kind)[..], &length, body, &length].concat()
}
