//! The states of flows, by their names.

/// A flow's state as people know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// TCP: inside sent a SYN.
    SynSent,
    /// TCP: outside answered the SYN.
    SynReceived,
    /// TCP: the handshake is complete.
    Established,
    /// TCP: inside sent a FIN.
    FinWait,
    /// TCP: outside sent a FIN.
    CloseWait,
    /// TCP: both sides sent a FIN.
    LastAck,
    /// TCP: both FINs are acknowledged.
    TimeWait,
    /// TCP: one side reset the connection.
    Closed,
    /// Other protocols: outside has not answered.
    Unreplied,
    /// Other protocols: outside has answered.
    Replied,
}

impl FlowState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait,
        Self::CloseWait,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
        Self::Unreplied,
        Self::Replied,
    ];

    /// The kebab-case name used in output and filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::FinWait => "fin-wait",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::TimeWait => "time-wait",
            Self::Closed => "closed",
            Self::Unreplied => "unreplied",
            Self::Replied => "replied",
        }
    }
}
