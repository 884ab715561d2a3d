//! What a frame's headers say that its record does not.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};

use super::Ends;

/// As much of the headers as there is and can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// The outer VLAN identifier.
    pub(super) vlan: Option<u16>,
    /// Who talks to whom.
    pub(super) ends: Option<Ends>,
    /// Of TCP segments: the flags that are set.
    pub(super) tcp_flags: Option<Vec<&'static str>>,
    /// Of ICMP messages: type and code.
    pub(super) icmp: Option<(u8, u8)>,
}

impl Headers {
    /// Reads the beginning of an Ethernet frame.
    pub(super) fn read(frame: &[u8]) -> Self {
        let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else { return Self::default() };
        let mut headers = Self {
            vlan: packet.vlan_ids().first().map(|vlan| vlan.value()),
            ends: packet.net.as_ref().and_then(ends),
            ..Self::default()
        };
        let mut ports = (None, None);
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                ports = (Some(tcp.source_port()), Some(tcp.destination_port()));
                headers.tcp_flags = Some(flags(tcp));
            }
            Some(TransportSlice::Udp(udp)) => {
                ports = (Some(udp.source_port()), Some(udp.destination_port()));
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                headers.icmp = Some((icmp.type_u8(), icmp.code_u8()));
            }
            Some(TransportSlice::Icmpv6(icmp)) => {
                headers.icmp = Some((icmp.type_u8(), icmp.code_u8()));
            }
            Some(TransportSlice::Igmp(_)) | None => {}
        }
        if let Some(ends) = &mut headers.ends {
            (ends.source_port, ends.destination_port) = ports;
        }
        headers
    }
}

fn ends(net: &LaxNetSlice<'_>) -> Option<Ends> {
    let (source, destination, protocol) = match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (
                IpAddr::from(header.source_addr()),
                IpAddr::from(header.destination_addr()),
                ip.payload().ip_number,
            )
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            (
                IpAddr::from(header.source_addr()),
                IpAddr::from(header.destination_addr()),
                ip.payload().ip_number,
            )
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (source_port, destination_port) = (None, None);
    Some(Ends { protocol: protocol.0, source, source_port, destination, destination_port })
}

/// The flags in the order of their bits.
fn flags(tcp: &TcpSlice<'_>) -> Vec<&'static str> {
    [
        (tcp.fin(), "fin"),
        (tcp.syn(), "syn"),
        (tcp.rst(), "rst"),
        (tcp.psh(), "psh"),
        (tcp.ack(), "ack"),
        (tcp.urg(), "urg"),
        (tcp.ece(), "ece"),
        (tcp.cwr(), "cwr"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect()
}
