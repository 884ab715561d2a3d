//! Flows that come and go on all CPUs while the sweeper is at work.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use gateway_common::{
    counter::FlowEvent, ending::GRACE_SECS, timeouts::TimeoutClass, tuple::Direction,
};
use gateway_userspace::{
    daemon::PassSummary,
    datapath::{HostLimits, TableSizes},
};
use tests::{packet::Packet, rows::prelude::Flow, wait};

use super::{OUTSIDE, Road, Sweep, ack, brief, config, inside, rst, syn, syn_ack};

const LOAD: Duration = Duration::from_secs(4);
/// Inside hosts that take part.
const HOSTS: u8 = 30;
/// No limit that any of them meets.
const UNLIMITED: HostLimits =
    HostLimits { half_open: Some(1_000_000), established: Some(1_000_000) };

/// With room for all flows none is recycled, and none is ever taken for recycled.
#[test]
fn no_flow_is_missed_while_all_come_and_go() {
    let tables = TableSizes { half_open_max: 32_768, established_max: 32_768 };
    let road = Road::sized(tables, UNLIMITED);
    let mut sweep = road.sweep();
    load(&road, &mut sweep, 100);
    sweep.book(|book| {
        let recycled: Vec<_> = book.passes.iter().filter(|pass| pass.recycled > 0).collect();
        assert!(recycled.is_empty(), "{recycled:#?}");
        assert!(book.passes.len() > 10, "{} passes", book.passes.len());
        assert!(book.ends(FlowEvent::Expired).len() > 1_000);
        let resets = book.ends(FlowEvent::Reset);
        assert!(resets.len() > 1_000);
        assert!(resets.iter().any(|end| end.entry.inbound.packets > 0), "some were answered");
    });
    expect_balance(&road, &mut sweep);
}

/// With tables that are much too small the kernel recycles flows. How many is exactly what is
/// missing of those that were created.
#[test]
fn what_was_recycled_is_what_is_missing() {
    let tables = TableSizes { half_open_max: 2_000, established_max: 1_000 };
    let limits = HostLimits { half_open: Some(200), established: Some(1_000) };
    let road = Road::sized(tables, limits);
    let mut sweep = road.sweep();
    load(&road, &mut sweep, 2_000);
    let recycled = expect_balance(&road, &mut sweep);
    assert!(recycled > 1_000, "{recycled} recycled");
    assert!(sweep.book(|book| book.ends(FlowEvent::HostRecycled).len()) > 1_000);
}

/// Whatever the sweeper thought of a flow, an answer to a packet that just left comes in.
#[test]
fn a_flow_that_is_revived_meanwhile_stays() {
    const FLOWS: u16 = 1_000;
    let road = Road::new(UNLIMITED);
    let mut sweep = road.sweep();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (road, is_over) = (&road, &is_over);
        let traffic = scope.spawn(move || {
            for _ in 0..5 {
                for flow in (0..FLOWS).map(|port| brief(1, 1_000 + port)) {
                    // While the old flow is being removed a packet may have to be sent again.
                    let sent = (0..1_000).any(|_| road.out(&flow.out()));
                    assert!(sent && road.back(&flow.back()), "{:?}", flow.key);
                }
                // So long that the next round meets the sweeper at its work.
                wait_for_grace(road);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) && !traffic.is_finished() {
            sweep.step();
        }
        traffic.join().expect("all answers came in");
    });
    assert!(sweep.stats().reclaimed > 0, "{:?}", sweep.stats());
    expect_balance(&road, &mut sweep);
}

/// Stale news of flows that live on removes none of them.
#[test]
fn live_flows_are_not_reclaimed() {
    let road = Road::new(UNLIMITED);
    let flows: Vec<_> = (0..1_000).map(|port| Flow::udp(inside(1), port, OUTSIDE, 9)).collect();
    assert!(flows.iter().all(|flow| road.out(&flow.out())));
    let keys: Vec<_> = flows.iter().map(|flow| flow.key).collect();
    assert_eq!(road.gateway.reclaim(&keys).expect("the program runs"), 0);
    assert!(flows.iter().all(|flow| road.back(&flow.back())));
}

/// Opens, answers and ends flows on two threads, at full speed, while the sweeper works.
fn load(road: &Road, sweep: &mut Sweep, ports: u16) {
    let end = Instant::now() + LOAD;
    thread::scope(|scope| {
        let threads = [1, 2].map(|seed| scope.spawn(move || traffic(road, ports, end, seed)));
        while threads.iter().any(|thread| !thread.is_finished()) {
            sweep.step();
        }
        for thread in threads {
            thread.join().expect("traffic flows");
        }
    });
    // Some live on.
    for port in 0..100 {
        assert!(road.out(&Flow::udp(inside(200), port, OUTSIDE, 9).out()));
    }
}

fn traffic(road: &Road, ports: u16, end: Instant, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while Instant::now() < end {
        let (host, port) = (random.u8(1..=HOSTS), random.u16(1_000..1_000 + ports));
        if random.bool() {
            // If it is answered and goes on it moves.
            let flow = brief(host, port);
            let packets = random.u8(1..=3);
            road.out(&flow.out());
            if packets > 1 {
                road.back(&flow.back());
            }
            if packets > 2 {
                road.out(&flow.out());
            }
        } else {
            let flow = Flow::tcp(inside(host), port, OUTSIDE, 443);
            let pass = |(way, packet): (Direction, Packet)| road.pass(way, &packet);
            pass(syn(&flow));
            if random.bool() {
                pass(syn_ack(&flow));
                pass(ack(&flow));
            }
            pass(rst(&flow));
        }
    }
}

/// Waits until all is quiet, and checks that created flows are those that ended, those that were
/// recycled and those that live; returns how many were recycled.
fn expect_balance(road: &Road, sweep: &mut Sweep) -> u64 {
    sweep.until("the last expired flow to go", |book| {
        let is_clean = |pass: &PassSummary| {
            pass.half_open.expired + pass.established.expired == 0
                && pass.at.since(pass.begun) < config().ticks(1)
        };
        book.passes.last().is_some_and(is_clean)
    });
    let pass = sweep.pass();
    let live = pass.half_open.live + pass.established.live;
    assert_eq!(road.gateway.flows().expect("flows").len() as u64, live);
    let lost = road.event(FlowEvent::RecordLost);
    let created = road.event(FlowEvent::Created);
    let ended = sweep.book(|book| book.records.len() as u64) + lost;
    assert_eq!(created, live + ended + pass.recycled, "{live} live, {ended} ended: {pass:#?}");
    assert_eq!(sweep.stats().records_missing, lost);
    pass.recycled
}

/// Waits until brief flows may be reclaimed.
fn wait_for_grace(road: &Road) {
    let now = || road.gateway.now().expect("a clock");
    let (begin, config) = (now(), config());
    let time = config.timeout(TimeoutClass::UdpDns) + config.ticks(GRACE_SECS);
    wait::until_true("brief flows to be over", || now().since(begin) > time);
}
