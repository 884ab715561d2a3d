//! What is measured once for each packet.

use gateway_common::verdict::Reason;
use tests::prog_run::Program;

use super::super::series::Subject;
use crate::empty::Hook;

/// A kind of packet; but for [`Same`](Self::Same) and [`Further`](Self::Further), every packet is
/// of another flow, and every flow is to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// Any packet to the empty XDP program.
    FloorXdp,
    /// Any packet to the empty TC program.
    FloorTc,
    /// An outbound packet of an established flow.
    Refresh,
    /// An inbound packet of an established flow.
    Reply,
    /// The same inbound packet of one established flow.
    Same,
    /// Inbound packets of one established flow, each with the data behind those of the last.
    Further,
    /// A SYN without options.
    CreateTcp,
    /// A SYN with the usual ones.
    CreateOptions,
    /// A datagram.
    CreateUdp,
    /// A SYN of a host that has used up its allowance, for which a place is free.
    CreateBeyond,
    /// The same when no place is free.
    CreateRecycling,
    /// A SYN that finds the table full.
    CreateEvicting,
    /// The segment that completes a handshake.
    Promote,
    /// No packet: an operator's request.
    Forget,
}

impl Case {
    pub(super) const ALL: [Self; 14] = [
        Self::FloorXdp,
        Self::FloorTc,
        Self::Refresh,
        Self::Reply,
        Self::Same,
        Self::Further,
        Self::CreateTcp,
        Self::CreateOptions,
        Self::CreateUdp,
        Self::CreateBeyond,
        Self::CreateRecycling,
        Self::CreateEvicting,
        Self::Promote,
        Self::Forget,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FloorXdp | Self::FloorTc => "any, the floor",
            Self::Refresh => "TCP ACK of an established flow",
            Self::Reply => "TCP reply of an established flow",
            Self::Same => "TCP reply of one flow, the same again",
            Self::Further => "TCP reply of one flow, each further on",
            Self::CreateTcp => "TCP SYN, opens a flow",
            Self::CreateOptions => "TCP SYN with the usual options, opens a flow",
            Self::CreateUdp => "UDP, opens a flow",
            Self::CreateBeyond => "TCP SYN beyond the allowance, opens a flow",
            Self::CreateRecycling => "TCP SYN beyond the allowance, opens a flow and removes one",
            Self::CreateEvicting => "TCP SYN, opens a flow and evicts one",
            Self::Promote => "TCP ACK, moves a flow to the established ones",
            Self::Forget => "no packet: deletes an established flow",
        }
    }

    pub(super) const fn subject(self) -> Subject {
        match self {
            Self::FloorXdp => Subject::Empty(Hook::Xdp),
            Self::FloorTc => Subject::Empty(Hook::Tc),
            Self::Refresh | Self::Promote => Subject::Gateway(Program::EgressTc, Reason::Flow),
            Self::Reply | Self::Same | Self::Further => {
                Subject::Gateway(Program::IngressXdp, Reason::Flow)
            }
            Self::CreateTcp
            | Self::CreateOptions
            | Self::CreateUdp
            | Self::CreateBeyond
            | Self::CreateRecycling
            | Self::CreateEvicting => Subject::Gateway(Program::EgressTc, Reason::FlowCreated),
            Self::Forget => Subject::Forget,
        }
    }
}
