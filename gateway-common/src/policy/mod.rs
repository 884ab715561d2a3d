//! The operator's policy: which route an address has, and which rule decides a new flow.
//!
//! ```text
//! direction, protocol ─► classes ─┐
//! port or ICMP type ───► class ───┤ AND of bit vectors over the rules;
//! inside address ──────► class ───┤ the first bit that is left is the first match
//!                   └► route      │
//! outside address ─────► class ───┘
//! ```
//!
//! User space sorts the values of each field into classes: two values that the same rules accept
//! are one class, which has a bit vector with one bit for each rule. Judging a packet is a lookup
//! in each field and an AND, whatever the number of rules. Vectors are stored without the words
//! that are zero, and begin with an aggregate that has a bit for each word that is not
//! ([`Class`]), so the AND touches only words in which every field has some rule.

mod prefix;
mod search;
mod tables;

pub use prefix::longest_match;
pub use search::{Fields, Words, first_match};
pub use tables::{
    Action, AddressClass, Class, EMPTY_CLASS, Field, Levels, NO_SUBNET, PolicyTables, PrefixKey,
    ProtocolClasses, Route, Rule, Summary,
};

use crate::{
    tuple::{Address, Direction},
    verdict::Reason,
};

/// The index that stands for no rule.
pub const NO_RULE: u32 = u32::MAX;

/// The index that stands for a search that found the tables incomplete.
pub const NO_TABLE: u32 = NO_RULE - 1;

/// What the policy has to know of a packet that opens a flow.
///
/// The reply to a flow that outside opened is judged by the same query as the packet it answers,
/// since nothing in it depends on which of the two is at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The address on this side of the uplink.
    pub inside: Address,
    /// The address on the other side.
    pub outside: Address,
    /// Host byte order; the destination port of the packet that opens, its ICMP type, or 0.
    pub selector: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Which way the flow is opened.
    pub direction: Direction,
    /// Whether the packet at hand, or the one that opened the flow, leaves for another host inside.
    /// What this host sends itself has the source that the kernel chose, so it is never spoofed.
    pub is_forwarded: bool,
}

/// What the policy says to a packet.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Ruling {
    /// There is no policy to ask, so nothing passes.
    #[default]
    NoPolicy,
    /// Allowed by a rule.
    RuleAllowed,
    /// Denied by a rule.
    RuleDenied,
    /// No rule matches, and the inside address's route allows the direction.
    RouteAllowed,
    /// No rule matches, and the inside address's route lets nothing in without one.
    Unsolicited,
    /// The inside address's route is `blocked`.
    RouteBlocked,
    /// Outbound: no subnet covers the source (RFC6092-REC-5, RFC7084-S-2).
    EgressSpoof,
    /// Inbound: a subnet covers the source (RFC6092-REC-6).
    IngressSpoof,
    /// Outbound: a subnet covers the destination, from where nothing could answer: that would be an
    /// [`IngressSpoof`](Self::IngressSpoof).
    InsideDestination,
}

impl Ruling {
    /// Whether the packet passes.
    #[must_use]
    #[inline(always)]
    pub const fn allows(self) -> bool {
        matches!(self, Self::RuleAllowed | Self::RouteAllowed)
    }

    /// The reason that stands for this ruling.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        match self {
            Self::NoPolicy => Reason::NoPolicy,
            Self::RuleAllowed => Reason::RuleAllowed,
            Self::RuleDenied => Reason::RuleDenied,
            Self::RouteAllowed => Reason::RouteAllowed,
            Self::Unsolicited => Reason::NoFlow,
            Self::RouteBlocked => Reason::RouteBlocked,
            Self::EgressSpoof => Reason::EgressSpoof,
            Self::IngressSpoof => Reason::IngressSpoof,
            Self::InsideDestination => Reason::InsideDestination,
        }
    }
}

/// What became of a [`Query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule that decided, or [`NO_RULE`].
    pub rule: u32,
    /// The shadow rule that would have decided, or [`NO_RULE`].
    pub shadow: u32,
    /// The subnet of the inside address, or [`NO_SUBNET`].
    pub subnet: u16,
    /// The outcome.
    pub ruling: Ruling,
    /// Whether the rule that decided is to be logged.
    pub log: bool,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            rule: NO_RULE,
            shadow: NO_RULE,
            subnet: NO_SUBNET,
            ruling: Ruling::NoPolicy,
            log: false,
        }
    }
}

/// How much of the policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Scope {
    /// All of it.
    Everything,
    /// Addresses and routes, as if there were no rules: what rules ask for is not in the packet, or
    /// it belongs to something that they have judged.
    Addresses,
}

/// Judges a packet that opens a flow; the answer goes to `decision`.
// In the kernel this is the body of a function of its own, with the answer in memory: it is rare
// beside packets of live flows, and long.
#[inline(always)]
pub fn decide<T: PolicyTables>(
    tables: &T,
    summary: &Summary,
    scope: Scope,
    query: &Query,
    decision: &mut Decision,
) {
    *decision = Decision::default();
    // What is missing in the tables leaves the decision as it is.
    if let Some(ruling) = judge(tables, summary, scope, query, decision) {
        decision.ruling = ruling;
    }
}

#[inline(always)]
fn judge<T: PolicyTables>(
    tables: &T,
    summary: &Summary,
    scope: Scope,
    query: &Query,
    decision: &mut Decision,
) -> Option<Ruling> {
    if scope == Scope::Addresses || summary.rules == 0 {
        if summary.subnets == 0 {
            return Some(by_default(summary, query));
        }
        let inside = tables.class_of(Field::Inside, &query.inside)?;
        return by_addresses(tables, summary, query, &inside, decision);
    }
    let classes = tables.protocol(query.direction, query.protocol);
    let protocol = tables.class(classes.all)?;
    let selector = tables.class(tables.selector(query.selector))?;
    let words = protocol.aggregate.and(&selector.aggregate);
    // A few array lookups settle most of a flood of unsolicited packets.
    if words.is_empty() && summary.subnets == 0 {
        return Some(by_default(summary, query));
    }
    let inside = tables.class_of(Field::Inside, &query.inside)?;
    let ruling = by_addresses(tables, summary, query, &inside, decision)?;
    if words.is_empty() || !is_open_to_rules(ruling) {
        return Some(ruling);
    }
    let inside = tables.class(inside.class)?;
    if words.and(&inside.aggregate).is_empty() {
        return Some(ruling);
    }
    let outside = tables.class_of(Field::Outside, &query.outside)?;
    let outside = tables.class(outside.class)?;
    let fields = Fields { protocol, selector, inside, outside };
    by_rules(tables, classes.live, fields, decision).or(Some(ruling))
}

/// What the first matching rule says, if there is one.
#[inline(always)]
fn by_rules<'t, T: PolicyTables>(
    tables: &'t T,
    live: u32,
    mut fields: Fields<'t>,
    decision: &mut Decision,
) -> Option<Ruling> {
    let mut index = tables.first_match(&fields);
    if index >= NO_TABLE {
        return without_match(index);
    }
    let mut rule = tables.rule(index);
    if rule.shadow != 0 {
        // It would have decided; who does comes behind it.
        decision.shadow = index;
        let Some(live) = tables.class(live) else { return Some(Ruling::NoPolicy) };
        fields.protocol = live;
        index = tables.first_match(&fields);
        if index >= NO_TABLE {
            return without_match(index);
        }
        rule = tables.rule(index);
    }
    decision.rule = index;
    decision.log = rule.log != 0;
    Some(match Action::decode(rule.action) {
        Action::Allow => Ruling::RuleAllowed,
        Action::Deny => Ruling::RuleDenied,
    })
}

/// What a search says that found no rule: nothing, or that the tables are incomplete.
#[inline(always)]
const fn without_match(index: u32) -> Option<Ruling> {
    if index == NO_RULE { None } else { Some(Ruling::NoPolicy) }
}

/// Whether the first matching rule replaces this ruling, which was made without rules.
#[inline(always)]
const fn is_open_to_rules(ruling: Ruling) -> bool {
    matches!(ruling, Ruling::RouteAllowed | Ruling::Unsolicited)
}

/// What the addresses say as long as no rule does: who may not have sent this at all (BCP 38,
/// RFC6092-REC-5, RFC6092-REC-6), where nothing can be reached, then the route.
#[inline(always)]
fn by_addresses<T: PolicyTables>(
    tables: &T,
    summary: &Summary,
    query: &Query,
    inside: &AddressClass,
    decision: &mut Decision,
) -> Option<Ruling> {
    decision.subnet = inside.subnet;
    if query.is_forwarded && inside.is_foreign != 0 {
        return Some(Ruling::EgressSpoof);
    }
    if summary.subnets != 0 {
        let outside = tables.class_of(Field::Inside, &query.outside)?;
        if outside.subnet != NO_SUBNET {
            return Some(match query.direction {
                Direction::Inbound => Ruling::IngressSpoof,
                Direction::Outbound => Ruling::InsideDestination,
            });
        }
    }
    Some(by_route(Route::decode(inside.route), query.direction))
}

/// What is said to a packet whose inside address no subnet can cover, since there is none.
#[inline(always)]
const fn by_default(summary: &Summary, query: &Query) -> Ruling {
    by_route(Route::decode(summary.default_route), query.direction)
}

/// What a route says to a new flow.
#[inline(always)]
const fn by_route(route: Route, direction: Direction) -> Ruling {
    match (route, direction) {
        (Route::Blocked, Direction::Inbound | Direction::Outbound) => Ruling::RouteBlocked,
        (Route::EgressOnly, Direction::Inbound) => Ruling::Unsolicited,
        (Route::EgressOnly, Direction::Outbound)
        | (Route::Internet, Direction::Inbound | Direction::Outbound) => Ruling::RouteAllowed,
    }
}

#[cfg(test)]
mod tests;
