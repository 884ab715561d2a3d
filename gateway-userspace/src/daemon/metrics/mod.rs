//! Metrics for Prometheus; what they tell the commands show as well (RFC6888-REQ-10).
//!
//! ```text
//! kernel: counters, configuration, uplinks ──┐
//! sweeper: flows by table and state ─────────┼─► scrape ─► Page ─► http ─► GET /metrics
//! daemon: reloads, this process ─────────────┘                      ▲
//! every ten seconds: what arrived ─► Peaks ─────────────────────────┘
//! ```

mod aws;
mod catalogue;
mod http;
mod page;
mod process;
mod scrape;
mod vitals;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use aws::{MEAN_OVER, Peaks, Traffic};
use page::Format;
use scrape::Sources;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};

pub use catalogue::{Kind, METRICS, Metric};
pub(super) use vitals::Vitals;

use super::ServiceContext;
use crate::datapath::{Gateway, GatewayName};

/// Serves metrics on the addresses of the settings in force, until it shall stop or there are none.
pub(super) async fn run(mut context: ServiceContext, vitals: Vitals) -> anyhow::Result<()> {
    let shared = Shared {
        bpffs: context.bpffs.clone(),
        name: context.name.clone(),
        vitals,
        peaks: Arc::default(),
        reading: Arc::default(),
    };
    let mut looks = interval(MEAN_OVER);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let listen = context.in_force().settings.metrics.listen.clone();
        if listen.is_empty() {
            return Ok(());
        }
        let mut servers = JoinSet::new();
        for &address in &listen {
            let shared = shared.clone();
            servers.spawn(http::serve(address, move |format| shared.clone().text(format)));
        }
        let stop = context.clone();
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                in_force = context.reloaded() => {
                    if in_force.settings.metrics.listen != listen {
                        break;
                    }
                }
                _ = looks.tick() => shared.look().await?,
                Some(ended) = servers.join_next() => ended.context("a server ended")?,
            }
        }
        // The same port may be wanted on another address.
        servers.shutdown().await;
    }
}

/// What requests have in common.
#[derive(Clone)]
struct Shared {
    bpffs: PathBuf,
    name: GatewayName,
    vitals: Vitals,
    peaks: Arc<Mutex<Peaks>>,
    /// Held while a page is read, so that many clients take one CPU at most.
    reading: Arc<Mutex<()>>,
}

impl Shared {
    async fn text(self, format: Format) -> anyhow::Result<String> {
        let read = move || {
            let Self { bpffs, name, vitals, peaks, reading } = self;
            let _reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            Sources { bpffs: &bpffs, name: &name, vitals: &vitals, peaks: &peaks }.page()
        };
        let page = spawn_blocking(read).await.context("reading ended with a panic")?;
        Ok(page.text(format)?)
    }

    /// Notes how much arrived by now.
    async fn look(&self) -> anyhow::Result<()> {
        let Self { bpffs, name, peaks, .. } = self.clone();
        let look = move || {
            let read = || {
                let gateway = Gateway::open(&bpffs, &name).ok()?;
                Some((gateway.id().ok()?, Traffic::of(&gateway.verdicts().ok()?).arrived()))
            };
            let (found, now) = (read(), Instant::now());
            let mut peaks = peaks.lock().unwrap_or_else(PoisonError::into_inner);
            match found {
                Some((id, arrived)) => peaks.note(id, now, arrived),
                None => peaks.forget(),
            }
        };
        spawn_blocking(look).await.context("looking at rates ended with a panic")
    }
}
