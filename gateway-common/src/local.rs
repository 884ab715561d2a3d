//! What keeps the uplink itself alive: neighbour and router discovery, multicast listener
//! discovery, DHCP. These are the only stateless ways in, each as narrow as its RFC allows.

use network_types::ip::IpProto;

use crate::{
    config::Config,
    martian,
    packet::{IcmpHeader, Packet, Ports, Transport, TransportKind},
    parse::network::{Network, Place},
    tuple::{Direction, Family},
    verdict::Reason,
    wire::icmpv6,
};

const DHCPV4_SERVER: u16 = 67;
const DHCPV4_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;
/// Hop limit that proves a packet crossed no router: it left with 255 and nobody took one off.
const NEVER_FORWARDED: u8 = 255;

/// Judges packets of these kinds; `None` for all others.
// Not inlined, so that what it compares does not stay on its caller's stack.
#[must_use]
#[inline(never)]
pub fn judge(packet: &Packet, direction: Direction, config: &Config) -> Option<Reason> {
    let Transport { kind, ports, icmp, .. } = packet.transport;
    let network = &packet.network;
    match kind {
        TransportKind::Icmp if network.family == Family::Ipv6 => match direction {
            Direction::Inbound => icmp_in(network, icmp, config),
            Direction::Outbound => icmp_out(icmp),
        },
        TransportKind::Ports
            if network.protocol == IpProto::Udp as u8 && config.allow_dhcp_client != 0 =>
        {
            let is_dhcp = match direction {
                Direction::Inbound => is_dhcp_reply(packet, config),
                Direction::Outbound => is_dhcp_request(network, ports),
            };
            is_dhcp.then_some(Reason::DhcpClient)
        }
        TransportKind::Icmp
        | TransportKind::Ports
        | TransportKind::Tcp
        | TransportKind::Sctp
        | TransportKind::Portless
        | TransportKind::Missing
        | TransportKind::LaterFragment => None,
    }
}

/// Outbound discovery always passes and opens no flow (RFC4861-OUT).
#[inline(always)]
fn icmp_out(header: IcmpHeader) -> Option<Reason> {
    match Kind::of(header.kind)? {
        Kind::Neighbour { .. } => Some(Reason::NeighbourDiscovery),
        Kind::Listener { .. } | Kind::MulticastRouter => Some(Reason::MulticastListener),
        Kind::Redirect => Some(Reason::Stateless),
    }
}

#[inline(always)]
fn icmp_in(network: &Network, header: IcmpHeader, config: &Config) -> Option<Reason> {
    let link_local_source = network.source.is_ipv6_link_local();
    let reason = match Kind::of(header.kind)? {
        // Without these the link is dead within a minute; from afar they are forgeries
        // (RFC4890-4.4.1-ND, RFC4890-4.3.3-ND, E114, E115, E116, E117, E118). They have their least
        // lengths (RFC4861-LEN), and a router its link-local address (RFC4861-RA-SRC).
        Kind::Neighbour { least_len } => {
            let valid = is_from_link(network, header)
                && network.payload_len() >= least_len
                && (header.kind != icmpv6::ROUTER_ADVERTISEMENT || link_local_source)
                && is_probe_or_addressed(network, header)
                && !(has_target(header) && header.body == 0xff);
            if valid { Reason::NeighbourDiscovery } else { Reason::NeighbourDiscoveryInvalid }
        }
        Kind::Listener { is_query } => {
            // RFC 2710 section 3 and RFC 3810 section 5: hop limit 1, a router alert, and a
            // link-local source, which only a report sent during address detection lacks
            // (RFC4890-4.4.1-MLD, E120).
            let source_fits = link_local_source || (!is_query && network.source.is_unspecified());
            let valid = network.hop_limit == 1 && network.router_alert && source_fits;
            if valid { Reason::MulticastListener } else { Reason::MulticastListenerInvalid }
        }
        Kind::MulticastRouter => {
            // RFC 4286 section 4.
            let valid = network.hop_limit == 1 && link_local_source;
            if valid { Reason::MulticastListener } else { Reason::MulticastListenerInvalid }
        }
        // Whoever is on the link could divert traffic, so this is the operator's decision
        // (RFC4890-4.4.4-REDIR, RFC4861-RED, E119).
        Kind::Redirect if config.allow_redirects == 0 => Reason::RedirectRefused,
        Kind::Redirect => {
            let valid = is_from_link(network, header)
                && link_local_source
                && network.payload_len() >= REDIRECT_LEN;
            if valid { Reason::RedirectAllowed } else { Reason::NeighbourDiscoveryInvalid }
        }
    };
    Some(reason)
}

/// The kinds of ICMPv6 messages that never leave a link.
enum Kind {
    Neighbour { least_len: usize },
    Listener { is_query: bool },
    MulticastRouter,
    Redirect,
}

/// RFC 4861 section 4.5.
const REDIRECT_LEN: usize = 40;

impl Kind {
    #[inline(always)]
    const fn of(kind: u8) -> Option<Self> {
        match kind {
            icmpv6::ROUTER_SOLICITATION
            | icmpv6::INVERSE_SOLICITATION
            | icmpv6::INVERSE_ADVERTISEMENT
            | icmpv6::CERTIFICATION_PATH_SOLICITATION
            | icmpv6::CERTIFICATION_PATH_ADVERTISEMENT => Some(Self::Neighbour { least_len: 8 }),
            icmpv6::ROUTER_ADVERTISEMENT => Some(Self::Neighbour { least_len: 16 }),
            icmpv6::NEIGHBOUR_SOLICITATION | icmpv6::NEIGHBOUR_ADVERTISEMENT => {
                Some(Self::Neighbour { least_len: 24 })
            }
            icmpv6::REDIRECT => Some(Self::Redirect),
            icmpv6::LISTENER_QUERY => Some(Self::Listener { is_query: true }),
            icmpv6::LISTENER_REPORT | icmpv6::LISTENER_DONE | icmpv6::LISTENER_REPORT_V2 => {
                Some(Self::Listener { is_query: false })
            }
            icmpv6::MULTICAST_ROUTER_ADVERTISEMENT
            | icmpv6::MULTICAST_ROUTER_SOLICITATION
            | icmpv6::MULTICAST_ROUTER_TERMINATION => Some(Self::MulticastRouter),
            _ => None,
        }
    }
}

/// Whether a target address follows the header; it must not be a group (RFC4861-NS-TGT).
#[inline(always)]
const fn has_target(header: IcmpHeader) -> bool {
    matches!(header.kind, icmpv6::NEIGHBOUR_SOLICITATION | icmpv6::NEIGHBOUR_ADVERTISEMENT)
}

/// What all neighbour discovery must be: from the link itself (RFC4861-HL255), code 0
/// (RFC4861-CODE0), and unfragmented, not even as an atomic fragment (RFC6980-5).
#[inline(always)]
fn is_from_link(network: &Network, header: IcmpHeader) -> bool {
    network.hop_limit == NEVER_FORWARDED
        && header.code == 0
        && network.fragment.place == Place::Whole
}

/// A neighbour solicitation without a source probes for duplicates and goes to the solicited
/// node's group, nowhere else (RFC4861-NS-TGT); multicast is never a source.
#[inline(always)]
fn is_probe_or_addressed(network: &Network, header: IcmpHeader) -> bool {
    if network.source.is_unspecified() {
        match header.kind {
            icmpv6::NEIGHBOUR_SOLICITATION => {
                let group = network.destination.octets();
                group[0] == 0xff && group[1] == 0x02 && group[11] == 0x01 && group[12] == 0xff
            }
            icmpv6::ROUTER_SOLICITATION => true,
            _ => false,
        }
    } else {
        !network.source.is_multicast()
    }
}

/// The server's answer never matches a flow: the request went to everybody. It comes from a
/// server's port to the client's (E27), over IPv6 between link-local addresses only (E121, E122),
/// and whole: nothing would let later fragments follow. Requests from outside find no server
/// (RFC6092-REC-9, E28, E123).
#[inline(always)]
fn is_dhcp_reply(packet: &Packet, config: &Config) -> bool {
    let (network, ports) = (&packet.network, packet.transport.ports);
    let is_from_server = match (network.family, ports.source, ports.destination) {
        (Family::Ipv4, DHCPV4_SERVER, DHCPV4_CLIENT) => !network.destination.is_multicast(),
        (Family::Ipv6, DHCPV6_SERVER, DHCPV6_CLIENT) => {
            network.source.is_ipv6_link_local() && network.destination.is_ipv6_link_local()
        }
        _ => false,
    };
    if !is_from_server || network.fragment.is_first() {
        return false;
    }
    match martian::judge(packet, Direction::Inbound, config) {
        None => true,
        // A client without an address hears what goes to everybody.
        Some(Reason::MartianDestination) => network.destination.is_ipv4_broadcast(),
        Some(_) => false,
    }
}

/// Over IPv6 a server that is neither on the link nor a group is a host like any other, whose
/// answers find their flow.
#[inline(always)]
const fn is_dhcp_request(network: &Network, ports: Ports) -> bool {
    match (network.family, ports.source, ports.destination) {
        (Family::Ipv4, DHCPV4_CLIENT, DHCPV4_SERVER) => true,
        (Family::Ipv6, DHCPV6_CLIENT, DHCPV6_SERVER) => {
            network.destination.is_multicast() || network.destination.is_ipv6_link_local()
        }
        _ => false,
    }
}
