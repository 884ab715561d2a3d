//! Real packets through a gateway, at rates that only the kernel itself can send.
//!
//! ```text
//!            CPU 0                     CPU 1                      CPU 0
//!  generator, in the kernel ─► uplink [gateway] inside ─► sink, an XDP program
//! ```
//!
//! Both ends have a generator and a sink. The gateway receives on threads of its own, so what
//! a packet costs it is those threads' CPU time over the packets that they received, and neither
//! the generator nor anybody else on the machine is in it.

pub(crate) mod conntrack;
pub(crate) mod end;
pub(crate) mod firewall;
pub(crate) mod napi;
mod pod;
pub(crate) mod programs;
pub(crate) mod site;
#[path = "../../../../../tests-ebpf/src/stream.rs"]
pub(crate) mod stream;
pub(crate) mod traffic;
