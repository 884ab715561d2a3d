//! Places in the tables that reclaimed flows give back.

use gateway_common::counter::FlowEvent;
use gateway_userspace::datapath::{HostLimits, TableSizes};
use tests::rows::prelude::Flow;

use super::{OUTSIDE, Road, brief, inside};

const ESTABLISHED_MAX: u16 = 500;

/// A table that is full of flows whose time is over takes new ones after a pass, and their hosts get
/// their shares back.
#[test]
fn established_flows_find_room_after_a_pass() {
    let tables = TableSizes { half_open_max: 5_000, established_max: ESTABLISHED_MAX.into() };
    let share = u32::from(ESTABLISHED_MAX);
    let road =
        Road::sized(tables, HostLimits { half_open: Some(10_000), established: Some(share) });
    let mut sweep = road.sweep();
    for round in 0..3 {
        let ports = |index: u16| 1_000 + round * ESTABLISHED_MAX + index;
        (0..ESTABLISHED_MAX).for_each(|index| establish(&road, ports(index)));
        let promoted = u64::from(round + 1) * u64::from(ESTABLISHED_MAX);
        assert_eq!(road.event(FlowEvent::Promoted), promoted, "round {round}");
        // The table is full, or the host has its share.
        establish(&road, 60_000 + round);
        assert_eq!(road.event(FlowEvent::Promoted), promoted, "round {round}");
        let ended = usize::from((round + 1) * (ESTABLISHED_MAX + 1));
        sweep.until("all flows to end", |book| book.records.len() == ended);
        assert_eq!(road.gateway.flows().expect("flows"), []);
        assert_eq!(road.gateway.hosts_at_share().expect("hosts"), []);
    }
    assert_eq!(sweep.stats().reclaimed, 3 * (u64::from(ESTABLISHED_MAX) + 1));
}

fn establish(road: &Road, port: u16) {
    let flow = brief(1, port);
    assert!(road.out(&flow.out()) && road.back(&flow.back()) && road.out(&flow.out()));
}

/// A pass leaves the presence filter with the bits of those flows that are still there, and a sweeper
/// that was interrupted in mid-pass spoils it for nobody.
#[test]
fn a_pass_makes_the_filter_anew() {
    let road = Road::new(HostLimits::default());
    let staying: Vec<_> =
        (0..100).map(|index| Flow::udp(inside(1), 1_000 + index, OUTSIDE, 4_500)).collect();
    let ending: Vec<_> = (0..300).map(|index| brief(1, 2_000 + index)).collect();
    for flow in staying.iter().chain(&ending) {
        assert!(road.out(&flow.out()));
    }
    let mut interrupted = road.sweep();
    interrupted.step();
    drop(interrupted);
    let mut sweep = road.sweep();
    sweep.until("the short flows to end", |book| book.records.len() == ending.len());
    let last = sweep.pass();
    // Of a hundred flows two may share one of four million bits, of three hundred more none is left.
    assert!((99..=100).contains(&last.filter_bits), "{} bits", last.filter_bits);
    for flow in &staying {
        assert!(road.back(&flow.back()));
    }
}
