//! How long a flow may be idle, by class. Times on the packet path are kernel ticks.

use core::ops::{Add, Sub};

/// A moment or a span on the kernel's tick clock (jiffies): coarse, free to read, and in step
/// with `CLOCK_MONOTONIC`. How many make a second is the kernel's choice, typically 100 to 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Ticks(pub u64);

impl Ticks {
    /// This span in milliseconds, given the kernel's ticks per second.
    #[must_use]
    pub const fn to_ms(self, ticks_per_sec: u32) -> u64 {
        // Split so that a span of years does not overflow; one of ages, which only damaged maps
        // hold, is as long as a number can say.
        let rate = ticks_per_sec as u64;
        (self.0 / rate).saturating_mul(1000).saturating_add((self.0 % rate) * 1000 / rate)
    }

    /// The span from `earlier` to this moment; zero when `earlier` is later, which concurrent
    /// CPUs can make happen by one tick.
    #[must_use]
    #[inline(always)]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Ticks {
    type Output = Self;

    #[inline(always)]
    fn add(self, span: Self) -> Self {
        Self(self.0.wrapping_add(span.0))
    }
}

impl Sub for Ticks {
    type Output = Self;

    #[inline(always)]
    fn sub(self, span: Self) -> Self {
        Self(self.0.wrapping_sub(span.0))
    }
}

/// Declares [`TimeoutClass`] with its names and the three profiles' defaults side by side.
macro_rules! classes {
    ($( $(#[doc = $doc:literal])+ $class:ident, $name:literal, $rfc:expr, $linux:expr; )*) => {
        /// Which timeout a flow is under; also the index into the configured values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum TimeoutClass {
            $( $(#[doc = $doc])+ $class, )*
        }

        impl TimeoutClass {
            /// Every class, in index order.
            pub const ALL: [Self; [$( $name ),*].len()] = [$( Self::$class ),*];

            /// The key in the configuration's `[timeouts]` table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$class => $name, )* }
            }

            /// The default of profile `rfc`, in seconds.
            #[must_use]
            pub const fn rfc_secs(self) -> u32 {
                match self { $( Self::$class => $rfc, )* }
            }

            /// The default of profile `linux`, in seconds: what `nf_conntrack` does.
            #[must_use]
            pub const fn linux_secs(self) -> u32 {
                match self { $( Self::$class => $linux, )* }
            }
        }
    };
}

classes! {
    // RFC6092-REC-35, RFC5382-REQ-5, RFC7857-2.1: partially open or closing connections may be idle
    // for at least 4 minutes (E139), established ones for at least 2 hours 4 minutes, so that
    // keep-alives every 2 hours keep them (RFC9293-KA, E140). A host may repeat its SYN for 3
    // minutes (RFC9293-R2).
    /// TCP after inside's SYN, and a picked-up connection that outside has not answered.
    TcpSynSent, "tcp_syn_sent", 4 * MINUTE, 120;
    /// TCP after outside's answer to the SYN.
    TcpSynReceived, "tcp_syn_received", 4 * MINUTE, 60;
    /// TCP with a complete handshake.
    TcpEstablished, "tcp_established", 2 * HOUR + 4 * MINUTE, 5 * 24 * HOUR;
    /// TCP after inside's FIN.
    TcpFinWait, "tcp_fin_wait", 4 * MINUTE, 120;
    /// TCP after outside's FIN.
    TcpCloseWait, "tcp_close_wait", 4 * MINUTE, 60;
    /// TCP after both FINs.
    TcpLastAck, "tcp_last_ack", 4 * MINUTE, 30;
    // Exempt from REC-35; one MSL lets a late FIN find its flow (RFC9293-2MSL).
    /// TCP after both FINs are acknowledged.
    TcpTimeWait, "tcp_time_wait", 2 * MINUTE, 120;
    // RFC7857-2.2: a reset flow stays for 4 minutes.
    /// TCP after a reset.
    TcpClosed, "tcp_closed", 4 * MINUTE, 10;
    // RFC6092-REC-14: never below 2 minutes, which bounds what a scan from inside costs.
    /// UDP and UDP-Lite before the first reply.
    UdpUnreplied, "udp_unreplied", 2 * MINUTE, 30;
    // RFC6092-REC-14, RFC4787-REQ-5: 5 minutes recommended.
    /// UDP and UDP-Lite after a reply.
    Udp, "udp", 5 * MINUTE, 120;
    // RFC6092-REC-15: well-known ports may be shorter; a resolver opens many such flows.
    /// UDP towards port 53 or 123.
    UdpDns, "udp_dns", 30, 30;
    // RFC5508-REQ-2: at least 60 seconds.
    /// ICMP and ICMPv6 queries.
    Icmp, "icmp", MINUTE, 30;
    // RFC6092-REC-40: as TCP.
    /// SCTP before the association is complete.
    SctpHalfOpen, "sctp_half_open", 4 * MINUTE, 10;
    /// SCTP with a complete association.
    SctpEstablished, "sctp_established", 2 * HOUR + 4 * MINUTE, 210;
    /// SCTP after a SHUTDOWN or an ABORT.
    SctpClosing, "sctp_closing", 4 * MINUTE, 3;
    // RFC6092-REC-44; Linux no longer knows DCCP and treats it as any other protocol.
    /// DCCP before the first reply.
    DccpHalfOpen, "dccp_half_open", 8 * MINUTE, 600;
    /// DCCP after a reply.
    DccpEstablished, "dccp_established", 2 * HOUR + 4 * MINUTE, 600;
    // RFC6092-REC-12: 5 minutes by default.
    /// Any other protocol.
    Other, "other", 5 * MINUTE, 600;
}

impl TimeoutClass {
    /// The default of profile `aws`, in seconds: a NAT gateway forgets anything idle for 350.
    #[must_use]
    pub const fn aws_secs(self) -> u32 {
        350
    }
}

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC6092-REC-12, RFC6092-REC-14, RFC6092-REC-35, RFC6092-REC-40, RFC6092-REC-44,
    /// RFC5382-REQ-5, RFC5508-REQ-2, RFC4787-REQ-5, RFC7857-2.1.
    #[test]
    fn the_rfc_profile_keeps_every_floor() {
        let floors = [
            (TimeoutClass::TcpSynSent, 240),
            (TimeoutClass::TcpSynReceived, 240),
            (TimeoutClass::TcpEstablished, 7440),
            (TimeoutClass::TcpFinWait, 240),
            (TimeoutClass::TcpCloseWait, 240),
            (TimeoutClass::TcpLastAck, 240),
            (TimeoutClass::TcpClosed, 240),
            (TimeoutClass::UdpUnreplied, 120),
            (TimeoutClass::Udp, 300),
            (TimeoutClass::Icmp, 60),
            (TimeoutClass::SctpHalfOpen, 240),
            (TimeoutClass::SctpEstablished, 7440),
            (TimeoutClass::SctpClosing, 240),
            (TimeoutClass::DccpHalfOpen, 480),
            (TimeoutClass::DccpEstablished, 7440),
            (TimeoutClass::Other, 300),
        ];
        for (class, floor_secs) in floors {
            assert!(class.rfc_secs() >= floor_secs, "{}", class.name());
        }
    }

    #[test]
    fn classes_are_their_own_index() {
        for (index, class) in TimeoutClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }

    #[test]
    fn ticks_convert_to_milliseconds_without_overflow() {
        assert_eq!(Ticks(250).to_ms(250), 1000);
        assert_eq!(Ticks(1).to_ms(300), 3);
        assert_eq!(Ticks(u64::MAX / 1000).to_ms(1000), u64::MAX / 1000);
        assert_eq!(Ticks(5).since(Ticks(9)), Ticks(0));
    }
}
