//! What a process that stays needs besides the packet path, which works without it.

mod rejecter;
mod requests;
pub mod service;

pub use rejecter::Rejecter;
pub use requests::{Request, Requests};
