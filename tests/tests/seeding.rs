//! Flows that were there before the gateway (RFC6092-REC-32, E136): how they enter its tables, and
//! how they go on there. No kernel and no root needed.

use std::net::IpAddr;

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, mark},
    host::HostKey,
    seed::{Entered, Seed, Stage},
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::{Reason, Verdict},
};
use tests::{
    model::{Frame, Model},
    packet::Packet,
};

const GENERATION: u32 = 1;
const CONFIRMED: [Stage; 4] =
    [Stage::Open, Stage::InsideClosed, Stage::OutsideClosed, Stage::BothClosed];

#[test]
fn a_confirmed_flow_goes_straight_to_the_established_ones() {
    let mut model = Model::new(&config(10), 10, 10);
    for (port, stage) in (1..).zip(CONFIRMED) {
        let seed = seed(port, stage);
        assert_eq!(model.enter(&seed), Entered::Established, "{stage:?}");
        assert_eq!(model.enter(&seed), Entered::Known, "{stage:?}");
    }
    assert_eq!((count(&model, Table::Established), count(&model, Table::HalfOpen)), (4, 0));
    assert_eq!(held(&model), 4);
    let mut events = [0; FlowEvent::ALL.len()];
    events[FlowEvent::Created as usize] = 4;
    assert_eq!(model.state().events, events, "they count as opened, so that they may end");
}

#[test]
fn an_opening_is_half_open() {
    let mut model = Model::new(&config(10), 10, 10);
    let seed = seed(1, Stage::Opening);
    assert_eq!(model.enter(&seed), Entered::HalfOpen);
    assert_eq!(model.enter(&seed), Entered::Known);
    assert_eq!((count(&model, Table::HalfOpen), held(&model)), (1, 0));
}

#[test]
fn outside_is_heard_on_a_seeded_flow() {
    let mut model = Model::new(&config(10), 10, 10);
    assert_eq!(model.run(Direction::Inbound, &inbound(1)).reason, Reason::NoFlow);
    let seed = seed(1, Stage::Open);
    assert_eq!(model.enter(&seed), Entered::Established);
    assert_eq!(model.run(Direction::Inbound, &inbound(1)).reason, Reason::Flow);
    assert_eq!(model.run(Direction::Inbound, &inbound(2)).reason, Reason::NoFlow);
}

/// What inside sent while the gateway was in standby opened the flow. Its counters stay.
#[test]
fn what_packets_taught_the_gateway_is_only_added_to() {
    let mut model = Model::new(&config(10), 10, 10);
    assert_eq!(model.run(Direction::Outbound, &outbound(1)).reason, Reason::FlowCreated);
    let opening = seed(1, Stage::Opening);
    assert_eq!(model.enter(&opening), Entered::Known);
    let learned = entry(&model, Table::HalfOpen, 1);

    let open = Seed::new(key(1), Stage::Open, mark::ADMITTED, GENERATION);
    assert_eq!(model.enter(&open), Entered::Established);
    let entered = entry(&model, Table::Established, 1);
    assert_eq!(entered.outbound.packets, learned.outbound.packets);
    assert_eq!((entered.created, entered.inbound.packets), (learned.created, 0));
    assert!(entered.outbound.has(mark::ADMITTED | mark::CONFIRMED));
    assert!(entered.inbound.has(mark::OPENED));
    assert_eq!((count(&model, Table::HalfOpen), held(&model)), (0, 1));
}

#[test]
fn an_expired_flow_makes_room_for_the_seed() {
    let mut model = Model::new(&config(10), 10, 10);
    let seed = seed(1, Stage::Open);
    assert_eq!(model.enter(&seed), Entered::Established);
    model.advance(Ticks(100_000_000));
    assert_eq!(model.enter(&seed), Entered::Established);
    assert_eq!((count(&model, Table::Established), held(&model)), (1, 1));
    assert_eq!(entry(&model, Table::Established, 1).created, model.now());
}

/// RFC6888-REQ-4: a host's share holds for what was there before, too.
#[test]
fn no_host_gets_more_than_its_share() {
    let mut model = Model::new(&config(2), 10, 10);
    let outcomes = [1, 2, 3].map(|port| model.enter(&seed(port, Stage::Open)));
    assert_eq!(outcomes, [Entered::Established, Entered::Established, Entered::HalfOpen]);
    assert_eq!(model.enter(&without_overflow(4)), Entered::NoRoom);
    assert_eq!((count(&model, Table::HalfOpen), held(&model)), (1, 2));
    // The one that found no room goes on, and moves when there is some.
    assert_eq!(model.run(Direction::Inbound, &inbound(3)).reason, Reason::Flow);
    assert!(model.forget(&key(1)));
    assert_eq!(held(&model), 1);
    model.advance(Ticks(10_000));
    assert_eq!(model.run(Direction::Outbound, &outbound(3)).reason.verdict(), Verdict::Pass);
    assert_eq!((count(&model, Table::Established), held(&model)), (2, 2));
}

#[test]
fn a_full_table_takes_nothing_and_loses_nothing() {
    let mut model = Model::new(&config(10), 10, 2);
    for port in [1, 2] {
        assert_eq!(model.enter(&seed(port, Stage::Open)), Entered::Established);
    }
    assert_eq!(model.enter(&without_overflow(3)), Entered::NoRoom);
    assert_eq!((count(&model, Table::HalfOpen), held(&model)), (0, 2));
    assert_eq!(model.enter(&seed(3, Stage::Open)), Entered::HalfOpen);
    assert_eq!((count(&model, Table::Established), held(&model)), (2, 2));
}

fn config(established_per_host: u32) -> Config {
    Config { generation: GENERATION, ..Config::new(250).with_host_limits(10, established_per_host) }
}

fn seed(inside_port: u16, stage: Stage) -> Seed {
    Seed::new(key(inside_port), stage, 0, GENERATION)
}

fn without_overflow(inside_port: u16) -> Seed {
    Seed { may_overflow: 0, ..seed(inside_port, Stage::Open) }
}

const UDP: u8 = 17;
const INSIDE: &str = "2a00:1::2";
const OUTSIDE: &str = "2a00:2::2";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn key(inside_port: u16) -> FlowKey {
    FlowKey {
        inside: ip(INSIDE).into(),
        outside: ip(OUTSIDE).into(),
        inside_port,
        outside_port: 443,
        protocol: UDP,
        family: 6,
        ..FlowKey::default()
    }
}

fn outbound(inside_port: u16) -> Frame {
    Packet::ip(ip(INSIDE), ip(OUTSIDE)).udp(inside_port, 443).frame().into()
}

fn inbound(inside_port: u16) -> Frame {
    Packet::ip(ip(OUTSIDE), ip(INSIDE)).udp(443, inside_port).frame().into()
}

#[track_caller]
fn entry(model: &Model, table: Table, inside_port: u16) -> FlowEntry {
    let flows = model.state().flows;
    *flows.get(&(table, key(inside_port))).unwrap_or_else(|| panic!("{table:?}: {flows:#?}"))
}

fn count(model: &Model, table: Table) -> usize {
    model.state().flows.keys().filter(|(found, _)| *found == table).count()
}

fn held(model: &Model) -> u64 {
    model.state().holders.get(&HostKey::of(&key(1))).copied().unwrap_or(0)
}
