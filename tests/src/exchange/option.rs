//! TCP options, right and wrong ones.

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// Maximum segment size.
    SegmentSize(u16),
    /// Window scale: how far the sender shifts its windows.
    Scale(u8),
    /// Selective acknowledgements are welcome.
    SackPermitted,
    /// A selective acknowledgement of one block.
    Sack {
        /// Its first sequence number.
        left: u32,
        /// The one behind its last.
        right: u32,
    },
    /// Timestamps.
    Timestamps,
    /// An unknown option, which receivers skip.
    Unknown,
    /// An option that says it has no length: whoever believes it reads it for ever.
    Endless,
    /// An option that says it is longer than the header.
    TooLong,
}

impl TcpOption {
    /// How far windows are to be shifted, if it says that.
    #[must_use]
    pub const fn scale(self) -> Option<u8> {
        if let Self::Scale(shift) = self { Some(shift) } else { None }
    }

    /// Its bytes.
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::SegmentSize(size) => [[2, 4], size.to_be_bytes()].concat(),
            Self::Scale(shift) => vec![3, 3, shift],
            Self::SackPermitted => vec![4, 2],
            Self::Sack { left, right } => {
                [[5, 10].as_slice(), &left.to_be_bytes(), &right.to_be_bytes()].concat()
            }
            Self::Timestamps => vec![8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
            Self::Unknown => vec![200, 4, 1, 2],
            Self::Endless => vec![200, 0],
            Self::TooLong => vec![200, 40],
        }
    }
}

/// All of `options` one after the other.
#[must_use]
pub fn encode(options: &[TcpOption]) -> Vec<u8> {
    options.iter().flat_map(|option| option.bytes()).collect()
}

/// Whether `options` fit a TCP header.
#[must_use]
pub fn fit(options: &[TcpOption]) -> bool {
    encode(options).len() <= 40
}
