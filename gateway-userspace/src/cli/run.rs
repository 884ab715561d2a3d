//! `eigw run`: attaches a gateway and stays, to take changed files when it is told to.

use std::{
    future,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use tokio::{runtime, task};

use super::{
    Context, Result, attach,
    reload::{self, ReloadArgs},
};
use crate::{
    daemon::{Rejecter, Request, Requests, service},
    datapath::{self, DaemonLock, DatapathError, GatewayName},
    output::{self, Output},
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
}

/// A gateway that this process looks after.
struct Daemon {
    context: Context,
    name: GatewayName,
    /// The file on the command line, which every reload takes; without it, the last one.
    config: Option<PathBuf>,
    /// What the service manager shows.
    status: String,
    /// Held as long as this process is the gateway's daemon.
    _lock: DaemonLock,
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: RunArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let RunArgs { attach: args, detach_on_exit } = args;
    let config = args.config.clone();
    let plan = attach::prepare(args)?;
    let name = plan.name.clone();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start waiting for signals")?;
    // A signal that comes while the gateway is being attached has to wait until it is.
    let requests = {
        let _guard = runtime.enter();
        Requests::listen().context("cannot wait for signals")?
    };
    let lock = DaemonLock::acquire(&context.bpffs, &name)?;
    let view = attach::attach(context, plan)?;
    let status = status(&view);
    if let Err(error) = output.print(&View::Attach(view)) {
        // What is attached matters, not who reads about it.
        output::tell(format_args!("cannot write the answer: {error}"));
    }
    let mut daemon = Daemon { context: context.clone(), name, config, status, _lock: lock };
    runtime.block_on(daemon.serve(requests))?;
    if detach_on_exit { daemon.detach() } else { Ok(()) }
}

impl Daemon {
    /// Does what it is asked for until it shall stop.
    async fn serve(&mut self, mut requests: Requests) -> Result<()> {
        let mut rejecter = self.rejecter(None);
        notified(service::ready(&self.status));
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Request::Reload => {
                        if self.reload().await? {
                            rejecter = self.rejecter(rejecter.take());
                        }
                    }
                    Request::Stop => break,
                },
                error = failure(&mut rejecter) => {
                    tell_no_rejects(&error);
                    rejecter = None;
                }
            }
        }
        notified(service::stopping(&self.status));
        Ok(())
    }

    /// Has the file taken; whether it was.
    async fn reload(&self) -> Result<bool> {
        notified(service::reloading());
        let (context, args) = (self.context.clone(), self.reload_args());
        // On a thread of its own, so that whatever else this process does goes on.
        let reloading = task::spawn_blocking(move || reload::reload(&context, &args));
        let outcome = reloading.await.context("the reload ended with a panic")?;
        let is_done = outcome.is_ok();
        let status = self.report(outcome);
        notified(service::ready(&status));
        Ok(is_done)
    }

    /// Sends errors from now on, if the policy in force asks for them.
    fn rejecter(&self, before: Option<Rejecter>) -> Option<Rejecter> {
        let opened = Rejecter::open(&self.context.bpffs, &self.name, before);
        opened.inspect_err(tell_no_rejects).ok().flatten()
    }

    fn reload_args(&self) -> ReloadArgs {
        ReloadArgs { config: self.config.clone(), name: Some(self.name.clone()), dry_run: false }
    }

    /// Tells the operator how a reload went, and gives the status that it leaves.
    fn report(&self, outcome: Result<ReloadView>) -> String {
        let Self { name, status, .. } = self;
        match outcome {
            Ok(view) => {
                output::tell(summary(&view));
                view.notes.iter().for_each(|note| output::tell(format_args!("note: {note}")));
                format!(
                    "{status}; policy generation {} of {}",
                    view.generation,
                    view.file.display()
                )
            }
            Err(failure) => {
                output::tell(failure.text().unwrap_or_default());
                output::tell(format_args!(
                    "gateway {name} was not reloaded; what was in force remains so"
                ));
                format!("{status}; the last reload failed")
            }
        }
    }

    /// Detaches the gateway, unless somebody did already.
    fn detach(&self) -> Result<()> {
        let name = &self.name;
        match datapath::detach(&self.context.bpffs, name) {
            Ok(outcome) => {
                output::tell(format_args!("detached gateway {name}"));
                outcome.notes.iter().for_each(|note| output::tell(format_args!("note: {note}")));
                Ok(())
            }
            Err(DatapathError::NotAttached { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Has errors sent, if there are any to send, and returns why that ended.
async fn failure(rejecter: &mut Option<Rejecter>) -> anyhow::Error {
    match rejecter {
        Some(rejecter) => rejecter.work().await,
        None => future::pending().await,
    }
}

fn tell_no_rejects(error: &anyhow::Error) {
    output::tell(format_args!("openings from outside are not rejected any more: {error:#}"));
}

/// That nobody hears of it is no reason to stop protecting anything.
fn notified(result: io::Result<()>) {
    if let Err(error) = result {
        output::tell(format_args!("cannot tell the service manager: {error}"));
    }
}

fn status(view: &AttachView) -> String {
    let uplinks: Vec<_> = view.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
    format!("gateway {} protects {}", view.name, uplinks.join(", "))
}

fn summary(view: &ReloadView) -> String {
    let ReloadView { name, file, generation, flows_ended, .. } = view;
    format!(
        "gateway {name} has policy generation {generation} of {}; live flows that end: {flows_ended}",
        file.display()
    )
}
