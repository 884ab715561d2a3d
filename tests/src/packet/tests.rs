//! The builder against an independent reader of packets.

use etherparse::{
    IpFragOffset, LinkExtSlice, NetSlice, SlicedPacket, TcpOptionElement, TransportSlice, ip_number,
};

use super::{PROVIDER_TAG, Packet, flag};
use crate::address::FAMILIES;
use gateway_common::tuple::Family;

fn from_outside(family: Family) -> Packet {
    match family {
        Family::Ipv4 => Packet::ip("10.2.0.1", "10.1.0.5"),
        Family::Ipv6 => Packet::ip("2a00:2::1", "2a00:1::5"),
    }
}

fn slice(frame: &[u8]) -> SlicedPacket<'_> {
    SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{error} in {frame:02x?}"))
}

#[test]
fn tcp_reads_back() {
    for family in FAMILIES {
        let frame = from_outside(family)
            .tcp(443, 40_000, flag::SYN | flag::ACK | flag::AE)
            .sequence(7)
            .acknowledge(9)
            .window(1000)
            .tcp_options(&[2, 4, 5, 0xb4, 3, 3, 7])
            .payload(b"hello")
            .frame();
        let packet = slice(&frame);
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("{packet:?}") };
        assert_eq!((tcp.source_port(), tcp.destination_port()), (443, 40_000));
        assert_eq!((tcp.sequence_number(), tcp.acknowledgment_number()), (7, 9));
        assert!(tcp.syn() && tcp.ack() && tcp.ns() && !tcp.fin() && !tcp.rst() && !tcp.cwr());
        assert_eq!((tcp.window_size(), tcp.data_offset(), tcp.payload()), (1000, 7, &b"hello"[..]));
        let expected = match packet.net.as_ref().expect("an IP packet") {
            NetSlice::Ipv4(ip) => {
                assert_eq!(
                    ip.header().header_checksum(),
                    ip.header().to_header().calc_header_checksum()
                );
                tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination())
            }
            NetSlice::Ipv6(ip) => tcp.to_header().calc_checksum_ipv6_raw(
                ip.header().source(),
                ip.header().destination(),
                tcp.payload(),
            ),
            NetSlice::Arp(_) => panic!("not ARP"),
        };
        assert_eq!(tcp.checksum(), expected.expect("short enough"));
    }
}

#[test]
fn tcp_numbers_count_from_what_is_right() {
    let segment = |packet: Packet| {
        let frame = packet.frame();
        let packet = slice(&frame);
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("{packet:?}") };
        let options: Vec<_> = tcp.options_iterator().map(Result::unwrap).collect();
        (tcp.sequence_number(), tcp.acknowledgment_number(), options)
    };
    let ack = || from_outside(Family::Ipv6).tcp(443, 40_000, flag::ACK);
    assert_eq!(segment(ack()), (0, 0, vec![]));
    assert_eq!(segment(ack().ahead(5).acknowledging_less(1)), (5, u32::MAX, vec![]));
    assert_eq!(segment(ack().behind(5).acknowledging_more(1)), (u32::MAX - 4, 1, vec![]));
    let blocks = ack().sacks(&[(10, 20), (-8, 0)]).acknowledge(3);
    let expected =
        TcpOptionElement::SelectiveAcknowledgement((13, 23), [Some((u32::MAX - 4, 3)), None, None]);
    let (_, _, options) = segment(blocks);
    assert_eq!(options, [TcpOptionElement::Noop, TcpOptionElement::Noop, expected]);
}

#[test]
fn udp_and_icmp_checksums_are_right_unless_asked_otherwise() {
    for family in FAMILIES {
        let udp = from_outside(family).udp(53, 40_001).payload(b"answer");
        let echo = from_outside(family).echo_reply(7, 1);
        for packet in [&udp, &echo] {
            assert!(checksum_is_right(packet), "{packet:?}");
            assert!(checksum_is_right(&packet.mirror()), "{packet:?}");
            assert!(!checksum_is_right(&packet.clone().bad_checksum()), "{packet:?}");
        }
        let frame = udp.frame();
        let Some(TransportSlice::Udp(header)) = slice(&frame).transport else { panic!() };
        assert_eq!((header.length(), header.payload()), (14, &b"answer"[..]));
        let frame = udp.no_checksum().frame();
        let Some(TransportSlice::Udp(header)) = slice(&frame).transport else { panic!() };
        assert_eq!(header.checksum(), 0);
    }
}

#[test]
fn tags_stand_in_the_order_they_were_written() {
    let frame = from_outside(Family::Ipv6).tag(PROVIDER_TAG, 20).vlan(10).udp(1, 2).frame();
    let packet = slice(&frame);
    let tags: Vec<_> = packet
        .link_exts
        .iter()
        .map(|extension| match extension {
            LinkExtSlice::Vlan(vlan) => vlan.vlan_identifier().value(),
            LinkExtSlice::Macsec(macsec) => panic!("{macsec:?}"),
        })
        .collect();
    assert_eq!(tags, [20, 10]);
    assert!(matches!(packet.transport, Some(TransportSlice::Udp(_))));
}

#[test]
fn extension_headers_are_linked_and_passed() {
    let frame = from_outside(Family::Ipv6)
        .hop_by_hop()
        .destination_options()
        .routing(2, 1)
        .identification(77)
        .fragment(0, false)
        .authentication()
        .tcp(443, 40_000, flag::ACK)
        .frame();
    let packet = slice(&frame);
    let Some(NetSlice::Ipv6(ip)) = &packet.net else { panic!("{packet:?}") };
    let kinds: Vec<_> = ip
        .extensions()
        .clone()
        .into_iter()
        .map(|extension| format!("{extension:?}").split('(').next().unwrap_or("").to_owned())
        .collect();
    assert_eq!(kinds, ["HopByHop", "DestinationOptions", "Routing", "Fragment", "Authentication"]);
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("{packet:?}") };
    assert_eq!(tcp.source_port(), 443);
}

#[test]
fn fragments_add_up_to_the_datagram() {
    for family in FAMILIES {
        let payload: Vec<u8> = (0..=255).cycle().take(3001).collect();
        let whole = from_outside(family).udp(53, 40_001).payload(&payload);
        let mut reassembled: Vec<u8> = Vec::new();
        let parts = whole.fragments(99, 1448);
        for (index, part) in parts.iter().enumerate() {
            let frame = part.frame();
            let packet = slice(&frame);
            let (offset, more, payload) = match packet.net.as_ref().expect("an IP packet") {
                NetSlice::Ipv4(ip) => {
                    let header = ip.header();
                    assert_eq!((header.identification(), header.protocol()), (99, ip_number::UDP));
                    (header.fragments_offset(), header.more_fragments(), ip.payload())
                }
                NetSlice::Ipv6(ip) => {
                    let fragment = etherparse::Ipv6FragmentHeaderSlice::from_slice(&frame[54..])
                        .expect("a fragment header");
                    assert_eq!(
                        (fragment.identification(), fragment.next_header()),
                        (99, ip_number::UDP)
                    );
                    (fragment.fragment_offset(), fragment.more_fragments(), ip.payload())
                }
                NetSlice::Arp(_) => panic!("not ARP"),
            };
            let expected = IpFragOffset::try_from(u16::try_from(reassembled.len() / 8).unwrap());
            assert_eq!(Ok(offset), expected);
            assert_eq!(more, index + 1 < parts.len());
            reassembled.extend(payload.payload);
        }
        assert_eq!(reassembled, whole.upper_layer());
        assert_eq!(parts.len(), 3);
    }
}

#[test]
fn link_messages_read_back() {
    let multicast = || Packet::ip("fe80::1", "ff02::1");
    let target = "2a00:1::5";
    let messages = [
        (multicast().router_solicitation(), 133, 16, 255),
        (multicast().router_advertisement(), 134, 24, 255),
        (multicast().neighbour_solicitation(target), 135, 32, 255),
        (multicast().duplicate_address_detection(target), 135, 24, 255),
        (multicast().neighbour_advertisement(target), 136, 32, 255),
        (multicast().redirect("fe80::2", target), 137, 40, 255),
        (multicast().listener_query(), 130, 24, 1),
        (multicast().listener_report_v2("ff02::1:ff00:5"), 143, 28, 1),
    ];
    for (packet, kind, len, hop_limit) in messages {
        assert!(checksum_is_right(&packet), "{packet:?}");
        let frame = packet.frame();
        let sliced = slice(&frame);
        let Some(NetSlice::Ipv6(ip)) = &sliced.net else { panic!("{sliced:?}") };
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("{sliced:?}") };
        assert_eq!((icmp.type_u8(), icmp.slice().len()), (kind, len));
        assert_eq!(ip.header().hop_limit(), hop_limit);
    }
    let arp = Packet::arp(1).frame();
    assert!(matches!(slice(&arp).net, Some(NetSlice::Arp(_))));
    let dhcp = Packet::ip("10.0.0.1", "255.255.255.255").dhcpv4(2);
    assert!(checksum_is_right(&dhcp));
}

#[test]
fn lies_touch_nothing_else() {
    let honest = from_outside(Family::Ipv4).options(&[148, 4, 0, 0]).udp(53, 40_001);
    let header = honest.ip_bytes();
    assert_eq!((header[0], header.len()), (0x46, 32));
    let shortened = honest.clone().set_network(0, &[0x44]).ip_bytes();
    assert_eq!(shortened[20..], header[20..]);
    assert_eq!(super::bytes::internet_checksum(&shortened[..24]), 0, "the checksum covers the lie");
    let wrong = honest.clone().bad_header_checksum().ip_bytes();
    assert_ne!(super::bytes::internet_checksum(&wrong[..24]), 0);
    assert_eq!(honest.clone().truncate_ip(3).frame().len(), 17);
    assert_eq!(honest.clone().trailer(&[0; 6]).frame().len(), 14 + 32 + 6);
    let cut = honest.cut_transport(3).ip_bytes();
    assert_eq!((cut.len(), cut[3]), (27, 27));
}

/// The check value of the CRC's definition.
#[test]
fn crc32c_of_the_check_string() {
    assert_eq!(super::bytes::crc32c(b"123456789"), 0xe306_9283);
}

/// Summing a packet with its checksum in place gives zero, whatever the reader thinks of it.
fn checksum_is_right(packet: &Packet) -> bool {
    let upper = packet.upper_layer();
    let ip = packet.ip_ref();
    let plain = packet.checksum == super::transport::Checksum::Plain(2);
    if plain {
        super::bytes::internet_checksum(&upper) == 0
    } else {
        super::bytes::pseudo_checksum(ip.source, ip.destination, packet.protocol, &upper) == 0xffff
    }
}
