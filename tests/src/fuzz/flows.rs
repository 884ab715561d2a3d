//! Sequences of frames through the model, as [`Tape`]s.

use gateway_common::{
    counter::FlowEvent,
    flow::FlowEntry,
    host::HostKey,
    tables::Table,
    tuple::{Direction, FlowKey},
    verdict::Verdict,
};

use super::{
    some,
    stories::{STORIES, Travelling},
    tape::{Step, Tape},
    worlds::World,
};
use crate::{
    model::Model,
    state::{Change, Entry, State},
};

/// Frames that are played.
const STEPS_MAX: usize = 48;

pub(super) fn run(data: &[u8]) {
    let tape = Tape::read(data);
    let world = World::new(tape.world % 1024);
    let mut model = world.model();
    let mut before = model.state();
    let mut packets = 0;
    for step in tape.steps.iter().take(STEPS_MAX) {
        let Travelling { direction, frame } = &step.travelling;
        model.advance(world.config.ticks(step.wait_secs()));
        if step.sweep {
            sweep(&mut model);
            before = model.state();
        }
        let outcome = model.run(*direction, frame);
        packets += u64::from(frame.segments);
        assert_eq!(outcome.packets, frame.segments);
        let after = model.state();
        let change = after.since(&before);
        match direction {
            Direction::Inbound => check_inbound(&change),
            Direction::Outbound => check_outbound(&change),
        }
        if outcome.reason.verdict() == Verdict::Drop {
            assert_eq!(change.flows, [], "dropped: {:?}", outcome.reason);
        }
        change.flows.iter().for_each(check_growth);
        before = after;
    }
    check_sums(&world, &model, packets);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let write = |(number, story): (u16, &Vec<Travelling>)| {
        let step = |travelling: &Travelling| {
            let mut travelling = travelling.clone();
            travelling.frame.bytes.truncate(200);
            Step { wait: 6, sweep: false, travelling }
        };
        // Every other one in the default world.
        let world = if number % 2 == 0 { 0 } else { number };
        Tape { world, steps: story.iter().map(step).collect() }.write()
    };
    let seeds: Vec<_> = (0..).zip(STORIES.iter()).map(write).collect();
    some(seeds.into_iter().filter(|seed| (40..900).contains(&seed.len())).collect(), 48)
}

fn sweep(model: &mut Model) {
    let keys: Vec<_> = model.state().flows.into_keys().map(|(_, key)| key).collect();
    for key in keys {
        _ = model.reclaim(&key);
    }
}

/// RFC4787-REQ-11, E150: what arrives finds flows and writes its half of them.
fn check_inbound(change: &Change) {
    for flow in &change.flows {
        let Entry::Changed(_, then, now) = flow else { panic!("{flow:?}") };
        assert_eq!((then.outbound, then.created), (now.outbound, now.created));
    }
    assert_eq!(change.peers, []);
    assert_eq!((&change.openers[..], &change.holders[..]), (&[][..], &[][..]));
    assert_eq!((&change.overflow[..], &change.endpoints[..]), (&[][..], &[][..]));
    assert_eq!(change.events, [0; FlowEvent::ALL.len()]);
    assert_eq!(change.records, []);
}

/// What leaves never writes the other half, but for another connection on the same ports, which
/// begins with an empty one.
fn check_outbound(change: &Change) {
    assert_eq!(change.datagrams, []);
    for flow in &change.flows {
        if let Entry::Changed(_, then, now) = flow {
            assert!(then.inbound == now.inbound || now.inbound.packets == 0, "{flow:?}");
        }
    }
}

/// Of a flow that goes on, counters and marks only grow and times only advance.
fn check_growth(flow: &Entry<(Table, FlowKey), FlowEntry>) {
    let Entry::Changed(_, then, now) = flow else { return };
    for direction in Direction::ALL {
        let (then, now) = (then.half(direction), now.half(direction));
        let goes_on = now.packets > then.packets || now == then;
        if goes_on && now.packets > 1 {
            assert!(now.bytes >= then.bytes && now.seen >= then.seen, "{flow:?}");
        }
    }
    let goes_on = now.outbound.packets >= then.outbound.packets
        && now.inbound.packets >= then.inbound.packets
        && then.inbound.packets > 0;
    if goes_on {
        for direction in Direction::ALL {
            let lost = then.half(direction).marks & !now.half(direction).marks;
            assert_eq!(lost, 0, "{flow:?}");
        }
    }
}

fn check_sums(world: &World, model: &Model, packets: u64) {
    let state = model.state();
    let State { verdicts, flows, holders, .. } = &state;
    let counted: u64 = verdicts.iter().map(|(_, _, counter)| counter.packets).sum();
    assert_eq!(counted, packets);
    let keys: std::collections::HashSet<_> = flows.keys().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), flows.len(), "a flow is in both tables");
    let established = || flows.keys().filter(|(table, _)| *table == Table::Established);
    assert!(established().count() <= world.established_max as usize);
    for (host, held) in holders {
        let held_by_host = established().filter(|(_, key)| HostKey::of(key) == *host).count();
        assert_eq!(*held, held_by_host as u64, "{host:?}");
        assert!(*held <= world.config.established_per_host.into(), "{host:?}");
    }
    let count = |event: FlowEvent| state.events[event as usize];
    let ended: u64 = FlowEvent::ALL.into_iter().filter(|event| event.is_end()).map(count).sum();
    assert_eq!(count(FlowEvent::Created), flows.len() as u64 + ended + model.recycled());
    assert_eq!(state.records.len() as u64, ended);
}
