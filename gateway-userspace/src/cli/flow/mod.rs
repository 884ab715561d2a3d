//! `eigw flow`: the flows of a gateway.

mod filter;
mod table;

use clap::{Args, Subcommand};
use filter::Filter;
pub(super) use table::LiveFlows;

use super::{Context, Failure, Result, select, values};
use crate::{
    datapath::GatewayName,
    view::{FlowCountView, FlowListView, FlowsRemovedView, View},
};

/// Show, count and delete flows
///
/// Without a command, the flows are shown. Expired flows count as absent everywhere.
#[derive(Args, Debug)]
pub(super) struct FlowArgs {
    #[command(subcommand)]
    command: Option<FlowCommand>,
    /// The gateway, needed when there are several
    #[arg(long, global = true, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum FlowCommand {
    /// Show the flows that match the filters
    #[command(visible_alias = "list")]
    Show,
    /// Print how many flows match the filters
    Count,
    /// Show the one flow that matches the filters; none or several are an error
    Get,
    /// Delete the flows that match the filters; at least one filter is needed
    Delete,
    /// Delete all flows, also what is left of expired ones
    Flush,
}

pub(super) fn run(context: &Context, args: &FlowArgs) -> Result<View> {
    let FlowArgs { filter, .. } = args;
    let command = args.command.unwrap_or(FlowCommand::Show);
    check_filter(command, filter)?;
    let gateway = select::open(context, args.name.as_ref())?;
    let flows = LiveFlows::read(&gateway)?.matching(filter);
    let name = gateway.name().to_string();
    Ok(match command {
        FlowCommand::Show => View::FlowList(FlowListView { flows: flows.views() }),
        FlowCommand::Count => View::FlowCount(FlowCountView { name, count: flows.len() }),
        FlowCommand::Get => View::Flow(flows.only()?),
        FlowCommand::Delete => {
            View::FlowsRemoved(FlowsRemovedView { name, deleted: flows.remove(&gateway)? })
        }
        FlowCommand::Flush => {
            View::FlowsRemoved(FlowsRemovedView { name, deleted: flows.flush(&gateway)? })
        }
    })
}

/// Refuses what is most likely a slip, before anything is touched.
fn check_filter(command: FlowCommand, filter: &Filter) -> Result<()> {
    match (command, filter.is_empty()) {
        (FlowCommand::Delete, true) => Err(Failure::usage(
            "'flow delete' needs at least one filter, such as --remote ADDR; to delete all flows \
             use 'flow flush'",
        )),
        (FlowCommand::Flush, false) => Err(Failure::usage(
            "'flow flush' deletes all flows and takes no filters; to delete some of them use \
             'flow delete'",
        )),
        (FlowCommand::Get, true) => Err(Failure::usage(
            "'flow get' needs filters that only one flow matches, such as --proto, --remote and \
             --local-port; to see all flows use 'flow show'",
        )),
        (
            FlowCommand::Show
            | FlowCommand::Count
            | FlowCommand::Get
            | FlowCommand::Delete
            | FlowCommand::Flush,
            _,
        ) => Ok(()),
    }
}
