//! How segments fit what both sides of a TCP connection have said.

use super::reading::{Kind, Reading};

/// How much older than the newest an acknowledgement may be and still be ordinary: as much as
/// fits the largest window without scaling, and a little more.
const LAG_MIN: u32 = 66_000;

/// One side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    /// The number of its SYN.
    pub(crate) opening: Option<u32>,
    /// Behind its SYN, and the data that came with it.
    pub(crate) opening_end: u32,
    /// Behind the last byte that it sent.
    pub(crate) end: u32,
    /// What it granted, once it acknowledged anything.
    pub(crate) grant: Option<Grant>,
    /// The largest window that it offered.
    window: u32,
    /// How far it shifts its windows, if it offered to.
    scale: Option<u8>,
    /// Whether it takes selective acknowledgements.
    takes_sack: bool,
}

/// What a side granted the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grant {
    /// Its highest acknowledgement.
    pub(crate) ack: u32,
    /// Up to where the other side may send.
    pub(crate) edge: u32,
}

/// How a segment fits what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It belongs there.
    Inside,
    /// It goes beyond the window, by no more than another window.
    Overshoots,
    /// It repeats what is long done with.
    Old,
    /// It acknowledges what was never sent.
    AcksUnsent,
    /// It is too far beyond the window.
    Beyond,
}

/// Where a reset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At what its receiver expects next.
    Next,
    /// Behind that, but in the window.
    Window,
    /// Before that.
    Before,
    /// Beyond the window.
    Beyond,
}

/// Who sends, and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// The sender.
    pub(crate) own: Side,
    /// The receiver.
    pub(crate) other: Side,
}

/// What a segment says of its sender.
#[derive(Clone, Copy, Debug)]
struct Claim {
    acked: u32,
    window: u32,
    grant: Grant,
}

impl Side {
    /// A side that opens with this segment.
    pub(crate) fn opened_by(reading: &Reading) -> Self {
        let window = u32::from(reading.window).max(1);
        let ack = reading.ack.filter(|_| reading.kind == Kind::SynAck);
        Self {
            opening: Some(reading.sequence),
            opening_end: reading.end,
            end: reading.end,
            grant: ack.map(|ack| Grant { ack, edge: ack.wrapping_add(window) }),
            window,
            scale: reading.options.scale,
            takes_sack: reading.options.takes_sack,
        }
    }

    /// Whether another opening says the same.
    pub(crate) fn is_same_opening(&self, other: &Self) -> bool {
        let facts = |it: &Self| (it.opening, it.opening_end, it.window, it.scale, it.takes_sack);
        facts(self) == facts(other)
    }

    /// The side after a segment that goes beyond its window.
    pub(crate) fn overshooting(self, reading: &Reading) -> Self {
        Self { end: latest(self.end, reading.end), ..self }
    }
}

impl Pair {
    /// The sender after a segment that fits.
    pub(crate) fn advanced(self, reading: &Reading) -> Side {
        let Claim { window, grant, .. } = self.claim(reading);
        let granted = self.own.grant.map_or(grant, |before| Grant {
            ack: latest(before.ack, grant.ack),
            edge: latest(before.edge, grant.edge),
        });
        Side {
            window: self.own.window.max(window),
            grant: Some(granted),
            ..self.own.overshooting(reading)
        }
    }

    fn claim(self, reading: &Reading) -> Claim {
        let scale = match (self.own.scale, self.other.scale) {
            (Some(scale), Some(_)) if !reading.opens() => scale,
            _ => 0,
        };
        // One byte may probe an empty window (RFC 9293 section 3.8.6.1).
        let window = (u32::from(reading.window) << scale).max(1);
        let ack = reading.ack.unwrap_or_default();
        let sack = reading.options.sack.filter(|_| self.other.takes_sack);
        let acked = sack.map_or(ack, |sack| latest(sack, ack));
        Claim {
            acked,
            window: window.saturating_add(acked.wrapping_sub(ack)),
            grant: Grant { ack, edge: acked.wrapping_add(window) },
        }
    }

    /// What a segment grants.
    pub(crate) fn granted(self, reading: &Reading) -> Grant {
        self.claim(reading).grant
    }

    /// Up to where the sender may send. Before the first acknowledgement, the window counts from
    /// what was sent.
    pub(crate) fn edge(self) -> u32 {
        let Self { own, other } = self;
        other.grant.map_or_else(|| own.end.wrapping_add(other.window), |grant| grant.edge)
    }

    /// By how much a segment ends beyond the window, if it does.
    pub(crate) fn excess(self, reading: &Reading) -> Option<Excess> {
        let edge = self.edge();
        is_after(reading.end, edge)
            .then(|| Excess { bytes: reading.end.wrapping_sub(edge), window: self.other.window })
    }

    /// How a segment fits.
    pub(crate) fn fit(self, reading: &Reading) -> Fit {
        let Self { own, other } = self;
        let acked = self.claim(reading).acked;
        if is_after(acked, other.end) {
            return Fit::AcksUnsent;
        }
        let lag = own.window.max(LAG_MIN);
        let is_recent = !is_after(own.end.wrapping_sub(other.window), reading.end)
            && !is_after(other.end.wrapping_sub(lag), acked);
        let is_beyond = is_after(reading.sequence, self.edge());
        let is_close = reading.end.wrapping_sub(self.edge()) <= other.window;
        match (is_beyond, is_recent) {
            (false, true) => Fit::Inside,
            (false, false) => Fit::Old,
            (true, true) if is_close => Fit::Overshoots,
            (true, _) => Fit::Beyond,
        }
    }

    /// Where a reset is (RFC 5961 section 3.2).
    pub(crate) fn place(self, sequence: u32) -> Place {
        let expected = self.other.grant.map_or(self.own.end, |grant| grant.ack);
        if sequence == expected || sequence == self.own.end {
            Place::Next
        } else if is_after(expected, sequence) {
            Place::Before
        } else if is_after(sequence, self.edge()) {
            Place::Beyond
        } else {
            Place::Window
        }
    }
}

/// How far a segment went too far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess {
    /// From the edge of the window to its end.
    pub(crate) bytes: u32,
    /// The largest window that its receiver offered.
    pub(crate) window: u32,
}

/// Whether `a` comes after `b`, in the order of sequence numbers (RFC 9293 section 3.4).
pub(crate) const fn is_after(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() < 0
}

/// The later of two sequence numbers.
pub(crate) const fn latest(a: u32, b: u32) -> u32 {
    if is_after(a, b) { a } else { b }
}
