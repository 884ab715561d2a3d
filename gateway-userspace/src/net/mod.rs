//! The machine's network: interfaces, their TC hooks and network namespaces, all by netlink and
//! system calls. Nothing here reads `/sys/class/net`: that belongs to the network namespace in
//! which `/sys` was mounted, not to the one this thread is in.

pub(crate) mod driver;
pub mod interface;
pub(crate) mod links;
pub mod netns;
mod news;
pub(crate) mod route;
mod rtnetlink;
pub mod stack;
mod sys;
pub(crate) mod tc;

use std::{io, path::PathBuf};

use thiserror::Error;

pub use news::LinkNews;

/// What can go wrong with interfaces and network namespaces.
#[derive(Debug, Error)]
pub enum NetError {
    /// No interface of that name.
    #[error(
        "interface {name} does not exist in this network namespace; `ip link` lists what does, \
         --netns chooses another namespace"
    )]
    InterfaceMissing {
        /// What was asked for: a name, or `#` and an index.
        name: String,
    },
    /// The interface does not carry Ethernet frames.
    #[error(
        "interface {name} is not an Ethernet device (its link type is {link_type}); the gateway \
         parses Ethernet frames only, so name the Ethernet uplink below it"
    )]
    NotEthernet {
        /// The interface.
        name: String,
        /// The kernel's `ARPHRD_*` number.
        link_type: u16,
    },
    /// The interface is the loopback device.
    #[error("interface {name} is the loopback device, which is no uplink; name an Ethernet device")]
    Loopback {
        /// The interface.
        name: String,
    },
    /// A netlink request failed.
    #[error("{action} failed: {source}")]
    Netlink {
        /// What was asked of the kernel.
        action: String,
        /// What it answered.
        source: io::Error,
    },
    /// There is no network namespace of that name.
    #[error(
        "network namespace {name} does not exist (looked for {}); `ip netns list` names them, and \
         a path such as /proc/PID/ns/net works too", tried.join(" and ")
    )]
    NetnsMissing {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// The network namespace is there but cannot be used.
    #[error("{action} network namespace {} failed: {source}", path.display())]
    Netns {
        /// What was tried.
        action: &'static str,
        /// The namespace's file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}
