//! Tunnels and `IPsec`: protocols that carry packets.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![six_in_four(), layer_two_over_ip(), authentication_header()];
    for family in FAMILIES {
        rows.extend([
            esp(family),
            nat_traversal_keepalive(family),
            unsolicited_ike(family),
            ike(family),
            unsolicited_tunnels(family),
            vxlan(family),
        ]);
    }
    rows
}

/// An ESP packet: the security parameters' index, a sequence number, something unreadable.
fn esp_bytes(index: u32) -> Vec<u8> {
    [&index.to_be_bytes()[..], &[0, 0, 0, 1], &[0x5a; 32]].concat()
}

/// A SYN to the inside host, as a tunnel would carry it.
fn inner_syn() -> Vec<u8> {
    from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN).ip_bytes()
}

fn esp(family: Family) -> Row {
    let esp = Flow::protocol(INSIDE.ip(family), OUTSIDE.ip(family), 50, &esp_bytes(1));
    let from_outside =
        |host, index: u32| from(host, INSIDE, family).protocol(50, &esp_bytes(index));
    row(
        &["RFC6092-REC-22", "RFC6092-REC-25", "E82"],
        format!("{family:?}: ESP is told apart by its hosts, never by its index"),
    )
    .inbound(from_outside(OUTSIDE, 0xdead_beef), refused(Reason::NoFlow))
    .asked(&esp)
    .inbound(from_outside(OUTSIDE, 0xdead_beef), belongs_to(&esp))
    .inbound(from_outside(OUTSIDE, 2), belongs_to(&esp))
    .inbound(from_outside(STRANGER, 1), refused(Reason::NoFlow))
    .outbound(esp.out(), belongs_to(&esp).promoted())
}

fn authentication_header() -> Row {
    let ah = Flow::protocol(INSIDE.v4, OUTSIDE.v4, 51, &[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    let l = tcp_flow(Family::Ipv6);
    row(
        &["RFC6092-REC-21", "E68", "E69"],
        "AH from inside may be answered; over IPv4 it is a protocol, over IPv6 a header",
    )
    .inbound(ah.back(), refused(Reason::NoFlow))
    .answered(&ah)
    .inbound(l.segment_back(flag::SYN | flag::ACK).authentication(), refused(Reason::NoFlow))
    .outbound(l.segment_out(flag::SYN).authentication(), opens(&l))
    .inbound(l.segment_back(flag::SYN | flag::ACK).authentication(), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).authentication(), belongs_to(&l).promoted())
}

fn nat_traversal_keepalive(family: Family) -> Row {
    let u = Flow::udp(INSIDE.ip(family), 4500, OUTSIDE.ip(family), 4500);
    row(&["E83"], format!("{family:?}: one byte keeps an IPsec flow alive"))
        .answered(&u)
        .wait(290)
        .outbound(u.out().payload(&[0xff]), belongs_to(&u).promoted())
        .wait(290)
        .inbound(u.back().payload(&[0xff]), belongs_to(&u))
}

fn unsolicited_ike(family: Family) -> Row {
    row(&["E84"], format!("{family:?}: key exchange that outside begins"))
        .inbound(from(STRANGER, INSIDE, family).udp(500, 500), refused(Reason::NoFlow))
        .inbound(from(STRANGER, INSIDE, family).udp(40_000, 500), refused(Reason::NoFlow))
        .inbound(from(STRANGER, INSIDE, family).udp(4500, 4500), refused(Reason::NoFlow))
}

fn ike(family: Family) -> Row {
    let u = Flow::udp(INSIDE.ip(family), 500, OUTSIDE.ip(family), 500);
    row(&["RFC6092-REC-17"], format!("{family:?}: key exchange that inside begins")).answered(&u)
}

fn six_in_four() -> Row {
    let tunnel = Flow::protocol(INSIDE.v4, OUTSIDE.v4, 41, &inner_syn());
    let unsolicited = from(STRANGER, INSIDE, Family::Ipv4).protocol(41, &inner_syn());
    row(&["RFC7084-S-3", "E85"], "6in4 passes from the tunnel's own end only")
        .inbound(tunnel.back(), refused(Reason::NoFlow))
        .asked(&tunnel)
        .inbound(unsolicited, refused(Reason::NoFlow))
        .inbound(tunnel.back(), belongs_to(&tunnel))
}

fn unsolicited_tunnels(family: Family) -> Row {
    let row = row(
        &["RFC7084-S-3", "E86"],
        format!("{family:?}: tunnels that outside begins, whatever they carry"),
    )
    .established(&tcp_flow(family));
    // GRE, IP in IP, IPv6 in IP, L2TP, EtherIP.
    [47, 4, 41, 115, 97].into_iter().fold(row, |row, protocol| {
        let tunnel = from(OUTSIDE, INSIDE, family).protocol(protocol, &inner_syn());
        row.inbound(tunnel, refused(Reason::NoFlow))
    })
}

fn layer_two_over_ip() -> Row {
    let gre = Flow::protocol(INSIDE.v4, OUTSIDE.v4, 47, &[0, 0, 0x86, 0xdd]);
    row(&["RFC6092-REC-11"], "GRE that inside began")
        .answered(&gre)
        .outbound(gre.out(), belongs_to(&gre).promoted())
        .inbound(from(STRANGER, INSIDE, Family::Ipv4).protocol(47, &[0; 8]), no_flow())
}

fn no_flow() -> Expect {
    refused(Reason::NoFlow)
}

fn vxlan(family: Family) -> Row {
    row(&["E87"], format!("{family:?}: VXLAN that outside begins"))
        .inbound(from(STRANGER, INSIDE, family).udp(40_000, 4789).payload(&[8; 60]), no_flow())
}
