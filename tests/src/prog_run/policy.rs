//! Policies in the programs' maps.

use std::{collections::HashMap, fmt::Debug, thread};

use aya::{
    Ebpf,
    maps::{Array, ArrayOfMaps, Map, MapData},
};
use gateway_common::{
    abi::{POLICY_TABLES, name},
    config::Config,
    counter::Hits,
    limits::POLICY_SLOTS,
};
use gateway_userspace::{
    datapath::{BuiltTables, share},
    policy::CompiledPolicy,
};

use super::{Programs, chain};

/// Maps of maps, one inner map for each of two policies.
type Outer = ArrayOfMaps<MapData, MapData>;

/// Where the programs find policies.
pub(super) struct PolicyMaps {
    outer: HashMap<&'static str, Outer>,
    /// The same maps once more, for whoever opens them by themselves.
    data: HashMap<&'static str, MapData>,
}

impl PolicyMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Self {
        let maps = POLICY_TABLES
            .map(|name| (name, ebpf.take_map(name).unwrap_or_else(|| panic!("no map {name}"))));
        let data = maps.each_ref().map(|(name, map)| {
            let Map::ArrayOfMaps(data) = map else { panic!("{name} is {map:?}") };
            (*name, done(name, share(name, data)))
        });
        let outer = maps.map(|(name, map)| (name, done(name, Outer::try_from(map))));
        Self { outer: outer.into(), data: data.into() }
    }

    /// The map of maps of that name, if it is one of a policy's.
    pub(super) fn data(&self, name: &str) -> Option<&MapData> {
        self.data.get(name)
    }
}

impl Programs {
    /// Puts a configuration in force together with the policy that it is about, which goes into
    /// the slot that it names. The policy's hits begin at nothing.
    ///
    /// # Panics
    /// If the maps do not take it.
    pub fn govern(&mut self, config: &Config, policy: &CompiledPolicy) {
        let tables = BuiltTables::new(policy).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let inner: HashMap<_, _> = tables.maps().collect();
        // Each replacement waits until no packet reads the old map any more; so all at once.
        thread::scope(|scope| {
            for (name, outer) in &mut self.policies.outer {
                if let Some(map) = inner.get(name) {
                    scope.spawn(move || done(name, outer.set(config.policy_slot, map, 0)));
                }
            }
        });
        self.configure(config);
    }

    /// What the policy in force counted, by place. What is counted where there is no policy to ask
    /// is nobody's.
    pub(super) fn hits(&self) -> HashMap<u32, Hits> {
        let config: Config = self.array(name::CONFIG).get(&0, 0).expect("slot 0 exists");
        let mut sums: HashMap<u32, Hits> = HashMap::new();
        if config.policy_slot as usize >= POLICY_SLOTS || config.policy.is_egress_only() {
            return sums;
        }
        let outer = &self.policies.outer[name::POLICY_HITS];
        let inner = done(name::POLICY_HITS, outer.get(&config.policy_slot, 0));
        let array: Array<MapData, Hits> =
            done(name::POLICY_HITS, Array::try_from(Map::Array(inner)));
        for index in 0..array.len() {
            let Hits { count, last } = done(name::POLICY_HITS, array.get(&index, 0));
            if count.packets != 0 {
                let sum = sums.entry(index % config.policy.places()).or_default();
                sum.count.packets += count.packets;
                sum.count.bytes += count.bytes;
                sum.last = sum.last.max(last);
            }
        }
        sums
    }
}

fn done<T, E: Debug>(name: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("map {name}: {error:?}"))
}
