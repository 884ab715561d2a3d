//! Ethernet, VLAN tags and what is not IP.

use super::prelude::*;
use crate::packet::{PROVIDER_TAG, TAG};

/// Router's address, not ours: a frame that a switch sent everywhere.
const OTHER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xcc];
const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xaa];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![short_frames(), arp(), link_control(), encapsulated(), allowed_ethertype()];
    for family in FAMILIES {
        rows.extend([
            tagged_syn(family),
            tagged_flow(family),
            double_tagged_flow(family),
            three_tags(family),
            priority_tag(family),
            version_mismatch(family),
            padding(family),
            other_mac(family),
            group_mac(family),
            jumbo(family),
        ]);
    }
    rows
}

fn short_frames() -> Row {
    (0..14).fold(row(&["E1"], "frames without a whole Ethernet header"), |row, len| {
        let why = "BPF_PROG_TEST_RUN takes no less than an Ethernet header";
        row.inbound(Packet::arp(1).truncate(len), refused(Reason::FrameTruncated)).host_only(why)
    })
}

fn arp() -> Row {
    row(&["E2"], "ARP passes both ways")
        .both_ways(&Packet::arp(1), &passed(Reason::Arp))
        .both_ways(&Packet::arp(2), &passed(Reason::Arp))
        .both_ways(&Packet::arp(1).vlan(10), &passed(Reason::Arp))
}

fn link_control() -> Row {
    let row = row(&["E3"], "LLDP, EAPOL, LACP and spanning tree pass both ways");
    [0x88cc, 0x888e, 0x8809]
        .map(|ethertype| Packet::ethertype(ethertype, &[1; 46]))
        .into_iter()
        .chain([Packet::llc(&[0x42, 0x42, 3, 0, 0, 0, 0, 0])])
        .fold(row, |row, packet| row.both_ways(&packet, &passed(Reason::LinkControl)))
}

fn encapsulated() -> Row {
    let syn = from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN).ip_bytes();
    let pppoe = [[0x11, 0, 0, 1, 0, 62, 0, 0x57].as_slice(), &syn].concat();
    let mpls = [[0, 1, 1, 64].as_slice(), &syn].concat();
    row(&["E4"], "IP inside PPPoE or MPLS does not get by unseen")
        .both_ways(&Packet::ethertype(0x8864, &pppoe), &refused(Reason::EthertypeRefused))
        .both_ways(&Packet::ethertype(0x8847, &mpls), &refused(Reason::EthertypeRefused))
}

fn allowed_ethertype() -> Row {
    row(&[], "an ethertype that the configuration lists passes, its neighbour does not")
        .config(|config| {
            config.pass_ethertypes[..2].copy_from_slice(&[0x8863, 0x8847]);
            config.pass_ethertypes_used = 2;
        })
        .both_ways(&Packet::ethertype(0x8847, &[0; 46]), &passed(Reason::EthertypeAllowed))
        .both_ways(&Packet::ethertype(0x8848, &[0; 46]), &refused(Reason::EthertypeRefused))
}

fn tagged_syn(family: Family) -> Row {
    let syn = || from(STRANGER, INSIDE, family).tcp(443, 22, flag::SYN);
    row(&["E5", "E7"], format!("{family:?}: a VLAN tag, or two, hides no SYN"))
        .inbound(syn().vlan(10), refused(Reason::NoFlow))
        .inbound(syn().tag(PROVIDER_TAG, 20).vlan(10), refused(Reason::NoFlow))
        .inbound(syn().vlan(20).vlan(10), refused(Reason::NoFlow))
}

fn tagged_flow(family: Family) -> Row {
    let l = tcp_flow(family).in_vlan(10, 0);
    let untagged = || tcp_flow(family).segment_back(flag::ACK);
    let tagged = || tcp_flow(family).in_vlan(10, 0).segment_back(flag::ACK);
    row(&["E6"], format!("{family:?}: a flow inside a VLAN stays there, wherever its tag is"))
        .established(&l)
        .inbound(tagged(), belongs_to(&l))
        .inbound(untagged(), refused(Reason::NoFlow))
        .inbound(untagged().vlan(11), refused(Reason::NoFlow))
        .inbound(tagged().tag(TAG, 12), refused(Reason::NoFlow))
        .inbound(untagged(), belongs_to(&l))
        .offloaded_vlan(10)
        .outbound(tcp_flow(family).segment_out(flag::ACK), belongs_to(&l))
        .offloaded_vlan(10)
        .inbound(untagged(), refused(Reason::NoFlow))
        .offloaded_vlan(11)
}

fn double_tagged_flow(family: Family) -> Row {
    let u = udp_flow(family).in_vlan(20, 10);
    let reply = || udp_flow(family).back();
    row(&["E7"], format!("{family:?}: a flow inside two tags, of whichever protocol"))
        .answered(&u)
        .inbound(reply().tag(PROVIDER_TAG, 20).vlan(10), belongs_to(&u))
        .inbound(reply().vlan(10).vlan(20), refused(Reason::NoFlow))
        .inbound(reply().vlan(20), refused(Reason::NoFlow))
        .inbound(reply().vlan(10), belongs_to(&u))
        .offloaded_vlan(20)
}

fn three_tags(family: Family) -> Row {
    let arp = || Packet::arp(1).vlan(30).vlan(20);
    let reply = || tcp_flow(family).segment_back(flag::ACK).vlan(30).vlan(20);
    row(&["E8"], format!("{family:?}: three tags are one too many"))
        .both_ways(&arp().vlan(10), &refused(Reason::VlanDepth))
        .both_ways(&reply().vlan(10), &refused(Reason::VlanDepth))
        .inbound(reply(), refused(Reason::VlanDepth))
        .offloaded_vlan(10)
}

fn priority_tag(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E9"], format!("{family:?}: a priority tag is no VLAN"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).tag(TAG, 0x6000), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).tag(TAG, 0), belongs_to(&l))
}

fn version_mismatch(family: Family) -> Row {
    let (other, reason) = match family {
        Family::Ipv4 => (0x86dd, Reason::Ipv6Malformed),
        Family::Ipv6 => (0x0800, Reason::Ipv4Malformed),
    };
    let l = tcp_flow(family);
    row(&["E10"], format!("{family:?} behind the other version's ethertype"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).claim_ethertype(other), refused(reason))
        .outbound(l.segment_out(flag::ACK).claim_ethertype(other), refused(reason))
}

fn padding(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E11", "E44"], format!("{family:?}: padding behind the packet is not part of it"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).trailer(&[0; 6]), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).trailer(&[0; 60]), belongs_to(&l))
}

fn other_mac(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E12"], format!("{family:?}: a reply that a switch sent everywhere"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).macs(ROUTER_MAC, OTHER_MAC), belongs_to(&l))
}

fn group_mac(family: Family) -> Row {
    let packet = || from(STRANGER, INSIDE, family).udp(5000, 40_001);
    row(&["E13"], format!("{family:?}: a unicast packet in a frame for everybody"))
        .inbound(packet().macs(ROUTER_MAC, [0xff; 6]), refused(Reason::NoFlow))
        .inbound(packet().macs(ROUTER_MAC, [0x33, 0x33, 0, 0, 0, 1]), refused(Reason::NoFlow))
}

fn jumbo(family: Family) -> Row {
    let l = tcp_flow(family);
    let large = l.segment_back(flag::ACK | flag::PSH).payload(&[0x5a; 8_900]);
    row(&["E14"], format!("{family:?}: a reply larger than a page"))
        .established(&l)
        .inbound(large, belongs_to(&l))
}
