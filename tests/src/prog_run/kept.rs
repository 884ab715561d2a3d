//! What the programs keep, in parts: reading little of it is quick, and writing it lets time pass.

use aya::maps::{HashMap as BpfHashMap, MapError, PerCpuArray};
use gateway_common::{
    abi::name,
    counter::Counter,
    flow::FlowEntry,
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use super::Programs;
use crate::state::State;

impl Programs {
    /// What was counted for a reason.
    ///
    /// # Panics
    /// If the map cannot be read.
    #[must_use]
    pub fn counter(&self, direction: Direction, reason: Reason) -> Counter {
        let map = self.ebpf.map(name::VERDICTS).expect("the object has this map");
        let counters: PerCpuArray<_, Counter> =
            PerCpuArray::try_from(map).expect("a per-CPU array of Counter");
        let per_cpu = counters.get(&reason.slot(direction), 0).expect("every slot exists");
        per_cpu.iter().fold(Counter::default(), |sum, counter| Counter {
            packets: sum.packets + counter.packets,
            bytes: sum.bytes + counter.bytes,
        })
    }

    /// A flow.
    ///
    /// # Panics
    /// If the map cannot be read.
    #[must_use]
    pub fn flow(&self, table: Table, key: &FlowKey) -> Option<FlowEntry> {
        let name = match table {
            Table::HalfOpen => name::HALF_OPEN,
            Table::Established => name::ESTABLISHED,
        };
        let map = self.ebpf.map(name).unwrap_or_else(|| panic!("no map {name}"));
        let map: BpfHashMap<_, FlowKey, FlowEntry> =
            BpfHashMap::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"));
        match map.get(key, 0) {
            Ok(entry) => Some(entry),
            Err(MapError::KeyNotFound) => None,
            Err(error) => panic!("read map {name}: {error}"),
        }
    }

    /// How many flows have ended so far, recorded or not.
    ///
    /// # Panics
    /// If the map cannot be read.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.array(name::RECORDS_WRITTEN).get(&0, 0).expect("there is one")
    }

    /// Stores anew everything in `state` that has a time.
    ///
    /// # Panics
    /// If a map cannot be written.
    pub fn restore(&mut self, state: &State) {
        for ((table, key), entry) in &state.flows {
            self.insert(*table, key, entry);
        }
        for (key, deadline) in &state.datagrams {
            self.insert_datagram(key, Ticks(*deadline));
        }
        for (key, deadline) in &state.peers {
            self.insert_peer(key, Ticks(*deadline));
        }
        for (key, deadline) in &state.endpoints {
            self.insert_endpoint(key, Ticks(*deadline));
        }
        for (host, paid) in &state.openers {
            self.insert_paid(host, *paid);
        }
        for (place, flow) in &state.overflow {
            self.insert_overflow(*place, flow);
        }
    }
}
