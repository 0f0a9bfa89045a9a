//! One captured packet to its TCP segment.
//!
//! Takes the bytes of a packet with its link type; gives the segment, a fragment of one, or why there is none. Must not
//! know connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{EtherType, Ipv6ExtensionSlice, LaxIpv4Slice, LaxIpv6Slice, LaxNetSlice, LaxSlicedPacket, TcpSlice};

/// TCP's number in IP headers.
const TCP: u8 = 6;

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub acknowledged: Option<u32>,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub payload: &'a [u8],
}

/// A part of an IP packet that holds TCP.
#[derive(Clone, Debug)]
pub struct Fragment<'a> {
    pub key: FragmentKey,
    /// Of its first byte in the packet's payload.
    pub offset: usize,
    pub more_follow: bool,
    pub payload: &'a [u8],
}

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    pub from: IpAddr,
    pub to: IpAddr,
    pub identification: u32,
}

/// What a packet is.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    Tcp(Segment<'a>),
    Fragment(Fragment<'a>),
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
        // RAW, and what some systems write for it.
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(bytes).ok(),
        // Linux's cooked capture, versions 1 and 2.
        113 => tagged(14, 16),
        276 => tagged(0, 20),
        _ => return Packet::UnknownLink,
    };
    sliced.as_ref().and_then(|sliced| of_net(sliced.net.as_ref()?)).unwrap_or(Packet::Other)
}

fn of_net<'a>(net: &LaxNetSlice<'a>) -> Option<Packet<'a>> {
    match net {
        LaxNetSlice::Ipv4(ip) => of_ipv4(ip),
        LaxNetSlice::Ipv6(ip) => of_ipv6(ip),
        LaxNetSlice::Arp(_) => None,
    }
}

fn of_ipv4<'a>(ip: &LaxIpv4Slice<'a>) -> Option<Packet<'a>> {
    let (header, payload) = (ip.header(), ip.payload());
    if payload.ip_number.0 != TCP {
        return None;
    }
    let [from, to] = [header.source(), header.destination()].map(|ip| IpAddr::from(Ipv4Addr::from(ip)));
    if !payload.fragmented {
        return tcp(from, to, payload.payload);
    }
    Some(Packet::Fragment(Fragment {
        key: FragmentKey { from, to, identification: header.identification().into() },
        offset: header.fragments_offset().byte_offset().into(),
        more_follow: header.more_fragments(),
        payload: payload.payload,
    }))
}

fn of_ipv6<'a>(ip: &LaxIpv6Slice<'a>) -> Option<Packet<'a>> {
    let (header, payload) = (ip.header(), ip.payload());
    if payload.ip_number.0 != TCP {
        return None;
    }
    let [from, to] = [header.source(), header.destination()].map(|ip| IpAddr::from(Ipv6Addr::from(ip)));
    if !payload.fragmented {
        return tcp(from, to, payload.payload);
    }
    let fragment = ip.extensions().clone().into_iter().find_map(|extension| match extension {
        Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment.to_header()),
        _ => None,
    })?;
    Some(Packet::Fragment(Fragment {
        key: FragmentKey { from, to, identification: fragment.identification },
        offset: fragment.fragment_offset.byte_offset().into(),
        more_follow: fragment.more_fragments,
        payload: payload.payload,
    }))
}

/// The segment in an IP packet's payload.
pub(super) fn tcp(from: IpAddr, to: IpAddr, payload: &[u8]) -> Option<Packet<'_>> {
    let tcp = TcpSlice::from_slice(payload).ok()?;
    Some(Packet::Tcp(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: payload.get(tcp.header_len()..).unwrap_or_default(),
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
