//! What one inside host may take: how many openings, and how much of the established flows.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![by_vlan()];
    for family in FAMILIES {
        rows.extend([
            overflow(family),
            recycling(family),
            recycling_in_turn(family),
            confirmed_keeps_its_place(family),
            reopened_keeps_its_place(family),
            other_hosts(family),
            refund(family),
            no_refund_for_overflow(family),
            time_restores(family),
            reopening_costs(family),
            reopened_at_once(family),
            share(family),
            share_of_exchanges(family),
            share_is_given_back(family),
        ]);
    }
    rows
}

/// Connections of I to E, from different ports.
fn connections<const N: usize>(family: Family) -> [Flow; N] {
    let mut port = 40_000;
    [(); N].map(|()| {
        port += 1;
        Flow::tcp(INSIDE.ip(family), port, OUTSIDE.ip(family), 443)
    })
}

/// Exchanges of I with E, from different ports.
fn exchanges<const N: usize>(family: Family) -> [Flow; N] {
    let mut port = 50_000;
    [(); N].map(|()| {
        port += 1;
        Flow::udp(INSIDE.ip(family), port, OUTSIDE.ip(family), 5000)
    })
}

impl Row {
    /// Opens a connection.
    fn opened(self, flow: &Flow) -> Self {
        self.outbound(flow.segment_out(flag::SYN), opens(flow))
    }

    /// Opens a connection beyond its host's allowance.
    fn opened_beyond(self, flow: &Flow) -> Self {
        self.outbound(flow.segment_out(flag::SYN), opens(flow).beyond_allowance())
    }

    /// Opens one more, for which this flow makes room.
    fn opened_for(self, flow: &Flow, gone: &Flow) -> Self {
        let expect = opens(flow).beyond_allowance().recycling(gone);
        self.outbound(flow.segment_out(flag::SYN), expect)
    }

    /// Outside answers a connection.
    fn accepted(self, flow: &Flow) -> Self {
        self.inbound(flow.segment_back(SYN_ACK), belongs_to(flow))
    }
}

fn overflow(family: Family) -> Row {
    let [a, b, c] = connections(family);
    let [d] = exchanges(family);
    row(
        &["RFC6888-REQ-4", "RFC6888-REQ-11"],
        format!("{family:?}: flows beyond a host's allowance are opened too, and work"),
    )
    .config(|config| *config = config.with_host_limits(2, 100))
    .opened(&a)
    .asked(&b_exchange(family))
    .opened_beyond(&c)
    .outbound(d.out(), opens(&d).beyond_allowance())
    .accepted(&c)
    .outbound(c.segment_out(flag::ACK), belongs_to(&c).promoted())
    .inbound(d.back(), belongs_to(&d))
    .outbound(d.out(), belongs_to(&d).promoted())
    .inbound(b.segment_back(SYN_ACK), refused(Reason::NoFlow))
    .accepted(&a)
}

fn b_exchange(family: Family) -> Flow {
    udp_flow(family)
}

fn recycling(family: Family) -> Row {
    let [a, b, c, d] = connections(family);
    row(
        &["RFC6888-REQ-4", "RFC6888-REQ-11"],
        format!("{family:?}: one more flow beyond the allowance takes the place of the oldest one"),
    )
    .config(|config| *config = config.with_host_limits(1, 100))
    .opened(&a)
    .opened_beyond(&b)
    .opened_for(&c, &b)
    .inbound(b.segment_back(SYN_ACK), refused(Reason::NoFlow))
    .opened_for(&d, &c)
    .inbound(c.segment_back(SYN_ACK), refused(Reason::NoFlow))
    .accepted(&d)
    .accepted(&a)
}

fn recycling_in_turn(family: Family) -> Row {
    let flows: [Flow; 9] = connections(family);
    let (within, beyond) = flows.split_at(3);
    let (first, next) = beyond.split_at(3);
    let row = row(
        &["RFC6888-REQ-4"],
        format!("{family:?}: there are as many such places as a host may have openings"),
    )
    .config(|config| *config = config.with_host_limits(3, 100));
    let row = within.iter().fold(row, Row::opened);
    let row = first.iter().fold(row, Row::opened_beyond);
    next.iter().zip(first).fold(row, |row, (flow, gone)| row.opened_for(flow, gone))
}

fn confirmed_keeps_its_place(family: Family) -> Row {
    let [a, b, c] = connections(family);
    row(
        &["RFC6888-REQ-11"],
        format!("{family:?}: a flow that was confirmed meanwhile does not make room"),
    )
    .config(|config| *config = config.with_host_limits(1, 100))
    .opened(&a)
    .opened_beyond(&b)
    .accepted(&b)
    .outbound(b.segment_out(flag::ACK), belongs_to(&b).promoted())
    .opened_beyond(&c)
    .inbound(b.segment_back(flag::ACK), belongs_to(&b))
}

/// The place is that of the flow that was opened then, not of any flow with its key.
fn reopened_keeps_its_place(family: Family) -> Row {
    let [a, b, c] = connections(family);
    row(
        &["RFC6888-REQ-11"],
        format!("{family:?}: nor does another flow on the ports of the one that had the place"),
    )
    .config(|config| *config = config.with_host_limits(1, 100))
    .opened(&a)
    .opened_beyond(&b)
    .wait(300)
    .replacing(FlowEvent::Expired)
    .opened(&b)
    .opened_beyond(&c)
    .accepted(&b)
}

fn other_hosts(family: Family) -> Row {
    let [a, b, c] = connections(family);
    let other = |port| Flow::tcp(INSIDE_OTHER.ip(family), port, OUTSIDE.ip(family), 443);
    row(
        &["RFC6888-REQ-4", "RFC6888-REQ-11"],
        format!("{family:?}: a host that opens too much does so at the cost of no other one"),
    )
    .config(|config| *config = config.with_host_limits(1, 100))
    .opened(&other(1))
    .opened(&a)
    .opened_beyond(&b)
    .opened_for(&c, &b)
    .accepted(&other(1))
    .outbound(other(1).segment_out(flag::ACK), belongs_to(&other(1)).promoted())
    .opened(&other(2))
}

fn by_vlan() -> Row {
    let [a, b] = connections(Family::Ipv4);
    let a_elsewhere = a.clone().in_vlan(10, 0);
    row(&["RFC6888-REQ-4"], "the same address in another VLAN is another host")
        .config(|config| *config = config.with_host_limits(1, 100))
        .opened(&a)
        .opened(&a_elsewhere)
        .opened_beyond(&b)
        .opened_for(&b.clone().in_vlan(10, 0), &b)
}

fn refund(family: Family) -> Row {
    let [a, b, c] = connections(family);
    row(&["RFC6888-REQ-4"], format!("{family:?}: a confirmed flow gives back what it took"))
        .config(|config| *config = config.with_host_limits(1, 100))
        .opened(&a)
        .accepted(&a)
        .outbound(a.segment_out(flag::ACK), belongs_to(&a).promoted())
        .opened(&b)
        .opened_beyond(&c)
}

fn no_refund_for_overflow(family: Family) -> Row {
    let [a, b, c] = connections(family);
    row(&["RFC6888-REQ-4"], format!("{family:?}: a flow that took nothing gives nothing back"))
        .config(|config| *config = config.with_host_limits(1, 100))
        .opened(&a)
        .opened_beyond(&b)
        .accepted(&b)
        .outbound(b.segment_out(flag::ACK), belongs_to(&b).promoted())
        .opened_beyond(&c)
}

fn time_restores(family: Family) -> Row {
    let [a, b, c, d] = exchanges(family);
    row(&["RFC6888-REQ-5"], format!("{family:?}: what is not given back comes back with time"))
        .config(|config| *config = config.with_host_limits(2, 100))
        .asked(&a)
        .asked(&b)
        .outbound(c.out(), opens(&c).beyond_allowance())
        .wait(120)
        .asked(&d)
}

fn reopening_costs(family: Family) -> Row {
    let [a] = connections(family);
    row(&["RFC6888-REQ-4"], format!("{family:?}: opening the same flow again is an opening"))
        .config(|config| *config = config.with_host_limits(2, 100))
        .opened(&a)
        .replacing(FlowEvent::Replaced)
        .opened(&a)
        .replacing(FlowEvent::Replaced)
        .opened_beyond(&a)
        // It has a place now, and does not make room for itself.
        .replacing(FlowEvent::Replaced)
        .opened_beyond(&a)
        .accepted(&a)
}

fn reopened_at_once(family: Family) -> Row {
    const CLOCK: &str = "the kernel's clock does not stand still";
    let [a, b] = connections(family);
    row(
        &["RFC6888-REQ-11"],
        format!("{family:?}: a flow that is opened again in the same tick does not replace itself"),
    )
    .config(|config| *config = config.with_host_limits(1, 100))
    .opened(&a)
    .opened_beyond(&b)
    .wait(0)
    .replacing(FlowEvent::Replaced)
    .opened_beyond(&b)
    .host_only(CLOCK)
    .accepted(&b)
    .host_only(CLOCK)
}

fn share(family: Family) -> Row {
    let [a, b] = connections(family);
    let ack = || b.segment_out(flag::ACK);
    row(
        &["RFC6888-REQ-4", "RFC4787-REQ-11", "E149"],
        format!("{family:?}: a connection beyond its host's share works, and tries once a second"),
    )
    .config(|config| *config = config.with_host_limits(100, 1))
    .established(&a)
    .opened(&b)
    .accepted(&b)
    .outbound(ack(), belongs_to(&b).beyond_share())
    .then(&b, FlowState::Established)
    .wait(0)
    .outbound(ack(), belongs_to(&b))
    .outbound(ack().payload(b"question"), belongs_to(&b).beyond_share())
    .wait(0)
    .outbound(ack(), belongs_to(&b))
    .wait(7_439)
    .inbound(b.segment_back(flag::ACK).payload(b"answer"), belongs_to(&b))
    .inbound(b.segment_back(flag::ACK).ahead(1 << 20), refused(Reason::TcpWindow))
}

fn share_of_exchanges(family: Family) -> Row {
    let [a, b, c] = exchanges(family);
    row(
        &["RFC6888-REQ-4", "RFC4787-REQ-11", "E149"],
        format!("{family:?}: an exchange beyond its host's share works too"),
    )
    .config(|config| *config = config.with_host_limits(100, 2))
    .answered(&a)
    .outbound(a.out(), belongs_to(&a).promoted())
    .answered(&b)
    .outbound(b.out(), belongs_to(&b).promoted())
    .answered(&c)
    .outbound(c.out(), belongs_to(&c).beyond_share())
    .wait(0)
    .outbound(c.out(), belongs_to(&c))
    .inbound(c.back(), belongs_to(&c))
    .outbound(c.out(), belongs_to(&c).beyond_share())
}

fn share_is_given_back(family: Family) -> Row {
    let [a, b] = connections(family);
    row(
        &["RFC6888-REQ-4"],
        format!("{family:?}: when a flow leaves the established ones another one moves there"),
    )
    .config(|config| *config = config.with_host_limits(100, 1))
    .established(&a)
    .opened(&b)
    .accepted(&b)
    .outbound(b.segment_out(flag::ACK), belongs_to(&b).beyond_share())
    .replacing(FlowEvent::Replaced)
    .opened(&a)
    .outbound(b.segment_out(flag::ACK), belongs_to(&b).promoted())
    .accepted(&a)
    .outbound(a.segment_out(flag::ACK), belongs_to(&a).beyond_share())
}
