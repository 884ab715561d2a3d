//! `eigw drop`: what the gateway drops, and why.

mod capture;
mod filter;
mod show;

use std::{io::Write, path::PathBuf};

use clap::{Args, Subcommand};

use self::{capture::Capture, filter::PacketFilter, show::Show};
use super::{Context, Result, observe, values};
use crate::{datapath::GatewayName, output::Output};

/// Watch or capture packets while they are dropped, with the reason
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct DropArgs {
    #[command(subcommand)]
    command: DropCommand,
    /// The gateway, needed when there are several
    #[arg(long, global = true, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
    #[command(flatten)]
    filter: PacketFilter,
}

#[derive(Debug, Subcommand)]
enum DropCommand {
    /// Show packets as they are dropped, until interrupted
    Watch,
    /// Write packets as they are dropped to a file that Wireshark opens, until interrupted
    ///
    /// The file is in pcapng format. Each packet has a comment that tells what became of it and
    /// why. Of each frame the first 256 bytes are kept. A file that exists is overwritten.
    Capture {
        /// The file; '-' is standard output
        #[arg(short, long, value_name = "FILE")]
        write: PathBuf,
    },
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: &DropArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let DropArgs { command, name, filter } = args;
    let name = name.as_ref();
    match command {
        DropCommand::Watch => observe::run(context, name, &mut Show::new(filter, output)),
        DropCommand::Capture { write } => {
            observe::run(context, name, &mut Capture::new(filter, write)?)
        }
    }
}
