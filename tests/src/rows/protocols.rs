//! Protocols besides TCP, UDP, SCTP and ICMP.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![mobility_unsolicited()];
    for family in FAMILIES {
        rows.extend([
            generic(family),
            generic_lifetime(family),
            mobility(family),
            host_identity(family),
            dccp(family),
            udp_lite(family),
            udp_lite_lifetime(family),
            key_spaces(family),
        ]);
    }
    rows
}

fn generic_flow(family: Family, number: u8) -> Flow {
    Flow::protocol(INSIDE.ip(family), OUTSIDE.ip(family), number, &[0; 20])
}

fn generic(family: Family) -> Row {
    let flow = generic_flow(family, 253);
    row(
        &["RFC6092-REC-11", "RFC7045-2.1c", "E79"],
        format!("{family:?}: a protocol nobody knows, by addresses and number"),
    )
    .inbound(flow.back(), refused(Reason::NoFlow))
    .asked(&flow)
    .inbound(from(STRANGER, INSIDE, family).protocol(253, &[0; 20]), refused(Reason::NoFlow))
    .inbound(from(OUTSIDE, INSIDE, family).protocol(254, &[0; 20]), refused(Reason::NoFlow))
    .inbound(flow.back(), belongs_to(&flow))
    .then(&flow, FlowState::Replied)
    .outbound(flow.out(), belongs_to(&flow).promoted())
    .inbound(from(OUTSIDE, INSIDE, family).protocol(253, &[]), belongs_to(&flow))
}

fn generic_lifetime(family: Family) -> Row {
    let flow = generic_flow(family, 253);
    row(&["RFC6092-REC-12"], format!("{family:?}: such a flow may be idle for five minutes"))
        .asked(&flow)
        .wait(299)
        .inbound(flow.back(), belongs_to(&flow))
        .wait(299)
        .outbound(flow.out(), belongs_to(&flow).promoted())
        .wait(301)
        .inbound(flow.back(), refused(Reason::FlowExpired))
}

fn mobility(family: Family) -> Row {
    let flow = generic_flow(family, 135);
    row(&["RFC6092-REC-28"], format!("{family:?}: mobility messages that inside begins"))
        .inbound(flow.back(), refused(Reason::NoFlow))
        .answered(&flow)
}

fn host_identity(family: Family) -> Row {
    let flow = generic_flow(family, 139);
    row(&["E80"], format!("{family:?}: host identity protocol that inside begins"))
        .inbound(flow.back(), refused(Reason::NoFlow))
        .answered(&flow)
}

fn mobility_unsolicited() -> Row {
    let row = row(&["RFC6092-REC-28", "E80"], "Mobility, HIP and Shim6 that outside begins");
    [135, 139, 140].into_iter().fold(row, |row, protocol| {
        let packet = from(STRANGER, INSIDE, Family::Ipv6).protocol(protocol, &[59; 16]);
        row.inbound(packet, refused(Reason::NoFlow))
    })
}

fn dccp(family: Family) -> Row {
    let request = from(INSIDE, OUTSIDE, family).dccp(40_003, 5001);
    let flow = Flow::new(request, INSIDE.ip(family), 40_003, OUTSIDE.ip(family), 5001, 33);
    row(&["RFC6092-REC-43"], format!("{family:?}: DCCP by its ports"))
        .inbound(flow.back(), refused(Reason::NoFlow))
        .answered(&flow)
        .inbound(from(OUTSIDE, INSIDE, family).dccp(5002, 40_003), refused(Reason::NoFlow))
        .inbound(flow.back().cut_transport(11), refused(Reason::TransportMalformed))
}

fn udp_lite_flow(family: Family) -> Flow {
    let question = from(INSIDE, OUTSIDE, family).udp_lite(40_001, 5000);
    Flow::new(question, INSIDE.ip(family), 40_001, OUTSIDE.ip(family), 5000, 136)
}

fn udp_lite(family: Family) -> Row {
    let (u, lite) = (udp_flow(family), udp_lite_flow(family));
    row(
        &["RFC6092-REC-20", "E145"],
        format!("{family:?}: UDP and UDP-Lite with the same ports are strangers"),
    )
    .answered(&u)
    .inbound(lite.back(), refused(Reason::NoFlow))
    .answered(&lite)
    .inbound(lite.back().cut_transport(7), refused(Reason::TransportMalformed))
}

fn udp_lite_lifetime(family: Family) -> Row {
    let lite = udp_lite_flow(family);
    row(&["RFC6092-REC-20"], format!("{family:?}: UDP-Lite flows live as long as UDP's"))
        .asked(&lite)
        .wait(119)
        .inbound(lite.back(), belongs_to(&lite))
        .wait(299)
        .inbound(lite.back(), belongs_to(&lite))
        .wait(301)
        .inbound(lite.back(), refused(Reason::FlowExpired))
}

fn key_spaces(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let back = || from(OUTSIDE, INSIDE, family);
    row(
        &["RFC7857-5", "RFC7857-6"],
        format!("{family:?}: a flow of one protocol admits no other on its ports"),
    )
    .established(&l)
    .answered(&u)
    .inbound(back().udp(443, 40_000), refused(Reason::NoFlow))
    .inbound(back().tcp(5000, 40_001, flag::SYN | flag::ACK), refused(Reason::NoFlow))
    .inbound(back().sctp(443, 40_000, 1, &[0, 3, 0, 4]), refused(Reason::NoFlow))
    .inbound(back().dccp(443, 40_000), refused(Reason::NoFlow))
    .inbound(back().protocol(253, &[0; 20]), refused(Reason::NoFlow))
}
