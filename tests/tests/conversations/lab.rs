//! Two hosts with the network and the gateway between them.

use gateway_common::{
    config::Config,
    flow::{FlowEntry, FlowHalf, FlowState, mark},
    timeouts::Ticks,
    tuple::{Direction, Family, FlowKey},
    verdict::{Reason, Verdict},
};
use proptest::prelude::*;
use tests::{
    model::Model,
    packet::{flag, tcp::on_the_wire},
    rows::{check::TICKS_PER_SEC, prelude::tcp_flow},
};

use crate::endpoints::{Act, Endpoint, Manner, Segment, bare};

/// Rounds after which both hosts must have said everything, if nothing is lost any more.
const ROUNDS_MAX: usize = 1_000;
/// The largest window without scaling, and a little more: how far acknowledgements may lag behind.
const LAG: u64 = 66_000;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A host does something.
    Act(Direction, Act),
    /// The network does something with one of the segments on their way to the gateway, or on
    /// their way from it.
    Carry { direction: Direction, is_past: bool, which: usize, fate: Fate },
    /// A second passes.
    Wait,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Carried,
    Repeated,
    Lost,
}

/// What a stranger sends: flags, and how far its numbers are from the ones that would be right.
#[derive(Clone, Debug)]
pub(super) struct Forgery {
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) len: u64,
    pub(super) window: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forged {
    /// The numbers might be those of the conversation.
    Fits,
    Fails,
}

/// Two hosts, the network and the gateway between them.
#[derive(Debug)]
pub(super) struct Lab {
    family: Family,
    model: Model,
    inside: Endpoint,
    outside: Endpoint,
    /// What each has sent that is still on its way to the gateway, and what is past it.
    on_their_way: [[Vec<Segment>; 2]; 2],
    /// The numbers that the gateway could see, of both directions.
    seen: [Seen; 2],
    /// What passed the gateway and what it made of it, for people.
    log: Vec<String>,
}

/// What the segments of one side that passed the gateway said.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The highest number sent.
    end: u64,
    /// The highest number acknowledged.
    acknowledged: u64,
    /// The highest number granted, as far as any receiver can believe.
    edge: u64,
    /// The largest window.
    window: u64,
}

impl Lab {
    pub(super) fn new(family: Family, inside: Manner, outside: Manner) -> Self {
        Self {
            family,
            model: Model::new(&Config::new(TICKS_PER_SEC), 4, 4),
            inside: Endpoint::new(inside, true),
            outside: Endpoint::new(outside, false),
            on_their_way: Default::default(),
            seen: Default::default(),
            log: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Act(direction, act) => {
                let host = match direction {
                    Direction::Outbound => &mut self.inside,
                    Direction::Inbound => &mut self.outside,
                };
                let sent = host.act(act);
                self.on_their_way[direction as usize][0].extend(sent);
            }
            Step::Carry { direction, is_past, which, fate } => {
                let queue = &mut self.on_their_way[direction as usize][usize::from(is_past)];
                if queue.is_empty() {
                    return Ok(());
                }
                // Nothing overtakes on the way from a host to its own gateway.
                let is_near = (direction == Direction::Outbound) != is_past;
                let which = if is_near { 0 } else { which % queue.len() };
                let segment = match fate {
                    Fate::Carried => queue.remove(which),
                    Fate::Repeated => queue[which].clone(),
                    Fate::Lost => {
                        queue.remove(which);
                        return Ok(());
                    }
                };
                if is_past {
                    self.arrive(direction, &segment);
                } else {
                    self.pass(direction, segment)?;
                }
            }
            Step::Wait => self.model.advance(Ticks(TICKS_PER_SEC.into())),
        }
        Ok(())
    }

    /// A segment comes to the gateway.
    fn pass(&mut self, direction: Direction, segment: Segment) -> Result<(), TestCaseError> {
        let frame = segment.frame(self.family, direction);
        let is_first = self.seen[Direction::Outbound as usize].end == 0;
        let reason = self.model.run(direction, &frame).reason;
        self.log.push(format!("{direction:?} {segment:?} {reason:?} → {:?}", self.entry()));
        let expected = if is_first { Reason::FlowCreated } else { Reason::Flow };
        prop_assert_eq!(reason, expected, "{:#?}", self.log);
        let marks = self.entry().outbound.marks | self.entry().inbound.marks;
        prop_assert_eq!(marks & (mark::UNCHECKED | mark::PICKED_UP), 0, "{:#?}", self.log);
        let window = u64::from(segment.window) << self.scale(direction, segment.flags);
        let seen = &mut self.seen[direction as usize];
        seen.end = seen.end.max(segment.end());
        seen.acknowledged = seen.acknowledged.max(segment.acknowledgement);
        let selective = segment.acknowledged() - segment.acknowledgement;
        seen.window = seen.window.max(window + selective);
        seen.edge = seen.edge.max(segment.acknowledged() + window);
        self.on_their_way[direction as usize][1].push(segment);
        Ok(())
    }

    /// How windows of a side are scaled.
    fn scale(&self, direction: Direction, flags: u16) -> u8 {
        let (inside, outside) = (self.inside.scale(), self.outside.scale());
        let own = match direction {
            Direction::Outbound => inside,
            Direction::Inbound => outside,
        };
        let both = inside.is_some() && outside.is_some() && flags & flag::SYN == 0;
        own.filter(|_| both).unwrap_or(0)
    }

    /// A segment comes to the other host, which may answer at once.
    fn arrive(&mut self, direction: Direction, segment: &Segment) {
        let host = match direction {
            Direction::Outbound => &mut self.outside,
            Direction::Inbound => &mut self.inside,
        };
        if host.take(segment) {
            let answer = host.act(Act::Acknowledge);
            self.on_their_way[direction.opposite() as usize][0].extend(answer);
        }
    }

    fn key(&self) -> FlowKey {
        tcp_flow(self.family).key
    }

    fn entry(&self) -> FlowEntry {
        let flows = self.model.state().flows;
        *flows.values().next().expect("there is a flow")
    }

    /// Whether both hosts have heard of each other, as far as the gateway can know.
    pub(super) fn is_established(&self) -> bool {
        let flows = self.model.state().flows;
        flows.values().any(|entry| entry.outbound.has(mark::CONFIRMED))
    }

    /// Without further losses, both hosts say and hear all, and the gateway knows.
    pub(super) fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..ROUNDS_MAX {
            self.deliver_all()?;
            if self.inside.is_done() && self.outside.is_done() {
                break;
            }
            for direction in [Direction::Outbound, Direction::Inbound] {
                for act in [Act::Read, Act::Acknowledge, Act::Resend, Act::Probe, Act::Send(30_000)]
                {
                    self.step(Step::Act(direction, act))?;
                }
            }
        }
        let (inside, outside) = (&self.inside, &self.outside);
        prop_assert!(inside.is_done() && outside.is_done(), "{:#?}, {:#?}", inside, outside);
        for direction in Direction::ALL {
            self.step(Step::Act(direction, Act::Acknowledge))?;
        }
        self.deliver_all()?;
        let entry = self.entry();
        prop_assert_eq!(entry.state(&self.key()), FlowState::TimeWait, "{:#?}", self.log);
        prop_assert_eq!(entry.outbound.sent.end(), on_the_wire(self.inside.end()));
        prop_assert_eq!(entry.inbound.sent.end(), on_the_wire(self.outside.end()));
        prop_assert_eq!(entry.outbound.granted.ack(), on_the_wire(self.outside.end()));
        prop_assert_eq!(entry.inbound.granted.ack(), on_the_wire(self.inside.end()));
        Ok(())
    }

    fn deliver_all(&mut self) -> Result<(), TestCaseError> {
        while let Some((direction, is_past)) = self.waiting() {
            self.step(Step::Carry { direction, is_past, which: 0, fate: Fate::Carried })?;
        }
        Ok(())
    }

    fn waiting(&self) -> Option<(Direction, bool)> {
        let queues = Direction::ALL
            .into_iter()
            .flat_map(|direction| [(direction, true), (direction, false)]);
        queues.into_iter().find(|(direction, past)| {
            !self.on_their_way[*direction as usize][usize::from(*past)].is_empty()
        })
    }

    /// A stranger sends a segment in outside's name.
    pub(super) fn forge(&mut self, forgery: &Forgery) -> Result<Forged, TestCaseError> {
        let [from_outside, from_inside] = self.seen;
        let Forgery { flags, len, window, .. } = *forgery;
        // Numbers as they are to be understood: those nearest to the right ones.
        let near = |right: u64, off: u32| right.strict_add_signed(off.cast_signed().into());
        let sequence = near(from_outside.end, forgery.sequence);
        let acknowledgement = near(from_inside.end, forgery.acknowledgement);
        let frame = bare(self.family, Direction::Inbound, flags)
            .sequence(on_the_wire(sequence))
            .acknowledge(on_the_wire(acknowledgement))
            .window(window)
            .payload(&vec![0; usize::try_from(len).expect("short")])
            .frame();
        let before = self.entry();
        let outcome = self.model.run(Direction::Inbound, &frame.as_slice());
        let after = self.entry();
        let unchanged = FlowEntry {
            inbound: FlowHalf {
                packets: after.inbound.packets,
                bytes: after.inbound.bytes,
                ..before.inbound
            },
            ..before
        };
        let end = sequence + len + u64::from(flags & flag::FIN != 0);
        let fits = if flags & flag::RST != 0 {
            [from_inside.acknowledged, from_outside.end].contains(&sequence)
        } else {
            flags & flag::SYN == 0
                && sequence <= from_inside.edge + from_inside.window
                && end + from_inside.window >= from_outside.end
                && acknowledgement <= from_inside.end
                && acknowledgement + from_outside.window.max(LAG) >= from_inside.end
        };
        prop_assert!(fits || after == unchanged, "{:?}: {:#?} → {:#?}", forgery, before, after);
        if outcome.reason.verdict() == Verdict::Drop {
            prop_assert_eq!(before, after);
        }
        Ok(if after == unchanged { Forged::Fails } else { Forged::Fits })
    }
}
