//! Endpoint-independent filtering, for those who want RFC 6092's more open gateway: once an inside
//! host has sent from an address and port, anybody may send there (RFC6092-REC-11,
//! RFC6092-REC-17, RFC6092-REC-33). What comes in that way opens no flow; inside's answer does.

use network_types::ip::IpProto;

use crate::{
    config::Config,
    packet::Packet,
    tables::Tables,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Address, Direction, FlowKey, VlanPath},
};

/// An inside endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct EndpointKey {
    /// The inside address.
    pub address: Address,
    /// Host byte order; the port, or what stands for it in the flow's key.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// IP version: 4 or 6.
    pub family: u8,
    /// The VLAN it is seen in.
    pub vlan: VlanPath,
}

impl EndpointKey {
    /// The inside endpoint of a flow.
    #[must_use]
    #[inline(always)]
    pub const fn of(flow: &FlowKey) -> Self {
        let FlowKey { inside, inside_port, protocol, family, vlan, .. } = *flow;
        Self { address: inside, port: inside_port, protocol, family, vlan }
    }
}

/// Whether an inbound packet goes to an endpoint that lately sent something; `key` is room for the
/// key of the flow that it would belong to.
#[inline(always)]
pub fn is_open<T: Tables>(packet: &Packet, key: &mut FlowKey, config: &Config, tables: &T) -> bool {
    if config.endpoint_independent == 0 {
        return false;
    }
    let Some(flow_key) = packet.flow_key(Direction::Inbound) else { return false };
    *key = flow_key;
    let deadline = tables.endpoint(&EndpointKey::of(key));
    deadline.is_some_and(|deadline| tables.now() < deadline)
}

/// Notes that inside sent from the endpoint of a flow: for as long as a flow that is answered may
/// be idle.
#[inline(never)]
pub fn note<T: Tables>(flow: &FlowKey, now: Ticks, config: &Config, tables: &T) {
    const TCP: u8 = IpProto::Tcp as u8;
    const SCTP: u8 = IpProto::Sctp as u8;
    const UDP: u8 = IpProto::Udp as u8;
    const UDP_LITE: u8 = IpProto::UdpLite as u8;
    if config.endpoint_independent == 0 {
        return;
    }
    let class = match flow.protocol {
        TCP => TimeoutClass::TcpEstablished,
        SCTP => TimeoutClass::SctpEstablished,
        UDP | UDP_LITE => TimeoutClass::Udp,
        _ => TimeoutClass::Other,
    };
    tables.note_endpoint(&EndpointKey::of(flow), now + config.timeout(class));
}
