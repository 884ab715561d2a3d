//! What the operator decided, in the shape the packet path reads.

use crate::{
    abi::ABI_VERSION,
    limits::{MARTIAN_EXCEPTIONS_MAX, PASS_ETHERTYPES_MAX},
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

/// An address prefix; the length counts bits of the mapped form, 0 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    /// The first address of the prefix.
    pub address: Address,
    /// Bits that must match.
    pub len: u32,
}

/// The packet path's configuration: one value of the `CONFIG` map. The values come from user
/// space's validated settings; the packet path tolerates any content without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// [`ABI_VERSION`] of the writer; anything else means "no configuration".
    pub abi_version: u32,
    /// A [`Mode`].
    pub mode: u32,
    /// Idle timeouts, indexed by [`TimeoutClass`].
    pub timeouts: [Ticks; TimeoutClass::ALL.len()],
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
}

impl Config {
    /// The defaults of profile `rfc` on a kernel with `ticks_per_sec`, armed.
    #[must_use]
    pub fn new(ticks_per_sec: u32) -> Self {
        Self {
            abi_version: ABI_VERSION,
            mode: Mode::Armed as u32,
            timeouts: TimeoutClass::ALL
                .map(|class| Ticks(u64::from(class.rfc_secs()) * u64::from(ticks_per_sec))),
            ticks_per_sec,
            generation: 1,
            allow_ping: 0,
            allow_dhcp_client: 1,
            allow_redirects: 0,
            martians_enabled: 1,
            martian_exceptions_used: 0,
            martian_exceptions: [Prefix { address: Address::UNSPECIFIED, len: 0 };
                MARTIAN_EXCEPTIONS_MAX],
            pass_ethertypes_used: 0,
            pass_ethertypes: [0; PASS_ETHERTYPES_MAX],
        }
    }

    /// Whether this is a configuration of our own layout at all; a map starts out zeroed.
    #[must_use]
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.abi_version == ABI_VERSION
    }

    /// Whether verdicts are not enforced yet.
    #[must_use]
    #[inline(always)]
    pub const fn is_standby(&self) -> bool {
        self.mode == Mode::Standby as u32
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
    // Both searches count indices instead of iterating, because the verifier follows an index
    // that stays below the array's length, but not a pointer that is compared with its end.
    #[must_use]
    #[inline(never)]
    pub fn passes_ethertype(&self, ethertype: u16) -> bool {
        for index in 0..PASS_ETHERTYPES_MAX {
            if index >= self.pass_ethertypes_used as usize {
                break;
            }
            if self.pass_ethertypes[index] == ethertype {
                return true;
            }
        }
        false
    }

    /// Whether `address` is excepted from the martian rules.
    #[must_use]
    #[inline(never)]
    pub fn excepts(&self, address: &Address) -> bool {
        for index in 0..MARTIAN_EXCEPTIONS_MAX {
            if index >= self.martian_exceptions_used as usize {
                break;
            }
            let Prefix { address: first, len } = &self.martian_exceptions[index];
            if address.in_prefix(first, *len) {
                return true;
            }
        }
        false
    }
}
