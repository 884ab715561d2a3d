//! Which way packets go.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        route::{RouteAttribute, RouteMessage, RouteType},
    },
};

use super::{NetError, rtnetlink::ask};

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The interface that packets leave through.
    pub(crate) interface: u32,
    /// Whether the address is one of this host's own.
    pub(crate) is_local: bool,
}

/// Asks the kernel which way packets to `destination` go in this thread's network namespace, if
/// there is one; `source` is the address they come from, where that matters.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn towards(
    destination: IpAddr,
    source: Option<IpAddr>,
) -> Result<Option<Route>, NetError> {
    let found = ask(format!("looking up the route to {destination}"), async |handle: Handle| {
        handle.route().get(question(destination, source)).execute().try_next().await
    });
    match found {
        Ok(answer) => Ok(answer.and_then(|answer| read(&answer))),
        Err(NetError::Netlink { source, .. }) if is_nowhere(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

fn question(destination: IpAddr, source: Option<IpAddr>) -> RouteMessage {
    let (family, bits) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(destination.into()));
    if let Some(source) = source {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(source.into()));
    }
    message
}

fn read(answer: &RouteMessage) -> Option<Route> {
    let kind = answer.header.kind;
    let is_local = matches!(kind, RouteType::Local | RouteType::Anycast);
    if !is_local && kind != RouteType::Unicast {
        return None;
    }
    let interface = answer.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None }
    })?;
    Some(Route { interface, is_local })
}

/// How the kernel says that there is no way, that packets are not let there, or that nobody here
/// could send from that source.
fn is_nowhere(error: &std::io::Error) -> bool {
    [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL]
        .iter()
        .any(|&errno| error.raw_os_error() == Some(errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::interface;

    #[test]
    fn the_way_to_this_host_is_the_loopback_device() {
        let loopback = interface::find("lo").expect("every network namespace has one").index;
        let address = "127.0.0.5".parse().expect("an address");
        for source in [None, Some(address)] {
            let route = towards(address, source).expect("an answer");
            assert_eq!(route, Some(Route { interface: loopback, is_local: true }));
        }
        let nowhere = "240.0.0.1".parse().expect("an address");
        let elsewhere = Some("8.8.8.8".parse().expect("an address"));
        assert_eq!(towards(nowhere, elsewhere).expect("an answer"), None);
    }
}
