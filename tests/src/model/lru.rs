//! What the kernel's LRU maps do, as far as the packet logic can tell.

use std::{collections::HashMap, hash::Hash};

/// A table that forgets its least recently used entry when it is full.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    /// Each value with the use that touched it last.
    pub(super) entries: HashMap<K, (u64, V)>,
    uses: u64,
    pub(super) max: usize,
    /// How many entries were forgotten to make room.
    pub(super) recycled: u64,
}

impl<K: Copy + Eq + Hash, V: Clone> Lru<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), uses: 0, max, recycled: 0 }
    }

    pub(super) fn values<T>(&self, of: impl Fn(&V) -> T) -> HashMap<K, T> {
        self.entries.iter().map(|(key, (_, value))| (*key, of(value))).collect()
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (last_use, value) = self.entries.get_mut(key)?;
        *last_use = self.uses;
        Some(value.clone())
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        if self.entries.len() == self.max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (last_use, _))| *last_use);
            let oldest = *oldest.expect("a table has room for something").0;
            self.entries.remove(&oldest);
            self.recycled += 1;
        }
        self.entries.insert(key, (self.uses, value));
    }
}
