//! Tells the service manager again and again that all is well, if it wants to hear that: while the
//! daemon's loop turns and the kernel's side of the gateway answers. Otherwise it stays silent, and
//! the service manager starts the daemon anew.

use std::mem;

use sd_notify::watchdog_enabled;
use tokio::{
    sync::{mpsc, oneshot},
    task,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info};

use super::{ServiceContext, event::Event, manager};
use crate::datapath::{DatapathError, Gateway};

/// Signs of life in the time after which the service manager takes a silent daemon for dead.
const SIGNS: u32 = 3;

/// Gives signs of life until it shall stop.
///
/// # Errors
/// A thread is gone.
pub(super) async fn run(context: ServiceContext, tell: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let Some(patience) = watchdog_enabled() else { return Ok(()) };
    let mut signs = interval(patience / SIGNS);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_well = true;
    loop {
        tokio::select! {
            () = context.stopped() => return Ok(()),
            _ = signs.tick() => {}
        }
        let (answer, answered) = oneshot::channel();
        if tell.send(Event::Ping(answer)).await.is_err() {
            // The daemon is about to end.
            return Ok(());
        }
        let Ok(has_gateway) = answered.await else { return Ok(()) };
        let result = if has_gateway { examine(&context).await? } else { Ok(()) };
        let was_well = mem::replace(&mut is_well, result.is_ok());
        if let Err(error) = result {
            if was_well {
                error!(
                    gateway = %context.name,
                    "the gateway does not answer, so the watchdog gets no sign of life: {error}"
                );
            }
            continue;
        }
        if !was_well {
            info!(gateway = %context.name, "the gateway answers again");
        }
        manager::alive();
    }
}

async fn examine(context: &ServiceContext) -> anyhow::Result<Result<(), DatapathError>> {
    let (bpffs, name) = (context.bpffs.clone(), context.name.clone());
    let examining = task::spawn_blocking(move || {
        let gateway = Gateway::open(&bpffs, &name)?;
        gateway.now()?;
        gateway.config()?;
        gateway.verdicts().map(drop)
    });
    Ok(examining.await?)
}
