//! Packet memory: the only place that turns offsets into pointers.

#![expect(unsafe_code, reason = "the kernel hands out packet memory as raw addresses")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "BPF has 64-bit pointers, offsets are below HEADER_OFFSET_MAX, and a tag has 16 bits"
)]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::{TcContext, XdpContext},
};
use core::{arch::asm, cell::UnsafeCell};
use gateway_common::{bytes::PacketBytes, limits::HEADER_OFFSET_MAX};

/// Where `N` values of type `T` at `offset` lie in the linear packet memory that `start` and `end`
/// bound, if they do.
#[inline(always)]
fn linear<T, const N: usize>(start: u32, end: u32, offset: usize) -> Option<usize> {
    if offset > HEADER_OFFSET_MAX {
        return None;
    }
    let (start, end) = (start as usize, end as usize);
    let first = start + offset;
    let past: usize;
    // SAFETY: one addition. Written out so that the compiler cannot turn the comparison below into
    // one that the verifier does not understand (`first >= end` for a single byte).
    unsafe {
        asm!("{past} += {len}", past = inout(reg) first => past, len = const N * size_of::<T>());
    }
    (past <= end).then_some(first)
}

/// Declares a function that loads one word from memory of any alignment.
macro_rules! word_loader {
    ($name:ident, $word:ty, $register:ident, $instruction:literal) => {
        /// # Safety
        ///
        /// A word at `first` must be initialized memory that the program may read.
        #[inline(always)]
        unsafe fn $name(first: usize) -> $word {
            let word;
            // SAFETY: one load that the caller vouches for; the machine allows any alignment, or
            // its kernel refuses the program.
            unsafe {
                asm!(
                    $instruction,
                    word = lateout($register) word,
                    first = in(reg) first,
                    options(pure, readonly, nostack),
                );
            }
            word
        }
    };
}

word_loader!(load_u64, u64, reg, "{word} = *(u64 *)({first} + 0)");
word_loader!(load_u32, u32, wreg, "{word} = *(u32 *)({first} + 0)");
word_loader!(load_u16, u16, wreg, "{word} = *(u16 *)({first} + 0)");

/// Loads `N` bytes in the largest words that fit. The compiler would load single bytes, because
/// it may not assume that packets are aligned.
///
/// # Safety
///
/// `first..first + N` must be initialized memory that the program may read.
#[inline(always)]
unsafe fn load<const N: usize>(first: usize) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    // SAFETY: every load below stays inside the range that the caller vouches for.
    unsafe {
        while at + 8 <= N {
            bytes[at..at + 8].copy_from_slice(&load_u64(first + at).to_ne_bytes());
            at += 8;
        }
        if at + 4 <= N {
            bytes[at..at + 4].copy_from_slice(&load_u32(first + at).to_ne_bytes());
            at += 4;
        }
        if at + 2 <= N {
            bytes[at..at + 2].copy_from_slice(&load_u16(first + at).to_ne_bytes());
            at += 2;
        }
        if at < N {
            bytes[at] = *((first + at) as *const u8);
        }
    }
    bytes
}

/// Loads `N` words.
///
/// # Safety
///
/// Their bytes from `first` on must be initialized memory that the program may read.
#[inline(always)]
unsafe fn load_words<const N: usize>(first: usize) -> [u32; N] {
    let mut words = [0; N];
    let mut at = 0;
    while at < N {
        // SAFETY: inside the range that the caller vouches for.
        words[at] = unsafe { load_u32(first + at * size_of::<u32>()) };
        at += 1;
    }
    words
}

/// A frame at an XDP hook.
pub(crate) struct XdpBytes {
    context: *mut xdp_md,
}

impl XdpBytes {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self { context: context.ctx }
    }

    /// Headers lie in the first buffer of a multi-buffer frame; what does not drops.
    #[inline(always)]
    fn linear<T, const N: usize>(&self, offset: usize) -> Option<usize> {
        // SAFETY: the kernel calls the program with a valid context.
        let (start, end) = unsafe { ((*self.context).data, (*self.context).data_end) };
        linear::<T, N>(start, end, offset)
    }
}

impl PacketBytes for XdpBytes {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let first = self.linear::<u8, N>(offset)?;
        // SAFETY: `first..first + N` lies inside packet memory.
        Some(unsafe { load(first) })
    }

    #[inline(always)]
    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let first = self.linear::<u32, N>(offset)?;
        // SAFETY: as above.
        Some(unsafe { load_words(first) })
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize {
        if len == 0 {
            return 0;
        }
        let len = bounded::<N>(len);
        // SAFETY: the context is valid, and `to` has room for `len` bytes, which is at most `N`.
        let result = unsafe {
            bpf_xdp_load_bytes(self.context, offset as u32, to.as_mut_ptr().cast(), len as u32)
        };
        if result == 0 { len } else { 0 }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the kernel calls the program with a valid context.
        unsafe { bpf_xdp_get_buff_len(self.context) as usize }
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

    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        forget(offset)
    }
}

/// What a hook knows beside the frame.
pub(crate) trait Uplink: PacketBytes {
    /// The interface the frame arrived on or leaves by.
    fn ifindex(&self) -> u32;
}

impl Uplink for XdpBytes {
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the kernel calls the program with a valid context.
        unsafe { (*self.context).ingress_ifindex }
    }
}

impl Uplink for SkbBytes<'_> {
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the kernel calls the program with a valid context.
        unsafe { (*self.context).ifindex }
    }
}

/// A packet at a TC hook.
pub(crate) struct SkbBytes<'a> {
    context: *mut __sk_buff,
    copy: &'a HeaderCopy,
}

/// Where the kernel copies a header to that is not in linear memory, aligned so that it can be
/// loaded in words like packet memory.
#[repr(align(8))]
pub(crate) struct HeaderCopy(UnsafeCell<[u8; READ_BYTES_MAX]>);

/// The longest single read: an IPv6 header.
const READ_BYTES_MAX: usize = 40;

impl<'a> SkbBytes<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &TcContext, copy: &'a HeaderCopy) -> Self {
        Self { context: context.skb.skb, copy }
    }

    #[inline(always)]
    fn linear<T, const N: usize>(&self, offset: usize) -> Option<usize> {
        // SAFETY: the kernel calls the program with a valid context.
        let (start, end) = unsafe { ((*self.context).data, (*self.context).data_end) };
        linear::<T, N>(start, end, offset)
    }

    /// Where `N` values of type `T` are, copied from page fragments, where receive offload leaves
    /// what linear memory does not hold.
    #[inline(always)]
    fn paged<T, const N: usize>(&self, offset: usize) -> Option<usize> {
        const { assert!(N * size_of::<T>() <= READ_BYTES_MAX) };
        if offset > HEADER_OFFSET_MAX {
            return None;
        }
        let copy = self.copy.0.get();
        let len = (N * size_of::<T>()) as u32;
        // SAFETY: the helper writes exactly `len` bytes, which `copy` has room for, or fails; no
        // reference to `copy` exists.
        let result =
            unsafe { bpf_skb_load_bytes(self.context.cast(), offset as u32, copy.cast(), len) };
        let mut first = copy as usize;
        // SAFETY: it changes nothing. It keeps from the compiler how the address is aligned: it
        // would add by `|`, which the verifier does not allow of an address.
        unsafe { asm!("{first} += 0", first = inout(reg) first) };
        (result == 0).then_some(first)
    }
}

impl PacketBytes for SkbBytes<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // The two are different kinds of memory, so each has its load.
        match self.linear::<u8, N>(offset) {
            // SAFETY: `first..first + N` lies inside packet memory.
            Some(first) => Some(unsafe { load(first) }),
            // SAFETY: the copy holds `N` initialized bytes, which this program alone uses.
            None => self.paged::<u8, N>(offset).map(|first| unsafe { load(first) }),
        }
    }

    #[inline(always)]
    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        match self.linear::<u32, N>(offset) {
            // SAFETY: as above.
            Some(first) => Some(unsafe { load_words(first) }),
            // SAFETY: as above.
            None => self.paged::<u32, N>(offset).map(|first| unsafe { load_words(first) }),
        }
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize {
        if len == 0 {
            return 0;
        }
        let len = bounded::<N>(len);
        // SAFETY: the context is valid, and `to` has room for `len` bytes, which is at most `N`.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.context.cast(),
                offset as u32,
                to.as_mut_ptr().cast(),
                len as u32,
            )
        };
        if result == 0 { len } else { 0 }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the kernel calls the program with a valid context.
        unsafe { (*self.context).len as usize }
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        // SAFETY: the kernel calls the program with a valid context.
        let (count, size) = unsafe { ((*self.context).gso_segs, (*self.context).gso_size) };
        match (count, size) {
            (0, 0) => 1,
            // A guest's packet, whose segments nobody has counted yet. The headers, which are in
            // the length too, add at most one.
            (0, size) => (self.len() as u32).div_ceil(size),
            (count, _) => count,
        }
    }

    #[inline(always)]
    fn offloaded_vlan(&self) -> Option<u16> {
        // SAFETY: the kernel calls the program with a valid context.
        let (present, tag) = unsafe { ((*self.context).vlan_present, (*self.context).vlan_tci) };
        (present != 0).then_some(tag as u16)
    }

    #[inline(always)]
    fn is_forwarded(&self) -> bool {
        // SAFETY: the kernel calls the program with a valid context.
        unsafe { (*self.context).ingress_ifindex != 0 }
    }

    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        forget(offset)
    }
}

/// Zero, which only we know: it lies in writable memory, so the verifier has to expect anything.
static mut UNKNOWN_ZERO: usize = 0;

/// See [`PacketBytes::forget`].
#[inline(always)]
fn forget(offset: usize) -> usize {
    // SAFETY: nothing ever writes the variable.
    let zero = unsafe { (&raw const UNKNOWN_ZERO).read_volatile() };
    (offset + zero) & HEADER_OFFSET_MAX
}

/// A length that is not zero, or `N` if that is less, of which the verifier sees both bounds
/// wherever the compiler takes it.
#[inline(always)]
fn bounded<const N: usize>(len: usize) -> usize {
    const { assert!(N.is_power_of_two()) };
    let len = if len > N { N } else { len };
    // SAFETY: nothing ever writes the variable.
    let zero = unsafe { (&raw const UNKNOWN_ZERO).read_volatile() };
    ((len - 1 + zero) & (N - 1)) + 1
}

const _: () = assert!((HEADER_OFFSET_MAX + 1).is_power_of_two());
