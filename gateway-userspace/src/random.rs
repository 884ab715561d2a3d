//! Numbers that nobody can guess.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Random bytes from the kernel.
///
/// # Errors
/// What the kernel says.
pub(crate) fn bytes<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Random words from the kernel.
///
/// # Errors
/// What the kernel says.
pub(crate) fn words<const COUNT: usize>() -> io::Result<[u64; COUNT]> {
    let mut words = [0; COUNT];
    for word in &mut words {
        *word = u64::from_ne_bytes(bytes()?);
    }
    Ok(words)
}
