//! What becomes of the gateway when a command that changes it is killed, refused by the kernel, or
//! robbed of its interface, at any of its system calls.
//!
//! ```text
//! tracer     runs a program and stops it at every system call
//! boundary   which of them may change the world
//! site       a gateway under traffic, and what state it is in
//! sweep      a job, disturbed at one boundary after the other
//! loss       the same with an interface that goes away, in a smaller place
//! ```
//!
//! Nothing here panics because the gateway does wrong: that is a finding, of which a sweep collects
//! as many as there are.

mod boundary;
mod job;
mod loss;
mod site;
mod sweep;
mod tracer;

pub use boundary::Boundary;
pub use job::{Job, Way};
pub use loss::{Loss, lose};
pub use site::{Site, State, repair};
pub use sweep::{Disturbance, Row, Sample, sweep};
pub use tracer::{Call, Ending, Moment, Reaction, run};
