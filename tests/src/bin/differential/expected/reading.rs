//! What a segment says to whoever reads its bytes.

use tests::packet::flag::{ACK, FIN, RST, SYN, URG};

use super::window::latest;
use crate::{option, step::Segment};

/// Length of the TCP header without options.
const HEADER_LEN: usize = 20;

/// Window scales above this count as this (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

/// Kinds of segments (RFC 9293 section 3.10.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens.
    Syn,
    /// Opens, and acknowledges an opening.
    SynAck,
    /// Data, or an acknowledgement.
    Ack,
    /// The last data.
    Fin,
    /// Resets.
    Rst,
}

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// What it is.
    pub(crate) kind: Kind,
    /// The number of its first byte.
    pub(crate) sequence: u32,
    /// The number behind its last byte.
    pub(crate) end: u32,
    /// What it acknowledges, if anything.
    pub(crate) ack: Option<u32>,
    /// The window field, not scaled.
    pub(crate) window: u16,
    /// Its options.
    pub(crate) options: Options,
}

/// The options that matter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// How far the sender will shift its windows, if it offers to.
    pub(crate) scale: Option<u8>,
    /// Selective acknowledgements are welcome.
    pub(crate) takes_sack: bool,
    /// Up to where data arrived out of order.
    pub(crate) sack: Option<u32>,
    /// The same by the first such option alone.
    pub(crate) first_sack: Option<u32>,
    /// They contradict themselves: nobody knows what they mean.
    pub(crate) are_unreadable: bool,
}

impl Reading {
    /// Reads a segment; `None` if its flags or the length of its header make no sense.
    pub(crate) fn of(segment: &Segment) -> Option<Self> {
        let kind = match segment.flags & (SYN | ACK | FIN | RST | URG) {
            flags if flags & !URG == SYN => Kind::Syn,
            flags if flags == SYN | ACK => Kind::SynAck,
            flags if flags & !URG == ACK => Kind::Ack,
            flags if flags & !URG == FIN | ACK => Kind::Fin,
            flags if flags & !ACK == RST => Kind::Rst,
            _ => return None,
        };
        let total = segment.bytes_len();
        let truth = total - usize::from(segment.payload_len);
        let header = segment.claimed_words.map_or(truth, |words| 4 * usize::from(words));
        if !(HEADER_LEN..=total).contains(&header) {
            return None;
        }
        let mut behind = option::encode(&segment.options);
        behind.resize(truth - HEADER_LEN, 0);
        // Data that the header claims for itself are no options that anybody can read.
        behind.resize(total - HEADER_LEN, u8::MAX);
        let data = u32::try_from(total - header).expect("packets are small");
        let flags = u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
        Some(Self {
            kind,
            sequence: segment.sequence,
            end: segment.sequence.wrapping_add(data + flags),
            ack: segment.has(ACK).then_some(segment.acknowledgment),
            window: segment.window,
            options: Options::of(&behind[..header - HEADER_LEN]),
        })
    }

    /// Whether it opens a direction.
    pub(crate) const fn opens(&self) -> bool {
        matches!(self.kind, Kind::Syn | Kind::SynAck)
    }
}

impl Options {
    /// Reads options (RFC 9293 section 3.1, RFC 7323 section 2.2, RFC 2018 sections 2 and 3).
    fn of(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut rest = bytes;
        while let [kind, behind @ ..] = rest {
            if *kind == 0 {
                break;
            }
            if *kind == 1 {
                rest = behind;
                continue;
            }
            let len = behind.first().copied().map_or(0, usize::from);
            if !(2..=rest.len()).contains(&len) {
                return Self { are_unreadable: true, ..options };
            }
            let (option, next) = rest.split_at(len);
            match option {
                [3, 3, scale] => options.scale = Some(*scale.min(&SCALE_MAX)),
                [4, 2] => options.takes_sack = true,
                // The mutations never make more than one block.
                [5, 10, _, _, _, _, right @ ..] => {
                    let right: [u8; 4] = right.try_into().expect("four bytes are left of ten");
                    let right = u32::from_be_bytes(right);
                    options.first_sack = options.first_sack.or(Some(right));
                    options.sack = Some(options.sack.map_or(right, |it| latest(it, right)));
                }
                _ => {}
            }
            rest = next;
        }
        options
    }
}
