//! The records of flows that ended, as the programs leave them in their ring.

use std::sync::{Mutex, PoisonError};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use gateway_common::{abi::name, record::FlowRecord};

use crate::sys::value_in;

/// The ring, and what has been taken from it.
pub(super) struct Records(Mutex<Taken>);

struct Taken {
    ring: RingBuf<MapData>,
    records: Vec<FlowRecord>,
}

impl Records {
    pub(super) fn take(ebpf: &mut Ebpf) -> Self {
        let map = ebpf.take_map(name::RECORDS).expect("the object has this map");
        let ring = RingBuf::try_from(map).expect("a ring");
        Self(Mutex::new(Taken { ring, records: Vec::new() }))
    }

    /// Every record since they were last forgotten.
    pub(super) fn all(&self) -> Vec<FlowRecord> {
        self.drained(|records| records.clone())
    }

    /// Forgets every record so far.
    pub(super) fn forget(&self) {
        self.drained(Vec::clear);
    }

    fn drained<T>(&self, then: impl FnOnce(&mut Vec<FlowRecord>) -> T) -> T {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Taken { ring, records } = &mut *taken;
        while let Some(item) = ring.next() {
            records.push(value_in(&item));
        }
        then(records)
    }
}
