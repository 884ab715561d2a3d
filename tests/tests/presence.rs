//! The presence filter: packets without a flow end there, and no packet with a flow ever does. Needs
//! root.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use gateway_common::{
    config::Config,
    counter::Counter,
    flow::FlowEntry,
    tables::Table,
    tuple::{Direction, Family},
    verdict::{Reason, Verdict},
};
use gateway_userspace::datapath::Presence;
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
    rows::{
        check::TICKS_PER_SEC,
        prelude::{Flow, udp_flow},
    },
};

/// How often the filter is made anew while flows are opened.
const REBUILDS: u32 = 60;
/// Flows of which there are answers at any time; they are opened and deleted in turn.
const FLOWS: u16 = 200;

/// Flows are opened, answered and deleted on one CPU while the filter is made anew on the other, over
/// and over: every answer comes in.
#[test]
fn no_answer_is_lost_while_the_filter_is_made_anew() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let mut presence = programs.presence();
    let is_over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut answered = 0_u64;
            while !is_over.load(SeqCst) {
                answered += talk(&programs, answered);
            }
            answered
        });
        // Whatever fails here, the other thread must come to its end.
        let rebuilt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..REBUILDS {
                rebuild(&programs, &mut presence);
            }
        }));
        is_over.store(true, SeqCst);
        let answered = talk.join().expect("every answer passes");
        rebuilt.expect("the filter is made anew");
        answered
    });
    assert!(answered > u64::from(FLOWS), "{answered} answers while the filter was made anew");
}

/// What is in no table leaves the filter when it is made anew, and what is in one stays.
#[test]
fn what_ended_leaves_the_filter() {
    let mut programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let mut presence = programs.presence();
    let (gone, there) = (flow(1), flow(2));
    open(&programs, &gone);
    open(&programs, &there);
    assert!(programs.forget(&gone.key));
    assert_eq!(rebuild(&programs, &mut presence), 1);
    assert_eq!(programs.run(Program::IngressXdp, &answer(&there)), Verdict::Pass);
    programs.clear();
    assert_eq!(rebuild(&programs, &mut presence), 0);
}

/// The filter is asked before any table is: a flow that it does not know is as good as none, for
/// packets of either direction, on every hook.
#[test]
fn what_the_filter_does_not_know_is_not_looked_for() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let mut presence = programs.presence();
    let unknown = flow(3);
    open(&programs, &unknown);
    let empty = presence.begin().expect("the filter can be written");
    assert_eq!(presence.finish(empty).expect("the filter can be written"), 0);
    for program in Program::INGRESS {
        assert_eq!(programs.run(program, &answer(&unknown)), Verdict::Drop);
    }
    let dropped = dropped(&programs, Reason::NoFlow);
    assert_eq!(dropped.packets, 2, "{dropped:?}");
    // What inside sends makes it known again.
    open(&programs, &unknown);
    assert_eq!(programs.run(Program::IngressXdp, &answer(&unknown)), Verdict::Pass);
    let FlowEntry { outbound, .. } = programs.state().flows[&(Table::HalfOpen, unknown.key)];
    assert_eq!(outbound.packets, 2, "the same flow: {outbound:?}");
}

/// Whoever is interrupted while making a bitmap leaves the other one as it was.
#[test]
fn an_interrupted_rebuilding_loses_nothing() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let (before, meanwhile, afterwards) = (flow(4), flow(5), flow(6));
    open(&programs, &before);
    _ = programs.presence().begin().expect("the filter can be written");
    open(&programs, &meanwhile);
    _ = programs.presence().begin().expect("the filter can be written");
    open(&programs, &afterwards);
    let all = [before, meanwhile, afterwards];
    for flow in &all {
        assert_eq!(programs.run(Program::IngressXdp, &answer(flow)), Verdict::Pass);
    }
    assert_eq!(rebuild(&programs, &mut programs.presence()), 3);
    for flow in &all {
        assert_eq!(programs.run(Program::IngressTc, &answer(flow)), Verdict::Pass);
    }
}

/// Opens the next flow, has all answered that should be there, and deletes the oldest; how many
/// answers that were.
fn talk(programs: &Programs, turn: u64) -> u64 {
    let turn = u16::try_from(turn / u64::from(FLOWS) % 30_000).expect("it is below that");
    for number in 0..FLOWS {
        let newest = flow(turn.wrapping_mul(7).wrapping_add(number));
        open(programs, &newest);
        assert_eq!(programs.run(Program::IngressXdp, &answer(&newest)), Verdict::Pass);
    }
    for number in 0..FLOWS {
        let flow = flow(turn.wrapping_mul(7).wrapping_add(number));
        assert_eq!(programs.run(Program::IngressTc, &answer(&flow)), Verdict::Pass, "{flow:?}");
        assert!(programs.forget(&flow.key), "{flow:?}");
    }
    FLOWS.into()
}

/// Makes the filter anew as the sweeper does; how many bits are set then.
fn rebuild(programs: &Programs, presence: &mut Presence) -> u64 {
    let rebuilding = presence.begin().expect("the filter can be written");
    let tables = programs.tables();
    for table in [Table::HalfOpen, Table::Established] {
        for (key, _) in tables.flows(table).expect("the table can be read") {
            presence.note_in(&rebuilding, &key);
        }
    }
    presence.finish(rebuilding).expect("the filter can be written")
}

fn flow(number: u16) -> Flow {
    let mut flow = udp_flow(Family::Ipv6);
    flow.key.inside_port = number;
    flow
}

fn open(programs: &Programs, flow: &Flow) {
    assert_eq!(programs.run(Program::EgressTc, &with_port(flow.out(), 0, flow)), Verdict::Pass);
}

fn answer(flow: &Flow) -> Vec<u8> {
    with_port(flow.back(), 2, flow)
}

fn with_port(packet: Packet, offset: usize, flow: &Flow) -> Vec<u8> {
    packet.set_transport(offset, &flow.key.inside_port.to_be_bytes()).frame()
}

fn dropped(programs: &Programs, reason: Reason) -> Counter {
    let mut verdicts = programs.state().verdicts.into_iter();
    let found =
        verdicts.find(|(direction, found, _)| (*direction, *found) == (Direction::Inbound, reason));
    found.map_or_else(Counter::default, |(_, _, counter)| counter)
}
