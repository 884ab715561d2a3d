//! What a packet must change, and what the state is after it did.

use gateway_common::{
    config::Config,
    counter::{Counter, FlowEvent},
    flow::{FlowEntry, FlowHalf, mark},
    fragment::{DatagramKey, PeerKey},
    limits::{DATAGRAM_SECS, PEER_RENEW_SECS, PEER_SECS},
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::{Reason, Verdict},
};

use super::{Step, hosts::Flow};
use crate::state::State;

/// What a packet changes besides its verdict's counter: nothing, unless said.
#[derive(Clone, Debug)]
#[must_use]
pub struct Expect {
    /// The reason, from which the verdict follows.
    pub reason: Reason,
    bytes: Bytes,
    effects: Vec<Effect>,
}

/// Which bytes count.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    /// Those of the IP packet.
    Packet,
    /// All of the frame.
    Frame,
    /// So many.
    Given(u64),
}

#[derive(Clone, Debug)]
enum Effect {
    Open { key: FlowKey, peers: PeerKey, marks: u32 },
    Update { key: FlowKey, peers: PeerKey, marks: u32, refreshes: bool, resets: bool },
    Promote { key: FlowKey },
    Count(FlowEvent),
    Admit(DatagramKey),
}

/// The packet is dropped.
///
/// # Panics
/// If this is no reason to drop one.
pub fn refused(reason: Reason) -> Expect {
    assert_eq!(reason.verdict(), Verdict::Drop, "{reason:?}");
    Expect::new(reason)
}

/// The packet passes.
///
/// # Panics
/// If this is no reason to let one pass.
pub fn passed(reason: Reason) -> Expect {
    assert_eq!(reason.verdict(), Verdict::Pass, "{reason:?}");
    Expect::new(reason)
}

/// An ICMP error passes, and leaves no trace.
pub fn related() -> Expect {
    passed(Reason::Related)
}

/// The packet opens a flow.
pub fn opens(flow: &Flow) -> Expect {
    let open = Effect::Open { key: flow.key, peers: flow.peers(), marks: mark::OPENED };
    let effects = vec![open, Effect::Count(FlowEvent::Created)];
    Expect { effects, ..passed(Reason::FlowCreated) }
}

/// The packet is counted in the flow and refreshes it. From outside it also leaves the mark of
/// having answered.
pub fn belongs_to(flow: &Flow) -> Expect {
    let update = Effect::Update {
        key: flow.key,
        peers: flow.peers(),
        marks: 0,
        refreshes: true,
        resets: false,
    };
    Expect { effects: vec![update], ..passed(Reason::Flow) }
}

impl Expect {
    const fn new(reason: Reason) -> Self {
        let bytes = if is_found_by_parser(reason) { Bytes::Frame } else { Bytes::Packet };
        Self { reason, bytes, effects: Vec::new() }
    }

    /// It leaves these marks too.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn marked(mut self, more: u32) -> Self {
        match &mut self.effects[..] {
            [Effect::Open { marks, .. } | Effect::Update { marks, .. }, ..] => *marks |= more,
            other => panic!("no flow to mark: {other:?}"),
        }
        self
    }

    /// It completes the exchange, so the flow moves to the established ones.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn promoted(self) -> Self {
        let key = self.key();
        self.marked(mark::CONFIRMED)
            .and([Effect::Promote { key }, Effect::Count(FlowEvent::Promoted)])
    }

    /// It completes the exchange, but there is no room among the established flows.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn not_promoted(self) -> Self {
        self.marked(mark::CONFIRMED).and([Effect::Count(FlowEvent::EstablishedFull)])
    }

    /// It is counted, but refreshes nothing and leaves no mark.
    ///
    /// # Panics
    /// If it belongs to no flow that was there before.
    pub fn without_refresh(mut self) -> Self {
        *self.refreshes() = false;
        self
    }

    /// It resets the connection, and refreshes nothing.
    ///
    /// # Panics
    /// If it belongs to no flow that was there before.
    pub fn resetting(mut self) -> Self {
        match &mut self.effects[..] {
            [Effect::Update { resets, .. }, ..] => *resets = true,
            other => panic!("no flow to reset: {other:?}"),
        }
        self.without_refresh()
    }

    /// Later fragments of the datagram may follow.
    pub fn admitting(self, datagram: DatagramKey) -> Self {
        self.and([Effect::Admit(datagram)])
    }

    /// All bytes of the frame count, not only those of the packet.
    pub fn counting_frame(self) -> Self {
        Self { bytes: Bytes::Frame, ..self }
    }

    /// So many bytes count: those of all segments on the wire.
    pub fn counting(self, bytes: u64) -> Self {
        Self { bytes: Bytes::Given(bytes), ..self }
    }

    /// Whether later steps build on what this one leaves behind.
    pub(super) fn changes_flows(&self) -> bool {
        !self.effects.is_empty()
    }

    fn and<const N: usize>(mut self, effects: [Effect; N]) -> Self {
        self.effects.extend(effects);
        self
    }

    fn key(&self) -> FlowKey {
        match &self.effects[..] {
            [Effect::Open { key, .. } | Effect::Update { key, .. }, ..] => *key,
            other => panic!("no flow: {other:?}"),
        }
    }

    fn refreshes(&mut self) -> &mut bool {
        match &mut self.effects[..] {
            [Effect::Update { refreshes, .. }, ..] => refreshes,
            other => panic!("no flow that could be refreshed: {other:?}"),
        }
    }
}

/// Whether the parser finds this: then the end of the IP packet may be unknown, and all bytes of
/// the frame count.
const fn is_found_by_parser(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Arp
            | Reason::LinkControl
            | Reason::EthertypeAllowed
            | Reason::EthertypeRefused
            | Reason::FrameTruncated
            | Reason::VlanDepth
            | Reason::Ipv4Malformed
            | Reason::Ipv4Checksum
            | Reason::Ipv4Option
            | Reason::SourceRoute
            | Reason::Ipv6Malformed
            | Reason::ExtensionHeader
            | Reason::ExtensionDepth
            | Reason::FragmentMalformed
            | Reason::FragmentTiny
            | Reason::TransportMalformed
            | Reason::NoConfiguration
            | Reason::Standby
    )
}

/// When a packet was judged: not before `earliest` and not after `latest`.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The earliest it can have been.
    pub earliest: Ticks,
    /// The latest it can have been.
    pub latest: Ticks,
}

impl Moment {
    /// `time`, or the earliest possible moment if `time` lies in this one: so that times of one
    /// packet can be compared without knowing it to the tick.
    pub(super) fn snap(self, time: Ticks, ahead: Ticks) -> Ticks {
        let within = self.earliest + ahead <= time && time <= self.latest + ahead;
        if within { self.earliest + ahead } else { time }
    }

    /// Whether a new one of these periods began meanwhile.
    pub(super) const fn straddles(self, period: Ticks) -> bool {
        self.earliest.0 / period.0 != self.latest.0 / period.0
    }
}

/// The state after `step`, given the one before.
pub(super) fn after(step: &Step, before: &State, moment: Moment, config: &Config) -> State {
    let mut state = before.clone();
    let packets = u64::from(step.frame.segments);
    let bytes = match step.expect.bytes {
        Bytes::Packet => step.packet.ip_len(),
        Bytes::Frame => step.frame.bytes.len() as u64,
        Bytes::Given(bytes) => bytes,
    };
    let counter = Counter { packets, bytes };
    add_verdict(&mut state, step.direction, step.expect.reason, counter);
    for effect in &step.expect.effects {
        effect.apply(&mut state, step.direction, counter, moment, config);
    }
    state
}

fn add_verdict(state: &mut State, direction: Direction, reason: Reason, more: Counter) {
    let slot = reason.slot(direction);
    let verdicts = &mut state.verdicts;
    match verdicts.binary_search_by_key(&slot, |(direction, reason, _)| reason.slot(*direction)) {
        Ok(index) => {
            verdicts[index].2.packets += more.packets;
            verdicts[index].2.bytes += more.bytes;
        }
        Err(index) => verdicts.insert(index, (direction, reason, more)),
    }
}

impl Effect {
    fn apply(
        &self,
        state: &mut State,
        direction: Direction,
        counter: Counter,
        moment: Moment,
        config: &Config,
    ) {
        let now = moment.earliest;
        match *self {
            Self::Open { key, peers, marks } => {
                let outbound = FlowHalf {
                    packets: counter.packets,
                    bytes: counter.bytes,
                    seen: now,
                    reset: Ticks(0),
                    marks,
                    zero: 0,
                };
                let (generation, created) = (config.generation, now);
                let entry = FlowEntry { outbound, created, generation, ..FlowEntry::default() };
                state.flows.remove(&(Table::Established, key));
                state.flows.insert((Table::HalfOpen, key), entry);
                state.peers.insert(peers, (now + config.ticks(PEER_SECS)).0);
            }
            Self::Update { key, peers, marks, refreshes, resets } => {
                let entry = find(state, &key);
                let half = match direction {
                    Direction::Inbound => &mut entry.inbound,
                    Direction::Outbound => &mut entry.outbound,
                };
                let last_seen = half.seen;
                half.packets += counter.packets;
                half.bytes += counter.bytes;
                half.seen = if refreshes { now } else { half.seen };
                half.reset = if resets { now } else { half.reset };
                half.marks |= marks;
                match direction {
                    Direction::Inbound if refreshes => half.marks |= mark::OPENED,
                    Direction::Inbound => {}
                    Direction::Outbound => renew(state, peers, last_seen, now, config),
                }
            }
            Self::Promote { key } => {
                let entry = state.flows.remove(&(Table::HalfOpen, key));
                let entry = entry.unwrap_or_else(|| panic!("{key:?} is not half open"));
                state.flows.insert((Table::Established, key), entry);
            }
            Self::Count(event) => state.events[event as usize] += 1,
            Self::Admit(datagram) => {
                state.datagrams.insert(datagram, (now + config.ticks(DATAGRAM_SECS)).0);
            }
        }
    }
}

/// A pair of hosts is noted again by the first packet from inside in each period.
fn renew(state: &mut State, peers: PeerKey, last_seen: Ticks, now: Ticks, config: &Config) {
    let period = config.ticks(PEER_RENEW_SECS).0;
    if now.0 / period != last_seen.0 / period {
        state.peers.insert(peers, (now + config.ticks(PEER_SECS)).0);
    }
}

fn find<'a>(state: &'a mut State, key: &FlowKey) -> &'a mut FlowEntry {
    let keys = [(Table::Established, *key), (Table::HalfOpen, *key)];
    let key = keys.into_iter().find(|key| state.flows.contains_key(key));
    let key = key.unwrap_or_else(|| panic!("{key:?} is not open: the row begins wrongly"));
    state.flows.get_mut(&key).expect("it was just seen")
}
