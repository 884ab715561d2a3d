//! What the kernel tells about interfaces and addresses without being asked.

use std::pin::Pin;

use futures_util::{FutureExt, Stream, StreamExt};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::task::JoinSet;

use super::NetError;

/// Tells that interfaces or addresses changed in the network namespace where it was made. What
/// changed has to be looked up: messages may be late or lost.
pub struct LinkNews {
    messages: Pin<Box<dyn Stream<Item = ()> + Send>>,
    _connection: JoinSet<()>,
}

impl LinkNews {
    /// Listens from now on, on the current tokio runtime.
    ///
    /// # Errors
    /// [`NetError::Netlink`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen() -> Result<Self, NetError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _, messages) = new_multicast_connection(&groups).map_err(|source| {
            NetError::Netlink { action: "listening to changes of interfaces".to_owned(), source }
        })?;
        let mut task = JoinSet::new();
        task.spawn(connection);
        let messages = Box::pin(messages.map(drop));
        Ok(Self { messages, _connection: task })
    }

    /// Waits for a change; false when there will be no further news. Changes that came meanwhile
    /// are one. Nothing is lost when this is cancelled.
    pub async fn next(&mut self) -> bool {
        if self.messages.next().await.is_none() {
            return false;
        }
        while let Some(Some(())) = self.messages.next().now_or_never() {}
        true
    }
}
