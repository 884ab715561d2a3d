//! Lines as AWS documents them, and accounts that add up whatever happens to the process.

mod clocks;
mod crashes;
mod lines;
mod sinks;
