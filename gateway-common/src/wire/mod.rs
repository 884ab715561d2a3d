//! Numbers on the wire, by protocol. Header sizes and IP protocol numbers come from the
//! `network-types` crate; here is what it does not have.

pub mod ethernet {
    //! Ethertypes, in host byte order.

    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution for IPv4.
    pub const ARP: u16 = 0x0806;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Slow protocols: link aggregation and friends.
    pub const SLOW_PROTOCOLS: u16 = 0x8809;
    /// 802.1X port authentication.
    pub const EAPOL: u16 = 0x888e;
    /// Link-layer discovery.
    pub const LLDP: u16 = 0x88cc;
    /// Up to this value the field is a length: an 802.3 frame with an LLC header.
    pub const LLC_LENGTH_MAX: u16 = 1500;
    /// The VLAN identifier's bits in a tag.
    pub const VLAN_ID_MASK: u16 = 0x0fff;
}

pub mod tcp {
    //! The TCP header.

    /// Option kinds.
    pub mod option {
        /// The end of the list.
        pub const END: u8 = 0;
        /// Padding of one byte.
        pub const NO_OPERATION: u8 = 1;
        /// Window scale (RFC 7323 section 2.2).
        pub const WINDOW_SCALE: u8 = 3;
        /// Selective acknowledgements are permitted (RFC 2018 section 2).
        pub const SACK_PERMITTED: u8 = 4;
        /// Selective acknowledgements (RFC 2018 section 3).
        pub const SACK: u8 = 5;
        /// Timestamps (RFC 7323 section 3.2).
        pub const TIMESTAMP: u8 = 8;
    }

    /// Bits of the flags octet (RFC 9293 section 3.1).
    pub mod flag {
        /// No more data from the sender.
        pub const FIN: u8 = 1;
        /// Synchronize sequence numbers.
        pub const SYN: u8 = 1 << 1;
        /// Reset the connection.
        pub const RST: u8 = 1 << 2;
        /// Push.
        pub const PSH: u8 = 1 << 3;
        /// The acknowledgement field is significant.
        pub const ACK: u8 = 1 << 4;
        /// The urgent pointer is significant.
        pub const URG: u8 = 1 << 5;
    }
}

pub mod sctp {
    //! SCTP packets.

    /// Set when the verification tag is that of the packet which is answered, because the sender
    /// knows no association (RFC 9260 section 8.5.1).
    pub const REFLECTED: u8 = 1;

    /// Chunk types (RFC 9260 section 3.2).
    pub mod chunk {
        /// Data.
        pub const DATA: u8 = 0;
        /// Opens an association.
        pub const INIT: u8 = 1;
        /// Answers an opening.
        pub const INIT_ACK: u8 = 2;
        /// Aborts the association.
        pub const ABORT: u8 = 6;
        /// Begins to end the association.
        pub const SHUTDOWN: u8 = 7;
        /// Answers that.
        pub const SHUTDOWN_ACK: u8 = 8;
        /// Reports an error that need not end anything.
        pub const ERROR: u8 = 9;
        /// Returns the cookie of an INIT ACK.
        pub const COOKIE_ECHO: u8 = 10;
        /// Confirms the association.
        pub const COOKIE_ACK: u8 = 11;
        /// Ends the association.
        pub const SHUTDOWN_COMPLETE: u8 = 14;
        /// Data that may be interleaved (RFC 8260 section 2.1).
        pub const I_DATA: u8 = 64;
    }
}

pub mod icmp {
    //! ICMP types (RFC 792, RFC 1122).

    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable, with the packet it is about.
    pub const UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded, with the packet it is about.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem, with the packet it is about.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Timestamp request.
    pub const TIMESTAMP_REQUEST: u8 = 13;
    /// Timestamp reply.
    pub const TIMESTAMP_REPLY: u8 = 14;
}

pub mod icmpv6 {
    //! ICMPv6 types (RFC 4443, RFC 4861, RFC 3810 and their relatives).

    /// Destination unreachable, with the packet it is about.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big, with the packet it is about.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded, with the packet it is about.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem, with the packet it is about.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Types below this one are errors.
    pub const INFORMATIONAL: u8 = 128;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Multicast listener query.
    pub const LISTENER_QUERY: u8 = 130;
    /// Multicast listener report, version 1.
    pub const LISTENER_REPORT: u8 = 131;
    /// Multicast listener done.
    pub const LISTENER_DONE: u8 = 132;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;
    /// Inverse neighbour discovery solicitation.
    pub const INVERSE_SOLICITATION: u8 = 141;
    /// Inverse neighbour discovery advertisement.
    pub const INVERSE_ADVERTISEMENT: u8 = 142;
    /// Multicast listener report, version 2.
    pub const LISTENER_REPORT_V2: u8 = 143;
    /// SEND certification path solicitation.
    pub const CERTIFICATION_PATH_SOLICITATION: u8 = 148;
    /// SEND certification path advertisement.
    pub const CERTIFICATION_PATH_ADVERTISEMENT: u8 = 149;
    /// Multicast router advertisement.
    pub const MULTICAST_ROUTER_ADVERTISEMENT: u8 = 151;
    /// Multicast router solicitation.
    pub const MULTICAST_ROUTER_SOLICITATION: u8 = 152;
    /// Multicast router termination.
    pub const MULTICAST_ROUTER_TERMINATION: u8 = 153;
}
