//! The gateway's packet logic: one text that runs as BPF in the kernel, in unit tests and in
//! user-space tools.
//!
//! ```text
//! bytes ─► parse ─► packet ─► ingress | egress ─► verdict
//!            wire     tuple      │
//!                                ├ local, martian      judged without state
//!                                ├ flow, related, fragment ─► tables
//!                                └ admission ─► policy ─────► (BPF maps in the kernel,
//!                                                              collections in tests)
//! ```
//!
//! Nothing here allocates, panics, knows a clock or touches a map: bytes come from
//! [`bytes::PacketBytes`], everything else from [`tables::Tables`].

#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod admission;
pub mod bytes;
pub mod config;
pub mod counter;
pub mod egress;
pub mod ending;
pub mod endpoint;
pub mod flow;
pub mod fragment;
pub mod gateway;
pub mod host;
pub mod ingress;
pub mod limits;
pub mod local;
pub mod martian;
pub mod observe;
pub mod packet;
pub mod parse;
pub mod pod;
pub mod policy;
pub mod presence;
pub mod record;
pub mod rejection;
pub mod related;
pub mod seed;
pub mod tables;
pub mod timeouts;
pub mod tuple;
pub mod verdict;
pub mod wire;
