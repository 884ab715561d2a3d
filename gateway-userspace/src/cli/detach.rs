//! `eigw detach`: uplinks without a filter again.

use clap::Args;

use super::{Context, Result, select, values};
use crate::{
    datapath::{self, GatewayName},
    view::DetachView,
};

/// Detach a gateway: its uplinks are open again, its flows are forgotten
#[derive(Args, Debug)]
pub(super) struct DetachArgs {
    /// The gateway, needed when there are several
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
    /// Detach every gateway, whatever state it is in
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

pub(super) fn run(context: &Context, args: &DetachArgs) -> Result<DetachView> {
    let bpffs = &context.bpffs;
    let outcome = if args.all {
        datapath::detach_all(bpffs)?
    } else {
        datapath::detach(bpffs, &select::name(context, args.name.as_ref())?)?
    };
    Ok(DetachView { detached: outcome.detached, notes: outcome.notes })
}
