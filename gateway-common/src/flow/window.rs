//! TCP sequence numbers: what each side has sent and granted, and whether a segment fits.
//!
//! The arithmetic is that of RFC 9293 section 3.4: numbers wrap around, and of two the later one
//! is the one that lies less than half the number space ahead. What is recorded only ever moves
//! ahead, so that late and lost updates of other CPUs do no harm; see [`Sent::join`].

/// How many bytes below everything the other side sent an acknowledgement may lie at least: the
/// largest window without scaling, and a little more. Acknowledgements that lag behind are
/// harmless, and a host that is asked for much may well repeat an old one.
const ACK_LAG_MIN: u32 = 66_000;

/// Whether `a` comes before `b` or is the same.
#[must_use]
#[inline(always)]
pub const fn is_up_to(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() >= 0
}

/// The later of two sequence numbers.
#[must_use]
#[inline(always)]
pub const fn later(a: u32, b: u32) -> u32 {
    if is_up_to(a, b) { b } else { a }
}

/// Two numbers in one word, so that they change in one atomic step.
macro_rules! two_in_a_word {
    ($type:ident, $low:ident, $low_doc:literal, $high:ident, $high_doc:literal) => {
        impl $type {
            /// The word for these two numbers.
            #[must_use]
            #[inline(always)]
            pub const fn new($low: u32, $high: u32) -> Self {
                Self((($high as u64) << 32) | $low as u64)
            }

            #[doc = $low_doc]
            #[must_use]
            #[inline(always)]
            pub const fn $low(self) -> u32 {
                (self.0 & 0xffff_ffff) as u32
            }

            #[doc = $high_doc]
            #[must_use]
            #[inline(always)]
            pub const fn $high(self) -> u32 {
                (self.0 >> 32) as u32
            }
        }
    };
}

/// What a side has sent: the sequence number behind its last byte, and the largest window it
/// ever offered, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Sent(pub u64);

two_in_a_word!(
    Sent,
    end,
    "The sequence number behind the last byte.",
    window,
    "The largest window offered, in bytes; 0 only when the side was never seen."
);

impl Sent {
    /// Both of two records.
    ///
    /// Joining is commutative, associative and idempotent as long as the numbers lie within half
    /// the number space of each other, which the bounds of [`fit`] ensure. So it does not matter
    /// in which order two CPUs record what they saw, or whether one of them has to try again. An
    /// update that is lost altogether only leaves the record behind until that side's next
    /// segment, which carries the same numbers or later ones.
    #[must_use]
    #[inline(always)]
    pub const fn join(self, other: Self) -> Self {
        let (a, b) = (self.window(), other.window());
        Self::new(later(self.end(), other.end()), if a < b { b } else { a })
    }
}

/// What a side has granted the other: the highest acknowledgement it sent, and the sequence
/// number up to which it offered to take data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Granted(pub u64);

two_in_a_word!(Granted, ack, "The highest acknowledgement.", edge, "The right edge of the window.");

impl Granted {
    /// Both of two records; see [`Sent::join`].
    #[must_use]
    #[inline(always)]
    pub const fn join(self, other: Self) -> Self {
        Self::new(later(self.ack(), other.ack()), later(self.edge(), other.edge()))
    }
}

/// One side of a connection, as far as windows go.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// What it sent.
    pub sent: Sent,
    /// What it granted, which counts once it acknowledged anything.
    pub granted: Granted,
    /// Whether it acknowledged anything.
    pub has_granted: bool,
}

/// What a segment claims, in the terms of [`Side`].
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The sequence number of its first byte.
    pub sequence: u32,
    /// The sender after it: the sequence number behind its last byte, and its window.
    pub sent: Sent,
    /// What it grants.
    pub granted: Granted,
    /// What it acknowledges, selective acknowledgements included.
    pub acked: u32,
}

/// How a segment fits what both sides have sent and granted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is what the receiver expects.
    Inside,
    /// It goes beyond the window, but not by more than a window: its sender is impatient.
    Overshoot,
    /// It repeats what was said long ago; the receiver will answer, but not believe it.
    Old,
    /// No host that takes part would send it.
    Outside,
}

/// Judges a segment from `sender` to `receiver`.
///
/// Four bounds, as every stateful filter since van Rooij's "Real Stateful TCP Packet Filtering"
/// has them. They are wider than those of the receiving host (RFC 9293 section 3.10.7.4), so what
/// a host would take is never refused (RFC 5961 section 9.3).
#[must_use]
#[inline(always)]
pub fn fit(sender: Side, receiver: Side, claim: Claim) -> Fit {
    let limit = right_edge(sender, receiver);
    let window = receiver.sent.window();
    let lag = if sender.sent.window() > ACK_LAG_MIN { sender.sent.window() } else { ACK_LAG_MIN };
    // It acknowledges what the receiver never sent.
    if !is_up_to(claim.acked, receiver.sent.end()) {
        return Fit::Outside;
    }
    let starts_inside = is_up_to(claim.sequence, limit);
    let ends_recently = is_up_to(sender.sent.end().wrapping_sub(window), claim.sent.end());
    let acks_recently = is_up_to(receiver.sent.end().wrapping_sub(lag), claim.acked);
    match (starts_inside, ends_recently && acks_recently) {
        (true, true) => Fit::Inside,
        (true, false) => Fit::Old,
        (false, true) if claim.sent.end().wrapping_sub(limit) <= window => Fit::Overshoot,
        (false, _) => Fit::Outside,
    }
}

/// Where a reset lies in the window of `receiver` (RFC 5961 section 3.2).
#[must_use]
#[inline(always)]
pub fn place(sender: Side, receiver: Side, sequence: u32) -> Place {
    // The receiver expects what it acknowledged last; or, while that acknowledgement is still to
    // come, what follows the last byte that the sender sent.
    let expected = if receiver.has_granted { receiver.granted.ack() } else { sender.sent.end() };
    if sequence == expected || sequence == sender.sent.end() {
        Place::Next
    } else if is_up_to(expected, sequence) && is_up_to(sequence, right_edge(sender, receiver)) {
        Place::Window
    } else {
        Place::Elsewhere
    }
}

/// Where a reset lies when nothing but the receiver's last acknowledgement is known: its window
/// may be of any size.
#[must_use]
#[inline(always)]
pub const fn place_by_ack(expected: u32, sequence: u32) -> Place {
    if sequence == expected {
        Place::Next
    } else if is_up_to(expected, sequence) {
        Place::Window
    } else {
        Place::Elsewhere
    }
}

/// See [`place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At what the receiver expects next.
    Next,
    /// Behind that, but in the window.
    Window,
    /// Outside the window.
    Elsewhere,
}

/// Up to where the sender may send. As long as the receiver has not acknowledged anything, the
/// window of its opening counts from what the sender has sent so far.
#[inline(always)]
fn right_edge(sender: Side, receiver: Side) -> u32 {
    if receiver.has_granted {
        receiver.granted.edge()
    } else {
        sender.sent.end().wrapping_add(receiver.sent.window())
    }
}
