//! Who takes part in the rows, and the flows they begin with. In the words of RFC texts: I is
//! inside, E is the outside host that inside talks to, X some other one, R a router on the way.

use std::net::{Ipv4Addr, Ipv6Addr};

use gateway_common::{
    fragment::{DatagramKey, PeerKey},
    tuple::{Family, FlowKey, VlanPath},
};

use crate::{
    address::{Dual, ToIp},
    packet::Packet,
};

/// I.
pub const INSIDE: Dual = host(1, 5);
/// Another inside host.
pub const INSIDE_OTHER: Dual = host(1, 6);
/// E.
pub const OUTSIDE: Dual = host(2, 1);
/// X.
pub const STRANGER: Dual = host(9, 9);
/// R.
pub const ROUTER: Dual = host(3, 1);

const fn host(network: u8, number: u8) -> Dual {
    Dual {
        v4: Ipv4Addr::new(10, network, 0, number),
        v6: Ipv6Addr::new(0x2a00, network as u16, 0, 0, 0, 0, 0, number as u16),
    }
}

/// An IP packet from one host to another.
pub fn from(source: Dual, destination: Dual, family: Family) -> Packet {
    Packet::ip(source.ip(family), destination.ip(family))
}

/// L: TCP from I:40000 to E:443.
#[must_use]
pub fn tcp_flow(family: Family) -> Flow {
    Flow::tcp(INSIDE.ip(family), 40_000, OUTSIDE.ip(family), 443)
}

/// U: UDP from I:40001 to E:5000.
#[must_use]
pub fn udp_flow(family: Family) -> Flow {
    Flow::udp(INSIDE.ip(family), 40_001, OUTSIDE.ip(family), 5000)
}

/// P: echo with identifier 7 from I to E.
#[must_use]
pub fn ping_flow(family: Family) -> Flow {
    Flow::ping(INSIDE.ip(family), OUTSIDE.ip(family), 7)
}

/// A flow that inside opens: its key, written down independently of the parser, and its packets.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What it is stored under.
    pub key: FlowKey,
    request: Packet,
}

impl Flow {
    /// A TCP connection.
    #[must_use]
    pub fn tcp(inside: impl ToIp, inside_port: u16, outside: impl ToIp, outside_port: u16) -> Self {
        let request = Packet::ip(&inside, &outside).tcp(inside_port, outside_port, 0);
        Self::new(request, &inside, inside_port, &outside, outside_port, 6)
    }

    /// A UDP exchange.
    #[must_use]
    pub fn udp(inside: impl ToIp, inside_port: u16, outside: impl ToIp, outside_port: u16) -> Self {
        let request = Packet::ip(&inside, &outside).udp(inside_port, outside_port).payload(b"?");
        Self::new(request, &inside, inside_port, &outside, outside_port, 17)
    }

    /// Echo requests with one identifier.
    #[must_use]
    pub fn ping(inside: impl ToIp, outside: impl ToIp, id: u16) -> Self {
        let request = Packet::ip(&inside, &outside).echo_request(id, 1);
        let protocol = if inside.to_ip().is_ipv4() { 1 } else { 58 };
        Self::new(request, &inside, id, &outside, 0, protocol)
    }

    /// A protocol without ports.
    #[must_use]
    pub fn protocol(inside: impl ToIp, outside: impl ToIp, number: u8, bytes: &[u8]) -> Self {
        let request = Packet::ip(&inside, &outside).protocol(number, bytes);
        Self::new(request, &inside, 0, &outside, 0, number)
    }

    /// Whatever `request` opens, as a flow between these two.
    #[must_use]
    pub fn new(
        request: Packet,
        inside: impl ToIp,
        inside_port: u16,
        outside: impl ToIp,
        outside_port: u16,
        protocol: u8,
    ) -> Self {
        let (inside, outside) = (inside.to_ip(), outside.to_ip());
        let key = FlowKey {
            inside: inside.into(),
            outside: outside.into(),
            inside_port,
            outside_port,
            vlan: VlanPath::default(),
            protocol,
            family: if inside.is_ipv4() { 4 } else { 6 },
            zero: 0,
        };
        Self { key, request }
    }

    /// The same flow inside a VLAN.
    #[must_use]
    pub fn in_vlan(self, outer: u16, inner: u16) -> Self {
        let tags = [outer, inner].into_iter().filter(|&id| id != 0);
        Self {
            key: FlowKey { vlan: VlanPath { outer, inner }, ..self.key },
            request: tags.fold(self.request, Packet::vlan),
        }
    }

    /// The packet that opens it.
    pub fn out(&self) -> Packet {
        self.request.clone()
    }

    /// The answer to that.
    pub fn back(&self) -> Packet {
        self.request.mirror()
    }

    /// TCP: a segment from inside.
    pub fn segment_out(&self, flags: u16) -> Packet {
        self.out().tcp(self.key.inside_port, self.key.outside_port, flags)
    }

    /// TCP: a segment from outside.
    pub fn segment_back(&self, flags: u16) -> Packet {
        self.back().tcp(self.key.outside_port, self.key.inside_port, flags)
    }

    /// The two hosts, as they are remembered for fragments that overtake each other.
    #[must_use]
    pub fn peers(&self) -> PeerKey {
        let FlowKey { inside, outside, vlan, protocol, family, .. } = self.key;
        PeerKey { inside, outside, vlan, protocol, family, zero: 0 }
    }

    /// A fragmented datagram from outside to inside.
    #[must_use]
    pub fn datagram(&self, id: u32) -> DatagramKey {
        let FlowKey { inside, outside, vlan, protocol, family, .. } = self.key;
        DatagramKey { source: outside, destination: inside, id, vlan, protocol, family, zero: 0 }
    }
}
