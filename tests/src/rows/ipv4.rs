//! The IPv4 header.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    vec![
        truncated(),
        lengths_contradict(),
        bad_checksum(),
        header_fields_do_not_matter(),
        offloaded(),
        too_long_for_its_length_field(),
    ]
}

fn l() -> Flow {
    tcp_flow(Family::Ipv4)
}

fn reply() -> Packet {
    l().segment_back(flag::ACK).payload(&[0; 100])
}

fn truncated() -> Row {
    row(&["E15"], "an IPv4 packet of which the frame holds only the beginning")
        .established(&l())
        .inbound(reply().truncate_ip(139), refused(Reason::Ipv4Malformed))
        .inbound(reply().truncate_ip(40), refused(Reason::Ipv4Malformed))
        .inbound(reply().truncate_ip(19), refused(Reason::Ipv4Malformed))
        .inbound(reply().truncate_ip(1), refused(Reason::Ipv4Malformed))
        .outbound(reply().mirror().truncate_ip(139), refused(Reason::Ipv4Malformed))
        .inbound(reply(), belongs_to(&l()))
}

fn lengths_contradict() -> Row {
    row(&["E16", "E17"], "IPv4 lengths that contradict each other")
        .established(&l())
        .inbound(reply().set_network(2, &[0, 19]), refused(Reason::Ipv4Malformed))
        .inbound(reply().set_network(2, &[0, 0]), refused(Reason::Ipv4Malformed))
        .inbound(reply().set_network(0, &[0x44]), refused(Reason::Ipv4Malformed))
        .inbound(reply().set_network(0, &[0x40]), refused(Reason::Ipv4Malformed))
        .inbound(reply().options(&[1; 8]).set_network(2, &[0, 27]), refused(Reason::Ipv4Malformed))
}

fn bad_checksum() -> Row {
    row(&["E21"], "a wrong IPv4 header checksum keeps no flow alive and opens none")
        .established(&l())
        .inbound(reply().bad_header_checksum(), refused(Reason::Ipv4Checksum))
        .inbound(reply().options(&[1; 4]).bad_header_checksum(), refused(Reason::Ipv4Checksum))
        .outbound(udp_flow(Family::Ipv4).out().bad_header_checksum(), refused(Reason::Ipv4Checksum))
}

fn header_fields_do_not_matter() -> Row {
    let u = udp_flow(Family::Ipv4);
    row(&["E32", "E58", "E59"], "IPv4 header fields that identify no flow")
        .answered(&u)
        .inbound(u.back().reserved_flag(), belongs_to(&u))
        .inbound(u.back().dont_fragment().identification(77), belongs_to(&u))
        .inbound(u.back().class(0xb8), belongs_to(&u))
        .inbound(u.back().hop_limit(0), belongs_to(&u))
        .inbound(u.back().hop_limit(1), belongs_to(&u))
        .inbound(u.back().hop_limit(255), belongs_to(&u))
}

fn offloaded() -> Row {
    let (l, u) = (l(), udp_flow(Family::Ipv4));
    // 20 + 20 bytes of headers are repeated twice, 20 + 8 bytes once.
    row(&[], "an IPv4 packet under segmentation offload counts as the packets that it becomes")
        .established(&l)
        .outbound(
            l.segment_out(flag::ACK).payload(&[0; 3_000]),
            belongs_to(&l).counting(3_000 + 3 * 40),
        )
        .segmented(3, 1_200)
        .outbound(u.out().payload(&[0; 2_000]), opens(&u).counting(2_000 + 2 * 28))
        .segmented(2, 1_200)
}

fn too_long_for_its_length_field() -> Row {
    let l = l();
    let huge = l.segment_out(flag::ACK).payload(&[0; 3_000]).set_network(2, &[0, 0]);
    row(&["E47"], "an IPv4 packet that its length field cannot describe, before segmentation")
        .established(&l)
        .outbound(huge, belongs_to(&l).counting(3_000 + 3 * 40))
        .segmented(3, 1_200)
}
