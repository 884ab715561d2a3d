//! Attaching to a machine that is in use cuts nothing: connections that are there go on, whoever
//! speaks next.
//!
//! In every test outside speaks first after the gateway was attached: what inside sends would be
//! picked up in any case.

mod forwarded;
mod limits;
mod pair;
mod policy;
mod sockets;
