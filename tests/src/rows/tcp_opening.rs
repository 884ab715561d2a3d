//! How TCP connections begin.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                unsolicited(family),
                other_hosts_and_ports(family),
                handshake(family),
                congestion_notification(family),
                retransmitted(family),
                nothing_else_opens(family),
                picked_up(family),
                picked_up_and_closed(family),
                port_zero(family),
                early_fin(family),
            ]
        })
        .collect()
}

fn unsolicited(family: Family) -> Row {
    let row = row(
        &["RFC5382-REQ-4", "RFC5508-REQ-9", "E124"],
        format!("{family:?}: unsolicited segments are dropped in silence"),
    );
    let flags = [flag::SYN, SYN_ACK, flag::ACK, FIN_ACK, flag::RST, flag::ACK | flag::PSH];
    flags.into_iter().fold(row, |row, flags| {
        let segment = from(STRANGER, INSIDE, family).tcp(443, 40_000, flags).payload(b"?");
        row.inbound(segment, refused(Reason::NoFlow))
    })
}

fn other_hosts_and_ports(family: Family) -> Row {
    let l = tcp_flow(family);
    let refusal = || refused(Reason::NoFlow);
    row(
        &["RFC6092-REC-33", "RFC5382-REQ-3"],
        format!("{family:?}: a connection admits its own two ends and nobody else"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(from(STRANGER, INSIDE, family).tcp(443, 40_000, SYN_ACK), refusal())
    .inbound(from(STRANGER, INSIDE, family).tcp(1234, 40_000, flag::SYN), refusal())
    .inbound(from(OUTSIDE, INSIDE, family).tcp(444, 40_000, SYN_ACK), refusal())
    .inbound(from(OUTSIDE, INSIDE, family).tcp(443, 40_001, SYN_ACK), refusal())
    .inbound(from(OUTSIDE, INSIDE_OTHER, family).tcp(443, 40_000, SYN_ACK), refusal())
    .inbound(from(OUTSIDE, INSIDE, family).tcp(40_000, 443, SYN_ACK), refusal())
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
}

fn handshake(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC5382-REQ-2/2a", "RFC7857-2"],
        format!("{family:?}: the ordinary handshake, and data both ways"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .then(&l, FlowState::SynSent)
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .then(&l, FlowState::SynReceived)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .then(&l, FlowState::Established)
    .outbound(l.segment_out(flag::ACK | flag::PSH).payload(b"question"), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK | flag::PSH).payload(b"answer"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    // A SYN/ACK that comes late, or again.
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(8), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
}

fn congestion_notification(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-ECN", "E126"],
        format!(
            "{family:?}: explicit congestion notification is negotiated, also the accurate one"
        ),
    )
    .outbound(l.segment_out(flag::SYN | flag::ECE | flag::CWR | flag::AE), opens(&l))
    .inbound(l.segment_back(SYN_ACK | flag::ECE), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK | flag::AE), belongs_to(&l).promoted())
}

fn retransmitted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31"], format!("{family:?}: every segment of a handshake, twice"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l).without_refresh())
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .then(&l, FlowState::Established)
}

fn nothing_else_opens(family: Family) -> Row {
    let l = tcp_flow(family);
    let row =
        row(&["E135"], format!("{family:?}: resets, SYN/ACKs and FINs from inside open nothing"));
    [flag::RST, flag::RST | flag::ACK, SYN_ACK, FIN_ACK].into_iter().fold(row, |row, flags| {
        row.outbound(l.segment_out(flags), passed(Reason::Stateless))
            .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow))
            .inbound(l.segment_back(flag::SYN), refused(Reason::NoFlow))
    })
}

fn picked_up(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-32", "E136"],
        format!("{family:?}: a connection that is older than the gateway goes on"),
    )
    .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow))
    .outbound(
        l.segment_out(flag::ACK | flag::PSH).payload(b"question"),
        opens(&l).marked(mark::PICKED_UP),
    )
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK | flag::PSH).payload(b"answer"), belongs_to(&l))
}

fn picked_up_and_closed(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E136"], format!("{family:?}: a picked-up connection whose outside end closes first"))
        .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .then(&l, FlowState::CloseWait)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN).promoted())
        .then(&l, FlowState::LastAck)
        .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .then(&l, FlowState::TimeWait)
}

fn port_zero(family: Family) -> Row {
    let zero = |inside_port, outside_port| {
        Flow::tcp(INSIDE.ip(family), inside_port, OUTSIDE.ip(family), outside_port)
    };
    let (to_zero, from_zero) = (zero(40_000, 0), zero(0, 443));
    row(&["E141"], format!("{family:?}: port 0 is a port like any other"))
        .inbound(to_zero.segment_back(SYN_ACK), refused(Reason::NoFlow))
        .inbound(from_zero.segment_back(flag::SYN), refused(Reason::NoFlow))
        .established(&to_zero)
        .established(&from_zero)
}

fn early_fin(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E124"], format!("{family:?}: outside cannot close what it has not opened"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(FIN_ACK), refused(Reason::TcpState))
        .then(&l, FlowState::SynSent)
}
