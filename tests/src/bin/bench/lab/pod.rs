//! The types that cross to the laboratory's programs.

#![expect(unsafe_code, reason = "that a type is plain data is a promise to the map's interface")]

use super::stream::{Progress, Stream};

// SAFETY: a C structure of integers without padding: 16 bytes, then kinds of 96 bytes each.
unsafe impl aya::Pod for Stream {}

// SAFETY: a C structure of 64-bit integers.
unsafe impl aya::Pod for Progress {}

const _: () = assert!(size_of::<Stream>() == 24 + 2 * 96 && size_of::<Progress>() == 32);
