//! Neighbour discovery (RFC 4861, RFC 6980, RFC 4890 section 4.4).

use super::prelude::*;
use crate::packet::link::{
    NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, REDIRECT, ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
};

/// The provider's router on the link.
const GATEWAY: &str = "fe80::a";
/// The uplink's own address.
const ME: &str = "fe80::5";
const ALL_NODES: &str = "ff02::1";
const ALL_ROUTERS: &str = "ff02::2";
/// The solicited-node group of I.
const SOLICITED_NODE: &str = "ff02::1:ff00:5";
const GLOBAL: &str = "2a00:1::5";

pub(super) fn rows() -> Vec<Row> {
    vec![
        everything_valid(),
        crossed_a_router(),
        code_is_zero(),
        least_lengths(),
        routers_are_link_local(),
        fragmented(),
        behind_hop_by_hop(),
        targets(),
        without_source(),
        secure_discovery(),
        checksum(),
        redirect_refused(),
        redirect_allowed(),
        never_forwarded(),
        outbound(),
    ]
}

fn valid() -> Expect {
    passed(Reason::NeighbourDiscovery)
}

fn invalid() -> Expect {
    refused(Reason::NeighbourDiscoveryInvalid)
}

fn router_advertisement() -> Packet {
    Packet::ip(GATEWAY, ALL_NODES).router_advertisement()
}

fn solicitation() -> Packet {
    Packet::ip(GATEWAY, SOLICITED_NODE).neighbour_solicitation(GLOBAL)
}

fn advertisement() -> Packet {
    Packet::ip(GATEWAY, ME).neighbour_advertisement(GATEWAY)
}

/// One valid message of each type that discovery consists of.
fn each_type() -> Vec<Packet> {
    vec![
        Packet::ip(GATEWAY, ALL_ROUTERS).router_solicitation(),
        router_advertisement(),
        solicitation(),
        advertisement(),
        Packet::ip(GATEWAY, ALL_NODES).discovery(141, &[]),
        Packet::ip(GATEWAY, ME).discovery(142, &[]),
    ]
}

fn everything_valid() -> Row {
    let row = row(
        &[
            "RFC4890-4.4.1-ND",
            "RFC4861-HL255",
            "RFC4861-HOSTRS",
            "RFC4861-NA-S",
            "RFC4861-OPTLEN",
            "E114",
            "E115",
            "E116",
            "E118",
        ],
        "what keeps the link alive passes and leaves no trace",
    );
    each_type()
        .into_iter()
        .chain([
            Packet::ip(GATEWAY, ME).router_advertisement(),
            // Unreachability detection from a global address to one.
            Packet::ip("2a00:1::a", GLOBAL).neighbour_solicitation(GLOBAL),
            Packet::ip("::", SOLICITED_NODE).duplicate_address_detection(GLOBAL),
            // The gateway tells everybody its new link-layer address.
            Packet::ip(GATEWAY, ALL_NODES).neighbour_advertisement(GATEWAY),
            // An option of length zero is the host's to refuse.
            Packet::ip(GATEWAY, ALL_NODES).discovery(ROUTER_ADVERTISEMENT, &[0; 16]),
        ])
        .fold(row, |row, packet| row.inbound(packet, valid()))
}

fn crossed_a_router() -> Row {
    let row = row(
        &["RFC4861-HL255", "E114", "E117"],
        "discovery with any hop limit but 255 did not come from the link",
    );
    each_type().into_iter().fold(row, |row, packet| {
        [254, 64, 1, 0]
            .into_iter()
            .fold(row, |row, hops| row.inbound(packet.clone().hop_limit(hops), invalid()))
    })
}

fn code_is_zero() -> Row {
    let row = row(&["RFC4861-CODE0"], "discovery has no codes");
    each_type()
        .into_iter()
        .fold(row, |row, packet| row.inbound(packet.set_transport(1, &[1]), invalid()))
}

fn least_lengths() -> Row {
    let row = row(&["RFC4861-LEN"], "discovery messages of the least length, and a byte less");
    [
        (ROUTER_SOLICITATION, 8),
        (ROUTER_ADVERTISEMENT, 16),
        (NEIGHBOUR_SOLICITATION, 24),
        (NEIGHBOUR_ADVERTISEMENT, 24),
    ]
    .into_iter()
    .fold(row, |row, (kind, least_len)| {
        let packet = Packet::ip(GATEWAY, SOLICITED_NODE).discovery(kind, &[0; 40]);
        let too_short = if least_len == 8 {
            // There is no ICMPv6 header any more.
            refused(Reason::TransportMalformed)
        } else {
            invalid()
        };
        row.inbound(packet.clone().cut_transport(least_len), valid())
            .inbound(packet.cut_transport(least_len - 1), too_short)
    })
}

fn routers_are_link_local() -> Row {
    row(&["RFC4861-RA-SRC", "E114"], "a router advertises itself by its link-local address")
        .inbound(Packet::ip("2a00:3::1", ALL_NODES).router_advertisement(), invalid())
        .inbound(Packet::ip("::", ALL_NODES).router_advertisement(), invalid())
        .inbound(Packet::ip("2a00:3::1", GLOBAL).router_advertisement(), invalid())
}

fn fragmented() -> Row {
    let row = row(&["RFC6980-5", "E114"], "fragmented discovery, also as an atomic fragment");
    let whole = |packet: Packet| {
        let bytes = packet.ip_bytes()[40..].to_vec();
        Packet::ip(GATEWAY, ALL_NODES).hop_limit(255).fragment(0, false).protocol(58, &bytes)
    };
    let row =
        each_type().into_iter().fold(row, |row, packet| row.inbound(whole(packet), invalid()));
    let [first, second]: [Packet; 2] =
        solicitation().payload(&[0; 16]).fragments(1, 24).try_into().expect("two fragments");
    row.inbound(first, invalid()).inbound(second, refused(Reason::FragmentUnsolicited)).inbound(
        Packet::ip(GATEWAY, ALL_NODES).fragment(10, false).protocol(58, &[0; 8]),
        refused(Reason::FragmentUnsolicited),
    )
}

fn behind_hop_by_hop() -> Row {
    row(&["E114"], "extension headers before discovery are not forbidden")
        .inbound(router_advertisement().hop_by_hop(), valid())
        .inbound(solicitation().destination_options(), valid())
}

fn targets() -> Row {
    row(&["RFC4861-NS-TGT"], "nobody asks for a group's link-layer address, or tells it")
        .inbound(Packet::ip(GATEWAY, ALL_NODES).neighbour_solicitation(ALL_NODES), invalid())
        .inbound(Packet::ip(GATEWAY, ME).neighbour_advertisement(ALL_NODES), invalid())
        .inbound(Packet::ip(ALL_NODES, ME).neighbour_advertisement(GATEWAY), invalid())
}

fn without_source() -> Row {
    let probe = |to: &str| Packet::ip("::", to).duplicate_address_detection(GLOBAL);
    row(&["RFC4861-NS-TGT", "E116"], "a probe for duplicates goes to the node's group only")
        .inbound(probe(SOLICITED_NODE), valid())
        .inbound(probe(GLOBAL), invalid())
        .inbound(probe(ALL_NODES), invalid())
        .inbound(Packet::ip("::", ME).neighbour_advertisement(GLOBAL), invalid())
        .inbound(Packet::ip("::", ALL_ROUTERS).discovery(ROUTER_SOLICITATION, &[]), valid())
}

fn secure_discovery() -> Row {
    let row = row(&["RFC4890-4.4.1-SEND"], "certification paths, from the link only");
    [148, 149].into_iter().fold(row, |row, kind| {
        let message = || Packet::ip(GATEWAY, ALL_NODES).discovery(kind, &[0; 8]);
        row.inbound(message(), valid()).inbound(message().hop_limit(254), invalid())
    })
}

fn checksum() -> Row {
    row(&["RFC4861-CSUM"], "the host checks discovery's checksum")
        .inbound(router_advertisement().bad_checksum(), valid())
}

fn redirect() -> Packet {
    Packet::ip(GATEWAY, ME).redirect("fe80::b", OUTSIDE.v6)
}

fn redirect_refused() -> Row {
    row(&["RFC4890-4.4.4-REDIR", "RFC4861-RED", "E119"], "redirects are refused by default")
        .inbound(redirect(), refused(Reason::RedirectRefused))
        .inbound(redirect().hop_limit(64), refused(Reason::RedirectRefused))
        .outbound(redirect().mirror(), passed(Reason::Stateless))
}

fn redirect_allowed() -> Row {
    let from_afar = Packet::ip("2a00:3::1", ME).redirect("fe80::b", OUTSIDE.v6);
    row(
        &["RFC4890-4.4.4-REDIR", "RFC4861-RED", "RFC4861-HL255", "RFC4861-LEN"],
        "redirects that are allowed still have to be valid",
    )
    .config(|config| config.allow_redirects = 1)
    .inbound(redirect(), passed(Reason::RedirectAllowed))
    .inbound(redirect().hop_limit(254), invalid())
    .inbound(redirect().set_transport(1, &[1]), invalid())
    .inbound(redirect().cut_transport(39), invalid())
    .inbound(redirect().fragment(0, false), invalid())
    .inbound(from_afar, invalid())
    .inbound(Packet::ip(GATEWAY, ME).discovery(REDIRECT, &[0; 32]), passed(Reason::RedirectAllowed))
}

fn never_forwarded() -> Row {
    row(&["RFC4890-4.3.3-ND"], "discovery for a host behind the gateway that came from afar")
        .inbound(
            from(STRANGER, INSIDE_OTHER, Family::Ipv6)
                .neighbour_solicitation(INSIDE_OTHER.v6)
                .hop_limit(64),
            invalid(),
        )
}

fn outbound() -> Row {
    let row = row(&["RFC4861-OUT"], "discovery from inside always passes and opens nothing");
    each_type()
        .into_iter()
        .chain([
            Packet::ip("::", SOLICITED_NODE).duplicate_address_detection(GLOBAL),
            Packet::ip(ME, GATEWAY).discovery(148, &[]),
        ])
        .fold(row, |row, packet| row.outbound(packet, valid()))
}
