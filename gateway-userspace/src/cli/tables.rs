//! How full the flow tables of a gateway are.

use gateway_common::tables::Table;

use super::Result;
use crate::{datapath::Gateway, view::FlowTablesView};

/// Counts the flows of both tables.
pub(super) fn flow_tables(gateway: &Gateway) -> Result<FlowTablesView> {
    let sizes = gateway.table_sizes()?;
    let (now, config) = (gateway.now()?, gateway.config()?);
    let mut view = FlowTablesView {
        half_open_max: sizes.half_open_max,
        established_max: sizes.established_max,
        ..FlowTablesView::default()
    };
    for (table, key, entry) in gateway.flows()? {
        count(&mut view, table, entry.is_live(&key, now, &config));
    }
    Ok(view)
}

/// Counts one flow.
pub(super) fn count(view: &mut FlowTablesView, table: Table, is_live: bool) {
    let count = match (table, is_live) {
        (Table::HalfOpen, true) => &mut view.half_open,
        (Table::HalfOpen, false) => &mut view.half_open_expired,
        (Table::Established, true) => &mut view.established,
        (Table::Established, false) => &mut view.established_expired,
    };
    *count += 1;
}
