//! Flows that several CPUs end at the same time, and records that find no room. Needs root.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, FlowHalf, mark},
    limits::RECORDS_BYTES,
    record::FlowRecord,
    tables::Table,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, Family, FlowKey},
    verdict::{Reason, Verdict},
};
use tests::{
    model::Model,
    prog_run::{Program, Programs},
    rows::{
        check::TICKS_PER_SEC,
        prelude::{FAMILIES, Flow, INSIDE, OUTSIDE, SYN_ACK, flag, tcp_flow, udp_flow},
    },
    state::State,
};

/// Flows over which two CPUs meet before the records are taken: fewer than the ring has room for.
const BATCH: u16 = 10_000;
const BATCHES: u32 = 10;
/// How long ago flows expired that the sweeper finds, in turn: long enough that it may take them, and
/// so long that it takes one that somebody else is about to end for abandoned.
const EXPIRED_SECS: [u32; 2] = [5, 600];

/// Each of [`EXPIRED_SECS`] with each table, over and over.
fn turns(count: usize) -> impl Iterator<Item = (u32, Table)> {
    let tables = [Table::HalfOpen, Table::Established];
    let turns = EXPIRED_SECS.into_iter().flat_map(move |secs| tables.map(|table| (secs, table)));
    turns.cycle().take(count)
}

/// The sweeper reclaims the flow that inside opens again: it ends once, and the new one is there, or
/// its packet is dropped and the one after it opens it.
#[test]
fn a_flow_is_reclaimed_or_reopened() {
    let mut race = Race::new();
    let mut refused = 0;
    for (secs, table) in turns(BATCHES as usize) {
        let flows = race.expired(table, secs);
        let verdicts_before = race.programs.state().verdicts;
        race.meet(
            &flows,
            |programs, flow| _ = programs.reclaim(&[flow.key]),
            |programs, flow| _ = programs.run(Program::EgressTc, &flow.out().frame()),
        );
        let State { flows: left, .. } = race.ended_once(&flows, &[FlowEvent::Expired]);
        let failed = count_failed(&race.programs.state()) - failed_in(&verdicts_before);
        refused += failed;
        for flow in &flows {
            if !left.contains_key(&(Table::HalfOpen, flow.key)) {
                race.repeat(flow);
            }
        }
        let State { flows: left, .. } = race.programs.state();
        assert_eq!(left.len(), flows.len());
        for flow in &flows {
            let entry = left[&(Table::HalfOpen, flow.key)];
            assert!(!entry.outbound.has(mark::ENDED), "{entry:?}");
            assert_eq!((entry.outbound.packets, entry.inbound.packets), (1, 0), "{entry:?}");
        }
        assert_eq!(race.repeated, failed, "only packets that were dropped are sent again");
        race.repeated = 0;
    }
    println!("{refused} packets were dropped while their flow's predecessor was removed");
}

/// An operator deletes the flow that the sweeper reclaims.
#[test]
fn a_flow_is_reclaimed_or_deleted() {
    let mut race = Race::new();
    for (secs, table) in turns(4) {
        let flows = race.expired(table, secs);
        race.meet(
            &flows,
            |programs, flow| _ = programs.reclaim(&[flow.key]),
            |programs, flow| _ = programs.forget(&flow.key),
        );
        let ways = [FlowEvent::Expired, FlowEvent::Deleted];
        let State { flows: left, events, .. } = race.ended_once(&flows, &ways);
        assert_eq!(left.len(), 0, "{left:?}");
        // Each of them was first now and then: they did meet.
        let first = ways.map(|way| events[way as usize] - race.before.events[way as usize]);
        assert!(first.iter().all(|&times| times > 0), "{first:?}");
    }
}

/// An operator deletes a flow while inside's packet moves it: it is gone, and ended once; or the
/// packet came after that, and opened another.
#[test]
fn a_flow_that_moves_is_deleted() {
    let mut race = Race::new();
    for _ in 0..3 {
        race.programs.clear();
        let flows = flows();
        for flow in &flows {
            for (program, packet) in
                [(Program::EgressTc, flow.out()), (Program::IngressXdp, flow.back())]
            {
                assert_eq!(race.programs.run(program, &packet.frame()), Verdict::Pass);
            }
        }
        let before = race.programs.state();
        race.before = before.clone();
        race.meet(
            &flows,
            |programs, flow| {
                assert!(programs.forget(&flow.key), "it was there all the time: {:?}", flow.key);
            },
            |programs, flow| _ = programs.run(Program::EgressTc, &flow.out().frame()),
        );
        let after = race.ended_once(&flows, &[FlowEvent::Deleted]);
        let created = event(&after, FlowEvent::Created) - event(&before, FlowEvent::Created);
        assert_eq!(after.flows.len() as u64, created);
        for ((table, key), entry) in &after.flows {
            assert_eq!(*table, Table::HalfOpen, "{key:?}: {entry:?}");
            assert!(!entry.outbound.has(mark::ENDED), "{entry:?}");
        }
    }
}

/// Nobody takes the records: those that find no room are counted, and their numbers are missing.
#[test]
fn records_without_room_are_counted() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let u = udp_flow(Family::Ipv6);
    // The ring keeps 8 bytes beside each record.
    let room = RECORDS_BYTES / (size_of::<FlowRecord>() + 8);
    let more = 100;
    for _ in 0..room + more {
        assert_eq!(programs.run(Program::EgressTc, &u.out().frame()), Verdict::Pass);
        assert!(programs.forget(&u.key));
    }
    let State { records, ends, events, .. } = programs.state();
    let lost = events[FlowEvent::RecordLost as usize];
    assert_eq!(ends, (room + more) as u64);
    assert_eq!(events[FlowEvent::Deleted as usize], ends);
    assert_eq!(records.len() as u64 + lost, ends);
    assert!((more as u64..more as u64 + 2).contains(&lost), "{lost} were lost");
    // The next one has room again, and its number tells how many are missing before it.
    assert_eq!(programs.run(Program::EgressTc, &u.out().frame()), Verdict::Pass);
    assert!(programs.forget(&u.key));
    let records = programs.state().records;
    let (final_record, kept) = records.split_last().expect("there are some");
    assert!((0..).zip(kept).all(|(serial, record)| record.serial == serial));
    assert_eq!(final_record.serial, kept.len() as u64 + lost);
}

/// Somebody else has said that it ends the flow, but has not removed it yet: nothing may be stored
/// over it, so the packet has to be sent again.
#[test]
fn what_is_about_to_be_removed_is_not_replaced() {
    for family in FAMILIES {
        let l = tcp_flow(family);
        let outbound = FlowHalf {
            seen: Ticks(1),
            marks: mark::OPENED | mark::SYN | mark::ENDED,
            ..FlowHalf::default()
        };
        let entry = FlowEntry { outbound, created: Ticks(1), ..FlowEntry::default() };
        let config = Config::new(TICKS_PER_SEC);
        let syn = l.segment_out(flag::SYN).frame();

        let mut model = Model::new(&config, 4, 4);
        model.insert(Table::HalfOpen, &l.key, &entry);
        let outcome = model.run(Direction::Outbound, &syn.as_slice());
        assert_eq!(outcome.reason, Reason::FlowTableFailed);
        let State { flows, ends, events, .. } = model.state();
        assert_eq!((flows.len(), ends), (1, 0));
        assert_eq!(events[FlowEvent::Created as usize], 0);

        let mut programs = Programs::load(&config);
        programs.insert(Table::HalfOpen, &l.key, &entry);
        assert_eq!(programs.run(Program::EgressTc, &syn), Verdict::Drop);
        let State { flows, ends, events, .. } = programs.state();
        assert_eq!(flows.get(&(Table::HalfOpen, l.key)), Some(&entry));
        assert_eq!((ends, events[FlowEvent::Created as usize]), (0, 0));
        let answer = l.segment_back(SYN_ACK).acknowledge(1).frame();
        assert_eq!(programs.run(Program::IngressXdp, &answer), Verdict::Drop);
    }
}

/// Two CPUs that meet over flows.
struct Race {
    programs: Programs,
    before: State,
    repeated: u64,
}

impl Race {
    fn new() -> Self {
        let programs = Programs::load_sized(
            &Config::new(TICKS_PER_SEC),
            u32::from(BATCH) * 4,
            u32::from(BATCH) * 4,
        );
        let before = programs.state();
        Self { programs, before, repeated: 0 }
    }

    /// Flows in a table whose time has been over for this many seconds.
    fn expired(&mut self, table: Table, secs: u32) -> Vec<Flow> {
        self.programs.clear();
        let config = Config::new(TICKS_PER_SEC);
        let secs = TimeoutClass::UdpUnreplied.rfc_secs() + secs;
        let seen = self.programs.now() - config.ticks(secs);
        let outbound = FlowHalf { seen, marks: mark::OPENED, packets: 7, ..FlowHalf::default() };
        let entry = FlowEntry { outbound, created: seen, ..FlowEntry::default() };
        let flows = flows();
        for flow in &flows {
            self.programs.insert(table, &flow.key, &entry);
        }
        self.before = self.programs.state();
        flows
    }

    /// Both do their part over each flow at about the same time.
    fn meet(
        &self,
        flows: &[Flow],
        one: impl Fn(&Programs, &Flow) + Sync,
        other: impl Fn(&Programs, &Flow) + Sync,
    ) {
        let arrived = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let (arrived, programs) = (&arrived, &self.programs);
        let run = |own: usize, task: &(dyn Fn(&Programs, &Flow) + Sync)| {
            for (number, flow) in (1..).zip(flows) {
                arrived[own].store(number, Ordering::Release);
                // Whoever waits does not sleep, so that both go on at the same moment.
                while arrived[1 - own].load(Ordering::Acquire) < number {
                    thread::yield_now();
                }
                task(programs, flow);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| run(0, &one));
            scope.spawn(|| run(1, &other));
        });
    }

    /// Each flow has ended once, in one of these ways; all of that is counted and recorded.
    fn ended_once(&self, flows: &[Flow], ways: &[FlowEvent]) -> State {
        let after = self.programs.state();
        let change = after.since(&self.before);
        let mut keys: Vec<FlowKey> = change.records.iter().map(|record| record.key).collect();
        let mut expected: Vec<FlowKey> = flows.iter().map(|flow| flow.key).collect();
        for keys in [&mut keys, &mut expected] {
            keys.sort_by_key(|key| (key.inside_port, key.outside_port));
        }
        assert!(keys == expected, "{} records of {} flows", keys.len(), expected.len());
        let ended: u64 = ways.iter().map(|&way| change.events[way as usize]).sum();
        assert_eq!(ended, flows.len() as u64);
        assert_eq!(after.ends - self.before.ends, ended);
        assert_eq!(change.events[FlowEvent::RecordLost as usize], 0);
        let mut serials: Vec<u64> = change.records.iter().map(|record| record.serial).collect();
        serials.sort_unstable();
        assert!(serials.into_iter().eq(self.before.ends..after.ends), "a number is missing");
        for record in &change.records {
            let way = record.event().expect("it is one of ours");
            assert!(ways.contains(&way), "{record:?}");
        }
        after
    }

    fn repeat(&mut self, flow: &Flow) {
        let verdict = self.programs.run(Program::EgressTc, &flow.out().frame());
        assert_eq!(verdict, Verdict::Pass, "{:?}", flow.key);
        self.repeated += 1;
    }
}

fn flows() -> Vec<Flow> {
    let family = Family::Ipv6;
    (1..=BATCH).map(|port| Flow::udp(INSIDE.ip(family), port, OUTSIDE.ip(family), 5000)).collect()
}

fn event(state: &State, event: FlowEvent) -> u64 {
    state.events[event as usize]
}

fn count_failed(state: &State) -> u64 {
    failed_in(&state.verdicts)
}

fn failed_in(verdicts: &[(Direction, Reason, gateway_common::counter::Counter)]) -> u64 {
    let of = verdicts.iter().filter(|(_, reason, _)| *reason == Reason::FlowTableFailed);
    of.map(|(_, _, counter)| counter.packets).sum()
}
