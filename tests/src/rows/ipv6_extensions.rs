//! IPv6 extension headers (RFC 8200, RFC 7045).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    vec![
        each_header_passes(),
        long_legal_chain(),
        too_long_chain(),
        lengths_lie(),
        misplaced_hop_by_hop(),
        deprecated_routing(),
        other_routing(),
        hidden_syn(),
        syn_beyond_reach(),
        no_next_header(),
        shim6_control(),
        outbound_chain(),
    ]
}

fn l() -> Flow {
    tcp_flow(Family::Ipv6)
}

fn reply() -> Packet {
    l().segment_back(flag::ACK)
}

fn each_header_passes() -> Row {
    row(
        &[
            "RFC7045-2.1a",
            "RFC8200-4.2",
            "RFC9288-HBH",
            "RFC6092-REC-47",
            "E60",
            "E66",
            "E68",
            "E81",
        ],
        "every standard extension header is walked through",
    )
    .established(&l())
    .inbound(reply().hop_by_hop(), belongs_to(&l()))
    .inbound(reply().router_alert(), belongs_to(&l()))
    // An option that nobody knows and everybody may skip.
    .inbound(reply().hop_by_hop_with(&[0x1e, 4, 1, 2, 3, 4]), belongs_to(&l()))
    .inbound(reply().destination_options(), belongs_to(&l()))
    .inbound(reply().routing(2, 1), belongs_to(&l()))
    .inbound(reply().routing(4, 0), belongs_to(&l()))
    .inbound(reply().fragment(0, false), belongs_to(&l()))
    // Its length counts in words of four bytes; any other reading finds no TCP.
    .inbound(reply().authentication(), belongs_to(&l()))
    .inbound(reply().shim6(), belongs_to(&l()))
}

fn long_legal_chain() -> Row {
    let recommended =
        reply().hop_by_hop().destination_options().routing(2, 1).destination_options();
    let eight = (0..8).fold(reply(), |packet, _| packet.destination_options());
    let large = reply().extension(60, &[&[0, 150][..], &[0; 1_206]].concat());
    row(
        &["RFC8200-4.1", "RFC7112-5c", "E61"],
        "chains in the recommended order, with repetitions, and of the greatest length",
    )
    .established(&l())
    .inbound(recommended, belongs_to(&l()))
    .inbound(eight, belongs_to(&l()))
    .inbound(large, belongs_to(&l()))
}

fn too_long_chain() -> Row {
    let chain = |len| (0..len).fold(reply(), |packet, _| packet.destination_options());
    row(&["RFC8200-4.1", "E62"], "more extension headers than anybody needs")
        .established(&l())
        .inbound(chain(9), refused(Reason::ExtensionDepth))
        .inbound(chain(13), refused(Reason::ExtensionDepth))
        .outbound(chain(9).mirror(), refused(Reason::ExtensionDepth))
}

fn lengths_lie() -> Row {
    let header = |kind, len| reply().extension(kind, &[0, len, 0, 0, 0, 0, 0, 0]);
    let cut = from(OUTSIDE, INSIDE, Family::Ipv6).protocol(60, &[6, 0, 1, 4]);
    row(&["E63"], "extension headers that run past the packet")
        .established(&l())
        .inbound(header(0, 3), refused(Reason::ExtensionHeader))
        .inbound(header(60, 255), refused(Reason::ExtensionHeader))
        .inbound(header(51, 255), refused(Reason::ExtensionHeader))
        .inbound(header(60, 3).trailer(&[0; 64]), refused(Reason::ExtensionHeader))
        .inbound(cut.clone(), refused(Reason::ExtensionHeader))
        .inbound(cut.trailer(&[0; 64]), refused(Reason::ExtensionHeader))
}

fn misplaced_hop_by_hop() -> Row {
    row(&["RFC8200-4.0", "E64"], "hop-by-hop options anywhere but first")
        .established(&l())
        .inbound(reply().destination_options().hop_by_hop(), refused(Reason::ExtensionHeader))
        .inbound(reply().hop_by_hop().hop_by_hop(), refused(Reason::ExtensionHeader))
        .inbound(reply().fragment(0, false).hop_by_hop(), refused(Reason::ExtensionHeader))
}

fn deprecated_routing() -> Row {
    let refusal = || refused(Reason::SourceRoute);
    let segment = |flags| l().segment_out(flags);
    row(
        &["RFC6092-REC-4", "RFC5095-4.2", "RFC7045-2.1d", "E65"],
        "routing headers of types 0 and 1, wherever they stand and however many hops are left",
    )
    .established(&l())
    .inbound(reply().routing(0, 1), refusal())
    .inbound(reply().routing(0, 0), refusal())
    .inbound(reply().routing(1, 1), refusal())
    .inbound(reply().hop_by_hop().routing(0, 1), refusal())
    .inbound(reply().destination_options().routing(0, 1), refusal())
    .outbound(segment(flag::ACK).routing(0, 1), refusal())
    .outbound(segment(flag::ACK).destination_options().routing(0, 0), refusal())
}

fn other_routing() -> Row {
    let syn = from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN);
    row(
        &["RFC8200-4.4", "RFC5095-4.2", "RFC7045-2.1d", "E66"],
        "other routing headers pass on a live flow, and only there",
    )
    .established(&l())
    .inbound(reply().routing(2, 1), belongs_to(&l()))
    .inbound(reply().routing(3, 1), belongs_to(&l()))
    .inbound(reply().routing(4, 1), belongs_to(&l()))
    .inbound(reply().routing(253, 1), belongs_to(&l()))
    .inbound(syn.routing(4, 1), refused(Reason::NoFlow))
}

fn hidden_syn() -> Row {
    let syn = || from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN);
    row(&["E67", "E69", "E71"], "no extension header hides a SYN")
        .inbound(syn().hop_by_hop(), refused(Reason::NoFlow))
        .inbound(syn().destination_options(), refused(Reason::NoFlow))
        .inbound(syn().routing(2, 0), refused(Reason::NoFlow))
        .inbound(syn().authentication(), refused(Reason::NoFlow))
        .inbound(syn().fragment(0, false), refused(Reason::NoFlow))
        .inbound(syn().shim6(), refused(Reason::NoFlow))
}

/// The largest extension header, made to look like a segment of a live flow itself.
fn syn_beyond_reach() -> Row {
    let flow = Flow::tcp(INSIDE.v6, 0x0104, OUTSIDE.v6, 0x06ff);
    let mut disguise = vec![0; 2_048];
    disguise[1..4].copy_from_slice(&[0xff, 1, 4]);
    disguise[12..14].copy_from_slice(&(0x5000 | flag::ACK).to_be_bytes());
    let hidden = from(OUTSIDE, INSIDE, Family::Ipv6).extension(60, &disguise);
    row(&["RFC7112-5c", "E67"], "headers are not looked for further than the parser follows")
        .established(&flow)
        .inbound(hidden.tcp(443, 22, flag::SYN), refused(Reason::ExtensionDepth))
}

fn no_next_header() -> Row {
    let nothing = || from(OUTSIDE, INSIDE, Family::Ipv6).protocol(59, &[0; 32]);
    row(&["RFC8200-4.7", "E78"], "nobody can vouch for a packet without an upper layer")
        .established(&l())
        .outbound(nothing().mirror(), passed(Reason::Stateless))
        .inbound(nothing(), refused(Reason::NoUpperLayer))
        .inbound(nothing().destination_options(), refused(Reason::NoUpperLayer))
}

fn shim6_control() -> Row {
    // The P bit is clear: a message of Shim6 itself, behind which nothing follows.
    let message = [59, 1, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let shim6 = Flow::protocol("2a00:1::5", "2a00:2::1", 140, &message);
    row(&["RFC6092-REC-47", "E80"], "Shim6 control messages, as a protocol of their own")
        .inbound(shim6.back(), refused(Reason::NoFlow))
        .answered(&shim6)
}

fn outbound_chain() -> Row {
    let u = udp_flow(Family::Ipv6);
    row(&["RFC8200-4.0"], "the flow is the one behind the extension headers, both ways")
        .outbound(u.out().hop_by_hop().destination_options(), opens(&u))
        .inbound(u.back(), belongs_to(&u))
        .inbound(u.back().authentication().destination_options(), belongs_to(&u))
}
