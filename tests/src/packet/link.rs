//! What keeps a link alive: neighbour discovery, multicast listeners, DHCP, ARP.
//!
//! These set type, body and hop limit; source and destination are the caller's, since half of
//! the tests are about wrong ones.

use std::net::{IpAddr, Ipv6Addr};

use super::Packet;
use crate::address::ToIp;

/// Router solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Router advertisement.
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Neighbour solicitation.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Neighbour advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Redirect.
pub const REDIRECT: u8 = 137;
/// Multicast listener query.
pub const LISTENER_QUERY: u8 = 130;
/// Multicast listener report, version 1.
pub const LISTENER_REPORT: u8 = 131;
/// Multicast listener done.
pub const LISTENER_DONE: u8 = 132;
/// Multicast listener report, version 2.
pub const LISTENER_REPORT_V2: u8 = 143;

/// A link-layer address option of this type (1 source, 2 target).
const fn link_address(option: u8) -> [u8; 8] {
    [option, 1, 0x02, 0, 0, 0, 0, 0xaa]
}

impl Packet {
    /// Any neighbour discovery message: hop limit 255, these bytes behind the first four and the
    /// four reserved ones.
    pub fn discovery(self, kind: u8, body: &[u8]) -> Self {
        self.hop_limit(255).icmp(kind, 0, [0; 4], body)
    }

    /// A router solicitation with the sender's link-layer address.
    pub fn router_solicitation(self) -> Self {
        self.discovery(ROUTER_SOLICITATION, &link_address(1))
    }

    /// A router advertisement: lifetime 1800 seconds, the sender's link-layer address.
    pub fn router_advertisement(self) -> Self {
        let mut timers = vec![0; 8];
        timers.extend(link_address(1));
        // Hop limit 64, no flags, router lifetime.
        self.hop_limit(255).icmp(ROUTER_ADVERTISEMENT, 0, [64, 0, 0x07, 0x08], &timers)
    }

    /// A neighbour solicitation for `target` with the sender's link-layer address.
    pub fn neighbour_solicitation(self, target: impl ToIp) -> Self {
        let body = [octets(target).as_slice(), &link_address(1)].concat();
        self.discovery(NEIGHBOUR_SOLICITATION, &body)
    }

    /// The neighbour solicitation of duplicate address detection: no link-layer address.
    pub fn duplicate_address_detection(self, target: impl ToIp) -> Self {
        self.discovery(NEIGHBOUR_SOLICITATION, &octets(target))
    }

    /// A solicited neighbour advertisement of `target` with its link-layer address.
    pub fn neighbour_advertisement(self, target: impl ToIp) -> Self {
        let body = [octets(target).as_slice(), &link_address(2)].concat();
        // Solicited and override.
        self.hop_limit(255).icmp(NEIGHBOUR_ADVERTISEMENT, 0, [0x60, 0, 0, 0], &body)
    }

    /// A redirect for `destination` to the first hop `target`.
    pub fn redirect(self, target: impl ToIp, destination: impl ToIp) -> Self {
        self.discovery(REDIRECT, &[octets(target), octets(destination)].concat())
    }

    /// A general multicast listener query, with Router Alert and hop limit 1.
    pub fn listener_query(self) -> Self {
        self.listener(LISTENER_QUERY, Ipv6Addr::UNSPECIFIED)
    }

    /// A multicast listener message of version 1 about `group`, with Router Alert and hop limit 1.
    pub fn listener(self, kind: u8, group: impl ToIp) -> Self {
        self.hop_limit(1).router_alert().icmp(kind, 0, [0; 4], &octets(group))
    }

    /// A multicast listener report of version 2 about one group, with Router Alert and hop limit
    /// 1.
    pub fn listener_report_v2(self, group: impl ToIp) -> Self {
        // One record: change to exclude mode with no sources, that is, join.
        let record = [[4, 0, 0, 0].as_slice(), &octets(group)].concat();
        self.hop_limit(1).router_alert().icmp(LISTENER_REPORT_V2, 0, [0, 0, 0, 1], &record)
    }

    /// A DHCP message of a server (operation 2) or a client (1), with the ports that go with it.
    ///
    /// # Panics
    /// If the operation is neither.
    pub fn dhcpv4(self, operation: u8) -> Self {
        let (source, destination) = match operation {
            1 => (68, 67),
            2 => (67, 68),
            other => panic!("DHCP has operations 1 and 2, not {other}"),
        };
        let mut message = vec![0; 236];
        message[..3].copy_from_slice(&[operation, 1, 6]);
        // The magic cookie, and the end of an empty list of options.
        message.extend([99, 130, 83, 99, 255]);
        self.udp(source, destination).payload(&message)
    }

    /// A `DHCPv6` message of this type between these ports.
    pub fn dhcpv6(self, kind: u8, source_port: u16, destination_port: u16) -> Self {
        self.udp(source_port, destination_port).payload(&[kind, 0, 0, 7])
    }

    /// An ARP request (1) or reply (2).
    pub fn arp(operation: u8) -> Self {
        let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation];
        message.extend([0x02, 0, 0, 0, 0, 0xaa, 10, 0, 0, 1, 0x02, 0, 0, 0, 0, 0xbb, 10, 0, 0, 2]);
        Self::ethertype(0x0806, &message)
    }
}

fn octets(address: impl ToIp) -> [u8; 16] {
    match address.to_ip() {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => panic!("neighbour discovery is not about {v4}"),
    }
}
