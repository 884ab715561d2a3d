//! What hosts say to each other, and what attackers, broken hosts and bad luck make of it:
//! generated sequences of packets.

pub mod frame;
pub mod grammar;
mod mutation;
pub mod option;
pub mod step;

/// Packets of a sequence.
pub const STEPS_MAX: usize = 256;

/// The link-layer addresses of those who take part.
pub mod mac {
    pub use crate::topology::{ROUTER_MAC as ROUTER, UPLINK_MAC as UPLINK};

    /// The inside host.
    pub const HOST: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x11];
    /// The gateway as its inside hosts see it.
    pub const INSIDE: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x12];
}
