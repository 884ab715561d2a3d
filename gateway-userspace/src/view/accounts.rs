//! Accounts of what flows carried and what it cost.

use serde::Serialize;

use crate::{
    accounts::{AccountList, Count, Document},
    datapath::GatewayName,
};

/// All accounts of a gateway as of the last complete pass over its flow tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountsView {
    /// The gateway.
    pub name: String,
    /// The sum.
    #[serde(flatten)]
    pub cost: CostView,
    /// By inside host.
    pub hosts: AccountListView,
    /// By destination: a class of `[[cost.prefix]]`, or a network.
    pub destinations: AccountListView,
    /// By rule: its name, or its number behind a `#`; `*` where no rule decided.
    pub rules: AccountListView,
}

/// What all flows carried and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostView {
    /// Since when accounts are kept, as RFC 3339 has it.
    pub since: String,
    /// Of which moment they are.
    pub updated: String,
    /// What prices are in; empty if nobody said.
    pub currency: String,
    /// The sum.
    pub total: CountView,
}

/// Accounts by one criterion, whose sum is the total.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountListView {
    /// Those with a name.
    pub accounts: Vec<AccountView>,
    /// All others together.
    pub other: CountView,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountView {
    /// What it is of.
    pub name: String,
    /// What it has.
    #[serde(flatten)]
    pub count: CountView,
}

/// What flows carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CountView {
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
    /// What the bytes out cost; `null` if nothing has a price.
    pub cost: Option<f64>,
}

/// The answer of `stats cost`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostListView {
    /// The gateway.
    pub name: String,
    /// `host`, `destination` or `rule`.
    pub by: &'static str,
    /// The sum.
    #[serde(flatten)]
    pub cost: CostView,
    /// The accounts.
    #[serde(flatten)]
    pub list: AccountListView,
}

impl CostView {
    /// The sum of what was written down.
    #[must_use]
    pub fn new(document: &Document) -> Self {
        Self {
            since: document.since.clone(),
            updated: document.updated.clone(),
            currency: document.currency.clone(),
            total: CountView::new(&document.all.total, document.is_priced),
        }
    }
}

impl AccountsView {
    /// What was written down, with at most `most` accounts in each list.
    #[must_use]
    pub fn new(name: &GatewayName, document: &Document, most: usize) -> Self {
        let list = |list| AccountListView::new(list, document.is_priced, most);
        Self {
            name: name.to_string(),
            cost: CostView::new(document),
            hosts: list(&document.all.hosts),
            destinations: list(&document.all.destinations),
            rules: list(&document.all.rules),
        }
    }
}

impl AccountListView {
    fn new(list: &AccountList, is_priced: bool, most: usize) -> Self {
        let split = most.min(list.accounts.len());
        let (named, rest) = list.accounts.split_at(split);
        let mut other = list.other;
        for (_, count) in rest {
            other += *count;
        }
        let accounts = named.iter().map(|(name, count)| AccountView {
            name: name.clone(),
            count: CountView::new(count, is_priced),
        });
        Self { accounts: accounts.collect(), other: CountView::new(&other, is_priced) }
    }
}

impl CountView {
    fn new(count: &Count, is_priced: bool) -> Self {
        let &Count { flows, bytes_out, packets_out, bytes_in, packets_in, cost } = count;
        let cost = is_priced.then(|| cost.units());
        Self { flows, bytes_out, packets_out, bytes_in, packets_in, cost }
    }
}
