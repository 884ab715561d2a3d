//! What the generator sends and the sink counts, as both sides of the maps see it. The crate
//! `tests` compiles this file too.

/// Every frame's length: Ethernet, IPv6, and a TCP header or a UDP header with 12 bytes behind it.
pub(crate) const FRAME_BYTES: usize = 74;
/// Whole words of a frame; two bytes follow them.
pub(crate) const FRAME_WORDS: usize = FRAME_BYTES / 8;

/// Where the last 64 bits of the source and of the destination address are in a frame. A flow's
/// number stands there, and behind it the number's complement, so that checksums stay as they are.
pub(crate) const SOURCE_OFFSET: usize = 30;
/// See [`SOURCE_OFFSET`].
pub(crate) const DESTINATION_OFFSET: usize = 46;

/// Kinds of frames in a stream, told apart by the port of the inside host.
pub(crate) const KINDS: usize = 2;
/// The inside host's port of the first kind, in host order; the next one's follows.
pub(crate) const INSIDE_PORT: u16 = 40_000;
/// The outside hosts' port, in host order: what is not to or from it, the sink lets pass.
pub(crate) const OUTSIDE_PORT: u16 = 9;

/// A stream of frames.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    /// The index of the interface to send on.
    pub(crate) interface: u32,
    /// Every so many frames one is of the second kind; none is with zero.
    pub(crate) second_each: u32,
    /// From one frame to the next, or from one burst to the next, in nanoseconds; zero is as fast as
    /// can be.
    pub(crate) interval_ns: u64,
    /// Frames of a burst, which are sent at once; zero is one.
    pub(crate) burst: u32,
    /// Zero.
    pub(crate) zero: u32,
    /// What each kind looks like.
    pub(crate) kinds: [Kind; KINDS],
}

/// Frames that differ in a number only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    /// The frame but for its last two bytes, in memory order.
    pub(crate) words: [u64; FRAME_WORDS],
    /// The last two bytes, in memory order.
    pub(crate) tail: u64,
    /// The first number.
    pub(crate) first: u32,
    /// How many numbers there are, from the first one up.
    pub(crate) numbers: u32,
    /// Whether they are taken in order (1) or at random (0).
    pub(crate) in_order: u32,
    /// Whether they stand in the destination (1) or the source (0).
    pub(crate) in_destination: u32,
}

/// How far a stream is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Frames of each kind so far.
    pub(crate) sent: [u64; KINDS],
    /// Frames so far.
    pub(crate) sent_total: u64,
    /// When the next one is due, in nanoseconds of the monotonic clock.
    pub(crate) due_ns: u64,
}
