//! Sequences through both gateways, many side by side.
//!
//! There is no waiting for packets that may not come. Behind the frames of each step a sentinel
//! goes the same way: a datagram of a flow that both gateways let pass. Links and hooks keep the
//! order, so whatever has not arrived before the sentinel was dropped.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use gateway_common::tuple::{Direction, Family};
use nix::{sys::time::TimeSpec, time::ClockId};
use tests::{
    capture::Link,
    packet::{Packet, flag},
    topology::{INSIDE, OUTSIDE},
    wait,
};

use crate::{
    arena::{Arena, CtState, Gateway, mac},
    frame::{self, Marker, Ports},
    step::{Sequence, Step, opposite},
};

/// Sequences that may run at the same time, so that no queue on the way overflows: a veth with
/// an XDP program takes 256 frames.
pub(crate) const BATCH_MAX: usize = 128;

/// Steps that a sequence may have, so that the number of a sequence in its batch and that of a
/// step fit a marker.
pub(crate) use tests::exchange::STEPS_MAX;

/// How many sequences one pair of gateways may run. Their connections stay behind, and where
/// tables become full behaviour is not what is compared here.
pub(crate) const RUNS_MAX: u32 = 20_000;

/// How often something is tried that only a machine under load fails to do.
const ATTEMPTS: u32 = 10;

/// How soon a sentinel is sent once more. It takes microseconds, unless the machine has no time.
const SENTINEL_WITHIN: Duration = Duration::from_secs(2);

/// The sentinels' ports; no sequence uses them.
const SENTINEL: Ports = Ports { inside: 1000, outside: 1001 };

/// Where the ports of sequences begin.
const PORTS_FROM: u16 = 2000;

/// How many pairs of ports follow from there.
const PAIRS: u32 = 31_000;

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    /// Whether it passed `eigw`.
    pub(crate) eigw: bool,
    /// What the reference thought of it, if it let the packet pass.
    pub(crate) reference: Option<CtState>,
}

impl Observation {
    /// Whether both did the same.
    pub(crate) const fn agrees(self) -> bool {
        self.eigw == self.reference.is_some()
    }
}

/// Runs sequences.
pub(crate) struct Runner {
    /// The gateways.
    pub(crate) arena: Arena,
    /// How many sequences it has run so far.
    pub(crate) runs: u32,
    sentinels: u64,
}

/// The packets of one step on their way through one gateway.
type Sent = BTreeMap<Marker, Vec<u8>>;

impl Runner {
    /// A runner on these gateways.
    pub(crate) const fn new(arena: Arena) -> Self {
        Self { arena, runs: 0, sentinels: 0 }
    }

    /// What became of every packet of `sequences`, which run side by side.
    ///
    /// Where the gateways differ, this is not believed before it was seen twice in a row: a busy
    /// machine drops packets on veths now and then.
    ///
    /// # Panics
    /// If there are more than [`BATCH_MAX`] or one has more than [`STEPS_MAX`] steps, or if the
    /// gateways behave differently each time.
    pub(crate) fn run(&mut self, sequences: &[Sequence]) -> Vec<Vec<Observation>> {
        let mut observed = self.run_once(sequences);
        let mut doubted: Vec<usize> = (0..sequences.len())
            .filter(|&index| !observed[index].iter().all(|it| it.agrees()))
            .collect();
        for _ in 0..ATTEMPTS {
            if doubted.is_empty() {
                return observed;
            }
            let again: Vec<_> = doubted.iter().map(|&index| sequences[index].clone()).collect();
            let seen = self.run_once(&again);
            doubted = doubted
                .into_iter()
                .zip(seen)
                .filter_map(|(index, seen)| {
                    let before = std::mem::replace(&mut observed[index], seen);
                    (before != observed[index]).then_some(index)
                })
                .collect();
        }
        panic!(
            "the same packets fared differently each time: {:?}",
            doubted.iter().map(|&index| sequences[index].origin).collect::<Vec<_>>()
        );
    }

    fn run_once(&mut self, sequences: &[Sequence]) -> Vec<Vec<Observation>> {
        assert!(sequences.len() <= BATCH_MAX, "{} sequences at once", sequences.len());
        let mut course = self.start(sequences);
        while self.step(&mut course) {}
        course.observed
    }

    /// Gives each sequence ports of its own.
    pub(crate) fn start<'s>(&mut self, sequences: &'s [Sequence]) -> Course<'s> {
        let ports = sequences.iter().map(|_| self.next_ports()).collect();
        let len = sequences.len();
        Course {
            sequences,
            ports,
            observed: vec![Vec::new(); len],
            resets: vec![None; len],
            next: 0,
        }
    }

    /// Sends the next step of every sequence; whether there was any.
    pub(crate) fn step(&mut self, course: &mut Course<'_>) -> bool {
        let [inbound, outbound] = course.frames();
        if inbound.is_empty() && outbound.is_empty() {
            return false;
        }
        self.sentinels += 1;
        course.await_tick();
        let [eigw, reference] = [&self.arena.eigw, &self.arena.reference]
            .map(|gateway| pass(gateway, [&inbound, &outbound], self.sentinels));
        course.record(&eigw, &reference);
        true
    }

    fn next_ports(&mut self) -> Ports {
        let (row, column) = (self.runs / PAIRS % PAIRS, self.runs % PAIRS);
        self.runs += 1;
        let port = |pair: u32| {
            PORTS_FROM + 2 * u16::try_from(pair).expect("there are fewer pairs than ports")
        };
        Ports { inside: port(column), outside: port(row) }
    }
}

/// Sequences that are being run.
pub(crate) struct Course<'s> {
    sequences: &'s [Sequence],
    ports: Vec<Ports>,
    /// What became of the steps so far, by sequence.
    pub(crate) observed: Vec<Vec<Observation>>,
    /// When each sequence last sent a reset.
    resets: Vec<Option<TimeSpec>>,
    next: usize,
}

impl Course<'_> {
    /// The inside port, or the echo identifier, of one of the sequences.
    pub(crate) fn inside_port(&self, sequence: usize) -> u16 {
        self.ports[sequence].inside
    }

    /// The frames of the next step, by direction.
    fn frames(&self) -> [Sent; 2] {
        Direction::ALL.map(|direction| {
            let each = self.sequences.iter().zip(&self.ports).enumerate();
            each.filter_map(|(index, (sequence, &ports))| {
                let step = sequence.steps.get(self.next)?;
                let marker = marker(index, self.next);
                (step.direction == direction)
                    .then(|| (marker, frame::frame(step, sequence.family, ports, marker)))
            })
            .collect()
        })
    }

    /// Waits for the clock's next tick if inside goes on after a reset: `eigw` tells times by
    /// ticks, and of both in the same one it cannot tell which came first.
    fn await_tick(&self) {
        let steps = self.sequences.iter().map(|sequence| sequence.steps.get(self.next));
        let goes_on =
            |step: Option<&Step>| step.is_some_and(|it| it.direction == Direction::Outbound);
        let resets = steps.zip(&self.resets).filter(|(step, _)| goes_on(*step));
        let latest = resets.filter_map(|(_, reset)| *reset).max();
        wait::until_true("the next tick of the clock", || latest.is_none_or(|it| it < clock()));
    }

    fn record(
        &mut self,
        eigw: &BTreeMap<Marker, Option<CtState>>,
        reference: &BTreeMap<Marker, Option<CtState>>,
    ) {
        for (index, observed) in self.observed.iter_mut().enumerate() {
            if let Some(step) = self.sequences[index].steps.get(self.next) {
                if step.segment().is_some_and(|segment| segment.has(flag::RST)) {
                    self.resets[index] = Some(clock());
                }
                let marker = marker(index, self.next);
                let state = reference.get(&marker).map(|state| {
                    state.expect("the reference's rules write a state into what they let pass")
                });
                observed.push(Observation { eigw: eigw.contains_key(&marker), reference: state });
            }
        }
        self.next += 1;
    }
}

/// The kernel's clock, which moves on with each of its ticks.
fn clock() -> TimeSpec {
    ClockId::CLOCK_MONOTONIC_COARSE.now().expect("every kernel has this clock")
}

fn marker(sequence: usize, step: usize) -> Marker {
    assert!(step < STEPS_MAX, "a sequence has more than {STEPS_MAX} steps");
    // Never zero, as unmarked packets have it.
    Marker::try_from((sequence + 1) * STEPS_MAX + step).expect("batches are small")
}

/// Sends frames of both directions through one gateway; which of them passed, and with what
/// connection tracking wrote into them.
fn pass(gateway: &Gateway, sent: [&Sent; 2], number: u64) -> BTreeMap<Marker, Option<CtState>> {
    let mut passed = BTreeMap::new();
    // The one from inside goes first: it keeps the flow of the one from outside alive.
    for direction in [Direction::Outbound, Direction::Inbound] {
        let frames = sent[direction as usize];
        let link = from(gateway, direction);
        for frame in frames.values() {
            link.send(frame);
        }
        link.send(&sentinel(direction, number));
    }
    for direction in [Direction::Outbound, Direction::Inbound] {
        let frames = sent[direction as usize];
        let arrived = RefCell::new(&mut passed);
        let payload = number.to_be_bytes();
        let is_sentinel = |frame: &[u8]| {
            let Some(sighting) = frame::sight(frame) else { return false };
            if let Some(sent) = frames.get(&sighting.marker)
                && frame::is_same(frame, sent)
            {
                let state = CtState::from_service(sighting.service);
                arrived.borrow_mut().insert(sighting.marker, state);
            }
            sighting.marker == 0 && frame.ends_with(&payload)
        };
        let heard = (0..ATTEMPTS).any(|_| {
            let heard = from(gateway, opposite(direction)).wait(SENTINEL_WITHIN, is_sentinel);
            if heard.is_none() {
                from(gateway, direction).send(&sentinel(direction, number));
            }
            heard.is_some()
        });
        assert!(heard, "{} lets no sentinel pass {}", gateway.netns.name(), direction.name());
    }
    passed
}

/// The link on which packets of a direction start.
const fn from(gateway: &Gateway, direction: Direction) -> &Link {
    match direction {
        Direction::Inbound => &gateway.outside,
        Direction::Outbound => &gateway.inside,
    }
}

fn sentinel(direction: Direction, number: u64) -> Vec<u8> {
    let family = Family::Ipv4;
    let (inside, outside) = (INSIDE.ip(family), OUTSIDE.ip(family));
    let packet = match direction {
        Direction::Inbound => Packet::ip(outside, inside)
            .udp(SENTINEL.outside, SENTINEL.inside)
            .macs(mac::ROUTER, mac::UPLINK),
        Direction::Outbound => Packet::ip(inside, outside)
            .udp(SENTINEL.inside, SENTINEL.outside)
            .macs(mac::HOST, mac::INSIDE),
    };
    packet.payload(&number.to_be_bytes()).frame()
}
