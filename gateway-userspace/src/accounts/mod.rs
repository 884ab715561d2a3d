//! Accounts of what flows carried: by inside host, by destination and by rule, with what it cost.
//!
//! ```text
//! flows that ended ─► posting ─┬─► journal      at once, so that none is lost or counted twice
//!                              └─► Books ─┐
//! flows that are live ─► posting ─► Books ┴─► accounts.json     after each pass over the tables
//! ```
//!
//! What live flows carried is known to the kernel, so only what ended flows carried has to be kept.

mod book;
mod document;
mod journal;
mod store;
mod tariff;

use std::{net::IpAddr, ops::AddAssign};

use gateway_common::flow::FlowEntry;
use serde::{Deserialize, Serialize};

pub use self::{
    book::{ACCOUNTS_MAX, Book},
    document::{AccountList, Accounted, Document},
    store::{Store, default_directory, read, root},
    tariff::{Destination, Tariff},
};

/// An amount of money in the 10⁻¹⁸ parts in which sums of prices by the byte are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Money(pub u128);

impl Money {
    /// The amount in units of the currency.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "people read far fewer than 52 bits")]
    pub fn units(self) -> f64 {
        // To billionths, as prices are.
        (self.0 / 1_000_000_000) as f64 / 1e9
    }
}

/// What flows carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Count {
    /// Those that are live.
    pub flows: u64,
    /// Bytes that inside sent, from the IP header on.
    pub bytes_out: u64,
    /// Packets that inside sent.
    pub packets_out: u64,
    /// Bytes that outside sent.
    pub bytes_in: u64,
    /// Packets that outside sent.
    pub packets_in: u64,
    /// What the bytes that inside sent cost.
    pub cost: Money,
}

impl Count {
    /// Of one flow, without a price.
    #[must_use]
    pub fn of(entry: &FlowEntry) -> Self {
        Self {
            flows: 0,
            bytes_out: entry.outbound.bytes,
            packets_out: entry.outbound.packets,
            bytes_in: entry.inbound.bytes,
            packets_in: entry.inbound.packets,
            cost: Money(0),
        }
    }

    /// Bytes of both directions.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_out.saturating_add(self.bytes_in)
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.flows += other.flows;
        self.bytes_out += other.bytes_out;
        self.packets_out += other.packets_out;
        self.bytes_in += other.bytes_in;
        self.packets_in += other.packets_in;
        self.cost.0 += other.cost.0;
    }
}

/// What one flow adds to the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The inside host.
    pub host: IpAddr,
    /// Where it sent to.
    pub destination: Destination,
    /// The rule that admitted the flow, if one did.
    pub rule: RuleLabel,
    /// What it carried.
    pub count: Count,
}

/// A rule by its name, or by its number behind a `#` if it has none; nothing if no rule decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleLabel(pub Option<std::sync::Arc<str>>);

/// The accounts of a gateway. Every byte is in the total, in one account of hosts, in one of
/// destinations and in one of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// All of it.
    pub total: Count,
    /// By inside host.
    pub hosts: Book<IpAddr>,
    /// By destination.
    pub destinations: Book<Destination>,
    /// By rule.
    pub rules: Book<RuleLabel>,
}

impl Books {
    /// Adds what a flow carried.
    pub fn post(&mut self, posting: Posting) {
        let Posting { host, destination, rule, count } = posting;
        self.total += count;
        self.hosts.add(host, count);
        self.destinations.add(destination, count);
        self.rules.add(rule, count);
    }

    /// Adds other accounts.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.hosts.merge(&other.hosts);
        self.destinations.merge(&other.destinations);
        self.rules.merge(&other.rules);
    }

    /// The same without live flows, when these are not there any more.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.total.flows = 0;
        self.hosts.settle();
        self.destinations.settle();
        self.rules.settle();
        self
    }
}

/// Names an account in files.
pub(crate) trait Label: Sized {
    /// In one word.
    fn write(&self) -> String;
    /// The other way.
    fn read(text: &str) -> Option<Self>;
}

impl Label for IpAddr {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Label for RuleLabel {
    fn write(&self) -> String {
        // No name has this letter.
        self.0.as_deref().unwrap_or("*").to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        Some(Self((text != "*").then(|| text.into())))
    }
}

impl Label for Destination {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        // No name has a slash.
        if text.contains('/') {
            return text.parse().ok().map(Self::Network);
        }
        Some(Self::Class(text.into()))
    }
}
