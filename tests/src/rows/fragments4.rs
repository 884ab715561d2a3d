//! IPv4 fragments (RFC 791, RFC 1858, RFC 3128).

use super::prelude::*;

const ID: u32 = 0x1234;

pub(super) fn rows() -> Vec<Row> {
    vec![
        large_reply(),
        reordered_reply(),
        unsolicited(),
        tiny_first(),
        flags_overwritten(),
        second_first(),
        other_protocol(),
        longer_than_a_datagram(),
        impossible_lengths(),
        unsolicited_first(),
        smallest_fragments(),
        large_ping(),
        outbound(),
        outbound_reordered(),
        admission_ends(),
    ]
}

fn u() -> Flow {
    udp_flow(Family::Ipv4)
}

fn l() -> Flow {
    tcp_flow(Family::Ipv4)
}

/// A datagram of two fragments, of which the second starts at byte 1480.
fn fragments(datagram: &Packet) -> [Packet; 2] {
    let fragments = datagram.clone().payload(&[0x5a; 2_000]).fragments(ID, 1_480);
    fragments.try_into().expect("two fragments")
}

/// A later fragment from E with these bytes.
fn later(protocol: u8, offset_units: u16, bytes: &[u8]) -> Packet {
    from(OUTSIDE, INSIDE, Family::Ipv4)
        .identification(ID)
        .fragment(offset_units, false)
        .protocol(protocol, bytes)
}

/// The first part of a segment, whose length is not known: so are all numbers after it.
fn partial() -> Expect {
    belongs_to(&l()).marked(mark::UNCHECKED)
}

fn large_reply() -> Row {
    let [first, second] = fragments(&u().back());
    row(&["E35", "RFC4787-REQ-14"], "a reply in two fragments")
        .asked(&u())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
}

fn reordered_reply() -> Row {
    let [first, second] = fragments(&u().back());
    row(&["E36", "RFC4787-REQ-14"], "a reply whose second fragment arrives first")
        .asked(&u())
        .inbound(second, passed(Reason::Fragment))
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
}

fn unsolicited() -> Row {
    let [_, from_stranger] = fragments(&from(STRANGER, INSIDE, Family::Ipv4).udp(5000, 40_001));
    let [_, to_other] = fragments(&from(OUTSIDE, INSIDE_OTHER, Family::Ipv4).udp(5000, 40_001));
    let unsolicited = || refused(Reason::FragmentUnsolicited);
    row(&["E37"], "a later fragment that nobody asked for")
        .inbound(later(17, 185, &[0; 520]), unsolicited())
        .asked(&u())
        .inbound(from_stranger, unsolicited())
        .inbound(to_other, unsolicited())
        .inbound(later(17, 185, &[0; 520]).vlan(10), unsolicited())
}

fn tiny_first() -> Row {
    let cut = |len| l().segment_back(flag::ACK).payload(&[0; 12]).cut_transport(len);
    row(&["RFC1858-DIRECT", "E33"], "a first fragment without the whole TCP header")
        .established(&l())
        .inbound(cut(8).fragment(0, true), refused(Reason::FragmentTiny))
        .inbound(cut(16).fragment(0, true), refused(Reason::FragmentTiny))
        .inbound(cut(24).fragment(0, true), partial().admitting(l().datagram(0)))
        .outbound(
            l().segment_out(flag::ACK).cut_transport(16).fragment(0, true),
            refused(Reason::FragmentTiny),
        )
}

fn flags_overwritten() -> Row {
    let first = l().segment_back(flag::ACK).payload(&[0; 12]).identification(ID).fragment(0, true);
    row(
        &["RFC1858-INDIRECT", "RFC1858-4.2", "E34"],
        "a TCP fragment at offset 8 would replace the flags; one at 16 cannot",
    )
    .established(&l())
    .inbound(first, partial().admitting(l().datagram(ID)))
    .inbound(later(6, 1, &[0; 16]), refused(Reason::FragmentTiny))
    .inbound(later(6, 2, &[0; 16]), passed(Reason::Fragment))
    .outbound(later(6, 1, &[0; 16]).mirror(), refused(Reason::FragmentTiny))
}

fn second_first() -> Row {
    let first = l().segment_back(flag::ACK).payload(&[0; 12]).identification(ID).fragment(0, true);
    let ports = from(OUTSIDE, INSIDE, Family::Ipv4)
        .identification(ID)
        .fragment(0, true)
        .protocol(6, &[0, 22, 0x9c, 0x40, 0, 0, 0, 0]);
    row(&["RFC3128-3", "E40"], "a second fragment at offset 0 would replace the ports")
        .established(&l())
        .inbound(first, partial().admitting(l().datagram(ID)))
        .inbound(ports, refused(Reason::FragmentTiny))
        .inbound(later(6, 3, &[0; 16]), passed(Reason::Fragment))
}

fn other_protocol() -> Row {
    let [first, _] = fragments(&u().back());
    row(&["RFC1858-PROTO", "E41"], "an admitted UDP datagram vouches for no TCP fragment")
        .asked(&u())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(later(6, 185, &[0; 520]), refused(Reason::FragmentUnsolicited))
        .inbound(later(17, 185, &[0; 520]), passed(Reason::Fragment))
}

fn longer_than_a_datagram() -> Row {
    row(&["RFC791-65535", "E38"], "a fragment that ends behind the largest datagram")
        .asked(&u())
        .inbound(later(17, 8_189, &[0; 1_480]), refused(Reason::FragmentMalformed))
        .inbound(later(17, 8_189, &[0; 24]), refused(Reason::FragmentMalformed))
        .inbound(later(17, 8_189, &[0; 23]), passed(Reason::Fragment))
        .outbound(later(17, 8_189, &[0; 1_480]).mirror(), refused(Reason::FragmentMalformed))
}

fn impossible_lengths() -> Row {
    let more =
        |bytes: &[u8]| from(OUTSIDE, INSIDE, Family::Ipv4).fragment(10, true).protocol(17, bytes);
    row(&[], "fragments of a length that no datagram leaves")
        .asked(&u())
        .inbound(more(&[0; 12]), refused(Reason::FragmentMalformed))
        .inbound(more(&[]), refused(Reason::FragmentMalformed))
        .inbound(later(17, 10, &[]), refused(Reason::FragmentMalformed))
        .inbound(more(&[0; 16]), passed(Reason::Fragment))
}

fn unsolicited_first() -> Row {
    let [first, second] = fragments(&from(STRANGER, INSIDE, Family::Ipv4).tcp(443, 22, flag::SYN));
    row(&["E39"], "an unsolicited first fragment lets nothing follow")
        .established(&l())
        .inbound(first, refused(Reason::NoFlow))
        .inbound(second, refused(Reason::FragmentUnsolicited))
}

fn smallest_fragments() -> Row {
    let first = u().back().cut_transport(8).identification(ID).fragment(0, true);
    row(&["RFC791-68"], "eight bytes of a datagram are enough for its ports")
        .asked(&u())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(later(17, 1, b"?"), passed(Reason::Fragment))
}

fn large_ping() -> Row {
    let p = ping_flow(Family::Ipv4);
    let [first, second] = fragments(&p.back());
    row(&["RFC4787-REQ-14"], "an echo reply in two fragments")
        .asked(&p)
        .inbound(first, belongs_to(&p).admitting(p.datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
}

fn outbound() -> Row {
    let [first, second] = fragments(&u().out());
    row(&["E42"], "a fragmented question opens one flow, with its ports")
        .outbound(first, opens(&u()))
        .outbound(second, passed(Reason::Stateless))
        .inbound(u().back(), belongs_to(&u()))
}

fn outbound_reordered() -> Row {
    let [first, second] = fragments(&u().out());
    row(&["E42"], "a later fragment from inside opens nothing by itself")
        .outbound(second, passed(Reason::Stateless))
        .inbound(later(17, 185, &[0; 520]), refused(Reason::FragmentUnsolicited))
        .outbound(first, opens(&u()))
}

/// A flow that outside keeps alive alone outlives the pair of hosts, so that only the admitted
/// datagram is left to vouch for later fragments.
fn admission_ends() -> Row {
    let [first, second] = fragments(&u().back());
    let unsolicited = || refused(Reason::FragmentUnsolicited);
    row(&["E36", "E37"], "hosts count as talking for six minutes, datagrams as admitted for one")
        .asked(&u())
        .wait(100)
        .inbound(u().back(), belongs_to(&u()))
        .wait(259)
        .inbound(second.clone(), passed(Reason::Fragment))
        .wait(2)
        .inbound(second.clone(), unsolicited())
        .inbound(first, belongs_to(&u()).admitting(u().datagram(ID)))
        .inbound(later(6, 185, &[0; 520]), unsolicited())
        .inbound(second.clone().identification(ID + 1), unsolicited())
        .wait(57)
        .inbound(second.clone(), passed(Reason::Fragment))
        .wait(2)
        .inbound(second, unsolicited())
}
