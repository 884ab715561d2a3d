//! UDP.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                filtering(family),
                unreplied(family),
                replied(family),
                well_known_ports(family),
                inside_well_known_port(family),
                dns(family),
                refreshed_by_inside(family),
                refreshed_by_outside(family),
                not_refreshed_by_strangers(family),
                length_field(family),
                no_checksum(family),
                unsolicited_answers(family),
                port_zero(family),
                echoed_ports(family),
            ]
        })
        .collect()
}

fn filtering(family: Family) -> Row {
    let u = udp_flow(family);
    let refusal = || refused(Reason::NoFlow);
    row(
        &["RFC6092-REC-17", "RFC4787-REQ-8"],
        format!("{family:?}: only the address and the port that were asked may answer"),
    )
    .asked(&u)
    .inbound(from(OUTSIDE, INSIDE, family).udp(5001, 40_001), refusal())
    .inbound(from(STRANGER, INSIDE, family).udp(5000, 40_001), refusal())
    .inbound(from(OUTSIDE, INSIDE, family).udp(5000, 40_002), refusal())
    .inbound(from(OUTSIDE, INSIDE_OTHER, family).udp(5000, 40_001), refusal())
    .inbound(u.back(), belongs_to(&u))
    .then(&u, FlowState::Replied)
    .outbound(u.out(), belongs_to(&u).promoted())
    .inbound(u.back(), belongs_to(&u))
}

fn unreplied(family: Family) -> Row {
    let u = udp_flow(family);
    row(
        &["RFC6092-REC-14", "RFC4787-REQ-5"],
        format!("{family:?}: the first answer may take two minutes"),
    )
    .asked(&u)
    .then(&u, FlowState::Unreplied)
    .wait(119)
    .inbound(u.back(), belongs_to(&u))
    .wait(299)
    .inbound(u.back(), belongs_to(&u))
    .wait(301)
    .outbound(u.out(), opens(&u).replacing(FlowEvent::Expired))
    .wait(121)
    .inbound(u.back(), refused(Reason::FlowExpired))
}

fn replied(family: Family) -> Row {
    let u = udp_flow(family);
    row(
        &["RFC6092-REC-14", "RFC4787-REQ-5"],
        format!("{family:?}: a flow that was answered may be idle for five minutes"),
    )
    .answered(&u)
    .wait(299)
    .outbound(u.out(), belongs_to(&u).promoted())
    .wait(299)
    .inbound(u.back(), belongs_to(&u))
    .wait(301)
    .inbound(u.back(), refused(Reason::FlowExpired))
}

fn well_known_ports(family: Family) -> Row {
    let flow = |port| Flow::udp(INSIDE.ip(family), 40_001, OUTSIDE.ip(family), port);
    let row = row(
        &["RFC6092-REC-14", "RFC6092-REC-15", "RFC4787-REQ-5a"],
        format!("{family:?}: other ports than those of DNS and NTP are not cut short"),
    );
    [500, 1023, 1024, 1025].into_iter().fold(row, |row, port| {
        row.asked(&flow(port)).wait(119).inbound(flow(port).back(), belongs_to(&flow(port)))
    })
}

fn inside_well_known_port(family: Family) -> Row {
    let flow = Flow::udp(INSIDE.ip(family), 53, OUTSIDE.ip(family), 40_000);
    row(&["RFC4787-REQ-5a"], format!("{family:?}: the outside port alone may shorten a flow"))
        .asked(&flow)
        .wait(119)
        .inbound(flow.back(), belongs_to(&flow))
        .wait(299)
        .inbound(flow.back(), belongs_to(&flow))
}

fn dns(family: Family) -> Row {
    let flow = |port| Flow::udp(INSIDE.ip(family), 40_001, OUTSIDE.ip(family), port);
    let row = row(
        &["RFC6092-REC-8", "RFC6092-REC-15", "RFC4787-REQ-5a"],
        format!("{family:?}: DNS and NTP answer at once or not at all"),
    );
    [53, 123].into_iter().fold(row, |row, port| {
        row.asked(&flow(port))
            .wait(29)
            .inbound(flow(port).back(), belongs_to(&flow(port)))
            .wait(31)
            .inbound(flow(port).back(), refused(Reason::FlowExpired))
    })
}

fn refreshed_by_inside(family: Family) -> Row {
    let u = udp_flow(family);
    row(
        &["RFC6092-REC-16", "RFC4787-REQ-6"],
        format!("{family:?}: what inside sends starts the time anew"),
    )
    .asked(&u)
    .wait(100)
    .outbound(u.out(), belongs_to(&u))
    .wait(119)
    .inbound(u.back(), belongs_to(&u))
}

fn refreshed_by_outside(family: Family) -> Row {
    let u = udp_flow(family);
    let row = row(&["RFC6092-REC-16"], format!("{family:?}: so do answers")).answered(&u);
    (0..5).fold(row, |row, _| row.wait(290).inbound(u.back(), belongs_to(&u)))
}

fn not_refreshed_by_strangers(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC7857-7"], format!("{family:?}: what is refused refreshes nothing"))
        .answered(&u)
        .wait(200)
        .inbound(from(STRANGER, INSIDE, family).udp(5000, 40_001), refused(Reason::NoFlow))
        .inbound(u.back().set_transport(4, &[0, 7]), refused(Reason::TransportMalformed))
        .wait(100)
        .inbound(u.back(), refused(Reason::FlowExpired))
}

fn length_field(family: Family) -> Row {
    let u = udp_flow(family);
    let claim = |len: u8| u.back().payload(&[0x5a; 20]).set_transport(4, &[0, len]);
    row(&["E142", "E143"], format!("{family:?}: a UDP length that is too small, too large, right"))
        .asked(&u)
        .inbound(claim(7), refused(Reason::TransportMalformed))
        .inbound(claim(0), refused(Reason::TransportMalformed))
        .inbound(claim(29), refused(Reason::TransportMalformed))
        .inbound(claim(29).trailer(&[0; 8]), refused(Reason::TransportMalformed))
        .inbound(claim(28), belongs_to(&u))
        .inbound(claim(27), belongs_to(&u))
        .inbound(claim(8), belongs_to(&u))
        .inbound(u.back().cut_transport(7), refused(Reason::TransportMalformed))
        .outbound(u.out().set_transport(4, &[0, 7]), refused(Reason::TransportMalformed))
}

fn no_checksum(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC8200-8.1", "E144"], format!("{family:?}: the host judges a missing checksum"))
        .asked(&u)
        .inbound(u.back().no_checksum(), belongs_to(&u))
        .inbound(u.back().bad_checksum(), belongs_to(&u))
}

fn unsolicited_answers(family: Family) -> Row {
    let dns = Flow::udp(INSIDE.ip(family), 40_001, OUTSIDE.ip(family), 53);
    let tftp = Flow::udp(INSIDE.ip(family), 40_002, OUTSIDE.ip(family), 69);
    row(
        &["RFC6092-REC-8", "RFC6092-REC-17", "E146"],
        format!("{family:?}: answers from another host, or from another port"),
    )
    .asked(&dns)
    .inbound(from(STRANGER, INSIDE, family).udp(53, 40_001), refused(Reason::NoFlow))
    .asked(&tftp)
    .inbound(from(OUTSIDE, INSIDE, family).udp(50_000, 40_002), refused(Reason::NoFlow))
    .inbound(from(STRANGER, INSIDE, family).udp(1234, 53), refused(Reason::NoFlow))
    .inbound(from(STRANGER, INSIDE, family).tcp(1234, 53, flag::SYN), refused(Reason::NoFlow))
}

fn port_zero(family: Family) -> Row {
    let zero = Flow::udp(INSIDE.ip(family), 40_001, OUTSIDE.ip(family), 0);
    row(&["E141"], format!("{family:?}: port 0 is a port like any other"))
        .inbound(zero.back(), refused(Reason::NoFlow))
        .answered(&zero)
}

fn echoed_ports(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC6092-REC-17"], format!("{family:?}: a packet that looks as if inside had sent it"))
        .asked(&u)
        .inbound(from(OUTSIDE, INSIDE, family).udp(40_001, 5000), refused(Reason::NoFlow))
        .inbound(u.out(), refused(Reason::NoFlow))
}
