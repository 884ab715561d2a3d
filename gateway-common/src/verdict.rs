//! What happens to a packet and why: the one list from which counter slots, command output,
//! metric labels and the documentation come.

use crate::tuple::Direction;

/// What becomes of a packet.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on to the stack (inbound) or to the wire (outbound).
    Pass,
    /// The packet is discarded silently. The gateway never sends a packet, so it answers nobody too
    /// early and needs no rules for errors of its own (RFC5382-REQ-4, RFC5508-REQ-9, RFC7084-G-2).
    Drop,
}

impl Verdict {
    /// The lower-case name used in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

/// Declares [`Reason`] together with everything that is derived from it, so that a reason cannot
/// exist without a verdict, a name and a sentence that explains it.
macro_rules! reasons {
    ($( $variant:ident, $verdict:ident, $name:literal, $text:literal; )*) => {
        /// Why a packet got its verdict. The discriminant is the counter's slot.
        #[must_use]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason {
            $( #[doc = $text] $variant, )*
        }

        impl Reason {
            /// Every reason, in slot order.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The verdict that follows from this reason.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $( Self::$variant => Verdict::$verdict, )* }
            }

            /// The kebab-case name used in output, metrics and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

reasons! {
    Flow, Pass, "flow", "The packet belongs to a live flow.";
    FlowCreated, Pass, "flow-created", "The packet left from inside and opened a flow.";
    Related, Pass, "related", "An ICMP error about a packet that a live flow sent.";
    Fragment, Pass, "fragment", "A later fragment of a datagram that a live flow may receive.";
    Stateless, Pass, "stateless", "The packet left from inside and is of a kind that opens no flow.";
    NeighbourDiscovery, Pass, "neighbour-discovery", "Valid neighbour or router discovery; the link needs it.";
    MulticastListener, Pass, "multicast-listener", "Valid multicast listener or router discovery; the link needs it.";
    DhcpClient, Pass, "dhcp-client", "DHCP between this host's client and a server on the link.";
    RedirectAllowed, Pass, "redirect-allowed", "A valid redirect, which the configuration allows.";
    PingAllowed, Pass, "ping-allowed", "An echo request, which the configuration allows.";
    RuleAllowed, Pass, "rule-allowed", "A rule of the policy lets the packet in; it needs no flow.";
    RouteAllowed, Pass, "route-allowed", "The route of the inside address is open both ways; the packet needs no flow.";
    Published, Pass, "published", "An answer from inside to what the policy lets in; it needs no flow.";
    EndpointAllowed, Pass, "endpoint-allowed", "The inside endpoint opened a flow, and the configuration lets anybody answer.";
    Arp, Pass, "arp", "Address resolution for IPv4; the link needs it.";
    LinkControl, Pass, "link-control", "Link control that routers never forward: LLC, EAPOL, LLDP, slow protocols.";
    EthertypeAllowed, Pass, "ethertype-allowed", "A frame of an ethertype that the configuration lets pass.";
    Standby, Pass, "standby", "The gateway is attached but not armed yet, or nobody confirmed it in time: everything passes.";
    NoConfiguration, Drop, "no-configuration", "No valid configuration is loaded, so nothing may pass.";
    FrameTruncated, Drop, "frame-truncated", "The frame ends before its link-layer header does.";
    VlanDepth, Drop, "vlan-depth", "The frame carries more than two VLAN tags.";
    EthertypeRefused, Drop, "ethertype-refused", "The ethertype is neither IP, ARP nor link control.";
    Ipv4Malformed, Drop, "ipv4-malformed", "The IPv4 header contradicts itself or the frame.";
    Ipv4Checksum, Drop, "ipv4-checksum", "The IPv4 header checksum is wrong.";
    Ipv4Option, Drop, "ipv4-option", "An obsolete or dangerous IPv4 option (RFC 7126).";
    SourceRoute, Drop, "source-route", "IPv4 source routing or a deprecated IPv6 routing header.";
    Ipv6Malformed, Drop, "ipv6-malformed", "The IPv6 header contradicts itself or the frame.";
    ExtensionHeader, Drop, "extension-header", "An IPv6 extension header is truncated, misplaced or repeated against the rules.";
    ExtensionDepth, Drop, "extension-depth", "The IPv6 extension header chain is longer than the parser follows.";
    NoUpperLayer, Drop, "no-upper-layer", "The IPv6 packet has no upper-layer header, so nothing can vouch for it.";
    FragmentMalformed, Drop, "fragment-malformed", "A fragment whose offset and length cannot belong to a valid datagram.";
    FragmentTiny, Drop, "fragment-tiny", "A fragment made to hide or to overwrite the transport header (RFC 1858, RFC 7112).";
    FragmentUnsolicited, Drop, "fragment-unsolicited", "A later fragment from a host that no live flow talks to.";
    TransportMalformed, Drop, "transport-malformed", "The transport header is truncated or contradicts the packet.";
    MulticastSource, Drop, "multicast-source", "The source address is a multicast address.";
    MulticastScope, Drop, "multicast-scope", "Multicast of a scope that must not cross the uplink.";
    MartianSource, Drop, "martian-source", "The source address cannot exist on the other side of an uplink.";
    MartianDestination, Drop, "martian-destination", "The destination address cannot exist on the other side of an uplink.";
    Land, Drop, "land", "Source and destination address are the same.";
    NoFlow, Drop, "no-flow", "Unsolicited: no flow from inside asked for this packet.";
    FlowExpired, Drop, "flow-expired", "The flow this packet belonged to was idle for longer than its timeout.";
    PingRefused, Drop, "ping-refused", "An echo request from outside; the configuration does not allow ping.";
    TcpFlags, Drop, "tcp-flags", "A combination of TCP flags that no host sends.";
    TcpState, Drop, "tcp-state", "A TCP segment that the flow's state does not allow from outside.";
    TcpWindow, Drop, "tcp-window", "A TCP segment whose numbers do not fit what both sides sent before.";
    SctpChunks, Drop, "sctp-chunks", "SCTP chunks that contradict the packet, or that no host sends together.";
    SctpState, Drop, "sctp-state", "An SCTP INIT from outside, where inside is not opening the same association.";
    SctpTag, Drop, "sctp-tag", "An SCTP packet without the verification tag that inside announced.";
    IcmpUnrelated, Drop, "icmp-unrelated", "An ICMP error about a packet that no live flow sent.";
    IcmpQuote, Drop, "icmp-quote", "An ICMP error whose content is malformed or whose quoted packet is not the receiver's.";
    IcmpType, Drop, "icmp-type", "An ICMP message of a type that must not come in.";
    NeighbourDiscoveryInvalid, Drop, "neighbour-discovery-invalid", "Neighbour discovery that did not come from the link or breaks RFC 4861.";
    MulticastListenerInvalid, Drop, "multicast-listener-invalid", "Multicast listener discovery that did not come from the link or breaks its rules.";
    RedirectRefused, Drop, "redirect-refused", "A redirect; the configuration does not allow it.";
    RuleDenied, Drop, "rule-denied", "A rule of the policy denies the packet.";
    RouteBlocked, Drop, "route-blocked", "The route of the inside address is blocked.";
    EgressSpoof, Drop, "egress-spoof", "The packet leaves from an address that no subnet covers (BCP 38).";
    IngressSpoof, Drop, "ingress-spoof", "The packet arrives from an address of a subnet inside (BCP 38).";
    InsideDestination, Drop, "inside-destination", "The packet leaves for an address of a subnet inside.";
    PolicyRevoked, Drop, "policy-revoked", "The policy in force does not allow the packet's flow any more.";
    NoPolicy, Drop, "no-policy", "The policy's tables are incomplete, so nothing new may pass.";
    FlowTableFailed, Drop, "flow-table-failed", "The kernel refused to store the new flow, so its replies could not come back.";
}

/// What all zeroes mean, in memory that a packet's walk has not come to yet.
impl Default for Reason {
    fn default() -> Self {
        Self::Flow
    }
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Slots for each direction.
    const STRIDE: u32 = Self::ALL[Self::COUNT - 1] as u32 + 1;

    /// Whether the policy was asked about the packet, so that a rule or a subnet may have decided.
    #[must_use]
    #[inline(always)]
    pub const fn is_of_policy(self) -> bool {
        matches!(
            self,
            Self::RuleAllowed
                | Self::RouteAllowed
                | Self::Published
                | Self::RuleDenied
                | Self::RouteBlocked
                | Self::EgressSpoof
                | Self::IngressSpoof
                | Self::InsideDestination
                | Self::PolicyRevoked
        )
    }

    /// Whether a rule may have decided. Of a packet that opens a flow that is so when there are
    /// rules at all.
    #[must_use]
    #[inline(always)]
    pub const fn is_of_rule(self) -> bool {
        matches!(
            self,
            Self::RuleAllowed
                | Self::Published
                | Self::RuleDenied
                | Self::PolicyRevoked
                | Self::FlowCreated
        )
    }

    /// The slot of this reason's counter for packets that travel in `direction`.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self, direction: Direction) -> u32 {
        direction as u32 * Self::STRIDE + self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::COUNT);
        for name in names {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn slots_enumerate_both_directions_without_gaps() {
        let slots: Vec<_> = [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .flat_map(|direction| Reason::ALL.iter().map(move |reason| reason.slot(direction)))
            .collect();
        assert_eq!(slots, (0..2 * Reason::STRIDE).collect::<Vec<_>>());
    }
}
