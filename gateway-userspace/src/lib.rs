//! Everything of the gateway that runs as an ordinary process.
//!
//! ```text
//! command line ─► cli ─► settings ─► policy ─► datapath ─► kernel
//!                  │                              │
//!                  │                              └ net (interfaces, namespaces)
//!                  ├──► why: the packet path's logic, asked about one packet
//!                  └──► view ─► output (plain text or JSON)
//! ```
//!
//! The binary `eigw` is a thin shell around [`cli`]; tests and later programs use the same
//! library.

pub mod accounts;
pub mod cli;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod flow_log;
pub mod net;
pub mod output;
pub mod policy;
mod process;
pub mod protocol;
mod random;
pub mod seed;
mod session;
pub mod settings;
pub mod view;
pub mod why;
