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
        // Split so that a span of years does not overflow.
        let rate = ticks_per_sec as u64;
        (self.0 / rate) * 1000 + (self.0 % rate) * 1000 / rate
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

/// Which timeout a flow is under; also the index into the configured values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TimeoutClass {
    /// TCP before the handshake is complete.
    TcpHalfOpen,
    /// TCP with a complete handshake.
    TcpEstablished,
    /// TCP after a FIN or a reset.
    TcpClosing,
    /// TCP after both FINs are acknowledged.
    TcpTimeWait,
    /// UDP and UDP-Lite before the first reply.
    UdpUnreplied,
    /// UDP and UDP-Lite after a reply.
    Udp,
    /// UDP towards port 53 or 123.
    UdpDns,
    /// ICMP and ICMPv6 queries.
    Icmp,
    /// SCTP before the first reply.
    SctpHalfOpen,
    /// SCTP after a reply.
    SctpEstablished,
    /// Any other protocol.
    Other,
}

impl TimeoutClass {
    /// Every class, in index order.
    pub const ALL: [Self; 11] = [
        Self::TcpHalfOpen,
        Self::TcpEstablished,
        Self::TcpClosing,
        Self::TcpTimeWait,
        Self::UdpUnreplied,
        Self::Udp,
        Self::UdpDns,
        Self::Icmp,
        Self::SctpHalfOpen,
        Self::SctpEstablished,
        Self::Other,
    ];

    /// The key in the configuration's `[timeouts]` table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TcpHalfOpen => "tcp_half_open",
            Self::TcpEstablished => "tcp_established",
            Self::TcpClosing => "tcp_closing",
            Self::TcpTimeWait => "tcp_time_wait",
            Self::UdpUnreplied => "udp_unreplied",
            Self::Udp => "udp",
            Self::UdpDns => "udp_dns",
            Self::Icmp => "icmp",
            Self::SctpHalfOpen => "sctp_half_open",
            Self::SctpEstablished => "sctp_established",
            Self::Other => "other",
        }
    }

    /// The default of profile `rfc`, in seconds.
    #[must_use]
    pub const fn rfc_secs(self) -> u32 {
        match self {
            // RFC 6092 REC-35, RFC 5382 REQ-5: transitory connections idle for at least 4 minutes.
            Self::TcpHalfOpen | Self::TcpClosing => 4 * MINUTE,
            // RFC 6092 REC-35, RFC 5382 REQ-5: established ones for at least 2 hours 4 minutes.
            Self::TcpEstablished => 2 * HOUR + 4 * MINUTE,
            // TIME-WAIT is exempt from REC-35; one MSL lets a late FIN find its flow.
            Self::TcpTimeWait => 2 * MINUTE,
            // RFC 6092 REC-14: never below 2 minutes, which bounds what a scan from inside costs.
            Self::UdpUnreplied => 2 * MINUTE,
            // RFC 6092 REC-14, RFC 4787 REQ-5: 5 minutes recommended.
            Self::Udp => 5 * MINUTE,
            // RFC 6092 REC-15: well-known ports may be shorter; a resolver opens many such flows.
            Self::UdpDns => 30,
            // RFC 5508 REQ-2: at least 60 seconds.
            Self::Icmp => MINUTE,
            // RFC 6092 REC-40: as TCP.
            Self::SctpHalfOpen => 4 * MINUTE,
            Self::SctpEstablished => 2 * HOUR + 4 * MINUTE,
            // RFC 6092 REC-12: 5 minutes by default.
            Self::Other => 5 * MINUTE,
        }
    }

    /// The default of profile `linux`, in seconds: what `nf_conntrack` does.
    #[must_use]
    pub const fn linux_secs(self) -> u32 {
        match self {
            Self::TcpHalfOpen | Self::TcpClosing | Self::TcpTimeWait | Self::Udp => 120,
            Self::TcpEstablished => 5 * 24 * HOUR,
            Self::UdpUnreplied | Self::UdpDns | Self::Icmp => 30,
            Self::SctpHalfOpen => 3,
            Self::SctpEstablished => 210,
            Self::Other => 600,
        }
    }

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

    /// RFC6092-REC-12, RFC6092-REC-14, RFC6092-REC-35, RFC6092-REC-40, RFC5382-REQ-5,
    /// RFC5508-REQ-2, RFC4787-REQ-5, RFC7857-2.1.
    #[test]
    fn the_rfc_profile_keeps_every_floor() {
        let floors = [
            (TimeoutClass::TcpHalfOpen, 240),
            (TimeoutClass::TcpEstablished, 7440),
            (TimeoutClass::TcpClosing, 240),
            (TimeoutClass::UdpUnreplied, 120),
            (TimeoutClass::Udp, 300),
            (TimeoutClass::Icmp, 60),
            (TimeoutClass::SctpHalfOpen, 240),
            (TimeoutClass::SctpEstablished, 7440),
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
