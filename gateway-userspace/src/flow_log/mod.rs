//! Flow logs: who talked to whom in each window of time, as lines in a file.
//!
//! ```text
//! sweeper ─► Accounts (what was reported of each flow) ─► Journal ─► pending lines ─► Sink
//! Observer ─► Rejects (dropped packets, summed up) ──────────┘
//! ```
//!
//! Lines and what they report are one entry of the journal, so that a process which is killed at any
//! moment leaves either both or none. See [`Accounts`] for what is guaranteed.

mod accounts;
mod baseline;
mod field;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod json;
mod line;
mod recovery;
mod reject;
mod sink;
mod stats;
#[cfg(test)]
mod tests;

pub use accounts::{Accounts, Due, Origin};
pub use field::Field;
pub use sink::{Place, Sink, Written};
pub use stats::{FlowLogCounts, FlowLogStats};
