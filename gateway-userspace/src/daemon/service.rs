//! The parts of the daemon: tasks and threads with a name, each for itself. What fails is logged
//! and started again; neither enforcement nor the other services feel it.

use std::{
    future::{self, Future},
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::{datapath::GatewayName, settings::Settings};

/// How long a failed service rests before its first new attempt; the next rest is twice as long.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest rest. A service that worked for so long has overcome its earlier failures.
const REST_MAX: Duration = Duration::from_mins(1);
/// How long services may take together to finish their work when they shall stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What the daemon was told last.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The settings of the file and the command line.
    pub settings: Arc<Settings>,
    /// The generation of the policy that came with them; zero while nothing is attached yet.
    pub generation: u32,
}

/// What a service gets.
#[derive(Clone, Debug)]
pub struct ServiceContext {
    /// The BPF file system's directory.
    pub bpffs: PathBuf,
    /// The gateway that the daemon looks after.
    pub name: GatewayName,
    in_force: watch::Receiver<InForce>,
    stop: CancellationToken,
}

impl ServiceContext {
    /// For the services of a gateway, which learn from `in_force` what the daemon was told.
    #[must_use]
    pub fn new(bpffs: PathBuf, name: GatewayName, in_force: watch::Receiver<InForce>) -> Self {
        Self { bpffs, name, in_force, stop: CancellationToken::new() }
    }

    /// What the daemon was told last.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.borrow().clone()
    }

    /// Waits for a reload that the service has not seen. Nothing is lost when this is cancelled.
    pub async fn reloaded(&mut self) -> InForce {
        if self.in_force.changed().await.is_err() {
            // The daemon is about to end, which `stopped` tells.
            future::pending::<()>().await;
        }
        self.in_force.borrow_and_update().clone()
    }

    /// Waits until the service shall finish its work and return.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the service shall finish its work and return.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// Services that start and stop together.
#[derive(Debug)]
pub struct Services {
    context: ServiceContext,
    names: Vec<&'static str>,
    running: JoinSet<&'static str>,
}

impl Services {
    /// No services yet; those to come get this context.
    #[must_use]
    pub fn new(context: ServiceContext) -> Self {
        Self { context, names: Vec::new(), running: JoinSet::new() }
    }

    /// Starts a service that mostly waits. It must not keep its thread for long, which it has in
    /// common with others.
    ///
    /// It returns when it is [stopped](ServiceContext::stopped), or when it has nothing to do under
    /// the settings in force; then it is started again after the next reload. When it fails it is
    /// started again after a rest.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn task<S, F>(&mut self, name: &'static str, service: S)
    where
        S: Fn(ServiceContext) -> F + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let attempt = move |context| {
            // A set of its own, with which the task goes if nobody waits for it any more.
            let mut task = JoinSet::new();
            task.spawn(service(context));
            async move { task.join_next().await.map_or(Ok(()), outcome) }
        };
        self.supervise(name, attempt);
    }

    /// Starts a service with a thread of its own, for work that keeps it busy. Otherwise like
    /// [`task`](Self::task).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn thread<S>(&mut self, name: &'static str, service: S)
    where
        S: Fn(&ServiceContext) -> anyhow::Result<()> + Send + Sync + 'static,
    {
        let service = Arc::new(service);
        let attempt = move |context| {
            let (service, (tell, told)) = (Arc::clone(&service), oneshot::channel());
            let body = move || {
                let result = panic::catch_unwind(AssertUnwindSafe(|| service(&context)));
                // Nobody waits for a service that took too long to stop.
                let _ = tell.send(result.unwrap_or_else(|_| Err(anyhow!("it panicked"))));
            };
            let started = thread::Builder::new().name(name.to_owned()).spawn(body);
            async move {
                started.context("cannot start a thread")?;
                told.await.context("its thread is gone")?
            }
        };
        self.supervise(name, attempt);
    }

    fn supervise<A, F>(&mut self, name: &'static str, attempt: A)
    where
        A: Fn(ServiceContext) -> F + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.names.push(name);
        let context = self.context.clone();
        self.running.spawn(async move {
            supervise(name, context, attempt).await;
            name
        });
    }

    /// Has all services finish their work, and gives up on those that take too long.
    pub async fn stop(mut self) {
        self.context.stop.cancel();
        let all = async {
            while let Some(ended) = self.running.join_next().await {
                if let Ok(name) = ended {
                    self.names.retain(|&running| running != name);
                }
            }
        };
        if timeout(STOP_WITHIN, all).await.is_err() {
            warn!(services = self.names.join(", "), "services did not finish in time");
        }
    }
}

/// Attempts a service again and again until it shall stop.
async fn supervise<F>(
    name: &'static str,
    mut context: ServiceContext,
    attempt: impl Fn(ServiceContext) -> F,
) where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut rest = REST_MIN;
    while !context.is_stopped() {
        context.in_force.mark_unchanged();
        let begun = Instant::now();
        let result = attempt(context.clone()).await;
        if begun.elapsed() >= REST_MAX {
            rest = REST_MIN;
        }
        match result {
            Ok(()) if context.is_stopped() => {}
            Ok(()) => {
                debug!(service = name, "nothing to do until a reload");
                wait(&mut context, None).await;
                rest = REST_MIN;
            }
            Err(error) if context.is_stopped() => {
                error!(service = name, "service {name} could not finish its work: {error:#}");
            }
            Err(error) => {
                let retry_secs = rest.as_secs();
                error!(service = name, retry_secs, "service {name} failed: {error:#}");
                wait(&mut context, Some(rest)).await;
                rest = (rest * 2).min(REST_MAX);
            }
        }
    }
}

/// Waits for a reload or for the end, and not longer than `at_most`.
async fn wait(context: &mut ServiceContext, at_most: Option<Duration>) {
    let rest = async {
        match at_most {
            Some(duration) => sleep(duration).await,
            None => future::pending().await,
        }
    };
    let stop = context.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        _ = context.reloaded() => {}
        () = rest => {}
    }
}

fn outcome(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    ended.unwrap_or_else(|error| Err(anyhow!("it ended by itself: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_service_rests_longer_and_longer() {
        let (tell, context) = context();
        let attempts = Arc::new(AtomicU32::new(0));
        let mut services = Services::new(context);
        let counted = Arc::clone(&attempts);
        services.task("restless", move |_| {
            let attempt = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(attempt != 1, "a panic is a failure like others");
                Err(anyhow!("attempt {attempt}"))
            }
        });
        let begun = Instant::now();
        for (attempt, at_secs) in [(1, 0), (2, 1), (3, 3), (4, 7), (5, 15), (6, 31), (7, 63)] {
            while attempts.load(Ordering::Relaxed) < attempt {
                sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(begun.elapsed().as_secs(), at_secs, "attempt {attempt}");
        }
        drop(tell);
        services.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_without_work_waits_for_a_reload() {
        let (tell, context) = context();
        let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let mut services = Services::new(context);
        services.task("idle", move |context| {
            let report = report.clone();
            async move {
                report.send(context.in_force().generation).expect("the test listens");
                Ok(())
            }
        });
        for generation in 1..=3 {
            assert_eq!(reports.recv().await, Some(generation));
            assert!(timeout(REST_MAX, reports.recv()).await.is_err(), "started without a reload");
            tell.send_modify(|in_force| in_force.generation += 1);
        }
        services.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn services_finish_their_work_and_are_not_waited_for_too_long() {
        let (_tell, context) = context();
        let flushed = Arc::new(AtomicU32::new(0));
        let mut services = Services::new(context);
        for _ in 0..2 {
            let flushed = Arc::clone(&flushed);
            services.task("tidy", move |context| {
                let flushed = Arc::clone(&flushed);
                async move {
                    context.stopped().await;
                    sleep(STOP_WITHIN / 2).await;
                    flushed.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
            });
        }
        services.task("stubborn", |_| future::pending());
        // What was not started yet has nothing to finish.
        sleep(REST_MIN).await;
        let begun = Instant::now();
        services.stop().await;
        assert_eq!(begun.elapsed().as_secs(), STOP_WITHIN.as_secs());
        assert_eq!(flushed.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn threads_are_services_too() {
        let (_tell, context) = context();
        let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let mut services = Services::new(context);
        services.thread("busy", move |context| {
            let thread = thread::current().name().map(str::to_owned);
            report.send(thread).expect("the test listens");
            while !context.is_stopped() {
                thread::yield_now();
            }
            report.send(None).expect("the test listens");
            Ok(())
        });
        assert_eq!(reports.recv().await, Some(Some("busy".to_owned())));
        services.stop().await;
        assert_eq!(reports.recv().await, Some(None), "it finished its work");
    }

    fn context() -> (watch::Sender<InForce>, ServiceContext) {
        let in_force = InForce { settings: Arc::default(), generation: 1 };
        let (tell, told) = watch::channel(in_force);
        (tell, ServiceContext::new(PathBuf::new(), GatewayName::of_uplink("wan"), told))
    }
}
