//! One captured packet to its TCP segment.
//!
//! Takes the bytes of a packet with its link type; gives the segment, or why there is none. Must not know connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub acknowledged: u32,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub payload: &'a [u8],
}

/// What a packet is.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    Tcp(Segment<'a>),
    /// A part of an IP packet, which is not put together.
    Fragment,
    /// No TCP, or too short to tell.
    Other,
    /// A link type that is not known.
    UnknownLink,
}

/// Reads a packet of this link type (the numbers of pcap's LINKTYPE registry).
pub fn read(link_type: i32, bytes: &[u8]) -> Packet<'_> {
    let tagged = |at: usize, payload: usize| {
        let (kind, rest) = (bytes.get(at..at + 2)?, bytes.get(payload..)?);
        Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes([kind[0], kind[1]])), rest))
    };
    let sliced = match link_type {
        1 => LaxSlicedPacket::from_ethernet(bytes).ok(),
        // NULL and LOOP: four bytes that name the family; the IP version says it again.
        0 | 108 => bytes.get(4..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(bytes).ok(),
        113 => tagged(14, 16),
        276 => tagged(0, 20),
        _ => return Packet::UnknownLink,
    };
    sliced.as_ref().and_then(segment).unwrap_or(Packet::Other)
}

fn segment<'a>(packet: &LaxSlicedPacket<'a>) -> Option<Packet<'a>> {
    let (from, to, is_fragment): (IpAddr, IpAddr, bool) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let [from, to] = [header.source(), header.destination()].map(Ipv4Addr::from);
            (from.into(), to.into(), ip.payload().fragmented)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let [from, to] = [header.source(), header.destination()].map(Ipv6Addr::from);
            (from.into(), to.into(), ip.payload().fragmented)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    if is_fragment {
        return Some(Packet::Fragment);
    }
    let TransportSlice::Tcp(tcp) = packet.transport.as_ref()? else { return None };
    Some(Packet::Tcp(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledged: tcp.acknowledgment_number(),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_packet_is_read_without_a_panic(link_type in -1_i32..300, bytes: Vec<u8>) {
            let _ = super::read(link_type, &bytes);
        }
    }
}
