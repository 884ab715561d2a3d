//! IPv6 fragments (RFC 8200 section 4.5, RFC 6946, RFC 7112).

use gateway_common::fragment::DatagramKey;

use super::prelude::*;

const ID: u32 = 0x1234_5678;

pub(super) fn rows() -> Vec<Row> {
    vec![
        atomic(),
        large_reply(),
        options_behind_the_fragment_header(),
        reordered_reply(),
        key(),
        unsolicited(),
        incomplete_chain(),
        incomplete_header(),
        flags_overwritten(),
        impossible_lengths(),
        longer_than_a_datagram(),
        nested(),
        fragmented_error(),
        outbound(),
    ]
}

fn u() -> Flow {
    udp_flow(Family::Ipv6)
}

fn l() -> Flow {
    tcp_flow(Family::Ipv6)
}

/// A datagram of two fragments, of which the second starts at byte 1232.
fn fragments(datagram: &Packet) -> [Packet; 2] {
    let fragments = datagram.clone().payload(&[0x5a; 2_000]).fragments(ID, 1_232);
    fragments.try_into().expect("two fragments")
}

fn fragment(offset_units: u16, more: bool) -> Packet {
    from(OUTSIDE, INSIDE, Family::Ipv6).identification(ID).fragment(offset_units, more)
}

fn atomic() -> Row {
    let [first, second] = fragments(&u().back());
    row(&["RFC6946-4", "E70", "E71"], "an atomic fragment is a packet by itself")
        .established(&l())
        .inbound(
            l().segment_back(flag::ACK).identification(ID).fragment(0, false),
            belongs_to(&l()),
        )
        .inbound(
            from(STRANGER, INSIDE, Family::Ipv6).fragment(0, false).tcp(443, 22, flag::SYN),
            refused(Reason::NoFlow),
        )
        .asked(&u())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(u().back().identification(ID).fragment(0, false), belongs_to(&u()))
        .inbound(second, passed(Reason::Fragment))
}

fn large_reply() -> Row {
    let [first, second] = fragments(&u().back());
    row(
        &["RFC8200-4.5-FIRST", "RFC4787-REQ-14", "RFC5722-4", "RFC8200-4.5-OVERLAP", "E74"],
        "a reply in two fragments; repeated and overlapping ones are left to the host",
    )
    .asked(&u())
    .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
    .inbound(second.clone(), passed(Reason::Fragment))
    .inbound(second, passed(Reason::Fragment))
    .inbound(fragment(100, false).protocol(17, &[0; 500]), passed(Reason::Fragment))
}

fn options_behind_the_fragment_header() -> Row {
    // The fragment header of every fragment names what follows it in the first.
    let first = u().back().identification(ID).fragment(0, true).destination_options();
    let second = fragment(200, false).protocol(60, &[0x5a; 500]);
    row(&["RFC8200-4.5-FIRST"], "extension headers that are part of the fragmented datagram")
        .asked(&u())
        .inbound(
            first.payload(&[0x5a; 1_584]),
            belongs_to(&u()).admitting(DatagramKey { protocol: 60, ..u().datagram(ID) }),
        )
        .inbound(second, passed(Reason::Fragment))
}

fn reordered_reply() -> Row {
    let [first, second] = fragments(&u().back());
    row(&["RFC4787-REQ-14"], "a reply whose second fragment arrives first")
        .asked(&u())
        .inbound(second, passed(Reason::Fragment))
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
}

/// A flow that outside keeps alive alone outlives the pair of hosts, so that only the admitted
/// datagram is left to vouch for later fragments.
fn key() -> Row {
    let [first, second] = fragments(&u().back());
    let unsolicited = || refused(Reason::FragmentUnsolicited);
    row(&["RFC8200-4.5-REASM"], "a datagram is its hosts and its identification, for a minute")
        .asked(&u())
        .wait(100)
        .inbound(u().back(), belongs_to(&u()))
        .wait(261)
        .inbound(second.clone(), unsolicited())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(second.clone(), passed(Reason::Fragment))
        .inbound(
            from(OUTSIDE, INSIDE, Family::Ipv6)
                .identification(ID + 0x1_0000)
                .fragment(154, false)
                .protocol(17, &[0; 8]),
            unsolicited(),
        )
        .wait(57)
        .inbound(second.clone(), passed(Reason::Fragment))
        .wait(2)
        .inbound(second, unsolicited())
}

fn unsolicited() -> Row {
    let [_, from_stranger] = fragments(&from(STRANGER, INSIDE, Family::Ipv6).udp(5000, 40_001));
    row(&["RFC4787-REQ-14"], "a later fragment that nobody asked for")
        .asked(&u())
        .inbound(from_stranger, refused(Reason::FragmentUnsolicited))
        .inbound(fragment(154, false).protocol(6, &[0; 8]), refused(Reason::FragmentUnsolicited))
}

fn incomplete_chain() -> Row {
    let no_tcp = fragment(0, true).destination_options().protocol(6, &[]);
    let cut = fragment(0, true).extension(60, &[0, 2, 1, 4, 0, 0, 0, 0]).protocol(6, &[]);
    row(&["RFC7112-5a", "E72"], "a first fragment that ends within its extension headers")
        .established(&l())
        .inbound(no_tcp, refused(Reason::FragmentTiny))
        .inbound(cut, refused(Reason::ExtensionHeader))
}

fn incomplete_header() -> Row {
    let cut = |len| {
        let segment = l().segment_back(flag::ACK).payload(&[0; 12]).cut_transport(len);
        segment.identification(ID).fragment(0, true)
    };
    row(&["RFC7112-5a", "E73"], "a first fragment that ends within its TCP header")
        .established(&l())
        .inbound(cut(12), refused(Reason::FragmentMalformed))
        .inbound(cut(16), refused(Reason::FragmentTiny))
        .inbound(cut(24), belongs_to(&l()).marked(mark::UNCHECKED).admitting(l().datagram(ID)))
}

fn flags_overwritten() -> Row {
    let first = l().segment_back(flag::ACK).payload(&[0; 12]).identification(ID).fragment(0, true);
    row(&["E75"], "a TCP fragment at offset 8 would replace the flags")
        .established(&l())
        .inbound(first, belongs_to(&l()).marked(mark::UNCHECKED).admitting(l().datagram(ID)))
        .inbound(fragment(1, false).protocol(6, &[0; 16]), refused(Reason::FragmentTiny))
        .inbound(fragment(2, false).protocol(6, &[0; 16]), passed(Reason::Fragment))
}

fn impossible_lengths() -> Row {
    row(&["RFC8200-4.5-MULT8", "E76"], "only the last fragment may end anywhere")
        .asked(&u())
        .inbound(fragment(10, true).protocol(17, &[0; 12]), refused(Reason::FragmentMalformed))
        .inbound(fragment(10, true).protocol(17, &[]), refused(Reason::FragmentMalformed))
        .inbound(fragment(10, false).protocol(17, &[]), refused(Reason::FragmentMalformed))
        .inbound(fragment(10, true).protocol(17, &[0; 16]), passed(Reason::Fragment))
        .inbound(fragment(10, false).protocol(17, &[0; 12]), passed(Reason::Fragment))
}

fn longer_than_a_datagram() -> Row {
    row(&["RFC8200-4.5-65535"], "a fragment that ends behind the largest datagram")
        .asked(&u())
        .inbound(fragment(8_191, false).protocol(17, &[0; 16]), refused(Reason::FragmentMalformed))
        .inbound(fragment(8_191, false).protocol(17, &[0; 7]), passed(Reason::Fragment))
}

fn nested() -> Row {
    row(&["E77"], "a fragment inside a fragment")
        .established(&l())
        .inbound(
            l().segment_back(flag::ACK).fragment(0, true).fragment(0, true).payload(&[0; 4]),
            refused(Reason::FragmentMalformed),
        )
        .inbound(
            l().segment_back(flag::ACK).fragment(0, false).fragment(0, false),
            refused(Reason::FragmentMalformed),
        )
}

fn fragmented_error() -> Row {
    let question = u().out().payload(&[0; 1_800]).ip_bytes();
    let error = from(ROUTER, INSIDE, Family::Ipv6).icmp_error(2, 0, 1_400, &question);
    let [first, second]: [Packet; 2] =
        error.fragments(ID, 1_232).try_into().expect("two fragments");
    let from_router = Flow::protocol(INSIDE.v6, ROUTER.v6, 58, &[]);
    row(&["E112"], "an ICMP error in two fragments is judged by the first")
        .asked(&u())
        .inbound(second.clone(), refused(Reason::FragmentUnsolicited))
        .inbound(first, related().admitting(from_router.datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
}

fn outbound() -> Row {
    let [first, second] = fragments(&u().out());
    row(&["E42"], "a fragmented question opens one flow, with its ports")
        .outbound(second.clone(), passed(Reason::Stateless))
        .outbound(first, opens(&u()))
        .outbound(second, passed(Reason::Stateless))
        .inbound(u().back(), belongs_to(&u()))
}
