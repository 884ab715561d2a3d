//! How flows end when no packet has to do with it: an operator deletes them, or their time is over
//! and the sweeper finds them. Every end leaves one record.

use gateway_common::limits::RECLAIMED_MAX;

use super::{
    admission::{SERVICES, web},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let rows = FAMILIES.into_iter().flat_map(|family| {
        [
            deleted(family),
            deleted_half_open(family),
            deleted_after_its_time(family),
            live(family),
            grace(family),
            established(family),
            closed(family),
            reset(family),
            revoked(family),
            share_is_given_back(family),
            not_there(family),
            revived(family),
            twice(family),
        ]
    });
    rows.chain([many(Family::Ipv6)]).collect()
}

fn deleted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: an operator deletes an established connection"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .deleting(&l)
        .deleting_nothing(&l)
        .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow))
        .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
}

fn deleted_half_open(family: Family) -> Row {
    let (u, p) = (udp_flow(family), ping_flow(family));
    row(&[], format!("{family:?}: an operator deletes what was not answered"))
        .asked(&u)
        .answered(&p)
        .deleting(&u)
        .inbound(u.back(), refused(Reason::NoFlow))
        .inbound(p.back(), belongs_to(&p))
}

fn deleted_after_its_time(family: Family) -> Row {
    let u = udp_flow(family);
    row(&[], format!("{family:?}: what has expired can be deleted until the sweeper finds it"))
        .asked(&u)
        .wait(400)
        .deleting(&u)
        .sweeping(&[&u], &[])
        .inbound(u.back(), refused(Reason::NoFlow))
}

fn live(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    row(&[], format!("{family:?}: the sweeper leaves live flows alone"))
        .established(&l)
        .asked(&u)
        .wait(119)
        .sweeping(&[&l, &u], &[])
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .wait(7_438)
        .sweeping(&[&l], &[])
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

/// A packet may just have found the flow live.
fn grace(family: Family) -> Row {
    let u = udp_flow(family);
    row(&[], format!("{family:?}: a flow is removed a second after its time, not before"))
        .asked(&u)
        .wait(120)
        .sweeping(&[&u], &[])
        .wait(0)
        .inbound(u.back(), refused(Reason::FlowExpired))
        .sweeping(&[&u], &[(&u, FlowEvent::Expired)])
        .inbound(u.back(), refused(Reason::NoFlow))
        .asked(&u)
}

fn established(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: an established connection that was idle for too long"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .wait(7_441)
        .sweeping(&[&l], &[(&l, FlowEvent::Expired)])
        .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow))
}

fn closed(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: a connection that both sides closed"))
        .closed(&l)
        .wait(121)
        .sweeping(&[&l], &[(&l, FlowEvent::Closed)])
        .established(&l)
}

fn reset(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: a connection that was reset, by either side, at any time"))
        .established(&l)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .wait(241)
        .sweeping(&[&l], &[(&l, FlowEvent::Reset)])
        .established(&l)
        .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
        .wait(241)
        .sweeping(&[&l], &[(&l, FlowEvent::Reset)])
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(flag::RST | flag::ACK), belongs_to(&l).resetting())
        .wait(241)
        .sweeping(&[&l], &[(&l, FlowEvent::Reset)])
        .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow))
}

fn revoked(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: what is not published any more ends as revoked, not as reset"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .policy("")
        .outbound(w.segment_out(flag::ACK), refused(Reason::PolicyRevoked).closing(&w))
        .sweeping(&[&w], &[])
        .wait(241)
        .sweeping(&[&w], &[(&w, FlowEvent::Revoked)])
        .inbound(w.segment_back(flag::ACK), refused(Reason::NoFlow))
}

fn share_is_given_back(family: Family) -> Row {
    let flow = |port| Flow::udp(INSIDE.ip(family), port, OUTSIDE.ip(family), 5000);
    let (a, b) = (flow(1), flow(2));
    row(
        &["RFC6888-REQ-4"],
        format!("{family:?}: a host may hold another flow once the sweeper took its last"),
    )
    .config(|config| *config = config.with_host_limits(100, 1))
    .answered(&a)
    .outbound(a.out(), belongs_to(&a).promoted())
    .wait(250)
    .answered(&b)
    .outbound(b.out(), belongs_to(&b).beyond_share())
    .wait(60)
    .sweeping(&[&a, &b], &[(&a, FlowEvent::Expired)])
    .outbound(b.out(), belongs_to(&b).promoted())
}

fn not_there(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    row(&[], format!("{family:?}: the sweeper asks for flows that are not there"))
        .sweeping(&[&l], &[])
        .sweeping(&[&l; RECLAIMED_MAX], &[])
        .deleting_nothing(&l)
        .asked(&u)
        .wait(130)
        .sweeping(&[&l, &u, &l], &[(&u, FlowEvent::Expired)])
        .inbound(u.back(), refused(Reason::NoFlow))
}

fn revived(family: Family) -> Row {
    let u = udp_flow(family);
    row(&[], format!("{family:?}: a flow that inside has opened again is another one"))
        .answered(&u)
        .outbound(u.out(), belongs_to(&u).promoted())
        .wait(400)
        .outbound(u.out(), opens(&u).replacing(FlowEvent::Expired))
        .sweeping(&[&u], &[])
        .inbound(u.back(), belongs_to(&u))
        .wait(400)
        .sweeping(&[&u], &[(&u, FlowEvent::Expired)])
        .inbound(u.back(), refused(Reason::NoFlow))
}

fn twice(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    row(&[], format!("{family:?}: a flow ends once, however often the sweeper asks for it"))
        .established(&l)
        .asked(&u)
        .wait(8_000)
        .sweeping(&[&u, &u, &u], &[(&u, FlowEvent::Expired)])
        .sweeping(&[&u, &l], &[(&l, FlowEvent::Expired)])
        .wait(0)
        .sweeping(&[&l, &u], &[])
        .inbound(u.back(), refused(Reason::NoFlow))
}

/// As many as one run takes: some are not there, some expired in either table, some are live.
fn many(family: Family) -> Row {
    let flows: Vec<_> = (1..)
        .take(RECLAIMED_MAX)
        .map(|port| Flow::udp(INSIDE.ip(family), port, OUTSIDE.ip(family), 5000))
        .collect();
    let every_fourth = |first: usize| flows.iter().skip(first).step_by(4);
    let row = row(&[], format!("{family:?}: the sweeper takes {RECLAIMED_MAX} flows in one go"));
    let row = every_fourth(1).fold(row, |row, flow| row.wait(0).asked(flow));
    let row = every_fourth(2).chain(every_fourth(3)).fold(row, |row, flow| {
        row.wait(0)
            .outbound(flow.out(), opens(flow))
            .wait(0)
            .inbound(flow.back(), belongs_to(flow))
            .wait(0)
            .outbound(flow.out(), belongs_to(flow).promoted())
    });
    let row = every_fourth(3)
        .fold(row.wait(200), |row, flow| row.inbound(flow.back(), belongs_to(flow)).wait(0));
    let (over, live): (Vec<_>, Vec<_>) =
        flows.iter().enumerate().partition(|(number, _)| matches!(number % 4, 1 | 2));
    let over: Vec<_> = over.into_iter().map(|(_, flow)| (flow, FlowEvent::Expired)).collect();
    let (_, last) = live[live.len() - 1];
    row.wait(110)
        .sweeping(&flows.iter().collect::<Vec<_>>(), &over)
        .wait(0)
        .inbound(last.back(), belongs_to(last))
        .inbound(over[0].0.back(), refused(Reason::NoFlow))
}
