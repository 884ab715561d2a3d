//! The compiled policy as it lies in the kernel's maps.

use super::search::Words;
use crate::{
    limits::RULE_AGGREGATE_WORDS,
    tuple::{Address, Direction},
};

/// The subnet of addresses that none covers.
pub const NO_SUBNET: u16 = u16::MAX;

/// Which ways are open to an inside address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Route {
    /// Nothing, in neither direction; what a map without content says.
    Blocked = 0,
    /// What inside opens, and its answers.
    #[default]
    EgressOnly = 1,
    /// Both ways.
    Internet = 2,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 3] = [Self::EgressOnly, Self::Internet, Self::Blocked];

    /// The route behind a code; unknown ones are blocked.
    #[must_use]
    #[inline(always)]
    pub const fn decode(code: u8) -> Self {
        match code {
            1 => Self::EgressOnly,
            2 => Self::Internet,
            _ => Self::Blocked,
        }
    }

    /// The name used in the configuration and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::EgressOnly => "egress-only",
            Self::Internet => "internet",
        }
    }
}

/// What a rule does with the flows that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// They are refused; what a map without content says.
    Deny = 0,
    /// They may be opened.
    Allow = 1,
}

impl Action {
    /// The action behind a code; unknown ones deny.
    #[must_use]
    #[inline(always)]
    pub const fn decode(code: u8) -> Self {
        match code {
            1 => Self::Allow,
            _ => Self::Deny,
        }
    }

    /// The name used in the configuration and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

/// The policy as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Summary {
    /// How many rules there are.
    pub rules: u32,
    /// How many subnets are declared.
    pub subnets: u32,
    /// A [`Route`]: of addresses that no subnet covers.
    pub default_route: u8,
    /// Zero.
    pub zero: [u8; 3],
}

/// The class of values that no rule accepts; also what a map without content says.
pub const EMPTY_CLASS: u32 = 0;

/// What is known of an inside address by its longest prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Inside {
    /// The class of the address.
    pub class: u32,
    /// The subnet's index, or [`NO_SUBNET`].
    pub subnet: u16,
    /// A [`Route`].
    pub route: u8,
    /// Non-zero: no other host inside may use this address as a source.
    pub is_foreign: u8,
}

/// The classes of a direction and a protocol; the same one twice where no shadow rule is about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProtocolClasses {
    /// Among all rules.
    pub all: u32,
    /// Among the rules that decide.
    pub live: u32,
}

/// The bit vector of a class: which rules accept its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Class {
    /// One bit for each word of the vector that is not zero; only those words are stored.
    pub aggregate: Words,
    /// Where the stored words begin that belong to each word of the aggregate.
    pub starts: [u32; RULE_AGGREGATE_WORDS],
    /// Zero.
    pub zero: u32,
}

impl Class {
    /// Where the word is stored whose bit in `aggregate[part]` stands above the bits `below`.
    #[must_use]
    #[inline(always)]
    pub const fn position(&self, part: usize, below: u64) -> u32 {
        self.starts[part].wrapping_add((self.aggregate.0[part] & below).count_ones())
    }
}

/// What the packet path knows of a rule beside its match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// An [`Action`].
    pub action: u8,
    /// Non-zero: what it decides is logged.
    pub log: u8,
    /// Non-zero: it never decides, but is counted as if it did.
    pub shadow: u8,
    /// Zero.
    pub zero: u8,
}

/// A compiled policy. The kernel implements it with BPF maps, user space with vectors.
///
/// All answers of one packet must come from the same policy.
pub trait PolicyTables {
    /// The policy as a whole; `None` when there is none.
    fn summary(&self) -> Option<Summary>;

    /// The classes of a protocol in a direction.
    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses;

    /// The class of a destination port or an ICMP type.
    fn selector(&self, selector: u16) -> u32;

    /// What is known of an inside address; `None` when there is no policy.
    fn inside(&self, address: &Address) -> Option<Inside>;

    /// The class of an outside address.
    fn outside(&self, address: &Address) -> u32;

    /// The bit vector of a class.
    fn class(&self, class: u32) -> Option<&Class>;

    /// A stored word of some class's bit vector.
    fn word(&self, position: u32) -> Option<u64>;

    /// A rule by its index.
    fn rule(&self, index: u32) -> Rule;
}
