//! Which resets count (RFC 5961 section 3).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                exact(family),
                glued_to_data(family),
                at_the_last_acknowledgement(family),
                inside_the_window(family),
                outside_the_window(family),
                outside_the_window_while_closing(family),
                refused_connection(family),
                refused_fast_open(family),
                blind_while_opening(family),
                while_answered(family),
                stray_from_inside(family),
                in_the_window_from_inside(family),
                while_opening_from_inside(family),
                picked_up(family),
                unchecked(family),
                picked_up_from_inside(family),
            ]
        })
        .collect()
}

fn exact(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-2", "E133"],
        format!("{family:?}: a reset with the very number that inside expects"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST | flag::ACK), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn glued_to_data(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-2", "E133"],
        format!("{family:?}: a reset right behind data that inside has not acknowledged yet"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn at_the_last_acknowledgement(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-2"],
        format!("{family:?}: a reset at what inside acknowledged, as the data behind it was lost"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .inbound(l.segment_back(flag::RST).behind(4), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn inside_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-3", "RFC5961-9.3", "E133"],
        format!("{family:?}: inside answers an inexact reset with a challenge, and is believed"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::RST).ahead(100), belongs_to(&l).without_refresh())
    .inbound(l.segment_back(flag::RST).ahead(65_000), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .then(&l, FlowState::Established)
    .wait(7_000)
    .inbound(l.segment_back(flag::RST).ahead(1), belongs_to(&l).without_refresh())
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn outside_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    let rst = || l.segment_back(flag::RST);
    let outside = || refused(Reason::TcpWindow);
    row(
        &["RFC5961-3.2-1", "RFC5382-S9", "RFC7857-2.2", "E133"],
        format!("{family:?}: a reset that inside would not believe changes nothing"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(rst().ahead(65_537), outside())
    .inbound(rst().behind(1), outside())
    .inbound(rst().behind(5), outside())
    .inbound(rst().sequence(0).ahead(1 << 30), outside())
    .inbound(l.segment_back(flag::RST | flag::ACK).behind(1 << 30), outside())
    .then(&l, FlowState::Established)
}

fn outside_the_window_while_closing(family: Family) -> Row {
    let l = tcp_flow(family);
    let rst = || l.segment_back(flag::RST).ahead(1 << 20);
    row(
        &["RFC5961-3.2-1", "RFC5382-S9"],
        format!("{family:?}: nor does it when the connection is closing"),
    )
    .established(&l)
    .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .inbound(rst(), refused(Reason::TcpWindow))
    .then(&l, FlowState::FinWait)
    .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .inbound(rst(), refused(Reason::TcpWindow))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .inbound(rst(), refused(Reason::TcpWindow))
    .then(&l, FlowState::TimeWait)
}

fn refused_connection(family: Family) -> Row {
    let l = tcp_flow(family);
    let rst = |flags| l.segment_back(flag::RST | flags).sequence(0);
    let outside = || refused(Reason::TcpWindow);
    row(
        &["RFC5961-3.2-SS", "E133"],
        format!("{family:?}: only a reset that acknowledges the SYN refuses a connection"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(rst(0), outside())
    .inbound(rst(0).acknowledging_more(0), outside())
    .inbound(rst(flag::ACK).acknowledging_less(1), outside())
    .inbound(rst(flag::ACK).acknowledging_more(1), outside())
    .inbound(rst(flag::ACK).acknowledge(0), outside())
    .then(&l, FlowState::SynSent)
    .inbound(rst(flag::ACK), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn refused_fast_open(family: Family) -> Row {
    let l = tcp_flow(family);
    let rst = || l.segment_back(flag::RST | flag::ACK).sequence(0);
    let row = row(
        &["RFC5961-3.2-SS", "RFC9293-SYNDATA"],
        format!("{family:?}: a reset may acknowledge any of the data on the SYN"),
    );
    let reset = Some(FlowEvent::Reset);
    [(8, None), (3, reset), (0, reset)].into_iter().fold(row, |row, (unacknowledged, replaced)| {
        row.replacing(replaced)
            .outbound(l.segment_out(flag::SYN).payload(b"question"), opens(&l))
            .inbound(rst().acknowledging_less(9), refused(Reason::TcpWindow))
            .inbound(rst().acknowledging_more(1), refused(Reason::TcpWindow))
            .inbound(rst().acknowledging_less(unacknowledged), belongs_to(&l).resetting())
            .then(&l, FlowState::Closed)
    })
}

fn blind_while_opening(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-SS", "RFC5382-S9"],
        format!("{family:?}: forged resets do not keep a connection from being opened"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::RST).ahead(1 << 20), refused(Reason::TcpWindow))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST).ahead(1 << 20), refused(Reason::TcpWindow))
    .inbound(l.segment_back(flag::RST).behind(1 << 20), refused(Reason::TcpWindow))
    .then(&l, FlowState::SynReceived)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn while_answered(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-2", "RFC6092-REC-31"],
        format!("{family:?}: outside answers the SYN, and thinks better of it"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn stray_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-1", "RFC5382-S9"],
        format!("{family:?}: a reset from inside that outside will not believe changes nothing"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::RST).ahead(1 << 20), belongs_to(&l).without_refresh())
    .outbound(l.segment_out(flag::RST).behind(1), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
    .wait(7_000)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn in_the_window_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-3", "RFC5961-9.3"],
        format!("{family:?}: outside answers inside's inexact reset with a challenge"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::RST).ahead(100), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn while_opening_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31"], format!("{family:?}: inside gives up while it opens"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
        .then(&l, FlowState::Closed)
        .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Reset))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
        .then(&l, FlowState::Closed)
}

/// Of a flow in mid-stream only what inside acknowledged last is known.
fn picked_up(family: Family) -> Row {
    let l = tcp_flow(family);
    let rst = || l.segment_back(flag::RST);
    row(
        &["RFC5961-3.2-1", "RFC5961-3.2-2", "RFC5961-3.2-3", "RFC6092-REC-32"],
        format!("{family:?}: resets of a connection that is older than the gateway"),
    )
    .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
    .inbound(rst().behind(1), refused(Reason::TcpWindow))
    .inbound(rst().behind(1 << 30), refused(Reason::TcpWindow))
    .inbound(rst().ahead(1), belongs_to(&l).without_refresh())
    .inbound(rst().ahead(1 << 30), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .inbound(rst(), belongs_to(&l).without_refresh())
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(rst(), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn unchecked(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-3.2-1", "RFC5961-3.2-2"],
        format!("{family:?}: resets of a connection of which a part went another way"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::ACK).acknowledging_more(1 << 20), belongs_to(&l).out_of_step())
    .inbound(l.segment_back(flag::RST), refused(Reason::TcpWindow))
    .inbound(l.segment_back(flag::RST).ahead(1 << 21), belongs_to(&l).without_refresh())
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::RST).ahead(1 << 20), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn picked_up_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC6092-REC-32"],
        format!("{family:?}: inside resets such connections"),
    )
    .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::RST).ahead(1 << 20), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}
