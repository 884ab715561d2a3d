//! Fairness among inside hosts: no host can fill the flow tables at the cost of the others
//! (RFC6888-REQ-4, RFC6888-REQ-5).
//!
//! **Unconfirmed flows.** Each host has an allowance that opening a flow takes from, that a
//! confirmed flow gives back to, and that time restores. The bookkeeping is one moment per host:
//! how far its openings are paid for ([`Paid`]). It is never counted down when flows disappear,
//! which the LRU table does silently, so it cannot drift: whatever was missed, the allowance is
//! whole again after one opening timeout. Flows beyond the allowance are opened all the same, but
//! all of them together share a fixed number of places ([`Overflow`]); a new one takes the oldest
//! one's. So they push out each other, never the flows of hosts within their allowance.
//!
//! **Confirmed flows.** Nothing evicts an established flow, so here the gateway counts: up when a
//! flow moves to `established`, down when one is removed. A flow beyond its host's share stays in
//! `half_open` and works as before.

use crate::{
    config::Config,
    counter::FlowEvent,
    ending,
    flow::{FlowEntry, mark},
    tables::{FlowSlot, Table, Tables},
    timeouts::Ticks,
    tuple::{Address, FlowKey, VlanPath},
};

/// An inside host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct HostKey {
    /// Its address.
    pub address: Address,
    /// The VLAN it is seen in.
    pub vlan: VlanPath,
}

impl HostKey {
    /// The inside host of a flow.
    #[must_use]
    #[inline(always)]
    pub const fn of(flow: &FlowKey) -> Self {
        Self { address: flow.inside, vlan: flow.vlan }
    }
}

/// A span or a moment in ticks with 16 binary places: thousands of openings may be worth less
/// than a tick each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Span(pub u64);

impl From<Ticks> for Span {
    #[inline(always)]
    fn from(ticks: Ticks) -> Self {
        Self(ticks.0 << 16)
    }
}

/// The moment until which a host's openings are paid for: in the past, its allowance is whole;
/// further ahead than [`Config::opening_credit`] it never gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Paid(pub u64);

impl Paid {
    /// After one more opening; `None` when the allowance does not suffice.
    #[must_use]
    #[inline(always)]
    pub fn charge(self, now: Ticks, config: &Config) -> Option<Self> {
        self.advance(config.opening_cost, config.opening_credit, now)
    }

    /// After something that costs `cost`, where never more than `credit` may be owed; `None` when
    /// that does not suffice.
    #[must_use]
    #[inline(always)]
    pub fn advance(self, cost: Span, credit: Span, now: Ticks) -> Option<Self> {
        let now = Span::from(now).0;
        let latest = now + credit.0;
        // What lies further ahead than can be is left from another configuration.
        let paid_until = if self.0 > latest { now } else { self.0.max(now) };
        let paid = paid_until + cost.0;
        (paid <= latest).then_some(Self(paid))
    }

    /// After one of the openings turned out to be a flow that both sides want.
    #[must_use]
    #[inline(always)]
    pub const fn refund(self, config: &Config) -> Self {
        Self(self.0.saturating_sub(config.opening_cost.0))
    }
}

/// A place for a flow of a host beyond its allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Overflow {
    /// When the flow was opened, which tells it from a later one with the same key; zero for a
    /// place that was never taken.
    pub created: Ticks,
    /// The flow.
    pub key: FlowKey,
    /// Zero.
    pub zero: u32,
}

/// Charges a host for opening a flow; whether its allowance sufficed.
#[inline(always)]
pub fn charge<T: Tables>(host: &HostKey, now: Ticks, config: &Config, tables: &T) -> bool {
    tables.update_paid(host, |paid| paid.charge(now, config))
}

/// Gives back what opening a flow took.
#[inline(always)]
pub fn refund<T: Tables>(host: &HostKey, config: &Config, tables: &T) {
    tables.update_paid(host, |paid| Some(paid.refund(config)));
}

/// Finds a place for a flow that was opened at `created` beyond its host's allowance. The flow
/// that had the place goes, unless it has been confirmed meanwhile.
#[inline(never)]
pub fn overflow<T: Tables>(flow: &FlowKey, created: Ticks, config: &Config, tables: &T) {
    tables.count(FlowEvent::HostOverflow);
    let taken = Overflow { created, key: *flow, zero: 0 };
    let Some(previous) = tables.take_place(config.overflow_slots, &taken) else { return };
    let Some(slot) = tables.find(Table::HalfOpen, &previous.key) else { return };
    // A flow that was opened anew on the same ports has its own old place.
    let FlowEntry { outbound, created, .. } = slot.read();
    let is_confirmed = outbound.has(mark::CONFIRMED);
    let is_the_same = created == previous.created && previous.key != *flow && !is_confirmed;
    if is_the_same {
        ending::end_in(Table::HalfOpen, &previous.key, &slot, FlowEvent::HostRecycled, tables);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ticks = Ticks(1_000_000);

    fn config(half_open: u32) -> Config {
        Config::new(250).with_host_limits(half_open, u32::MAX)
    }

    /// Opens flows until the allowance is used up.
    fn exhaust(mut paid: Paid, now: Ticks, config: &Config) -> (Paid, u32) {
        let mut opened = 0;
        while let Some(next) = paid.charge(now, config) {
            paid = next;
            opened += 1;
        }
        (paid, opened)
    }

    /// RFC6888-REQ-4, RFC6888-REQ-5.
    #[test]
    fn an_allowance_is_as_many_openings_as_configured() {
        for half_open in [1, 2, 100, 65_536] {
            let (_, opened) = exhaust(Paid::default(), NOW, &config(half_open));
            // The cost is rounded down, to one part in 60,000 at this many.
            assert!((half_open..=half_open + 1).contains(&opened), "{opened} of {half_open}");
        }
    }

    #[test]
    fn time_restores_what_was_never_given_back() {
        let config = config(100);
        let (paid, _) = exhaust(Paid::default(), NOW, &config);
        let half_way = NOW + config.ticks(120);
        assert_eq!(exhaust(paid, half_way, &config).1, 50);
        let much_later = NOW + config.ticks(100_000);
        assert_eq!(exhaust(paid, much_later, &config).1, 100);
    }

    #[test]
    fn a_confirmed_flow_gives_back_what_it_took() {
        let config = config(100);
        let (paid, _) = exhaust(Paid::default(), NOW, &config);
        assert_eq!(exhaust(paid.refund(&config), NOW, &config).1, 1);
        // Refunds beyond the allowance are worth nothing.
        let much = (0..1_000).fold(paid, |paid, _| paid.refund(&config));
        assert_eq!(exhaust(much, NOW, &config).1, 100);
        assert_eq!(Paid(0).refund(&config), Paid(0));
    }

    #[test]
    fn an_impossible_moment_counts_as_a_whole_allowance() {
        assert_eq!(exhaust(Paid(u64::MAX), NOW, &config(100)).1, 100);
    }

    #[test]
    fn without_limits_every_opening_is_within() {
        let config = Config::new(250);
        assert!(Paid::default().charge(NOW, &config).is_some());
    }
}
