//! The bitmaps in this process's memory.

#![expect(unsafe_code, reason = "memory that is shared with the kernel is had by address")]

use std::{
    io, num::NonZeroUsize, ops::Deref, os::fd::BorrowedFd, ptr::NonNull, slice,
    sync::atomic::AtomicU64,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The words of an array map, as packets see them.
#[derive(Debug)]
pub(super) struct SharedWords {
    first: NonNull<AtomicU64>,
    bytes: NonZeroUsize,
}

// SAFETY: the memory is reached as atomic words only, by whatever thread.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first `count` words of the array map `map`, which was made for that.
    ///
    /// # Errors
    /// What the kernel says, for instance that the map is smaller or not made for it.
    pub(super) fn of(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(count * size_of::<AtomicU64>())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a place where nothing is. It refuses more than the map has, and
        // keeps the map's memory for as long as it is mapped.
        let first = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { first: first.cast(), bytes })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        let count = self.bytes.get() / size_of::<AtomicU64>();
        // SAFETY: so much is mapped at the beginning of a page until this is dropped, any bits are a
        // valid word, and others change words by atomic instructions only.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has it any more.
        let unmapped = unsafe { munmap(self.first.cast(), self.bytes.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
