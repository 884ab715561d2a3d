//! What the daemon's parts tell it.

use tokio::sync::oneshot;

use crate::view::AttachView;

/// News for the daemon's loop.
#[derive(Debug)]
pub(super) enum Event {
    /// The daemon attached its gateway, whose policy has this generation.
    Attached(AttachView, u32),
    /// A gateway is there that was not there before, with a policy of this generation.
    Appeared(u32),
    /// The gateway is not there any more: somebody detached it.
    Detached,
    /// The network namespace is not there any more by the name under which it was entered.
    NetnsGone(String),
    /// The uplinks are in this state now, for people.
    Status(String),
    /// The watchdog wants to know whether the loop turns, and whether there is a gateway.
    Ping(oneshot::Sender<bool>),
}
