//! The records of flows that ended.

use std::path::Path;

use aya::maps::{Array, MapData, RingBuf};
use gateway_common::{abi::name, record::FlowRecord};

use super::{
    DatapathError, GatewayName,
    bpffs::gateway_directory,
    maps::{self, reading},
    sys::value_in,
};

/// The records of a gateway's packet path, in the order in which flows ended. They wait in a ring
/// for the one process that takes them; when that is full, further ones are lost.
pub struct Records {
    ring: RingBuf<MapData>,
    written: Array<MapData, u64>,
}

impl Records {
    /// Takes the records of a gateway from now on. One process may.
    ///
    /// # Errors
    /// [`DatapathError::NotAttached`] or [`DatapathError::Damaged`].
    pub fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let directory = gateway_directory(bpffs, name)?;
        Ok(Self {
            ring: maps::open(name, &directory, name::RECORDS)?,
            written: maps::open(name, &directory, name::RECORDS_WRITTEN)?,
        })
    }

    /// The next record, if there is one. It is out of the ring when `keep` has returned, and stays
    /// there if that never happens.
    pub fn take<T>(&mut self, keep: impl FnOnce(&FlowRecord) -> T) -> Option<T> {
        loop {
            let item = self.ring.next()?;
            // Whatever is too short is not ours.
            if let Some(record) = value_in(&item) {
                return Some(keep(&record));
            }
        }
    }

    /// How many flows have ended so far, recorded or not: the serial number of the next record.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn written(&self) -> Result<u64, DatapathError> {
        self.written.get(&0, 0).map_err(reading(name::RECORDS_WRITTEN))
    }
}
