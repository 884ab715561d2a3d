//! The compiled policy as it lies in the kernel's maps.

use super::{Fields, Words, first_match, longest_match};
use crate::{
    limits::{PREFIX_LENGTHS_MAX, RULE_AGGREGATE_WORDS},
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

impl Summary {
    /// The policy of a gateway for which nothing is said: what inside opens may be answered.
    pub const EGRESS_ONLY: Self =
        Self { rules: 0, subnets: 0, default_route: Route::EgressOnly as u8, zero: [0; 3] };

    /// Whether the tables have nothing to say about any packet.
    #[must_use]
    #[inline(always)]
    pub const fn is_egress_only(&self) -> bool {
        self.rules == 0 && self.subnets == 0 && self.default_route == Route::EgressOnly as u8
    }

    /// How many places each CPU has among the policy's hits: one for each rule, then one for each
    /// subnet, then one for addresses that no subnet covers.
    #[must_use]
    #[inline(always)]
    pub const fn places(&self) -> u32 {
        self.rules.wrapping_add(self.subnets).wrapping_add(1)
    }

    /// The place of a subnet, or of [`NO_SUBNET`].
    #[must_use]
    #[inline(always)]
    pub const fn place_of(&self, subnet: u16) -> u32 {
        let subnet = if subnet == NO_SUBNET { self.subnets } else { subnet as u32 };
        self.rules.wrapping_add(subnet)
    }
}

/// Which address of a packet a prefix is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// The one on this side of the uplink.
    Inside = 0,
    /// The one on the other side.
    Outside = 1,
}

impl Field {
    /// Both fields, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Inside, Self::Outside];
}

/// What is known of an address by its longest prefix. Of an outside address only the class counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AddressClass {
    /// The class of the address.
    pub class: u32,
    /// The subnet's index, or [`NO_SUBNET`].
    pub subnet: u16,
    /// A [`Route`].
    pub route: u8,
    /// Non-zero: no other host inside may use this address as a source.
    pub is_foreign: u8,
}

/// The prefix lengths of a field's addresses in one family, among which the longest match is
/// searched by halving: where a longer prefix may follow, a marker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Levels {
    /// What is known of an address of which no prefix is.
    pub root: AddressClass,
    /// How many of `lens` are in use.
    pub count: u32,
    /// Zero. A search begins with it instead of a constant, so that the kernel's verifier takes it for
    /// any number: it would follow every way to halve the lengths by itself otherwise.
    pub zero: u32,
    /// The lengths, growing, counted in the mapped form of addresses; zeroes behind them.
    pub lens: [u8; PREFIX_LENGTHS_MAX],
}

impl Levels {
    /// How many there are of a policy.
    pub const COUNT: usize = 4;

    /// The index of the levels for `address` in `field`.
    #[must_use]
    #[inline(always)]
    pub const fn index(field: Field, address: &Address) -> u32 {
        2 * field as u32 + address.is_ipv4_mapped() as u32
    }

    /// A search finds the number of lengths that it passes bit by bit. This is the highest one.
    pub const FIRST_STEP: u32 = 1 << PREFIX_LENGTHS_MAX.ilog2();
}

/// A prefix of addresses in a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PrefixKey {
    /// The first address.
    pub address: Address,
    /// How many bits must match, counted in the mapped form of addresses.
    pub len: u8,
    /// A [`Field`].
    pub field: u8,
    /// Zero.
    pub zero: u16,
}

/// The class of values that no rule accepts; also what a map without content says.
pub const EMPTY_CLASS: u32 = 0;

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
    /// The classes of a protocol in a direction.
    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses;

    /// The class of a destination port or an ICMP type.
    fn selector(&self, selector: u16) -> u32;

    /// The prefix lengths at a [`Levels::index`]; `None` when there is no policy.
    fn levels(&self, index: u32) -> Option<&Levels>;

    /// What is known of the addresses of a prefix or a marker.
    fn prefix(&self, key: &PrefixKey) -> Option<AddressClass>;

    /// What is known of an address by its longest prefix; `None` when there is no policy.
    #[inline(always)]
    fn class_of(&self, field: Field, address: &Address) -> Option<AddressClass>
    where
        Self: Sized,
    {
        longest_match(self, field, address)
    }

    /// The bit vector of a class.
    fn class(&self, class: u32) -> Option<&Class>;

    /// The stored words of all bit vectors; `None` when there is no policy.
    // Asked for once, not for each word: the kernel has to find the map that holds them first.
    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>>;

    /// The first rule that all fields match; see [`first_match`].
    #[inline(always)]
    fn first_match(&self, fields: &Fields<'_>) -> u32
    where
        Self: Sized,
    {
        first_match(self, fields)
    }

    /// A rule by its index; one that denies if there is none of that index.
    fn rule(&self, index: u32) -> Rule;
}
