//! The accounts as they are written down.

use serde::{Deserialize, Serialize};

use super::{Book, Books, Count, Label};

/// The version of the format. A file of another one is not read.
pub(super) const VERSION: u32 = 1;

/// The file of a gateway's accounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Document {
    pub(super) version: u32,
    /// The gateway that the flows are of, which tells it from earlier and later ones of its name.
    pub(super) instance: String,
    /// Counts what was written, so that a journal of something else is known for such.
    pub(super) epoch: u64,
    /// Since when accounts are kept, as RFC 3339 has it.
    pub since: String,
    /// When the pass was complete that these accounts are of.
    pub updated: String,
    /// What prices were in then.
    pub currency: String,
    /// Whether anything had a price.
    pub is_priced: bool,
    /// The accounts of all flows, live and ended.
    pub all: Accounted,
    /// Those of flows that ended, from which the next process goes on.
    pub(super) ended: Accounted,
}

/// The accounts of some flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Accounted {
    /// All of them.
    pub total: Count,
    /// By inside host.
    pub hosts: AccountList,
    /// By destination.
    pub destinations: AccountList,
    /// By rule; `*` where no rule decided.
    pub rules: AccountList,
}

/// Accounts by one criterion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AccountList {
    /// Those with a name, the greatest first.
    pub accounts: Vec<(String, Count)>,
    /// All others together.
    pub other: Count,
}

impl AccountList {
    fn of<K: Label + Eq + std::hash::Hash + Clone>(book: &Book<K>) -> Self {
        let mut book = book.clone();
        book.shrink();
        let mut accounts: Vec<_> =
            book.entries().map(|(key, count)| (key.write(), *count)).collect();
        accounts.sort_unstable_by(|(left_name, left), (right_name, right)| {
            right.bytes().cmp(&left.bytes()).then_with(|| left_name.cmp(right_name))
        });
        Self { accounts, other: book.other() }
    }

    fn book<K: Label + Eq + std::hash::Hash>(&self) -> Book<K> {
        let mut other = self.other;
        let mut named = Vec::new();
        for (name, count) in &self.accounts {
            match K::read(name) {
                Some(key) => named.push((key, *count)),
                None => other += *count,
            }
        }
        Book::restore(named, other)
    }
}

impl From<&Books> for Accounted {
    fn from(books: &Books) -> Self {
        Self {
            total: books.total,
            hosts: AccountList::of(&books.hosts),
            destinations: AccountList::of(&books.destinations),
            rules: AccountList::of(&books.rules),
        }
    }
}

impl From<&Accounted> for Books {
    fn from(accounted: &Accounted) -> Self {
        Self {
            total: accounted.total,
            hosts: accounted.hosts.book(),
            destinations: accounted.destinations.book(),
            rules: accounted.rules.book(),
        }
    }
}
