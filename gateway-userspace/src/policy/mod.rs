//! From the policy as people write it to the tables that the packet path reads.
//!
//! ```text
//! Policy ─► fields: for each value, which rules accept it ─► classes of equal values
//!             protocol   array by direction and number
//!             selector   array by port or ICMP type
//!             inside     hash by prefix, with subnet and route
//!             outside    hash by prefix
//! ```

mod bits;
mod compile;
mod coverage;
pub mod doubts;
mod fields;
mod host;
mod levels;
#[cfg(test)]
mod tests;
mod trie;

pub use compile::{CompiledPolicy, PolicySizes};
pub(crate) use fields::protocol_slot;
pub use host::HostTables;
