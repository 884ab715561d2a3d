//! `eigw run`: attaches a gateway and stays; `daemon` has what it does then.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{
    Context, Failure, Result, attach,
    reload::{self, ReloadArgs},
};
use crate::{
    daemon::{self, Commands, LogFormat, Order},
    datapath::GatewayName,
    output::Output,
    settings::Settings,
    view::{AttachView, ReloadView, View},
};

/// Protect uplinks as 'attach' does, and stay to reload the configuration on SIGHUP
///
/// The gateway goes on without this process, however it ends. Another one takes it over.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    attach: attach::AttachArgs,
    /// Detach the gateway when SIGTERM or SIGINT ends this process
    #[arg(long)]
    detach_on_exit: bool,
    /// How lines of the log on standard error look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: RunArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let RunArgs { attach: args, detach_on_exit, log_format } = args;
    daemon::start_log(log_format, context.verbose).map_err(Failure::Usage)?;
    let config = args.config.clone();
    let plan = attach::prepare(args)?;
    // From here on the log says what is being done.
    let context = Context { verbose: false, ..context.clone() };
    let order = Order {
        bpffs: context.bpffs.clone(),
        name: plan.name.clone(),
        settings: plan.settings.clone(),
        detach_on_exit,
        commands: Operator { context, plan, config },
    };
    let announce = |view| {
        if let Err(error) = output.print(&View::Attach(view)) {
            // What is attached matters, not who reads about it.
            tracing::warn!("cannot write the answer: {error}");
        }
    };
    Ok(daemon::run(order, announce)?)
}

/// What an operator would do for the daemon.
struct Operator {
    context: Context,
    plan: attach::Plan,
    /// The file on the command line, which every reload takes; without it, the last one.
    config: Option<PathBuf>,
}

impl Commands for Operator {
    fn attach(&self) -> anyhow::Result<AttachView> {
        attach::attach(&self.context, &self.plan).map_err(Failure::into_error)
    }

    fn reload(&self) -> anyhow::Result<(ReloadView, Settings)> {
        let name: Option<GatewayName> = Some(self.plan.name.clone());
        let args = ReloadArgs { config: self.config.clone(), name, dry_run: false };
        reload::reload(&self.context, &args).map_err(Failure::into_error)
    }
}
