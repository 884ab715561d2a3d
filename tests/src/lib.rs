//! What the tests of the whole gateway stand on, and the demo with them.
//!
//! ```text
//! rows     packet ─► rows ─► model, prog_run       one packet after the other, and all it changes:
//!                                                  on the host and in the kernel
//! e2e      netns ─► topology ─► eigw, socket       real hosts, real sockets, the real binary
//! demo     the same, narrated
//! ```
//!
//! Everything here panics with evidence instead of returning errors, unless the caller has a use
//! for the error: a test wants the place and the reason, not a `Result`.

pub mod address;
pub mod bpffs;
pub mod capture;
pub mod config;
pub mod earlier;
pub mod eigw;
pub mod exchange;
#[cfg(target_arch = "x86_64")]
pub mod faults;
pub mod fuzz;
pub mod icmp;
pub mod interrupt;
pub mod metrics_page;
pub mod model;
pub mod netns;
pub mod packet;
pub mod prog_run;
pub mod prometheus;
pub mod requirements;
pub mod rows;
pub mod socket;
pub mod state;
pub mod sys;
pub mod topology;
pub mod transitions;
pub mod unique;
pub mod wait;
