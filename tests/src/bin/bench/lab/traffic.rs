//! Which frames the generator sends.

use std::net::Ipv6Addr;

use tests::{
    packet::{Packet, flag},
    topology::{INSIDE, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
};

use super::stream::{
    DESTINATION_OFFSET, FRAME_BYTES, FRAME_WORDS, INSIDE_PORT, Kind, OUTSIDE_PORT, SOURCE_OFFSET,
    Stream,
};

/// The inside host and the gateway's interface towards it, as the lab numbers them.
const INSIDE_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x11];
const GATEWAY_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x12];
/// Where strangers live, whom nobody inside talks to.
const STRANGERS: Ipv6Addr = Ipv6Addr::new(0x2a00, 3, 0, 0, 0, 0, 0, 0);
/// How many of them send.
pub(crate) const SOURCES: u32 = 1_000_000;
/// The last 64 bits of the address with the number 0: the number, and then its complement.
const NUMBER_ZERO: u128 = 0xffff_ffff;
const DATA: [u8; 12] = [0x5a; 12];

/// What strangers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsolicited {
    Udp,
    TcpSyn,
}

impl Unsolicited {
    pub(crate) const ALL: [Self; 2] = [Self::Udp, Self::TcpSyn];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::TcpSyn => "TCP SYN",
        }
    }

    /// Frames of random strangers.
    pub(crate) fn kind(self) -> Kind {
        let packet = Packet::ip(numbered(STRANGERS), INSIDE.v6);
        let packet = match self {
            Self::Udp => packet.udp(OUTSIDE_PORT, INSIDE_PORT).payload(&DATA),
            Self::TcpSyn => packet.tcp(OUTSIDE_PORT, INSIDE_PORT, flag::SYN),
        };
        kind(&packet.macs(ROUTER_MAC, UPLINK_MAC), Way::In, 0, SOURCES)
    }
}

/// Which way packets of live flows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::In, Self::Out];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Datagrams of so many live flows, at random.
pub(crate) fn live(way: Way, flows: u32) -> Kind {
    live_from(way, 0, flows)
}

/// Datagrams of these live flows, one of each after the other.
pub(crate) fn live_in_order(way: Way, first: u32, flows: u32) -> Kind {
    Kind { in_order: 1, ..live_from(way, first, flows) }
}

/// A stream of one kind.
pub(crate) fn only(kind: Kind) -> Stream {
    Stream { kinds: [kind, Kind::default()], ..Stream::default() }
}

fn live_from(way: Way, first: u32, flows: u32) -> Kind {
    // The second kind's port: whatever a stream's first kind is, the sink tells them apart.
    let inside_port = INSIDE_PORT + 1;
    let outbound = Packet::ip(INSIDE.v6, numbered(OUTSIDE.v6)).udp(inside_port, OUTSIDE_PORT);
    let outbound = outbound.payload(&DATA);
    match way {
        Way::In => kind(&outbound.mirror().macs(ROUTER_MAC, UPLINK_MAC), way, first, flows),
        Way::Out => kind(&outbound.macs(INSIDE_MAC, GATEWAY_MAC), way, first, flows),
    }
}

/// The address with the number 0 in this network.
fn numbered(network: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(network.to_bits() >> 64 << 64 | NUMBER_ZERO)
}

fn kind(packet: &Packet, way: Way, first: u32, numbers: u32) -> Kind {
    let frame = packet.frame();
    assert_eq!(frame.len(), FRAME_BYTES, "the generator writes frames of this length");
    // The outside host has the number.
    let (in_destination, offset) = match way {
        Way::In => (0, SOURCE_OFFSET),
        Way::Out => (1, DESTINATION_OFFSET),
    };
    assert_eq!(frame[offset..offset + 8], [0, 0, 0, 0, 255, 255, 255, 255], "the number 0");
    let (words, tail) = frame.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let tail = <[u8; 2]>::try_from(tail).expect("two bytes follow the words");
    Kind {
        words: <[u64; FRAME_WORDS]>::try_from(words).expect("as many as a frame has"),
        tail: u16::from_ne_bytes(tail).into(),
        first,
        numbers,
        in_order: 0,
        in_destination,
    }
}
