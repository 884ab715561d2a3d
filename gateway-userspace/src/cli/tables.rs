//! How full the flow tables of a gateway are.

use gateway_common::tables::Table;

use super::Result;
use crate::{datapath::Gateway, view::FlowTablesView};

/// Counts the live flows of both tables.
pub(super) fn flow_tables(gateway: &Gateway) -> Result<FlowTablesView> {
    let sizes = gateway.table_sizes()?;
    let (now, config) = (gateway.now()?, gateway.config()?);
    let mut view = FlowTablesView {
        half_open: 0,
        established: 0,
        half_open_max: sizes.half_open_max,
        established_max: sizes.established_max,
    };
    for (table, key, entry) in gateway.flows()? {
        let live = usize::from(entry.is_live(&key, now, &config));
        match table {
            Table::HalfOpen => view.half_open += live,
            Table::Established => view.established += live,
        }
    }
    Ok(view)
}
