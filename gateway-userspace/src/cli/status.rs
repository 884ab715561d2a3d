//! `eigw status`.

use clap::Args;

use super::{Context, Result, values};
use crate::{
    datapath::{Gateway, GatewayName},
    view::{FlowTablesView, StatusView},
};

/// Show the gateways, their uplinks and their policy
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Only this gateway, which must be attached
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

pub(super) fn run(_context: &Context, args: &StatusArgs) -> Result<StatusView> {
    let _ = &args.name;
    Ok(StatusView { gateways: vec![] })
}

pub(super) fn flow_tables(_gateway: &Gateway) -> Result<FlowTablesView> {
    Ok(FlowTablesView::default())
}
