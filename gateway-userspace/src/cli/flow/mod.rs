//! `eigw flow`: the flows of a gateway.

mod filter;
mod table;
mod watch;

use std::io::Write;

use clap::{Args, Subcommand};
pub(super) use filter::Filter;
pub(super) use table::LiveFlows;

use self::watch::FlowWatcher;
use super::{
    Context, Failure, Result,
    observe::{self, rate},
    select, values,
};
use crate::{
    datapath::GatewayName,
    output::Output,
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
    /// Show flows that match the filters as they begin, change their state and end, until
    /// interrupted
    Watch {
        /// Show the flows that are there already first
        #[arg(long)]
        existing: bool,
        /// At most so many events a second; 0 is no limit
        #[arg(long, value_name = "N", default_value = "0", value_parser = rate)]
        rate: u32,
        /// End after so many events
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: &FlowArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let FlowArgs { filter, .. } = args;
    let command = args.command.unwrap_or(FlowCommand::Show);
    check_filter(command, filter)?;
    let name = args.name.as_ref();
    if let FlowCommand::Watch { existing, rate, count } = command {
        let mut watcher = FlowWatcher::new(filter, existing, rate, count, output);
        return observe::run(context, name, &mut watcher);
    }
    let gateway = select::open(context, name)?;
    let flows = LiveFlows::read(&gateway)?.matching(filter);
    let name = gateway.name().to_string();
    let view = match command {
        FlowCommand::Show | FlowCommand::Watch { .. } => {
            View::FlowList(FlowListView { flows: flows.views() })
        }
        FlowCommand::Count => View::FlowCount(FlowCountView { name, count: flows.len() }),
        FlowCommand::Get => View::Flow(flows.only()?),
        FlowCommand::Delete => {
            View::FlowsRemoved(FlowsRemovedView { name, deleted: flows.remove(&gateway)? })
        }
        FlowCommand::Flush => {
            View::FlowsRemoved(FlowsRemovedView { name, deleted: flows.flush(&gateway)? })
        }
    };
    Ok(output.print(&view)?)
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
            | FlowCommand::Flush
            | FlowCommand::Watch { .. },
            _,
        ) => Ok(()),
    }
}
