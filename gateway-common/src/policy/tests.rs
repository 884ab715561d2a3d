//! Small policies, made by hand.

use super::*;
use core::net::IpAddr;

const HOST: &str = "2a00:1::5";
const PEER: &str = "2a00:2::1";

/// Tables with one class for each field, and prefixes by their first 32 bits.
#[derive(Default)]
struct Fake {
    summary: Option<Summary>,
    classes: Vec<Class>,
    words: Vec<u64>,
    rules: Vec<Rule>,
    protocol: ProtocolClasses,
    selector: u32,
    subnets: Vec<(Address, Inside)>,
    inside: Inside,
}

const ALL: u32 = 1;
const SOME: u32 = 2;

impl Fake {
    /// One class that all rules accept and one that only the last of `rules` accepts; every value
    /// is of the former.
    fn new(rules: usize) -> Self {
        let mut fake = Self {
            summary: Some(Summary {
                rules: small(rules),
                default_route: Route::EgressOnly as u8,
                ..Summary::default()
            }),
            rules: vec![Rule { action: Action::Allow as u8, ..Rule::default() }; rules],
            protocol: ProtocolClasses { all: ALL, live: ALL },
            selector: ALL,
            inside: Inside {
                class: ALL,
                subnet: NO_SUBNET,
                route: Route::EgressOnly as u8,
                is_foreign: 0,
            },
            ..Self::default()
        };
        fake.add_class(&[]);
        fake.add_class(&(0..rules).collect::<Vec<_>>());
        fake.add_class(&[rules - 1]);
        fake
    }

    fn add_class(&mut self, rules: &[usize]) {
        let mut class = Class::default();
        for part in 0..class.starts.len() {
            class.starts[part] = small(self.words.len());
            for word in 64 * part..64 * (part + 1) {
                let of_word = rules.iter().filter(|rule| *rule / 64 == word);
                let bits = of_word.fold(0, |bits, rule| bits | 1 << (rule % 64));
                if bits != 0 {
                    class.aggregate.0[part] |= 1 << (word % 64);
                    self.words.push(bits);
                }
            }
        }
        self.classes.push(class);
    }

    fn with_subnet(mut self, first: &str, route: Route) -> Self {
        let subnet = small(self.subnets.len());
        let inside = Inside { subnet, route: route as u8, ..self.inside };
        self.subnets.push((address(first), inside));
        self.inside.is_foreign = 1;
        self.summary =
            self.summary.map(|summary| Summary { subnets: summary.subnets + 1, ..summary });
        self
    }

    fn decide(&self, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, query, &mut decision);
        decision
    }
}

impl PolicyTables for Fake {
    fn summary(&self) -> Option<Summary> {
        self.summary
    }

    fn protocol(&self, _: Direction, _: u8) -> ProtocolClasses {
        self.protocol
    }

    fn selector(&self, _: u16) -> u32 {
        self.selector
    }

    fn inside(&self, address: &Address) -> Option<Inside> {
        let is_in = |(first, _): &&(Address, Inside)| first.0[..4] == address.0[..4];
        Some(self.subnets.iter().find(is_in).map_or(self.inside, |(_, inside)| *inside))
    }

    fn outside(&self, _: &Address) -> u32 {
        ALL
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.classes.get(class as usize)
    }

    fn word(&self, position: u32) -> Option<u64> {
        self.words.get(position as usize).copied()
    }

    fn rule(&self, index: u32) -> Rule {
        self.rules[index as usize]
    }
}

#[test]
fn without_tables_nothing_passes() {
    for direction in Direction::ALL {
        let decision = Fake::default().decide(&query(direction));
        assert_eq!(decision, Decision::default());
        assert!(!decision.ruling.allows());
        // A class that the tables lack is no reason to let anything pass either.
        let mut fake = Fake::new(1).with_subnet(HOST, Route::Internet);
        fake.subnets[0].1.class = 99;
        assert_eq!(fake.decide(&query(direction)).ruling, Ruling::NoPolicy);
    }
}

#[test]
fn routes_decide_where_no_rule_does() {
    use Ruling::{RouteAllowed, RouteBlocked, Unsolicited};
    for (route, inbound, outbound) in [
        (Route::EgressOnly, Unsolicited, RouteAllowed),
        (Route::Internet, RouteAllowed, RouteAllowed),
        (Route::Blocked, RouteBlocked, RouteBlocked),
    ] {
        let mut fake = Fake::new(1).with_subnet(HOST, route);
        fake.selector = EMPTY_CLASS;
        let rulings = Direction::ALL.map(|direction| fake.decide(&query(direction)).ruling);
        assert_eq!(rulings, [inbound, outbound], "{route:?}");
    }
    assert!(RouteAllowed.allows() && !RouteBlocked.allows() && !Unsolicited.allows());
}

#[test]
fn the_first_rule_decides_wherever_it_stands() {
    for rules in [1, 64, 65, 4_096, 4_097, 8_193, 10_240] {
        let mut fake = Fake::new(rules);
        assert_eq!(fake.decide(&query(Direction::Inbound)).rule, 0);
        fake.selector = SOME;
        fake.rules[rules - 1].log = 1;
        let decision = fake.decide(&query(Direction::Inbound));
        assert_eq!(decision.rule as usize, rules - 1);
        assert_eq!((decision.ruling, decision.log), (Ruling::RuleAllowed, true));
    }
}

#[test]
fn rules_deny_what_a_route_allows_but_do_not_open_what_it_blocks() {
    let mut fake = Fake::new(3).with_subnet(HOST, Route::Internet);
    assert_eq!(fake.decide(&query(Direction::Inbound)).ruling, Ruling::RuleAllowed);
    fake.rules[0].action = Action::Deny as u8;
    assert_eq!(fake.decide(&query(Direction::Outbound)).ruling, Ruling::RuleDenied);
    let blocked = Fake::new(3).with_subnet(HOST, Route::Blocked);
    let decision = blocked.decide(&query(Direction::Inbound));
    assert_eq!((decision.ruling, decision.rule), (Ruling::RouteBlocked, NO_RULE));
}

#[test]
fn shadow_rules_are_named_only_where_they_would_have_decided() {
    let mut fake = Fake::new(100);
    fake.add_class(&[7, 8, 98, 99]);
    fake.add_class(&[8, 99]);
    fake.protocol = ProtocolClasses { all: 3, live: 4 };
    for shadow in [7, 98] {
        fake.rules[shadow].shadow = 1;
    }
    for (accepted, rule, shadow) in [
        (&[7, 98, 99][..], 99, 7),
        (&[98], NO_RULE, 98),
        (&[7, 8, 98], 8, 7),
        (&[8, 98], 8, NO_RULE),
        (&[99], 99, NO_RULE),
        (&[], NO_RULE, NO_RULE),
    ] {
        fake.add_class(accepted);
        fake.selector = small(fake.classes.len() - 1);
        let decision = fake.decide(&query(Direction::Inbound));
        assert_eq!((decision.rule, decision.shadow), (rule, shadow), "{accepted:?}");
    }
}

#[test]
fn forged_sources_are_refused_both_ways() {
    let fake = Fake::new(1).with_subnet(HOST, Route::Internet);
    let mut forged = Query { inside: address("2a00:99::1"), ..query(Direction::Outbound) };
    assert_eq!(fake.decide(&forged).ruling, Ruling::EgressSpoof);
    forged.is_forwarded = false;
    assert_eq!(fake.decide(&forged).ruling, Ruling::RuleAllowed, "this host's own");
    let from_inside = Query { outside: address("2a00:1::6"), ..query(Direction::Inbound) };
    let decision = fake.decide(&from_inside);
    assert_eq!((decision.ruling, decision.subnet), (Ruling::IngressSpoof, 0));
    assert!(is_covered(&fake, &from_inside.outside) && !is_covered(&fake, &address(PEER)));
}

fn query(direction: Direction) -> Query {
    Query {
        inside: address(HOST),
        outside: address(PEER),
        selector: 443,
        protocol: 6,
        direction,
        is_forwarded: true,
    }
}

/// A number in the type of a table's field.
fn small<T: TryFrom<usize, Error: core::fmt::Debug>>(number: usize) -> T {
    number.try_into().expect("a small number")
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("valid address").into()
}
