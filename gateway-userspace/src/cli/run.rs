//! `eigw run`: attaches a gateway and stays; `daemon` has what it does then.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use clap::Args;

use super::{
    Context, Failure, Result,
    attach::{self, AttachArgs},
    reload::{self, ReloadArgs},
};
use crate::{
    daemon::{self, Commands, LogFormat, Order, Reloaded},
    datapath::{self, GatewayName},
    output::Output,
    view::{AttachView, View},
};

/// Protect uplinks as 'attach' does, and stay to reload the configuration on SIGHUP
///
/// The gateway goes on without this process, however it ends. Another one takes it over.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    attach: AttachArgs,
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
    let plan = attach::prepare(args.clone())?;
    daemon::start_log(log_format, context.verbose).map_err(Failure::Usage)?;
    // From here on the log says what is being done.
    let context = Context { verbose: false, ..context.clone() };
    let order = Order {
        bpffs: context.bpffs.clone(),
        netns: context.netns.clone(),
        name: plan.name.clone(),
        settings: plan.settings.clone(),
        detach_on_exit,
        commands: Operator { context, name: plan.name.clone(), args, plan: Mutex::new(plan) },
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
    name: GatewayName,
    /// The command line, whose file every reload takes; without one, the last that was loaded.
    args: AttachArgs,
    /// What to attach.
    plan: Mutex<attach::Plan>,
}

impl Commands for Operator {
    fn attach(&self, uplinks: &[String]) -> anyhow::Result<AttachView> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        attach::attach(&self.context, &plan, uplinks).map_err(Failure::into_error)
    }

    fn reload(&self) -> anyhow::Result<Reloaded> {
        // Held meanwhile, so that the gateway is attached before or after, and not in between.
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if datapath::list(&self.context.bpffs)?.contains(&self.name) {
            let config = self.args.config.clone();
            let args = ReloadArgs { config, name: Some(self.name.clone()), dry_run: false };
            let (view, settings) =
                reload::reload(&self.context, &args).map_err(Failure::into_error)?;
            return Ok(Reloaded { view: Some(view), settings });
        }
        // The name is this daemon's, whatever the file says of it now.
        let args = AttachArgs { name: Some(self.name.clone()), ..self.args.clone() };
        *plan = attach::prepare(args).map_err(Failure::into_error)?;
        Ok(Reloaded { view: None, settings: plan.settings.clone() })
    }
}
