//! The packet path in the kernel: attaching it to uplinks, detaching it, and reading what it
//! knows.
//!
//! Everything of a gateway is pinned below one directory of the BPF file system, so it works on
//! without any process and the next command finds it again:
//!
//! ```text
//! <bpffs>/eigw/                 locked by commands that change something
//! └── <name>/                   appears by one rename, so it is there completely or not at all
//!     ├── maps/<NAME>           the maps of gateway_common::abi::name, and META
//!     ├── programs/<name>       the programs, among them those that `now` and `forget` run
//!     └── links/<ifindex>_…     what keeps the programs attached
//! ```
//!
//! A directory whose name has a `+` belongs to a running daemon, to an observer or to a command that
//! did not finish; the next command that changes something removes what nobody owns.
//!
//! Whether a gateway enforces anything is one word in a map: attaching arms it with its very
//! last write. Whatever ends an attach before that leaves packets passing as they did. That write
//! may bring a deadline with it, from which on everything passes again unless the operator confirms
//! the gateway.

mod attach;
mod attachment;
mod bpffs;
mod cause;
mod claim;
mod confirm;
mod daemon;
mod detach;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod hook;
mod hosts;
mod live;
mod maps;
mod meta;
mod name;
mod observer;
mod pin;
mod policy;
mod presence;
mod programs;
mod records;
mod rejects;
mod reload;
mod repair;
mod requirements;
mod seeding;
mod status;
mod survey;
mod sys;
mod undo;
mod upgrade;
mod uplinks;
mod work;

pub use attach::{AttachOutcome, AttachRequest, UplinkOutcome, attach};
pub use bpffs::{BpffsState, DEFAULT_BPFFS};
pub use cause::VerifierLogTail;
pub use confirm::{Retraction, Unconfirmed, confirm, retract, unconfirmed};
pub use daemon::{DaemonLock, has_daemon};
pub use detach::{DetachOutcome, detach, detach_all};
pub use error::DatapathError;
pub use gateway::{FlowBatch, FlowBatches, Gateway, RunStats, TableSizes, list};
pub use hook::{HookChoice, IngressHook, TcChoice, TcMeans};
pub use hosts::{HostLimits, HostShares};
pub use live::{LiveTables, share};
pub use name::GatewayName;
pub use observer::{Observation, Observer, observer_counts};
pub use policy::{BuiltTables, NewPolicy, PolicyInForce, PolicySource};
pub use presence::{Presence, Rebuilding, fill_ratio};
pub use programs::OBJECT;
pub use records::Records;
pub use rejects::Rejects;
pub use reload::{ReloadOutcome, ReloadRequest, reload};
pub use repair::{Followed, RepairRequest, adjust, follow, repair};
pub use requirements::{
    KERNEL_MIN, KERNEL_MIN_NAME, check_btf, kernel_release, kernel_version, lacking_capabilities,
};
pub use seeding::Seeded;
pub use status::{AttachedProgram, UplinkStatus};
pub use survey::{HookProgram, owners, programs_on};
