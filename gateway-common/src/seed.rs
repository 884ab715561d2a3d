//! Flows that were there before the gateway, so that attaching to a live machine cuts nothing
//! (RFC6092-REC-32, E136).
//!
//! What user space knows of a connection is who takes part and how far it is. It enters as if it
//! had been picked up in mid-stream, answered and confirmed: sequence numbers and tags are not
//! known, so they are not checked.

use crate::{
    config::Config,
    counter::FlowEvent,
    ending,
    flow::{FlowEntry, FlowHalf, FlowUpdate, mark},
    gateway::find_live,
    host::HostKey,
    tables::{Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

/// How far a connection is that was there before the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// It was opened, and is not complete yet: nobody has answered, or the answer is not
    /// acknowledged.
    Opening = 0,
    /// Both sides take part.
    Open = 1,
    /// Inside has closed its half.
    InsideClosed = 2,
    /// Outside has closed its half.
    OutsideClosed = 3,
    /// Both have closed, but the last acknowledgement is still to come.
    BothClosed = 4,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 5] =
        [Self::Opening, Self::Open, Self::InsideClosed, Self::OutsideClosed, Self::BothClosed];

    /// What inside's half is marked with.
    const fn outbound_marks(self) -> u32 {
        const SEEN: u32 = mark::OPENED | mark::PICKED_UP;
        match self {
            Self::Opening => SEEN,
            Self::Open | Self::OutsideClosed => SEEN | mark::CONFIRMED,
            Self::InsideClosed | Self::BothClosed => SEEN | mark::CONFIRMED | mark::FIN,
        }
    }

    /// What outside's half is marked with.
    const fn inbound_marks(self) -> u32 {
        // The last one is what an association in mid-stream gets by its next packet.
        const ANSWERED: u32 = mark::OPENED | mark::ACKED | mark::CONFIRMED;
        match self {
            Self::Opening => 0,
            Self::Open | Self::InsideClosed => ANSWERED,
            Self::OutsideClosed | Self::BothClosed => ANSWERED | mark::FIN,
        }
    }
}

/// A flow to enter: what user space passes to the program that does so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Seed {
    /// The flow.
    pub key: FlowKey,
    /// What inside's half is marked with: [`mark`]s.
    pub outbound_marks: u32,
    /// What outside's half is marked with.
    pub inbound_marks: u32,
    /// The generation of the policy that the flow is entered under.
    pub generation: u32,
    /// Non-zero: if there is no room among the established flows, it may go to the half-open ones.
    pub may_overflow: u32,
}

impl Seed {
    /// A flow at this stage, with the marks by which the policy knows it
    /// ([`mark::ADMITTED`], [`mark::FORWARDED`]).
    #[must_use]
    pub const fn new(key: FlowKey, stage: Stage, policy_marks: u32, generation: u32) -> Self {
        Self {
            key,
            outbound_marks: stage.outbound_marks() | policy_marks,
            inbound_marks: stage.inbound_marks(),
            generation,
            may_overflow: 1,
        }
    }

    /// Whether both sides take part, so that the flow belongs among the established ones.
    #[must_use]
    #[inline(always)]
    pub const fn is_confirmed(&self) -> bool {
        self.outbound_marks & mark::CONFIRMED != 0
    }
}

/// What became of a [`Seed`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Entered {
    /// It is among the established flows now.
    Established = 1,
    /// It is among the half-open flows now.
    HalfOpen = 2,
    /// The gateway knew the flow already.
    Known = 3,
    /// There was no room, or its host has its share.
    NoRoom = 4,
}

impl Entered {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Established, Self::HalfOpen, Self::Known, Self::NoRoom];

    /// The outcome of this number.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&outcome| outcome as u32 == number)
    }
}

impl FlowEntry {
    /// A flow that was there before the gateway, as of `now`: when its last packet came is not
    /// known, so its idle time begins.
    #[must_use]
    #[inline(always)]
    pub fn seeded(seed: &Seed, now: Ticks) -> Self {
        let half = |marks: u32| FlowHalf {
            seen: if marks == 0 { Ticks(0) } else { now },
            marks,
            ..FlowHalf::default()
        };
        Self {
            outbound: half(seed.outbound_marks),
            inbound: half(seed.inbound_marks),
            created: now,
            generation: seed.generation,
            first: 0,
        }
    }
}

/// Enters a flow that was there before the gateway. What packets taught the gateway about it
/// meanwhile stays and is only added to; a host's share of the established flows holds here too.
#[inline(always)]
pub fn enter<T: Tables>(seed: &Seed, config: &Config, tables: &T) -> Entered {
    let Seed { key, .. } = seed;
    let host = HostKey::of(key);
    let has_share = tables.held(&host) < u64::from(config.established_per_host);
    match find_live(key, config, tables) {
        Ok(found) if found.table == Table::Established || !seed.is_confirmed() => {
            return Entered::Known;
        }
        // Inside went on sending while the gateway was being attached.
        Ok(found) => {
            for (direction, marks) in [
                (Direction::Outbound, seed.outbound_marks),
                (Direction::Inbound, seed.inbound_marks),
            ] {
                let update =
                    FlowUpdate { direction, marks, seen: found.now, ..FlowUpdate::default() };
                _ = found.commit(key, &update, tables);
            }
            return if has_share && establish(key, &host, tables) {
                Entered::Established
            } else {
                Entered::HalfOpen
            };
        }
        Err(Reason::FlowExpired) => _ = ending::end(key, FlowEvent::Expired, tables),
        Err(_) => {}
    }
    if seed.is_confirmed() && !has_share && seed.may_overflow == 0 {
        return Entered::NoRoom;
    }
    match tables.open(key, &FlowEntry::seeded(seed, tables.now()), Replace::No) {
        Opening::Done => {}
        Opening::Exists => return Entered::Known,
        Opening::Failed => return Entered::NoRoom,
    }
    let is_established = seed.is_confirmed() && has_share && establish(key, &host, tables);
    if seed.is_confirmed() && !is_established && seed.may_overflow == 0 {
        tables.remove(Table::HalfOpen, key);
        return Entered::NoRoom;
    }
    tables.count(FlowEvent::Created);
    if is_established { Entered::Established } else { Entered::HalfOpen }
}

/// Moves a flow to the established ones; false if there is no room. Nothing was taken from its
/// host's allowance, so nothing is given back.
#[inline(always)]
fn establish<T: Tables>(key: &FlowKey, host: &HostKey, tables: &T) -> bool {
    let Some(slot) = tables.find(Table::HalfOpen, key) else { return false };
    let mut entry = FlowEntry::default();
    match tables.promote(key, &slot, &mut entry) {
        Promotion::Done => {
            tables.hold(host);
            true
        }
        Promotion::Exists => true,
        Promotion::Full => false,
    }
}

#[cfg(test)]
mod tests;
