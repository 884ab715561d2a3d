//! Where packet bytes come from.

use crate::limits::HEADER_OFFSET_MAX;

/// Read access to one frame, from its first link-layer byte on. There is no way to write: what
/// passes, passes as it came (RFC2979-3.1.2).
///
/// Reads copy: nothing behind this trait keeps a pointer into packet memory, which is what lets
/// the kernel's verifier and Rust's borrow rules agree on the same text.
pub trait PacketBytes {
    /// The `N` bytes at `offset`; `None` when the frame ends before, or when the offset is beyond
    /// [`HEADER_OFFSET_MAX`], where no header is looked for.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The `N` words of four bytes at `offset`, each as its bytes lie in memory, and otherwise like
    /// [`read`](Self::read). What is kept in words, as addresses are, need not be taken apart.
    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// Copies up to `len` bytes at `offset` into `to`, as many as it has room for, and returns how
    /// many. None when the frame ends before.
    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize;

    /// Bytes in the frame, of all its parts.
    fn len(&self) -> usize;

    /// How many frames this one becomes on the wire, at least 1: more for a packet under
    /// segmentation offload (or one that receive offload put together).
    fn segments(&self) -> u32;

    /// The tag control information of a VLAN tag that the driver keeps beside the frame, which is
    /// then the outermost tag.
    fn offloaded_vlan(&self) -> Option<u16>;

    /// Whether another host sent the packet and this one forwards it: known at egress only.
    fn is_forwarded(&self) -> bool;

    /// The same offset, as a value of which the kernel's verifier knows nothing but the bound.
    ///
    /// The verifier follows every path with every value it can tell apart; forgetting how an
    /// offset came about is what keeps header chains from multiplying its work. Only the bits of
    /// [`HEADER_OFFSET_MAX`] survive, here as in the kernel: callers check that an offset is
    /// within that bound before they forget it.
    #[must_use]
    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        offset & HEADER_OFFSET_MAX
    }

    /// Whether the frame is empty, which no valid one is.
    #[must_use]
    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PacketBytes for &[u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > HEADER_OFFSET_MAX {
            return None;
        }
        self.get(offset..)?.first_chunk::<N>().copied()
    }

    #[inline(always)]
    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        if offset > HEADER_OFFSET_MAX {
            return None;
        }
        let (words, _rest) = self.get(offset..)?.as_chunks();
        words.first_chunk::<N>().map(|words| words.map(u32::from_ne_bytes))
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize {
        let len = len.min(N);
        let Some(from) = self.get(offset..offset.saturating_add(len)) else { return 0 };
        to[..len].copy_from_slice(from);
        len
    }

    #[inline(always)]
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        1
    }

    #[inline(always)]
    fn offloaded_vlan(&self) -> Option<u16> {
        None
    }

    #[inline(always)]
    fn is_forwarded(&self) -> bool {
        false
    }
}
