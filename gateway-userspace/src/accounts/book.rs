//! A bounded number of accounts that never lose anything.

use std::{collections::HashMap, hash::Hash};

use super::Count;

/// The most accounts of a book that have a name.
pub const ACCOUNTS_MAX: usize = 1024;

/// Accounts by `K`: those that carried most under their names, the rest together. What once went to
/// the rest stays there, so an account that comes back begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book<K: Eq + Hash> {
    entries: HashMap<K, Count>,
    other: Count,
    max: usize,
}

impl<K: Eq + Hash> Default for Book<K> {
    fn default() -> Self {
        Self::new(ACCOUNTS_MAX)
    }
}

impl<K: Eq + Hash> Book<K> {
    /// An empty book that keeps about so many accounts apart.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), other: Count::default(), max }
    }

    /// A book as it was written down.
    pub(super) fn restore(entries: impl IntoIterator<Item = (K, Count)>, other: Count) -> Self {
        let mut book = Self { other, ..Self::default() };
        for (key, count) in entries {
            book.add(key, count);
        }
        book
    }

    /// Adds to an account.
    pub fn add(&mut self, key: K, count: Count) {
        *self.entries.entry(key).or_default() += count;
        // Not at once, so that the work is shared by as many additions as there are accounts.
        if self.entries.len() > 2 * self.max {
            self.shrink();
        }
    }

    /// Adds the accounts of another book.
    pub fn merge(&mut self, other: &Self)
    where
        K: Clone,
    {
        self.other += other.other;
        for (key, count) in &other.entries {
            self.add(key.clone(), *count);
        }
    }

    /// Leaves the greatest accounts by name.
    pub fn shrink(&mut self) {
        if self.entries.len() <= self.max {
            return;
        }
        let mut sizes: Vec<u64> = self.entries.values().map(Count::bytes).collect();
        let rank = sizes.len() - self.max;
        let (_, &mut least, _) = sizes.select_nth_unstable(rank);
        // Of those that carried as much as the least of them only some have room.
        let mut room = self.max - sizes.iter().filter(|&&size| size > least).count();
        let other = &mut self.other;
        self.entries.retain(|_, count| {
            let stays = count.bytes() > least || (count.bytes() == least && room > 0);
            if !stays {
                *other += *count;
            } else if count.bytes() == least {
                room -= 1;
            }
            stays
        });
    }

    /// Forgets how many flows are live.
    pub(super) fn settle(&mut self) {
        self.other.flows = 0;
        self.entries.values_mut().for_each(|count| count.flows = 0);
    }

    /// The accounts that have a name, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &Count)> {
        self.entries.iter()
    }

    /// All others together.
    #[must_use]
    pub const fn other(&self) -> Count {
        self.other
    }

    /// The sum of all accounts.
    #[must_use]
    pub fn sum(&self) -> Count {
        self.entries.values().fold(self.other, |mut sum, count| {
            sum += *count;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Money, *};

    proptest! {
        #[test]
        fn nothing_is_lost_and_memory_is_bounded(
            postings in prop::collection::vec((0_u16..400, 0_u64..1 << 40, 0_u64..1 << 40), 0..900),
            max in 1_usize..40,
            cut in 0_usize..900,
        ) {
            let (mut first, mut second) = (Book::new(max), Book::new(max));
            let mut total = Count::default();
            for (index, &(key, out, inbound)) in postings.iter().enumerate() {
                let count = Count {
                    flows: 1,
                    bytes_out: out,
                    packets_out: out / 100,
                    bytes_in: inbound,
                    packets_in: inbound / 100,
                    cost: Money(u128::from(out) * 90_000_000),
                };
                total += count;
                if index < cut { first.add(key, count) } else { second.add(key, count) }
                prop_assert!(first.entries.len() <= 2 * max && second.entries.len() <= 2 * max);
            }
            first.merge(&second);
            prop_assert_eq!(first.sum(), total);
            first.shrink();
            prop_assert!(first.entries.len() <= max);
            prop_assert_eq!(first.sum(), total);
        }
    }

    #[test]
    fn the_greatest_keep_their_names() {
        let mut book = Book::new(3);
        for key in 0..7 {
            book.add(key, carried(if key < 2 { 1_000 } else { 10 }));
        }
        book.shrink();
        assert_eq!(book.entries.len(), 3);
        assert_eq!((book.entries[&0], book.entries[&1]), (carried(1_000), carried(1_000)));
        assert_eq!(book.other().bytes_out, 40);
    }

    fn carried(bytes_out: u64) -> Count {
        Count { bytes_out, ..Count::default() }
    }
}
