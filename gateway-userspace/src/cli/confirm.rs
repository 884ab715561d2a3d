//! `eigw confirm`: a gateway on trial stays.

use clap::Args;

use super::{Context, Failure, Result, select, values};
use crate::{
    datapath::{self, DatapathError, GatewayName},
    view::ConfirmView,
};

/// Keep a gateway that was attached with --confirm
///
/// Without this in time it is detached, and everything passes. Attaching the gateway again without
/// --confirm keeps it too.
#[derive(Args, Debug)]
pub(super) struct ConfirmArgs {
    /// The gateway, needed when there are several
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

pub(super) fn run(context: &Context, args: &ConfirmArgs) -> Result<ConfirmView> {
    let bpffs = &context.bpffs;
    if args.name.is_none() && datapath::list(bpffs)?.is_empty() {
        return Err(gone("no gateway is attached"));
    }
    let name = select::name(context, args.name.as_ref())?;
    match datapath::confirm(bpffs, &name) {
        Ok(left) => Ok(ConfirmView { name: name.to_string(), left_ms: super::ms(left) }),
        Err(DatapathError::NotAttached { name, .. }) => {
            Err(gone(&format!("no gateway named {name} is attached")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Nothing is left to confirm, most likely because the time is over.
fn gone(what: &str) -> Failure {
    Failure::operation(format!(
        "{what}, so there is nothing to confirm: what nobody confirms in time is detached; attach \
         it again"
    ))
}
