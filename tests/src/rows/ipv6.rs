//! The IPv6 header.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    vec![
        truncated(),
        trailing_bytes(),
        no_header(),
        jumbo_option(),
        offloaded(),
        big_tcp(),
        header_fields_do_not_matter(),
        link_local_stranger(),
        link_local_resolver(),
        translated_and_tunnelled_peers(),
    ]
}

fn l() -> Flow {
    tcp_flow(Family::Ipv6)
}

fn reply() -> Packet {
    l().segment_back(flag::ACK).payload(&[0; 100])
}

fn truncated() -> Row {
    row(&["E43"], "an IPv6 packet of which the frame holds only the beginning")
        .established(&l())
        .inbound(reply().truncate_ip(159), refused(Reason::Ipv6Malformed))
        .inbound(reply().truncate_ip(60), refused(Reason::Ipv6Malformed))
        .inbound(reply().truncate_ip(39), refused(Reason::Ipv6Malformed))
        .inbound(reply().truncate_ip(1), refused(Reason::Ipv6Malformed))
        .outbound(reply().mirror().truncate_ip(159), refused(Reason::Ipv6Malformed))
}

fn trailing_bytes() -> Row {
    row(&["E44"], "bytes behind the IPv6 packet are not part of it")
        .established(&l())
        .inbound(reply().trailer(&[0xff; 40]), belongs_to(&l()))
}

fn no_header() -> Row {
    let empty = from(OUTSIDE, INSIDE, Family::Ipv6).protocol(6, &[]);
    row(&["E45"], "an IPv6 packet that announces TCP and ends")
        .established(&l())
        .inbound(empty.clone(), refused(Reason::TransportMalformed))
        // The bytes that follow are not the packet's.
        .inbound(reply().set_network(4, &[0, 0]), refused(Reason::TransportMalformed))
        .outbound(empty.mirror(), refused(Reason::TransportMalformed))
}

fn jumbo_option() -> Row {
    let jumbo = reply().hop_by_hop_with(&[0xc2, 4, 0, 0, 0, 120]).set_network(4, &[0, 0]);
    row(&["E46"], "a jumbo payload option with a payload length of zero")
        .established(&l())
        .inbound(jumbo, refused(Reason::ExtensionHeader))
}

fn offloaded() -> Row {
    let l = l();
    // 40 bytes of IPv6 and 20 of TCP come again in each further segment.
    row(&[], "an IPv6 packet under segmentation offload counts as the packets that it becomes")
        .established(&l)
        .outbound(
            l.segment_out(flag::ACK).payload(&[0; 3_000]),
            belongs_to(&l).counting(3_000 + 3 * 60),
        )
        .segmented(3, 1_200)
}

fn big_tcp() -> Row {
    let l = l();
    let huge = || l.segment_out(flag::ACK).payload(&[0; 3_000]).set_network(4, &[0, 0]);
    row(&["E47"], "a packet that its length field cannot describe, before segmentation")
        .established(&l)
        .outbound(huge(), belongs_to(&l).counting(3_000 + 3 * 60))
        .segmented(3, 1_200)
        .outbound(
            huge().hop_by_hop_with(&[0xc2, 4, 0, 0, 0x0b, 0xd4]),
            belongs_to(&l).counting(3_000 + 3 * 68),
        )
        .segmented(3, 1_200)
}

fn header_fields_do_not_matter() -> Row {
    row(&["E58", "E59"], "IPv6 header fields that identify no flow")
        .established(&l())
        .inbound(reply().flow_label(0xabcde), belongs_to(&l()))
        .inbound(reply().class(0xb8), belongs_to(&l()))
        .inbound(reply().hop_limit(255), belongs_to(&l()))
        .inbound(reply().hop_limit(1), belongs_to(&l()))
        .inbound(reply().hop_limit(0), belongs_to(&l()))
}

fn link_local_stranger() -> Row {
    let syn = |to: &str| Packet::ip("fe80::a", to).tcp(40_000, 22, flag::SYN);
    row(&["E54"], "a neighbour on the link is outside too")
        .inbound(syn("2a00:1::5"), refused(Reason::NoFlow))
        .inbound(syn("fe80::5"), refused(Reason::NoFlow))
}

fn link_local_resolver() -> Row {
    let u = Flow::udp("fe80::5", 40_001, "fe80::a", 53);
    row(&["E55"], "a resolver on the link may answer").answered(&u)
}

fn translated_and_tunnelled_peers() -> Row {
    let translated = Flow::udp("2a00:1::5", 40_001, "64:ff9b::c000:201", 5000);
    let six_to_four = Flow::udp("2a00:1::5", 40_001, "2002:a00:1::1", 5000);
    row(&["E50", "E51"], "hosts behind NAT64 and 6to4 are hosts like any other")
        .inbound(translated.back(), refused(Reason::NoFlow))
        .inbound(six_to_four.back(), refused(Reason::NoFlow))
        .answered(&translated)
        .answered(&six_to_four)
}
