//! The process behind `eigw run`: what a gateway needs besides the packet path, which works without
//! it.
//!
//! ```text
//! signals ──────────► Daemon ──► Commands (attach, reload)
//! uplinks, watchdog ──►  │
//!                        └── Services: rejecter … (one line each in `start_services`)
//! ```

mod accounts;
mod event;
mod flow_log;
mod log;
mod manager;
mod metrics;
mod rejecter;
mod requests;
mod service;
mod sweeper;
mod uplinks;
mod watchdog;

use std::{
    future,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use event::Event;
use flow_log::FlowLog;
use metrics::Vitals;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    task,
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};
use uplinks::{Place, Uplinks};

pub use accounts::Accounts;
pub use log::{LogFormat, start as start_log};
pub use metrics::{Kind as MetricKind, METRICS, Metric};
pub use requests::{Request, Requests};
pub use service::{InForce, ServiceContext, Services};
pub use sweeper::{
    Budget, FlowSight, Ledger, Ledgers, PassStart, PassSummary, Sweeper, SweeperStats, Sweeping,
    TableCount, Tally,
};

use crate::{
    datapath::{self, DaemonLock, DatapathError, GatewayName},
    flow_log::FlowLogStats,
    settings::Settings,
    view::{AttachView, ReloadView},
};

/// How long the end waits for a command that is still under way.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How long a detached gateway may take to come back. `eigw detach` and `eigw attach` one after the
/// other are how to change the sizes of tables; a daemon that ended at once would have to be
/// started again after that.
const RETURN_WITHIN: Duration = Duration::from_secs(10);
/// Events that wait for the daemon's loop.
const EVENTS_MAX: usize = 64;

/// What runs beside an attached gateway, from when it is attached until it is detached or replaced
/// by another one of its name.
fn start_services(services: &mut Services, vitals: &Vitals) {
    services.task("rejecter", rejecter::run);
    // Whoever keeps accounts of flows takes a clone and adds its ledger.
    let sweeping = Sweeping::default();
    let accounts = Accounts::default();
    vitals.accounts(&accounts);
    vitals.sweeping(&sweeping);
    let (log, stats) = (FlowLog::new(&sweeping), Arc::<FlowLogStats>::default());
    vitals.flow_log(&stats);
    // What ends before the log is open or behind it would be in no line: it holds the sweeper.
    let (holding, swept, counted) = (log.clone(), sweeping.clone(), Arc::clone(&stats));
    services.thread("sweeper", move |context| {
        let _open = holding.open(context, &counted)?;
        accounts.keep(context, &swept.ledgers)?;
        sweeper::run(context, &swept)
    });
    services.thread("flow-log", move |context| log.run(context, &sweeping, &stats));
}

/// What the daemon does to its gateway, in the same way as the commands of an operator.
pub trait Commands: Send + Sync + 'static {
    /// Attaches the gateway to these of its uplinks, or brings it up to date.
    ///
    /// # Errors
    /// Whatever keeps `eigw attach` from doing so.
    fn attach(&self, uplinks: &[String]) -> anyhow::Result<AttachView>;

    /// Puts the file in force as it is now, or reads it again for when the gateway is attached.
    ///
    /// # Errors
    /// Whatever keeps `eigw reload` from doing so.
    fn reload(&self) -> anyhow::Result<Reloaded>;
}

/// How a reload went.
#[derive(Debug)]
pub struct Reloaded {
    /// What was put in force; `None` as long as nothing is attached.
    pub view: Option<ReloadView>,
    /// What the file says.
    pub settings: Settings,
}

/// How to look after a gateway.
pub struct Order<C> {
    /// The BPF file system's directory.
    pub bpffs: PathBuf,
    /// The network namespace that this process entered, as it was called then.
    pub netns: Option<String>,
    /// The gateway.
    pub name: GatewayName,
    /// What it starts with.
    pub settings: Settings,
    /// Whether the gateway goes with the daemon when that ends in order.
    pub detach_on_exit: bool,
    /// The operator's commands.
    pub commands: C,
}

/// Attaches a gateway and looks after it until a signal ends that or somebody detaches it;
/// `announce` gets the answer of attaching. Uplinks that do not exist are waited for. However this
/// ends, the gateway goes on.
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
    let result = look_after(&runtime, order, requests, &mut announce);
    runtime.shutdown_timeout(END_WITHIN);
    drop(lock);
    result
}

fn look_after<C: Commands>(
    runtime: &Runtime,
    order: Order<C>,
    requests: Requests,
    announce: &mut impl FnMut(AttachView),
) -> anyhow::Result<()> {
    let Order { bpffs, netns, name, settings, detach_on_exit, commands } = order;
    let commands = Arc::new(commands);
    let place = Place { bpffs: bpffs.clone(), netns, name: name.clone() };
    let mut uplinks = Uplinks::new(place, Arc::clone(&commands), &settings.uplinks);
    let first = uplinks.start()?;
    let in_force = InForce { settings: Arc::new(settings), generation: 0 };
    let mut daemon = Daemon {
        status: String::new(),
        last_reload: String::new(),
        in_force: watch::channel(in_force).0,
        vitals: Vitals::default(),
        services: None,
        leaving: None,
        failure: None,
        bpffs,
        name,
        commands,
        announce,
    };
    runtime.block_on(daemon.serve(requests, uplinks, first))?;
    if detach_on_exit { daemon.detach() } else { Ok(()) }
}

/// A gateway that this process looks after.
struct Daemon<'a, C, A> {
    bpffs: PathBuf,
    name: GatewayName,
    commands: Arc<C>,
    /// Takes the answer of attaching.
    announce: &'a mut A,
    /// How the uplinks are, for the service manager.
    status: String,
    /// How the last reload went, likewise.
    last_reload: String,
    in_force: watch::Sender<InForce>,
    /// What metrics tell of the daemon.
    vitals: Vitals,
    /// What runs beside the gateway; `None` while there is none.
    services: Option<Services>,
    /// When to end, because there is nothing left to look after.
    leaving: Option<Instant>,
    /// Why that is no good end.
    failure: Option<String>,
}

impl<C: Commands, A: FnMut(AttachView)> Daemon<'_, C, A> {
    /// Does what it is asked for until it shall stop.
    async fn serve(
        &mut self,
        mut requests: Requests,
        uplinks: Uplinks<C>,
        first: Vec<Event>,
    ) -> anyhow::Result<()> {
        for event in first {
            if let Event::Status(status) = event {
                // Told with the news that the daemon is ready.
                self.status = status;
            } else {
                self.handle(event).await;
            }
        }
        let (tell, mut events) = mpsc::channel(EVENTS_MAX);
        let mut own = Services::new(self.context());
        let (uplinks, tell_too) = (Arc::new(Mutex::new(uplinks)), tell.clone());
        own.task("uplinks", move |context| {
            uplinks::run(context, Arc::clone(&uplinks), tell.clone())
        });
        let vitals = self.vitals.clone();
        // Also while there is no gateway, so that somebody hears of that.
        own.task("metrics", move |context| metrics::run(context, vitals.clone()));
        own.task("watchdog", move |context| watchdog::run(context, tell_too.clone()));
        manager::ready(&self.whole_status());
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Request::Reload => self.reload().await?,
                    Request::Stop => break,
                },
                Some(event) = events.recv() => self.handle(event).await,
                () = until(self.leaving) => {
                    info!(gateway = %self.name, "there is nothing left to look after");
                    break;
                }
            }
        }
        manager::stopping(&self.whole_status());
        // Nobody takes their events any more.
        drop(events);
        own.stop().await;
        self.stop_services().await;
        self.failure.take().map_or(Ok(()), |failure| bail!(failure))
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Attached(view, generation) => {
                (self.announce)(view);
                self.start_services(generation).await;
            }
            Event::Appeared(generation) => self.start_services(generation).await,
            Event::Detached => {
                self.stop_services().await;
                self.leaving = Some(Instant::now() + RETURN_WITHIN);
            }
            Event::NetnsGone(netns) => {
                self.failure = Some(format!(
                    "network namespace {netns} was removed or replaced; gateway {} protects what \
                     is left of it, and this process does not keep it alive any longer",
                    self.name
                ));
                self.leaving = Some(Instant::now());
            }
            Event::Status(status) => {
                self.status = status;
                manager::status(&self.whole_status());
            }
            Event::Ping(answer) => {
                // Who asks waits for the answer, unless it was told to stop.
                let _ = answer.send(self.services.is_some());
            }
        }
    }

    /// Starts the services for a gateway that was not there before.
    async fn start_services(&mut self, generation: u32) {
        self.stop_services().await;
        self.leaving = None;
        self.in_force.send_modify(|in_force| in_force.generation = generation);
        let mut services = Services::new(self.context());
        start_services(&mut services, &self.vitals);
        self.services = Some(services);
    }

    async fn stop_services(&mut self) {
        if let Some(services) = self.services.take() {
            services.stop().await;
            self.vitals.detached();
        }
    }

    fn context(&self) -> ServiceContext {
        ServiceContext::new(self.bpffs.clone(), self.name.clone(), self.in_force.subscribe())
    }

    /// Has the file taken.
    async fn reload(&mut self) -> anyhow::Result<()> {
        manager::reloading();
        let commands = Arc::clone(&self.commands);
        // On a thread of its own, so that whatever else this process does goes on.
        let reloading = task::spawn_blocking(move || commands.reload());
        let outcome = reloading.await.context("the reload ended with a panic")?;
        self.vitals.reloaded(outcome.is_ok());
        self.last_reload = self.report(outcome);
        manager::ready(&self.whole_status());
        Ok(())
    }

    /// Tells the operator and the services how a reload went, and gives the status that it leaves.
    fn report(&self, outcome: anyhow::Result<Reloaded>) -> String {
        let name = &self.name;
        match outcome {
            Ok(Reloaded { view: Some(view), settings }) => {
                let ReloadView { file, generation, flows_ended, notes, .. } = view;
                let file = file.display();
                info!(gateway = %name, generation, %file, flows_ended, "reloaded");
                for note in notes {
                    warn!(gateway = %name, "{note}");
                }
                self.in_force.send_replace(InForce { settings: Arc::new(settings), generation });
                format!("; policy generation {generation} of {file}")
            }
            Ok(Reloaded { view: None, settings }) => {
                info!(gateway = %name, "the file was read again for when an uplink is there");
                let settings = Arc::new(settings);
                self.in_force.send_modify(|in_force| in_force.settings = settings);
                String::new()
            }
            Err(error) => {
                error!(gateway = %name, "not reloaded; what was in force remains so: {error:#}");
                "; the last reload failed".to_owned()
            }
        }
    }

    fn whole_status(&self) -> String {
        format!("{}{}", self.status, self.last_reload)
    }

    /// Detaches the gateway, unless somebody did already.
    fn detach(&self) -> anyhow::Result<()> {
        let name = &self.name;
        match datapath::detach(&self.bpffs, name) {
            Ok(outcome) => {
                info!(gateway = %name, "detached");
                for note in outcome.notes {
                    info!(gateway = %name, "{note}");
                }
                Ok(())
            }
            Err(DatapathError::NotAttached { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits until then, or for ever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}
