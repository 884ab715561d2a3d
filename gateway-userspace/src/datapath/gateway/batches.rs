//! Reading the flow tables a part at a time.

use std::os::fd::AsFd;

use aya::maps::{IterableMap as _, MapError};
use gateway_common::{abi::name, flow::FlowEntry, tables::Table, tuple::FlowKey};

use super::Gateway;
use crate::datapath::{DatapathError, maps::reading, sys};

/// Where a walk through a gateway's flow tables has come to: through the new flows first, then
/// through the established ones, so that a flow that moves meanwhile is met at least once.
pub struct FlowBatches {
    table: Table,
    entries: sys::Batches<FlowKey, FlowEntry>,
}

/// Flows of one table.
#[derive(Clone, Copy, Debug)]
pub struct FlowBatch<'a> {
    /// The table.
    pub table: Table,
    /// Their keys.
    pub keys: &'a [FlowKey],
    /// As many entries.
    pub entries: &'a [FlowEntry],
}

impl FlowBatches {
    /// The most flows of a batch, but for tables in which very many share a bucket.
    pub const FLOWS: usize = sys::BATCH_ENTRIES;

    /// At the beginning.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Table::HalfOpen, entries: sys::Batches::new() }
    }

    /// Goes back to the beginning.
    pub const fn rewind(&mut self) {
        self.table = Table::HalfOpen;
        self.entries.rewind();
    }

    /// The next flows of one table, live or expired. `None` at the end of the second table. There may be batches without any flows. Reading changes nothing: no
    /// flow is refreshed or evicted.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn next(&mut self, gateway: &Gateway) -> Result<Option<FlowBatch<'_>>, DatapathError> {
        if self.table == Table::HalfOpen && self.entries.is_over() {
            self.entries.rewind();
            self.table = Table::Established;
        }
        let table = self.table;
        let (map, name) = match table {
            Table::HalfOpen => (&gateway.half_open, name::HALF_OPEN),
            Table::Established => (&gateway.established, name::ESTABLISHED),
        };
        let batch = self.entries.next(map.map().fd().as_fd());
        let batch = batch.map_err(|source| reading(name)(MapError::IoError(source)))?;
        Ok(batch.map(|(keys, entries)| FlowBatch { table, keys, entries }))
    }
}

impl Default for FlowBatches {
    fn default() -> Self {
        Self::new()
    }
}
