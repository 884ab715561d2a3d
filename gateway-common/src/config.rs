//! What the operator decided, in the shape the packet path reads.

use crate::{
    abi::{ABI_OLDEST, ABI_VERSION},
    host::Span,
    limits::{MARTIAN_EXCEPTIONS_MAX, PASS_ETHERTYPES_MAX},
    policy::Summary,
    timeouts::{Ticks, TimeoutClass},
    tuple::Address,
};

/// Whether the gateway acts on its verdicts yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Everything passes inbound; outbound packets already open flows. Attaching starts here, so
    /// that one write arms all hooks at once.
    Standby = 1,
    /// Verdicts are enforced.
    Armed = 2,
}

/// An address prefix, as a mask, so that comparing takes no branch on the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    address: Address,
    mask: Address,
}

impl Prefix {
    /// The prefix of `address` with the first `len` bits, counted in the mapped form; more than
    /// 128 count as 128. Host bits of `address` do not matter.
    #[must_use]
    pub const fn new(address: Address, len: u32) -> Self {
        let mask = if len >= 128 { u128::MAX } else { !(u128::MAX >> len) };
        Self {
            address: Address::from_bits(address.to_bits() & mask),
            mask: Address::from_bits(mask),
        }
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Whether every address is in it.
    #[must_use]
    #[inline(always)]
    pub fn is_all(&self) -> bool {
        self.mask == Address::UNSPECIFIED
    }

    /// How many bits must match, counted in the mapped form.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.mask.to_bits().leading_ones()
    }

    /// Whether every address matches.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `address` lies in the prefix.
    #[must_use]
    #[inline(always)]
    pub const fn contains(&self, address: &Address) -> bool {
        let (words, first, mask) = (address.words(), self.address.words(), self.mask.words());
        let difference = ((words[0] ^ first[0]) & mask[0])
            | ((words[1] ^ first[1]) & mask[1])
            | ((words[2] ^ first[2]) & mask[2])
            | ((words[3] ^ first[3]) & mask[3]);
        difference == 0
    }
}

/// The packet path's configuration: one value of the `CONFIG` map. The values come from user
/// space's validated settings; the packet path tolerates any content without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// [`ABI_VERSION`] of the writer, not below [`ABI_OLDEST`]; anything else means "no
    /// configuration".
    pub abi_version: u32,
    /// A [`Mode`].
    pub mode: u32,
    /// From when on verdicts are not enforced any more, unless the operator confirms the gateway
    /// before; zero: it is confirmed.
    pub confirm_by: Ticks,
    /// Idle timeouts, indexed by [`TimeoutClass`].
    pub timeouts: [Ticks; TimeoutClass::ALL.len()],
    /// What opening a flow takes from its inside host's allowance; see [`host`](crate::host).
    pub opening_cost: Span,
    /// How much an inside host may take in advance.
    pub opening_credit: Span,
    /// How many flows of inside hosts beyond their allowance are kept at a time.
    pub overflow_slots: u32,
    /// How many entries of `established` one inside host may hold.
    pub established_per_host: u32,
    /// Ticks in a second of this kernel.
    pub ticks_per_sec: u32,
    /// The policy's generation; grows with every change.
    pub generation: u32,
    /// Non-zero: echo requests from outside pass.
    pub allow_ping: u32,
    /// Non-zero: DHCP replies to this host's client pass.
    pub allow_dhcp_client: u32,
    /// Non-zero: valid ICMPv6 redirects from the link pass.
    pub allow_redirects: u32,
    /// Non-zero: special-purpose addresses are refused.
    pub martians_enabled: u32,
    /// How many of `martian_exceptions` are in use.
    pub martian_exceptions_used: u32,
    /// Prefixes that are no martians here.
    pub martian_exceptions: [Prefix; MARTIAN_EXCEPTIONS_MAX],
    /// How many of `pass_ethertypes` are in use.
    pub pass_ethertypes_used: u32,
    /// Ethertypes that pass besides IP, ARP and link control.
    pub pass_ethertypes: [u16; PASS_ETHERTYPES_MAX],
    /// The policy as a whole.
    pub policy: Summary,
    /// Where the policy's tables are, if it needs any: below
    /// [`POLICY_SLOTS`](crate::limits::POLICY_SLOTS).
    pub policy_slot: u32,
    /// Non-zero: anybody may answer to an inside endpoint that opened a flow.
    pub endpoint_independent: u32,
    /// Non-zero: unsolicited openings are reported, to be rejected later.
    pub delayed_reject: u32,
}

impl Config {
    /// The defaults of profile `rfc` on a kernel with `ticks_per_sec`, armed.
    #[must_use]
    pub fn new(ticks_per_sec: u32) -> Self {
        Self {
            abi_version: ABI_VERSION,
            mode: Mode::Armed as u32,
            confirm_by: Ticks(0),
            timeouts: TimeoutClass::ALL
                .map(|class| Ticks(u64::from(class.rfc_secs()) * u64::from(ticks_per_sec))),
            opening_cost: Span(0),
            opening_credit: Span(0),
            overflow_slots: 0,
            established_per_host: u32::MAX,
            ticks_per_sec,
            generation: 1,
            allow_ping: 0,
            allow_dhcp_client: 1,
            allow_redirects: 0,
            martians_enabled: 1,
            martian_exceptions_used: 0,
            martian_exceptions: [Prefix::default(); MARTIAN_EXCEPTIONS_MAX],
            pass_ethertypes_used: 0,
            pass_ethertypes: [0; PASS_ETHERTYPES_MAX],
            policy: Summary::EGRESS_ONLY,
            policy_slot: 0,
            endpoint_independent: 0,
            delayed_reject: 0,
        }
    }

    /// Lets each inside host hold about `half_open` unconfirmed flows, and `established` confirmed
    /// ones; see [`host`](crate::host).
    #[must_use]
    pub fn with_host_limits(self, half_open: u32, established: u32) -> Self {
        let credit = Span::from(self.timeout(TimeoutClass::TcpSynSent));
        Self {
            opening_cost: Span(credit.0 / u64::from(half_open.max(1))),
            opening_credit: credit,
            overflow_slots: half_open,
            established_per_host: established,
            ..self
        }
    }

    /// Whether this is a configuration of our own layout at all; a map starts out zeroed.
    #[must_use]
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.abi_version >= ABI_OLDEST && self.abi_version <= ABI_VERSION
    }

    /// Whether verdicts are not enforced yet.
    #[must_use]
    #[inline(always)]
    pub const fn is_standby(&self) -> bool {
        self.mode == Mode::Standby as u32
    }

    /// Whether the operator still has to confirm the gateway, or had to.
    #[must_use]
    #[inline(always)]
    pub const fn is_unconfirmed(&self) -> bool {
        self.confirm_by.0 != 0
    }

    /// Whether the time to confirm the gateway has run out.
    #[must_use]
    #[inline(always)]
    pub const fn is_overdue(&self, now: Ticks) -> bool {
        self.is_unconfirmed() && now.0 >= self.confirm_by.0
    }

    /// The idle timeout of `class`.
    #[must_use]
    #[inline(always)]
    pub const fn timeout(&self, class: TimeoutClass) -> Ticks {
        self.timeouts[class as usize]
    }

    /// A span of whole seconds in ticks.
    #[must_use]
    #[inline(always)]
    pub const fn ticks(&self, secs: u32) -> Ticks {
        Ticks(secs as u64 * self.ticks_per_sec as u64)
    }

    /// Whether frames of this ethertype pass although nothing parses them.
    // Both searches go through the whole array by index: the verifier of older kernels follows
    // neither a pointer that is compared with its end nor a count that it does not know. What is
    // found beyond the elements in use is not there.
    #[must_use]
    #[inline(never)]
    pub fn passes_ethertype(&self, ethertype: u16) -> bool {
        for index in 0..PASS_ETHERTYPES_MAX {
            if self.pass_ethertypes[index] == ethertype {
                return index < self.pass_ethertypes_used as usize;
            }
        }
        false
    }

    /// Whether `address` is excepted from the martian rules.
    #[must_use]
    #[inline(never)]
    pub fn excepts(&self, address: &Address) -> bool {
        for index in 0..MARTIAN_EXCEPTIONS_MAX {
            if self.martian_exceptions[index].contains(address) {
                return index < self.martian_exceptions_used as usize;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().expect("valid address").into()
    }

    #[test]
    fn prefixes_compare_their_leading_bits_only() {
        let prefix = Prefix::new(address("2a00:1::5"), 32);
        assert_eq!((prefix.address(), prefix.len()), (address("2a00:1::"), 32));
        assert!(prefix.contains(&address("2a00:1::ffff")));
        assert!(!prefix.contains(&address("2a00:3::")));
        assert!(Prefix::new(address("2a00:1::"), 30).contains(&address("2a00:3::")));
        assert!(Prefix::new(address("::"), 0).contains(&address("ffff::")));
        assert!(!Prefix::new(address("2a00:1::"), 128).contains(&address("2a00:1::1")));
        assert!(Prefix::new(address("10.0.0.0"), 96 + 8).contains(&address("10.1.2.3")));
    }

    #[test]
    fn a_zeroed_map_is_no_configuration() {
        let mut config = Config::new(250);
        assert!(config.is_valid() && !config.is_standby());
        config.abi_version = 0;
        assert!(!config.is_valid());
    }

    #[test]
    fn what_nobody_confirms_is_overdue_from_its_moment_on() {
        let config = Config::new(250);
        assert!(!config.is_unconfirmed() && !config.is_overdue(Ticks(u64::MAX)));
        let config = Config { confirm_by: Ticks(1_000), ..config };
        assert!(config.is_unconfirmed() && !config.is_overdue(Ticks(999)));
        assert!(config.is_overdue(Ticks(1_000)) && config.is_overdue(Ticks(u64::MAX)));
    }

    #[test]
    fn counts_beyond_the_arrays_do_no_harm() {
        let config = Config {
            martian_exceptions_used: u32::MAX,
            pass_ethertypes_used: u32::MAX,
            martian_exceptions: [Prefix::new(address("10.0.0.0"), 104); MARTIAN_EXCEPTIONS_MAX],
            ..Config::new(250)
        };
        assert!(config.excepts(&address("10.0.0.1")) && !config.excepts(&address("11.0.0.1")));
        assert!(!config.passes_ethertype(0x1234));
    }
}
