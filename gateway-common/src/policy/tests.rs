//! Small policies, made by hand.

use super::*;
use core::net::IpAddr;

const HOST: &str = "2a00:1::5";
const PEER: &str = "2a00:2::1";

/// Tables with one class for each field, and prefixes of 32 bits.
#[derive(Default)]
struct Fake {
    summary: Summary,
    classes: Vec<Class>,
    words: Vec<u64>,
    rules: Vec<Rule>,
    protocol: ProtocolClasses,
    selector: u32,
    levels: Option<Levels>,
    prefixes: Vec<(PrefixKey, AddressClass)>,
    has_words: bool,
}

const ALL: u32 = 1;
const SOME: u32 = 2;

impl Fake {
    /// One class that all rules accept and one that only the last of `rules` accepts; every value
    /// is of the former.
    fn new(rules: usize) -> Self {
        let mut fake = Self {
            summary: Summary { rules: small(rules), ..Summary::EGRESS_ONLY },
            rules: vec![Rule { action: Action::Allow as u8, ..Rule::default() }; rules],
            protocol: ProtocolClasses { all: ALL, live: ALL },
            selector: ALL,
            levels: Some(levels(&[])),
            has_words: true,
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
        let subnet = small(self.prefixes.len());
        let class = AddressClass { class: ALL, subnet, route: route as u8, is_foreign: 0 };
        self.add_prefix(first, 32, class);
        let mut levels = levels(&[32]);
        levels.root.is_foreign = 1;
        self.levels = Some(levels);
        self.summary.subnets += 1;
        self
    }

    fn add_prefix(&mut self, first: &str, len: u8, class: AddressClass) {
        let mask = !u128::MAX.checked_shr(len.into()).unwrap_or(0);
        let address = Address::from_bits(address(first).to_bits() & mask);
        let key = PrefixKey { address, len, field: Field::Inside as u8, zero: 0 };
        self.prefixes.push((key, class));
    }

    fn decide(&self, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, &self.summary, Scope::Everything, query, &mut decision);
        decision
    }

    fn judge_addresses(&self, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, &self.summary, Scope::Addresses, query, &mut decision);
        decision
    }
}

impl PolicyTables for Fake {
    fn protocol(&self, _: Direction, _: u8) -> ProtocolClasses {
        self.protocol
    }

    fn selector(&self, _: u16) -> u32 {
        self.selector
    }

    fn levels(&self, _: u32) -> Option<&Levels> {
        self.levels.as_ref()
    }

    fn prefix(&self, key: &PrefixKey) -> Option<AddressClass> {
        let key = PrefixKey { field: Field::Inside as u8, ..*key };
        self.prefixes.iter().find(|(prefix, _)| *prefix == key).map(|(_, class)| *class)
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.classes.get(class as usize)
    }

    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>> {
        let words = self.has_words.then_some(&self.words)?;
        Some(|position: u32| words.get(position as usize).copied())
    }

    fn rule(&self, index: u32) -> Rule {
        self.rules.get(index as usize).copied().unwrap_or_default()
    }
}

#[test]
fn without_tables_nothing_passes() {
    for direction in Direction::ALL {
        let query = query(direction);
        let with_rules = Summary { rules: 1, ..Summary::EGRESS_ONLY };
        let with_subnets = Summary { subnets: 1, ..Summary::EGRESS_ONLY };
        let fake = Fake { summary: with_rules, ..Fake::default() };
        assert_eq!(fake.decide(&query), Decision::default());
        let fake = Fake { summary: with_subnets, ..Fake::default() };
        assert_eq!(fake.decide(&query), Decision::default());
        assert_eq!(fake.judge_addresses(&query), Decision::default());
        assert!(!Decision::default().ruling.allows());
        // A part that the tables lack is no reason to let anything pass either.
        let mut fake = Fake::new(1).with_subnet(HOST, Route::Internet);
        fake.has_words = false;
        assert_eq!(fake.decide(&query).ruling, Ruling::NoPolicy);
        fake.has_words = true;
        fake.prefixes[0].1.class = 99;
        assert_eq!(fake.decide(&query).ruling, Ruling::NoPolicy);
        fake.levels = None;
        assert_eq!(fake.decide(&query), Decision::default());
    }
}

#[test]
fn without_a_policy_tables_are_not_asked() {
    let fake = Fake { summary: Summary::EGRESS_ONLY, ..Fake::default() };
    for (direction, ruling) in
        [(Direction::Inbound, Ruling::Unsolicited), (Direction::Outbound, Ruling::RouteAllowed)]
    {
        let expected = Decision { ruling, ..Decision::default() };
        assert_eq!(fake.decide(&query(direction)), expected);
        assert_eq!(fake.judge_addresses(&query(direction)), expected);
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
        // As if no rule matched.
        fake.selector = ALL;
        let by_addresses =
            Direction::ALL.map(|direction| fake.judge_addresses(&query(direction)).ruling);
        assert_eq!(by_addresses, [inbound, outbound], "{route:?}");
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

/// RFC6092-REC-5.
#[test]
fn sources_that_are_not_inside_do_not_leave() {
    let fake = Fake::new(1).with_subnet(HOST, Route::Internet);
    let mut forged = Query { inside: address("2a00:99::1"), ..query(Direction::Outbound) };
    assert_eq!(fake.decide(&forged).ruling, Ruling::EgressSpoof);
    assert_eq!(fake.judge_addresses(&forged).ruling, Ruling::EgressSpoof);
    forged.is_forwarded = false;
    assert_eq!(fake.decide(&forged).ruling, Ruling::RuleAllowed, "this host's own");
    assert_eq!(fake.judge_addresses(&forged).ruling, Ruling::RouteAllowed, "this host's own");
}

/// RFC6092-REC-6.
#[test]
fn sources_that_are_inside_do_not_come_in() {
    let fake = Fake::new(1).with_subnet(HOST, Route::Internet);
    let from_inside = Query { outside: address("2a00:1::6"), ..query(Direction::Inbound) };
    for decision in [fake.decide(&from_inside), fake.judge_addresses(&from_inside)] {
        assert_eq!((decision.ruling, decision.subnet), (Ruling::IngressSpoof, 0));
    }
    let is_covered = |address: &Address| {
        fake.class_of(Field::Inside, address).expect("levels").subnet != NO_SUBNET
    };
    assert!(is_covered(&from_inside.outside) && !is_covered(&address(PEER)));
}

#[test]
fn nothing_leaves_for_where_answers_would_be_forged() {
    let fake = Fake::new(1).with_subnet(HOST, Route::Internet);
    for is_forwarded in [true, false] {
        let outside = address("2a00:1::6");
        let mut lost = Query { outside, is_forwarded, ..query(Direction::Outbound) };
        for decision in [fake.decide(&lost), fake.judge_addresses(&lost)] {
            assert_eq!((decision.ruling, decision.subnet), (Ruling::InsideDestination, 0));
            assert!(!decision.ruling.allows());
        }
        lost.inside = address("2a00:99::1");
        let ruling = if is_forwarded { Ruling::EgressSpoof } else { Ruling::InsideDestination };
        assert_eq!(fake.decide(&lost).ruling, ruling);
    }
    let blocked = Fake::new(1).with_subnet(HOST, Route::Blocked);
    let lost = Query { outside: address("2a00:1::6"), ..query(Direction::Outbound) };
    assert_eq!(blocked.decide(&lost).ruling, Ruling::InsideDestination);
}

/// A match is only ever one of the prefixes that cover the address, whatever the lengths say.
#[test]
fn lengths_of_any_content_do_no_harm() {
    let classes = [0, 1, 8, 63, 64, 65, 96, 97, 127, 128]
        .map(|len| (len, AddressClass { class: 100 + u32::from(len), ..AddressClass::default() }));
    let mut fake = Fake::default();
    for (len, class) in classes {
        fake.add_prefix(HOST, len, class);
        fake.add_prefix("ffff::", len.max(1), AddressClass::default());
    }
    let known: Vec<u32> = classes.iter().map(|(_, class)| class.class).chain([ALL]).collect();
    let mut descending: [u8; 128] = core::array::from_fn(|index| small(128 - index));
    for round in 0..1_000_u32 {
        for zero in [0, 1, 127, 128, u32::MAX - round, u32::MAX] {
            let any = Levels { count: 129 + round * round, zero, lens: descending, ..levels(&[]) };
            fake.levels = Some(any);
            let class = fake.class_of(Field::Inside, &address(HOST)).expect("levels").class;
            assert!(known.contains(&class), "{class} by {any:?}");
        }
        descending.rotate_left(1);
        descending[round as usize % 128] = small(usize::try_from(round).expect("small") % 256);
    }
}

/// Levels of these lengths, and what holds where there is no prefix.
fn levels(used: &[u8]) -> Levels {
    let mut lens = [0; crate::limits::PREFIX_LENGTHS_MAX];
    lens[..used.len()].copy_from_slice(used);
    let route = Route::EgressOnly as u8;
    let root = AddressClass { class: ALL, subnet: NO_SUBNET, route, is_foreign: 0 };
    Levels { root, count: small(used.len()), zero: 0, lens }
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
