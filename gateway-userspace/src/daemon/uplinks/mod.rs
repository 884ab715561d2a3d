//! Keeps the gateway on its uplinks: interfaces go down, go away, come back, get other names, and
//! people remove programs by hand.

mod addresses;
mod looks;
mod wanted;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;
pub(super) use looks::{Place, Uplinks};
use tokio::{
    sync::mpsc,
    task,
    time::{MissedTickBehavior, interval},
};

use super::{Commands, ServiceContext, event::Event};
use crate::net::LinkNews;

/// The longest time between two looks at the uplinks. The kernel tells of interfaces and addresses
/// at once, but not of programs that somebody removes, nor of a gateway that is detached.
const LOOK: Duration = Duration::from_secs(2);

/// Looks after the uplinks until it shall stop.
///
/// # Errors
/// The kernel tells nothing any more, or a thread is gone.
pub(super) async fn run<C: Commands>(
    context: ServiceContext,
    uplinks: Arc<Mutex<Uplinks<C>>>,
    tell: mpsc::Sender<Event>,
) -> anyhow::Result<()> {
    let mut news = LinkNews::listen()?;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = context.stopped() => return Ok(()),
            _ = looks.tick() => {}
            is_alive = news.next() => ensure!(is_alive, "the kernel tells nothing any more"),
        }
        let (uplinks, in_force) = (Arc::clone(&uplinks), context.in_force());
        // Its own thread: it may have to wait for other commands and for the kernel.
        let look = move || {
            let mut uplinks = uplinks.lock().unwrap_or_else(PoisonError::into_inner);
            uplinks.look(&in_force)
        };
        for event in task::spawn_blocking(look).await? {
            if tell.send(event).await.is_err() {
                // The daemon is about to end.
                return Ok(());
            }
        }
    }
}
