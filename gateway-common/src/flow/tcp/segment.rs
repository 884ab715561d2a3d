//! Kinds of segments.

use crate::wire::tcp::flag;

/// What kind of segment the flags make; PSH, ECE, CWR and the reserved bits never matter
/// (RFC9293-ECN, RFC9293-RSVD, E126).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Opens a connection.
    Syn,
    /// Answers an opening.
    SynAck,
    /// Ends one direction; always carries an acknowledgement too.
    Fin,
    /// Data or acknowledgement.
    Ack,
    /// Resets the connection.
    Rst,
}

impl Segment {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Syn, Self::SynAck, Self::Fin, Self::Ack, Self::Rst];

    /// Classifies a flags octet; `None` for combinations that no host sends (E125).
    #[must_use]
    #[inline(always)]
    pub const fn classify(flags: u8) -> Option<Self> {
        const SYN_URG: u8 = flag::SYN | flag::URG;
        const SYN_ACK: u8 = flag::SYN | flag::ACK;
        const RST_ACK: u8 = flag::RST | flag::ACK;
        const FIN_ACK: u8 = flag::FIN | flag::ACK;
        const FIN_ACK_URG: u8 = FIN_ACK | flag::URG;
        const ACK_URG: u8 = flag::ACK | flag::URG;
        match flags & (flag::FIN | flag::SYN | flag::RST | flag::ACK | flag::URG) {
            flag::SYN | SYN_URG => Some(Self::Syn),
            SYN_ACK => Some(Self::SynAck),
            FIN_ACK | FIN_ACK_URG => Some(Self::Fin),
            flag::ACK | ACK_URG => Some(Self::Ack),
            flag::RST | RST_ACK => Some(Self::Rst),
            _ => None,
        }
    }
}
