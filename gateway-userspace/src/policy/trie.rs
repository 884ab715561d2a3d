//! Prefixes within prefixes: each with all that its address range takes over from shorter ones.

use std::collections::BTreeMap;

use gateway_common::tuple::Address;
use ipnet::IpNet;

use crate::settings::prefix;

/// A prefix in the space of mapped addresses. Keys sort so that a prefix comes before all that
/// it covers, and these before what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    first: u128,
    len: u32,
}

impl Key {
    /// Where the families begin: IPv6, and IPv4 in the space of mapped addresses.
    pub(super) const ROOTS: [Self; 2] =
        [Self { first: 0, len: 0 }, Self { first: 0xffff_0000_0000, len: 96 }];

    pub(super) fn of(prefix: &IpNet) -> Self {
        let mapped = prefix::to_packet_path(prefix);
        Self { first: mapped.address().to_bits(), len: mapped.len() }
    }

    /// Where the family of a prefix begins.
    pub(super) fn family(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V6(_) => Self::ROOTS[0],
            IpNet::V4(_) => Self::ROOTS[1],
        }
    }

    fn covers(&self, other: &Self) -> bool {
        let differing = self.first ^ other.first;
        self.len <= other.len && differing.leading_zeros() >= self.len
    }

    pub(super) fn last(&self) -> u128 {
        self.first | u128::MAX.checked_shr(self.len).unwrap_or(0)
    }

    pub(super) fn first(&self) -> u128 {
        self.first
    }

    pub(super) fn address(&self) -> Address {
        Address::from_bits(self.first)
    }

    /// How many bits must match, counted in the mapped form of addresses.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The prefix of this length around this one.
    pub(super) fn shortened(&self, len: u32) -> Self {
        let behind = u128::MAX.checked_shr(len).unwrap_or(0);
        Self { first: self.first & !behind, len }
    }
}

/// A prefix, or where a family begins.
#[derive(Clone, Copy, Debug)]
struct Entry<V> {
    key: Key,
    /// What holds for the addresses of no longer prefix.
    value: V,
}

/// A longest-prefix match over both families. IPv4 is apart from the IPv6 prefixes that contain its
/// mapped form: it has an entry of its own from which it begins.
#[derive(Debug)]
pub(super) struct Trie<V> {
    /// In the order of their addresses, the shorter before the longer.
    entries: Vec<Entry<V>>,
    /// For each entry the next shorter one around it.
    parents: Vec<Option<u32>>,
}

impl<V: Copy + PartialEq> Trie<V> {
    /// Builds the trie from what is said of each prefix; `inherit` adds to it the value of the
    /// prefix around it, `None` where a family begins. Entries that say what the one around them
    /// says are left out.
    pub(super) fn build<T: Default>(
        mut items: BTreeMap<Key, T>,
        mut inherit: impl FnMut(Option<V>, &T) -> V,
    ) -> Self {
        for root in Key::ROOTS {
            items.entry(root).or_default();
        }
        let mut trie = Self { entries: Vec::new(), parents: Vec::new() };
        let mut around: Vec<(Key, u32)> = Vec::new();
        for (key, item) in &items {
            while around.last().is_some_and(|(outer, _)| !outer.covers(key)) {
                around.pop();
            }
            let parent = around.last().map(|(_, entry)| *entry);
            let outer = parent
                .filter(|_| !Key::ROOTS.contains(key))
                .map(|entry| trie.entries[entry as usize].value);
            let value = inherit(outer, item);
            if outer == Some(value) {
                continue;
            }
            around.push((*key, u32::try_from(trie.entries.len()).expect("entries fit a map")));
            trie.entries.push(Entry { key: *key, value });
            trie.parents.push(parent);
        }
        trie
    }

    /// The prefixes with their values; where the families begin is not among them.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (Key, V)> {
        let prefixes = self.entries.iter().filter(|entry| !Key::ROOTS.contains(&entry.key));
        prefixes.map(|entry| (entry.key, entry.value))
    }

    /// The value of all addresses of a prefix that belong to no longer one.
    pub(super) fn at(&self, key: Key) -> V {
        let mut index = self.entries.partition_point(|entry| entry.key <= key) - 1;
        while !self.entries[index].key.covers(&key) {
            index = self.parents[index].expect("the root covers everything") as usize;
        }
        self.entries[index].value
    }
}
