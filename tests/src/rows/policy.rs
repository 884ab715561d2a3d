//! What the configuration decides, and what happens when it or the tables give out.

use gateway_common::config::Mode;

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![no_configuration(), standby(), malformed_in_standby(), ping_allowed()];
    for family in FAMILIES {
        rows.extend([
            management(family),
            standby_learns(family),
            unconfirmed(family),
            table_full(family),
            table_full_udp(family),
            generation(family),
        ]);
    }
    rows
}

fn no_configuration() -> Row {
    let syn = from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN);
    row(&["RFC7084-G-3"], "without a valid configuration nothing passes")
        .config(|config| config.abi_version += 1)
        .both_ways(&syn, &refused(Reason::NoConfiguration))
        .both_ways(&Packet::arp(1), &refused(Reason::NoConfiguration))
}

fn standby() -> Row {
    let syn = from(STRANGER, INSIDE, Family::Ipv6).tcp(443, 22, flag::SYN);
    row(&["RFC6092-REC-49"], "in standby everything passes, even what cannot be")
        .config(|config| config.mode = Mode::Standby as u32)
        .inbound(syn, passed(Reason::Standby))
        .inbound(Packet::arp(1), passed(Reason::Standby))
        .inbound(Packet::ethertype(0x8847, &[0; 46]), passed(Reason::Standby))
        .inbound(
            from(INSIDE, INSIDE, Family::Ipv4).udp(1, 1).bad_header_checksum(),
            passed(Reason::Standby),
        )
}

fn malformed_in_standby() -> Row {
    let land = from(INSIDE, INSIDE, Family::Ipv4).udp(1, 1);
    row(&["RFC6092-REC-49"], "in standby nothing that goes out is dropped either")
        .config(|config| config.mode = Mode::Standby as u32)
        .outbound(Packet::arp(1), passed(Reason::Arp))
        .outbound(Packet::ethertype(0x8847, &[0; 46]), passed(Reason::Standby))
        .outbound(land.clone(), passed(Reason::Standby).counting(land.ip_len()))
        .outbound(land.bad_header_checksum(), passed(Reason::Standby))
}

fn standby_learns(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    row(&[], format!("{family:?}: in standby flows are learned from what goes out"))
        .config(|config| config.mode = Mode::Standby as u32)
        .outbound(u.out(), opens(&u))
        .inbound(u.back(), passed(Reason::Standby))
        .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
}

fn unconfirmed(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let syn = || from(STRANGER, INSIDE, family).tcp(443, 22, flag::SYN);
    let land = from(INSIDE, INSIDE, family).udp(1, 1);
    row(
        &["RFC6092-REC-49"],
        format!("{family:?}: what nobody confirms stands by from its moment on, without a process"),
    )
    .unconfirmed(60)
    .established(&l)
    .inbound(syn(), refused(Reason::NoFlow))
    .outbound(land.clone(), refused(Reason::Land))
    .wait(54)
    .inbound(syn(), refused(Reason::NoFlow))
    .wait(2)
    .inbound(syn(), passed(Reason::Standby))
    .inbound(l.segment_back(flag::ACK), passed(Reason::Standby))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .outbound(u.out(), opens(&u))
    .inbound(u.back(), passed(Reason::Standby))
    .outbound(land.clone(), passed(Reason::Standby).counting(land.ip_len()))
}

fn ping_allowed() -> Row {
    let ping = |to: &str| Packet::ip("2a00:9::9", to).echo_request(7, 1);
    row(
        &["RFC4890-4.3.1-ECHO", "RFC4890-4.4.1-ECHO"],
        "echo requests pass when the configuration says so; they open nothing",
    )
    .config(|config| config.allow_ping = 1)
    .inbound(ping("2a00:1::5"), passed(Reason::PingAllowed))
    .inbound(ping("ff02::1"), refused(Reason::PingRefused))
    .inbound(Packet::ip("10.9.0.9", "10.1.0.5").echo_request(7, 1), passed(Reason::PingAllowed))
    .inbound(Packet::ip("10.9.0.9", "224.0.0.1").echo_request(7, 1), refused(Reason::PingRefused))
    .outbound(Packet::ip("2a00:1::5", "2a00:9::9").echo_reply(7, 1), passed(Reason::Stateless))
    .inbound(Packet::ip("2a00:9::9", "2a00:1::5").echo_reply(7, 1), refused(Reason::NoFlow))
}

fn management(family: Family) -> Row {
    let row = row(
        &["RFC6092-REC-8", "RFC6092-REC-50"],
        format!("{family:?}: no service of the gateway answers outside"),
    );
    [22, 53, 80, 443, 9477].into_iter().fold(row, |row, port| {
        row.inbound(
            from(STRANGER, INSIDE, family).tcp(40_000, port, flag::SYN),
            refused(Reason::NoFlow),
        )
        .inbound(from(STRANGER, INSIDE, family).udp(40_000, port), refused(Reason::NoFlow))
    })
}

fn table_full(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["E149", "RFC4787-REQ-11", "RFC6888-REQ-11"],
        format!("{family:?}: a connection that finds no room among the established still works"),
    )
    .established_full()
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN | flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).not_promoted())
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).not_promoted())
    .wait(7_439)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn table_full_udp(family: Family) -> Row {
    let u = udp_flow(family);
    row(
        &["E149", "RFC4787-REQ-11", "RFC6888-REQ-11"],
        format!("{family:?}: and so does an exchange"),
    )
    .established_full()
    .answered(&u)
    .outbound(u.out(), belongs_to(&u).not_promoted())
    .inbound(u.back(), belongs_to(&u))
}

fn generation(family: Family) -> Row {
    let u = udp_flow(family);
    row(&[], format!("{family:?}: a flow carries the generation of the policy that allowed it"))
        .config(|config| config.generation = 42)
        .answered(&u)
}
