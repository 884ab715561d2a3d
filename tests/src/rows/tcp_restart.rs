//! Inside begins anew on the ports of a connection that outside or the gateway still knows.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                challenge(family),
                while_opening(family),
                while_answered(family),
                client_restarted(family),
                client_restarted_in_the_window(family),
                old_connection_goes_on(family),
                blind_syn(family),
                blind_syn_answered(family),
                blind_syn_and_reset(family),
                closed(family),
                while_closing(family),
                after_reset(family),
                smaller_number(family),
                not_from_outside(family),
            ]
        })
        .collect()
}

fn challenge(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-4.2", "E132"],
        format!("{family:?}: outside still has a connection that inside has forgotten"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(
        l.segment_back(flag::ACK).ahead(1 << 20).acknowledging_less(1 << 30),
        belongs_to(&l).without_refresh(),
    )
    .then(&l, FlowState::SynSent)
    .outbound(l.segment_out(flag::RST).behind(1 << 30), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
    .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Reset))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn while_opening(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "E129", "E132"],
        format!("{family:?}: inside opens with another number before it is answered"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .outbound(l.segment_out(flag::SYN).ahead(5_000), opens(&l).replacing(FlowEvent::Replaced))
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(5_000), refused(Reason::TcpWindow))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn while_answered(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31", "E132"], format!("{family:?}: or after that, but before it confirms"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Replaced))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .then(&l, FlowState::Established)
}

fn client_restarted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-4.2", "E132"],
        format!("{family:?}: inside has lost an established connection and begins anew"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Replaced))
    .inbound(
        l.segment_back(flag::ACK).acknowledging_less(1_000_000),
        belongs_to(&l).without_refresh(),
    )
    .outbound(l.segment_out(flag::RST).behind(1_000_000), belongs_to(&l).resetting())
    .replacing(FlowEvent::Reset)
    .established(&l)
}

fn client_restarted_in_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-4.2", "E132"],
        format!("{family:?}: the new number happens to lie in the window of the old connection"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::SYN).sequence(1), opens(&l).replacing(FlowEvent::Replaced))
    .then(&l, FlowState::SynSent)
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn old_connection_goes_on(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-4.2"],
        format!("{family:?}: a stray SYN from inside does not cut the connection off"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Replaced))
    .inbound(
        l.segment_back(flag::ACK).behind(1_000_000).payload(b"data"),
        belongs_to(&l).without_refresh(),
    )
    .outbound(l.segment_out(flag::ACK).behind(1_000_000), belongs_to(&l).marked(mark::PICKED_UP))
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK).payload(b"more"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
}

fn blind_syn(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5382-S9", "E130"],
        format!("{family:?}: a forged SYN does not keep the real answer out"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(
        l.segment_back(flag::SYN).ahead(123_456_789).window(1).tcp_options(&option::scale(14)),
        belongs_to(&l),
    )
    .inbound(l.segment_back(flag::SYN).behind(1 << 30), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::SYN).ahead(123_456_789), refused(Reason::TcpState))
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).ahead(1 << 20), refused(Reason::TcpWindow))
}

/// Inside may answer a forged SYN after the real answer has come. That shows nothing about the
/// connection, least of all that its numbers are not to be trusted.
fn blind_syn_answered(family: Family) -> Row {
    let l = tcp_flow(family);
    let answer = || l.segment_out(SYN_ACK).acknowledging_more(123_456_789);
    row(&["RFC5382-S9", "E130"], format!("{family:?}: not even if inside answers it"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(flag::SYN).ahead(123_456_789), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(answer(), belongs_to(&l).without_refresh())
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .outbound(answer(), belongs_to(&l).without_refresh())
        .inbound(l.segment_back(flag::ACK).ahead(1 << 20), refused(Reason::TcpWindow))
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
}

/// Who forges a SYN knows its number, and so that of a reset that goes with it. What inside sends
/// next revives the flow.
fn blind_syn_and_reset(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5382-S9", "RFC7857-2.2"],
        format!("{family:?}: nor does a forged reset of the forged opening"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN).ahead(1 << 20), belongs_to(&l))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .then(&l, FlowState::Established)
}

fn closed(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-TW", "RFC7857-2", "E132"],
        format!("{family:?}: inside uses the ports of a closed connection again"),
    )
    .closed(&l)
    .replacing(FlowEvent::Closed)
    .established(&l)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    // Also with a number that the old connection might have used next.
    .replacing(FlowEvent::Replaced)
    .closed(&l)
    .outbound(
        l.segment_out(flag::SYN).behind(1_000_000_000),
        opens(&l).replacing(FlowEvent::Closed),
    )
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
}

fn while_closing(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E132"], format!("{family:?}: inside uses the ports of a closing connection again"))
        .established(&l)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .replacing(FlowEvent::Replaced)
        .established(&l)
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .then(&l, FlowState::CloseWait)
        .replacing(FlowEvent::Replaced)
        .established(&l)
}

fn after_reset(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E132"], format!("{family:?}: inside uses the ports of a reset connection again"))
        .established(&l)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .replacing(FlowEvent::Reset)
        .established(&l)
        .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
        .replacing(FlowEvent::Reset)
        .established(&l)
}

fn smaller_number(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-TW", "E132"],
        format!("{family:?}: a new connection may begin with a smaller number than the old one's"),
    )
    .closed(&l)
    .replacing(FlowEvent::Closed)
    .outbound(l.segment_out(flag::SYN).behind(1_000_000 + (1 << 30)), opens(&l))
    .inbound(l.segment_back(SYN_ACK).behind(1 << 30), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
}

fn not_from_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E131"], format!("{family:?}: outside cannot use a closed connection's ports"))
        .closed(&l)
        .inbound(l.segment_back(flag::SYN).ahead(1 << 20), refused(Reason::TcpState))
        .wait(121)
        .inbound(l.segment_back(flag::SYN), refused(Reason::FlowExpired))
}
