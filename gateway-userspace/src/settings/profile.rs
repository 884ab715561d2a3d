//! Timeout profiles and the floors that the RFCs set.

use clap::ValueEnum;
use gateway_common::timeouts::TimeoutClass;

/// Which defaults the timeouts take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// What the RFCs ask of a gateway.
    #[default]
    Rfc,
    /// A cloud NAT gateway's 350 seconds for everything idle.
    Aws,
    /// The defaults of `nf_conntrack`.
    Linux,
}

impl Profile {
    /// The name used in the configuration and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Aws => "aws",
            Self::Linux => "linux",
        }
    }

    /// The profile's timeout of `class`, in seconds.
    #[must_use]
    pub const fn timeout_secs(self, class: TimeoutClass) -> u32 {
        match self {
            Self::Rfc => class.rfc_secs(),
            Self::Aws => class.aws_secs(),
            Self::Linux => class.linux_secs(),
        }
    }
}

/// Timeouts in seconds, indexed by [`TimeoutClass`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutsSecs(pub [u32; TimeoutClass::ALL.len()]);

impl TimeoutsSecs {
    /// The defaults of `profile`.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        Self(TimeoutClass::ALL.map(|class| profile.timeout_secs(class)))
    }

    /// The timeout of `class`, in seconds.
    #[must_use]
    pub const fn get(&self, class: TimeoutClass) -> u32 {
        self.0[class as usize]
    }

    /// Replaces the timeout of `class`, in seconds.
    pub const fn set(&mut self, class: TimeoutClass, secs: u32) {
        self.0[class as usize] = secs;
    }
}

/// Keys of `[timeouts]` that stand for several classes at once. A class's own key stands above
/// its group's.
pub(super) const TIMEOUT_GROUPS: [(&str, &[TimeoutClass]); 2] = [
    ("tcp_half_open", &[TimeoutClass::TcpSynSent, TimeoutClass::TcpSynReceived]),
    (
        "tcp_closing",
        &[
            TimeoutClass::TcpFinWait,
            TimeoutClass::TcpCloseWait,
            TimeoutClass::TcpLastAck,
            TimeoutClass::TcpClosed,
        ],
    ),
];

/// The least that an RFC allows for `class`, in seconds, and where it says so.
#[must_use]
pub const fn rfc_floor(class: TimeoutClass) -> Option<(u32, &'static str)> {
    match class {
        TimeoutClass::TcpSynSent
        | TimeoutClass::TcpSynReceived
        | TimeoutClass::TcpFinWait
        | TimeoutClass::TcpCloseWait
        | TimeoutClass::TcpLastAck => Some((240, "RFC 6092 REC-35")),
        TimeoutClass::TcpEstablished => Some((7440, "RFC 6092 REC-35")),
        TimeoutClass::TcpClosed => Some((240, "RFC 7857 section 2.2")),
        TimeoutClass::UdpUnreplied | TimeoutClass::Udp => Some((120, "RFC 6092 REC-14")),
        TimeoutClass::Icmp => Some((60, "RFC 5508 REQ-2")),
        TimeoutClass::SctpHalfOpen | TimeoutClass::SctpClosing => Some((240, "RFC 6092 REC-40")),
        TimeoutClass::SctpEstablished => Some((7440, "RFC 6092 REC-40")),
        TimeoutClass::DccpHalfOpen => Some((480, "RFC 6092 REC-44")),
        TimeoutClass::DccpEstablished => Some((7440, "RFC 6092 REC-44")),
        TimeoutClass::Other => Some((120, "RFC 6092 REC-12")),
        // REC-35 exempts TIME-WAIT, REC-15 flows to well-known ports.
        TimeoutClass::TcpTimeWait | TimeoutClass::UdpDns => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_the_documented_values() {
        let rows: [(TimeoutClass, [u32; 3]); TimeoutClass::ALL.len()] = [
            (TimeoutClass::TcpSynSent, [240, 350, 120]),
            (TimeoutClass::TcpSynReceived, [240, 350, 60]),
            (TimeoutClass::TcpEstablished, [7440, 350, 432_000]),
            (TimeoutClass::TcpFinWait, [240, 350, 120]),
            (TimeoutClass::TcpCloseWait, [240, 350, 60]),
            (TimeoutClass::TcpLastAck, [240, 350, 30]),
            (TimeoutClass::TcpTimeWait, [120, 350, 120]),
            (TimeoutClass::TcpClosed, [240, 350, 10]),
            (TimeoutClass::UdpUnreplied, [120, 350, 30]),
            (TimeoutClass::Udp, [300, 350, 120]),
            (TimeoutClass::UdpDns, [30, 350, 30]),
            (TimeoutClass::Icmp, [60, 350, 30]),
            (TimeoutClass::SctpHalfOpen, [240, 350, 10]),
            (TimeoutClass::SctpEstablished, [7440, 350, 210]),
            (TimeoutClass::SctpClosing, [240, 350, 3]),
            (TimeoutClass::DccpHalfOpen, [480, 350, 600]),
            (TimeoutClass::DccpEstablished, [7440, 350, 600]),
            (TimeoutClass::Other, [300, 350, 600]),
        ];
        assert_eq!(rows.map(|(class, _)| class), TimeoutClass::ALL, "every class has its row");
        for (class, expected_secs) in rows {
            let secs = [Profile::Rfc, Profile::Aws, Profile::Linux]
                .map(|profile| TimeoutsSecs::of(profile).get(class));
            assert_eq!(secs, expected_secs, "{}", class.name());
        }
    }

    #[test]
    fn the_rfc_profile_keeps_its_own_floors() {
        for class in TimeoutClass::ALL {
            let floor_secs = rfc_floor(class).map_or(0, |(secs, _)| secs);
            assert!(Profile::Rfc.timeout_secs(class) >= floor_secs, "{}", class.name());
        }
    }

    #[test]
    fn no_class_is_in_two_groups_and_no_group_is_called_like_a_class() {
        let grouped: Vec<_> = TIMEOUT_GROUPS.iter().flat_map(|(_, classes)| *classes).collect();
        for (index, class) in grouped.iter().enumerate() {
            assert!(!grouped[..index].contains(class), "{}", class.name());
        }
        for (key, _) in TIMEOUT_GROUPS {
            assert!(TimeoutClass::ALL.iter().all(|class| class.name() != key), "{key}");
        }
    }

    #[test]
    fn names_are_those_that_the_configuration_takes() {
        for profile in Profile::value_variants() {
            assert_eq!(Profile::from_str(profile.name(), false), Ok(*profile));
        }
    }
}
