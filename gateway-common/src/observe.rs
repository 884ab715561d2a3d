//! What operators may watch while it happens: single packets with the reason for their verdict, and
//! what happens to flows. Each observer says what it wants, and has a ring of its own; what it does
//! not take in time is lost to it, and counted. When nobody watches, a packet pays for one look.

use crate::{
    bytes::PacketBytes,
    config::Prefix,
    counter::FlowEvent,
    gateway::{Outcome, Workspace},
    host::{Paid, Span},
    limits::{OBSERVED_REASON_WORDS, SNAP_BYTES_MAX},
    policy::Decision,
    timeouts::Ticks,
    tuple::{Address, Direction, FlowKey},
    verdict::{Reason, Verdict},
};

#[cfg(test)]
mod tests;

/// What observers may want: bits of [`Watch::wants`].
pub mod want {
    /// Packets that are dropped.
    pub const DROPS: u32 = 1;
    /// Packets that pass.
    pub const PASSES: u32 = 1 << 1;
    /// What happens to flows.
    pub const FLOWS: u32 = 1 << 2;
    /// Packets that a rule with `log` decided, whatever their verdict.
    pub const LOGGED: u32 = 1 << 3;
}

/// Any protocol or any port.
pub const ANY: u32 = u32::MAX;

/// What one observer wants to see. All zeroes want nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Watch {
    /// What one report takes from the allowance; zero for reports without limit.
    pub cost: Span,
    /// How much of the allowance may be taken at once.
    pub credit: Span,
    /// The reasons of packets that are wanted, by their discriminants.
    pub reasons: [u64; OBSERVED_REASON_WORDS],
    /// Bits of [`want`].
    pub wants: u32,
    /// Bits by [`Direction`], for packets.
    pub directions: u32,
    /// The protocol number, or [`ANY`].
    pub protocol: u32,
    /// The port inside, or [`ANY`].
    pub inside_port: u32,
    /// The port outside, or [`ANY`].
    pub outside_port: u32,
    /// Zero.
    pub zero: u32,
    /// The addresses inside; all of them with a length of zero.
    pub inside: Prefix,
    /// The addresses outside; all of them with a length of zero.
    pub outside: Prefix,
}

/// What became of the reports to one observer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WatchCount {
    /// How far the reports are paid for.
    pub paid: u64,
    /// Reports that were made.
    pub reported: u64,
    /// Reports that the limit did not allow.
    pub limited: u64,
    /// Reports for which the ring had no room.
    pub lost: u64,
}

/// A packet as an observer gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PacketRecord {
    /// When it was judged.
    pub at: Ticks,
    /// Bytes that were counted for it.
    pub counted_bytes: u64,
    /// Who on the two sides, as far as that is known: of what the parser refused it is all zeroes,
    /// of what has no ports they are zero.
    pub key: FlowKey,
    /// The reason's discriminant.
    pub reason: u32,
    /// The direction's discriminant.
    pub direction: u32,
    /// The uplink.
    pub ifindex: u32,
    /// The rule that decided, or [`NO_RULE`](crate::policy::NO_RULE); counts where
    /// [`Reason::is_of_rule`].
    pub rule: u32,
    /// The subnet whose route decided, or [`NO_SUBNET`](crate::policy::NO_SUBNET); counts where
    /// [`Reason::is_of_policy`].
    pub subnet: u32,
    /// Packets that were counted for it.
    pub counted_packets: u32,
    /// Bytes of the frame.
    pub frame_bytes: u32,
    /// The VLAN tag that is not among the frame's bytes, with bit 16 set; zero if there is none.
    pub offloaded_vlan: u32,
    /// How many bytes of `snap` count.
    pub snap_bytes: u32,
    /// The beginning of the frame.
    pub snap: [u8; SNAP_BYTES_MAX],
}

impl Watch {
    /// A watch for everything of this kind, which are bits of [`want`], without limit.
    #[must_use]
    pub const fn everything(wants: u32) -> Self {
        Self {
            cost: Span(0),
            credit: Span(0),
            reasons: [u64::MAX; OBSERVED_REASON_WORDS],
            wants,
            directions: u32::MAX,
            protocol: ANY,
            inside_port: ANY,
            outside_port: ANY,
            zero: 0,
            inside: Prefix::new(Address::UNSPECIFIED, 0),
            outside: Prefix::new(Address::UNSPECIFIED, 0),
        }
    }

    /// The same with at most `per_sec` reports a second in the long run, and as many at once; zero
    /// is no limit.
    #[must_use]
    pub const fn limited(self, per_sec: u32, ticks_per_sec: u32) -> Self {
        if per_sec == 0 {
            return Self { cost: Span(0), credit: Span(0), ..self };
        }
        let sec = (ticks_per_sec as u64) << 16;
        let cost = sec.div_ceil(per_sec as u64);
        Self { cost: Span(cost), credit: Span(cost * per_sec as u64), ..self }
    }

    /// The same for packets that meet one of these reasons.
    #[must_use]
    pub fn about(self, reasons: &[Reason]) -> Self {
        let mut words = [0; OBSERVED_REASON_WORDS];
        for &reason in reasons {
            words[reason as usize / 64] |= 1 << (reason as usize % 64);
        }
        Self { reasons: words, ..self }
    }

    /// Whether a packet is wanted.
    #[must_use]
    #[inline(always)]
    pub fn wants_packet(&self, record: &PacketRecord, sight: &Sight) -> bool {
        let Sight { reason, wanted, is_parsed } = *sight;
        let word = self.reasons[reason as usize / 64 % OBSERVED_REASON_WORDS];
        self.wants & wanted != 0
            && word & (1 << (reason % 64)) != 0
            && self.directions & (1 << (record.direction % 32)) != 0
            && if is_parsed == 0 { self.is_about_all() } else { self.is_about(&record.key) }
    }

    /// Whether what happens to a flow is wanted.
    #[must_use]
    #[inline(always)]
    pub fn wants_flow(&self, key: &FlowKey) -> bool {
        self.wants & want::FLOWS != 0 && self.is_about(key)
    }

    #[inline(always)]
    fn is_about(&self, key: &FlowKey) -> bool {
        (self.protocol == ANY || self.protocol == u32::from(key.protocol))
            && (self.inside_port == ANY || self.inside_port == u32::from(key.inside_port))
            && (self.outside_port == ANY || self.outside_port == u32::from(key.outside_port))
            && self.inside.contains(&key.inside)
            && self.outside.contains(&key.outside)
    }

    #[inline(always)]
    fn is_about_all(&self) -> bool {
        self.protocol == ANY
            && self.inside_port == ANY
            && self.outside_port == ANY
            && self.inside.is_all()
            && self.outside.is_all()
    }

    /// Takes one report from the allowance; `None` when it does not suffice.
    #[must_use]
    #[inline(always)]
    pub fn pay(&self, paid: Paid, now: Ticks) -> Option<Paid> {
        paid.advance(self.cost, self.credit, now)
    }
}

/// An outcome as plain numbers.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The reason's discriminant.
    pub reason: u32,
    /// The bit of [`want`] for the verdict, and that for logged packets where there may be any.
    pub wanted: u32,
    /// Not zero if the workspace has the packet.
    pub is_parsed: u32,
}

impl Sight {
    /// An outcome's numbers.
    #[must_use]
    #[inline(always)]
    pub const fn of(outcome: &Outcome) -> Self {
        let Outcome { reason, is_parsed, .. } = *outcome;
        let logged = if reason.is_of_rule() { want::LOGGED } else { 0 };
        Self {
            reason: reason as u32,
            wanted: wanted(reason.verdict()) | logged,
            is_parsed: is_parsed as u32,
        }
    }

    /// The same, if this is what the policy said to a packet that it was asked about.
    #[must_use]
    #[inline(always)]
    pub const fn after(self, decision: &Decision) -> Self {
        let logged = if decision.log { want::LOGGED } else { 0 };
        Self { wanted: self.wanted & (!want::LOGGED | logged), ..self }
    }
}

/// The bit of [`want`] for packets with this verdict.
#[inline(always)]
const fn wanted(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Pass => want::PASSES,
        Verdict::Drop => want::DROPS,
    }
}

impl PacketRecord {
    /// Notes a frame that was judged at `at`, and the packet in it that is in the workspace; the
    /// caller adds what only the hook knows.
    #[expect(clippy::cast_possible_truncation, reason = "frames are shorter than 4 GiB")]
    #[inline(always)]
    pub fn fill<B: PacketBytes>(
        &mut self,
        at: Ticks,
        direction: Direction,
        sight: &Sight,
        bytes: &B,
        workspace: &Workspace,
    ) {
        let Workspace { packet, decision, .. } = workspace;
        let frame_bytes = bytes.len();
        self.at = at;
        self.reason = sight.reason;
        self.direction = direction as u32;
        if sight.is_parsed == 0 {
            self.key = FlowKey::default();
            (self.counted_packets, self.counted_bytes) = (bytes.segments(), frame_bytes as u64);
        } else {
            self.key = packet.parties(direction);
            (self.counted_packets, self.counted_bytes) = (packet.packets, packet.wire_bytes);
        }
        self.rule = decision.rule;
        self.subnet = decision.subnet.into();
        self.frame_bytes = frame_bytes as u32;
        self.snap_bytes = bytes.copy(0, frame_bytes, &mut self.snap) as u32;
    }

    /// Why the packet got its verdict; `None` of what no packet path of ours wrote.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Reason::ALL.get(self.reason as usize).copied()
    }

    /// Which way the packet travelled; `None` as for [`Self::reason`].
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        Direction::ALL.get(self.direction as usize).copied()
    }
}

impl crate::record::FlowRecord {
    /// What happened; `None` of what no packet path of ours wrote.
    #[must_use]
    pub fn event(&self) -> Option<FlowEvent> {
        FlowEvent::ALL.get(self.event as usize).copied()
    }
}
