//! The command line: one file per object or command, each with its arguments and a function that
//! turns them into a [`View`]. Nothing here prints but through [`Output`].

mod attach;
mod check;
mod completions;
mod confirm;
mod cost;
mod detach;
mod doctor;
mod drop;
mod failure;
mod flow;
mod guard;
mod lockout;
mod man;
mod observe;
mod parties;
mod reload;
mod rule;
mod run;
mod select;
mod stats;
mod status;
mod subnet;
mod tables;
mod top;
mod values;
mod why;

use std::{ffi::OsString, io::Write, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, error::ErrorKind};

pub use failure::{Failure, Result};

use crate::{
    datapath::DEFAULT_BPFFS,
    net::netns,
    output::{self, Format, Output},
    view::View,
};

/// An egress-only internet gateway for Linux uplinks.
///
/// What inside opens may be answered; what outside starts is dropped in the kernel's fast path.
#[derive(Debug, Parser)]
#[command(name = "eigw", version, infer_subcommands = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct Globals {
    /// Print one JSON document
    #[arg(short, long, global = true, display_order = 100)]
    json: bool,
    /// Print one indented JSON document
    #[arg(short, long, global = true, display_order = 100)]
    pretty: bool,
    /// The BPF file system to keep gateways in; mounted if it is not
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = DEFAULT_BPFFS,
        display_order = 101
    )]
    bpffs: PathBuf,
    /// The network namespace of the uplinks: a name as of `ip netns`, or a path
    #[arg(long, global = true, value_name = "NAME|PATH", display_order = 101)]
    netns: Option<String>,
    /// Say on standard error what is being done
    #[arg(short, long, global = true, display_order = 102)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::AttachArgs),
    Detach(detach::DetachArgs),
    Reload(reload::ReloadArgs),
    Confirm(confirm::ConfirmArgs),
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Status(status::StatusArgs),
    Flow(flow::FlowArgs),
    Drop(drop::DropArgs),
    Rule(rule::RuleArgs),
    Subnet(subnet::SubnetArgs),
    Stats(stats::StatsArgs),
    Top(Box<top::TopArgs>),
    Why(Box<why::WhyArgs>),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Guard(guard::GuardArgs),
}

/// What every command gets beside its own arguments.
#[derive(Clone, Debug)]
struct Context {
    /// The BPF file system.
    bpffs: PathBuf,
    /// The network namespace that was entered, as it was called on the command line.
    netns: Option<String>,
    verbose: bool,
}

impl Context {
    /// Tells the operator what is being done, if they want to know.
    fn explain(&self, message: impl FnOnce() -> String) {
        if self.verbose {
            output::tell(message());
        }
    }
}

impl Cli {
    /// Reads the command line. A last word `help` asks for help with any command, also with
    /// those that take no commands of their own.
    ///
    /// # Errors
    ///
    /// Bad usage; also requests for help and version, which clap treats alike.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> std::result::Result<Self, clap::Error> {
        let mut arguments: Vec<_> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).or_else(|error| match arguments.last_mut() {
            Some(last) if last == "help" && !is_help(&error) => {
                *last = "--help".into();
                Self::try_parse_from(&arguments)
                    .map_err(|retried| if is_help(&retried) { retried } else { error })
            }
            _ => Err(error),
        })
    }

    /// How the answer is to be written.
    #[must_use]
    pub fn format(&self) -> Format {
        match (self.globals.pretty, self.globals.json) {
            (true, _) => Format::JsonPretty,
            (false, true) => Format::Json,
            (false, false) => Format::Plain,
        }
    }

    /// Does what was asked and writes the answer.
    ///
    /// # Errors
    ///
    /// What went wrong, for people, and whose fault it was.
    pub fn run<W: Write>(self, output: &mut Output<W>) -> Result<()> {
        if let Some(namespace) = &self.globals.netns {
            netns::enter(namespace)?;
        }
        let Globals { bpffs, netns, verbose, .. } = self.globals;
        let context = Context { bpffs, netns, verbose };
        let view = match self.command {
            Command::Attach(args) => View::Attach(attach::run(&context, args)?),
            Command::Detach(args) => View::Detach(detach::run(&context, &args)?),
            Command::Reload(args) => reload::run(&context, &args)?,
            Command::Run(args) => return run::run(&context, args, output),
            Command::Confirm(args) => View::Confirm(confirm::run(&context, &args)?),
            Command::Check(args) => View::Check(Box::new(check::run(&context, &args)?)),
            Command::Status(args) => View::Status(status::run(&context, &args)?),
            Command::Flow(args) => return flow::run(&context, &args, output),
            Command::Drop(args) => return drop::run(&context, &args, output),
            Command::Rule(args) => View::RuleList(rule::run(&context, &args)?),
            Command::Subnet(args) => View::SubnetList(subnet::run(&context, &args)?),
            Command::Stats(args) => return stats::run(&context, &args, output),
            Command::Top(args) => return top::run(&context, *args, output),
            Command::Why(args) => View::Why(Box::new(why::run(&context, &args)?)),
            Command::Doctor(args) => return doctor::run(&context, &args, output),
            Command::Completions(args) => View::Text(completions::run(&args)),
            Command::Man(args) => View::Man(man::run(&args)?),
            Command::Guard(args) => return guard::run(&context, &args),
        };
        Ok(output.print(&view)?)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

#[cfg(test)]
mod tests;
