//! Why a packet gets the verdict that it gets: the packet path's own logic, asked in user space.
//!
//! ```text
//! tuple ─► question ─┐
//! hex ─────► frame ──┴─► explain: ingress | egress of gateway_common
//!                           │  over an overlay, which keeps what would be written
//!                           └► memory: an attached gateway's maps, or nothing yet
//! ```
//!
//! Nothing here writes to the kernel: asking leaves no trace.

mod dissection;
mod explain;
mod fields;
mod frame;
mod hint;
mod memory;
mod nearest;
mod overlay;
mod question;
#[cfg(test)]
mod tests;
mod values;
mod words;

pub use dissection::{Dissection, ExtensionHeader};
pub use explain::{Asked, Explanation, KnownFlow, explain};
pub use fields::{Field, Located, deciding};
pub use frame::Frame;
pub use hint::{Hint, hint};
pub use memory::{FreshMemory, Looked, Memory};
pub use nearest::{Difference, NearFlow};
pub use overlay::Change;
pub use question::{Numbers, Question, QuestionError};
pub(crate) use values::{extension_name, place, tcp_flags};
pub use words::{Endpoint, opening_flags};
