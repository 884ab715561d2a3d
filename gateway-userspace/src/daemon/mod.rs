//! The process behind `eigw run`: what a gateway needs besides the packet path, which works without
//! it.
//!
//! ```text
//! signals ──► Daemon ──► Commands (attach, reload)
//!               │
//!               └── Services: rejecter … (one line each in `start_services`)
//! ```

mod log;
mod manager;
mod rejecter;
mod requests;
mod service;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task,
};
use tracing::{error, info, warn};

pub use log::{LogFormat, start as start_log};
pub use requests::{Request, Requests};
pub use service::{InForce, ServiceContext, Services};

use crate::{
    datapath::{self, DaemonLock, DatapathError, GatewayName},
    settings::Settings,
    view::{AttachView, ReloadView},
};

/// How long the end waits for a command that is still under way.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What runs beside an attached gateway, from when it is attached until it is detached or replaced
/// by another one of its name.
fn start_services(services: &mut Services) {
    services.task("rejecter", rejecter::run);
}

/// What the daemon does to its gateway, in the same way as the commands of an operator.
pub trait Commands: Send + Sync + 'static {
    /// Attaches the gateway or brings it up to date.
    ///
    /// # Errors
    /// Whatever keeps `eigw attach` from doing so.
    fn attach(&self) -> anyhow::Result<AttachView>;

    /// Puts the file in force as it is now.
    ///
    /// # Errors
    /// Whatever keeps `eigw reload` from doing so.
    fn reload(&self) -> anyhow::Result<(ReloadView, Settings)>;
}

/// How to look after a gateway.
pub struct Order<C> {
    /// The BPF file system's directory.
    pub bpffs: PathBuf,
    /// The gateway.
    pub name: GatewayName,
    /// What it starts with.
    pub settings: Settings,
    /// Whether the gateway goes with the daemon when that ends in order.
    pub detach_on_exit: bool,
    /// The operator's commands.
    pub commands: C,
}

/// Attaches a gateway and looks after it until a signal ends that; `announce` gets the answer of
/// attaching. However this ends, the gateway goes on.
///
/// # Errors
/// The gateway has a daemon already or cannot be attached, or signals cannot be waited for.
pub fn run<C: Commands>(
    order: Order<C>,
    mut announce: impl FnMut(AttachView),
) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start waiting for signals")?;
    // A signal that comes while the gateway is being attached has to wait until it is.
    let requests = {
        let _guard = runtime.enter();
        Requests::listen().context("cannot wait for signals")?
    };
    let lock = DaemonLock::acquire(&order.bpffs, &order.name)?;
    let result = serve(&runtime, order, requests, &mut announce);
    runtime.shutdown_timeout(END_WITHIN);
    drop(lock);
    result
}

fn serve<C: Commands>(
    runtime: &Runtime,
    order: Order<C>,
    requests: Requests,
    announce: &mut impl FnMut(AttachView),
) -> anyhow::Result<()> {
    let Order { bpffs, name, settings, detach_on_exit, commands } = order;
    let view = commands.attach()?;
    let status = status(&view);
    announce(view);
    let in_force = InForce { settings: Arc::new(settings), generation: 0 };
    let (in_force, _) = watch::channel(in_force);
    let commands = Arc::new(commands);
    let mut daemon = Daemon { bpffs, name, commands, status, in_force };
    runtime.block_on(daemon.serve(requests))?;
    if detach_on_exit { daemon.detach() } else { Ok(()) }
}

/// A gateway that this process looks after.
struct Daemon<C> {
    bpffs: PathBuf,
    name: GatewayName,
    commands: Arc<C>,
    /// What the service manager shows.
    status: String,
    in_force: watch::Sender<InForce>,
}

impl<C: Commands> Daemon<C> {
    /// Does what it is asked for until it shall stop.
    async fn serve(&mut self, mut requests: Requests) -> anyhow::Result<()> {
        let mut services = Services::new(self.context());
        start_services(&mut services);
        manager::ready(&self.status);
        loop {
            match requests.next().await {
                Request::Reload => self.reload().await?,
                Request::Stop => break,
            }
        }
        manager::stopping(&self.status);
        services.stop().await;
        Ok(())
    }

    fn context(&self) -> ServiceContext {
        ServiceContext::new(self.bpffs.clone(), self.name.clone(), self.in_force.subscribe())
    }

    /// Has the file taken.
    async fn reload(&self) -> anyhow::Result<()> {
        manager::reloading();
        let commands = Arc::clone(&self.commands);
        // On a thread of its own, so that whatever else this process does goes on.
        let reloading = task::spawn_blocking(move || commands.reload());
        let outcome = reloading.await.context("the reload ended with a panic")?;
        let status = self.report(outcome);
        manager::ready(&status);
        Ok(())
    }

    /// Tells the operator and the services how a reload went, and gives the status that it leaves.
    fn report(&self, outcome: anyhow::Result<(ReloadView, Settings)>) -> String {
        let Self { name, status, .. } = self;
        match outcome {
            Ok((view, settings)) => {
                let ReloadView { file, generation, flows_ended, notes, .. } = view;
                let file = file.display();
                info!(gateway = %name, generation, %file, flows_ended, "reloaded");
                notes.iter().for_each(|note| warn!(gateway = %name, "{note}"));
                self.in_force.send_replace(InForce { settings: Arc::new(settings), generation });
                format!("{status}; policy generation {generation} of {file}")
            }
            Err(error) => {
                error!(gateway = %name, "not reloaded; what was in force remains so: {error:#}");
                format!("{status}; the last reload failed")
            }
        }
    }

    /// Detaches the gateway, unless somebody did already.
    fn detach(&self) -> anyhow::Result<()> {
        let name = &self.name;
        match datapath::detach(&self.bpffs, name) {
            Ok(outcome) => {
                info!(gateway = %name, "detached");
                outcome.notes.iter().for_each(|note| info!(gateway = %name, "{note}"));
                Ok(())
            }
            Err(DatapathError::NotAttached { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn status(view: &AttachView) -> String {
    let uplinks: Vec<_> = view.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
    format!("gateway {} protects {}", view.name, uplinks.join(", "))
}
