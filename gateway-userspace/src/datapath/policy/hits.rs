//! What rules and subnets counted, kept over reloads.
//!
//! The kernel holds the hits of two policies. Putting a third one in the place of the older loses
//! that one's, so the new one's document takes them over first, with those that the one in force
//! had taken over itself:
//!
//! ```text
//! settled(C) = base(C) + hits(B)          B was in force before C
//! total(C)   = settled(C) + hits(C)
//! base(D)    = settled(C)                 D takes B's place and follows C
//! ```
//!
//! The total includes the counters of the earlier policy as they stand, so what packets under way
//! add to them is not lost, and nothing is counted twice. D's document is in place before B's hits
//! are overwritten; were the work interrupted then, C would stay in force without them, so the
//! document has `settled(C)` as well.

use std::collections::HashMap;

use gateway_common::counter::{Counter, Hits};

use crate::settings::policy::{Addresses, Policy, Rule};

/// What makes a place among the hits of one policy the same as one of another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// The rule of this name.
    Named(String),
    /// Of the rules without a name that say this, the n-th.
    Saying(String, usize),
    /// The subnet of this name.
    Subnet(String),
    /// Addresses that no subnet covers.
    Uncovered,
}

/// What the places of a policy's hits are, in their order.
pub(super) fn identities(policy: &Policy) -> Vec<Identity> {
    let mut equals: HashMap<String, usize> = HashMap::new();
    let mut of_rule = |rule: &Rule| {
        if let Some(name) = &rule.name {
            return Identity::Named(name.clone());
        }
        let what = saying(rule, policy);
        let before = equals.entry(what.clone()).or_default();
        *before += 1;
        Identity::Saying(what, *before)
    };
    let rules: Vec<_> = policy.rules.iter().map(&mut of_rule).collect();
    let subnets = policy.subnets.iter().map(|subnet| Identity::Subnet(subnet.name.clone()));
    rules.into_iter().chain(subnets).chain([Identity::Uncovered]).collect()
}

/// All that a rule says of packets. A list is what its name stands for.
fn saying(rule: &Rule, policy: &Policy) -> String {
    let Rule {
        line: _,
        name: _,
        direction,
        action,
        protocols,
        selectors,
        from,
        to,
        log: _,
        shadow,
    } = rule;
    let names = |addresses: &[Addresses]| -> Vec<String> {
        addresses.iter().map(|addresses| policy.describe(addresses)).collect()
    };
    format!(
        "{direction:?} {action:?} {protocols:?} {selectors:?} {:?} {:?} {shadow}",
        names(from),
        names(to)
    )
}

/// The hits of places that `to` has as well, in its order; the others begin at nothing.
pub(super) fn carried(from: &[Identity], hits: &[Hits], to: &[Identity]) -> Vec<Hits> {
    let known: HashMap<&Identity, &Hits> = from.iter().zip(hits).collect();
    to.iter().map(|place| known.get(place).copied().copied().unwrap_or_default()).collect()
}

/// The hits of the same places together.
pub(super) fn added(ours: &[Hits], others: &[Hits]) -> Vec<Hits> {
    ours.iter().zip(others).map(|(ours, others)| sum(ours, others)).collect()
}

/// The hits of each place over all CPUs, of which each has all `places`.
pub(super) fn over_cpus(per_cpu: &[Hits], places: usize) -> Vec<Hits> {
    let nothing = vec![Hits::default(); places];
    per_cpu.chunks_exact(places).fold(nothing, |total, cpu| added(&total, cpu))
}

fn sum(ours: &Hits, others: &Hits) -> Hits {
    let count = Counter {
        packets: ours.count.packets.wrapping_add(others.count.packets),
        bytes: ours.count.bytes.wrapping_add(others.count.bytes),
    };
    Hits { count, last: ours.last.max(others.last) }
}

#[cfg(test)]
mod tests {
    use gateway_common::timeouts::Ticks;

    use super::*;
    use crate::settings::Settings;

    const TWINS: &str = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n\
                         [[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n";

    #[test]
    fn a_rule_is_its_name_or_all_that_it_says() {
        let named = "[[rule]]\nname = 'ssh'\ndirection = 'in'\naction = 'allow'\n";
        let changed = "[[rule]]\nname = 'ssh'\ndirection = 'out'\naction = 'deny'\n";
        assert_eq!(places(named)[0], places(changed)[0]);
        let rule = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n";
        assert_eq!(places(rule)[0], places(&format!("\n\n{rule}log = true\n"))[0]);
        for other in [
            rule.replace("'in'", "'out'"),
            rule.replace("allow", "deny"),
            rule.replace("22", "23"),
            rule.replace("tcp", "udp"),
            format!("{rule}shadow = true\n"),
            format!("{rule}from = '192.0.2.1'\n"),
            format!("{rule}to = '192.0.2.1'\n"),
            format!("{rule}name = 'ssh'\n"),
        ] {
            assert_ne!(places(rule)[0], places(&other)[0], "{other}");
        }
        let list = |name: &str, prefix: &str| {
            format!("[prefix_list.{name}]\nprefixes = ['{prefix}']\n{rule}from = '@{name}'\n")
        };
        assert_eq!(places(&list("a", "192.0.2.1"))[0], places(&list("a", "192.0.2.2"))[0]);
        assert_ne!(places(&list("a", "192.0.2.1"))[0], places(&list("b", "192.0.2.1"))[0]);
    }

    #[test]
    fn equal_rules_are_told_apart_by_their_order() {
        let [first, second, uncovered] = &places(TWINS)[..] else { panic!("three places") };
        assert!(first != second && *uncovered == Identity::Uncovered);
        assert_eq!(
            carried(&places(TWINS), &[hits(1), hits(2), hits(3)], &places(TWINS)),
            [hits(1), hits(2), hits(3)]
        );
    }

    #[test]
    fn hits_follow_their_places_wherever_these_go() {
        let text = "[[subnet]]\nname = 'a'\nprefix = '10.0.0.0/8'\n\
                    [[rule]]\nname = 'x'\ndirection = 'in'\naction = 'allow'\n\
                    [[rule]]\nname = 'y'\ndirection = 'out'\naction = 'allow'\n";
        let later = "[[subnet]]\nname = 'b'\nprefix = '192.168.0.0/16'\n\
                     [[subnet]]\nname = 'a'\nprefix = '10.0.0.0/8'\n\
                     [[rule]]\nname = 'new'\ndirection = 'in'\naction = 'deny'\n\
                     [[rule]]\nname = 'y'\ndirection = 'out'\naction = 'allow'\n";
        // Rule x, rule y, subnet a, uncovered.
        let before = [hits(1), hits(2), hits(3), hits(4)];
        // Rule new, rule y, subnet b, subnet a, uncovered.
        let after = carried(&places(text), &before, &places(later));
        assert_eq!(after, [hits(0), hits(2), hits(0), hits(3), hits(4)]);
    }

    #[test]
    fn cpus_are_added_and_the_last_hit_is_the_latest() {
        let per_cpu = [hits(1), hits(20), hits(3), hits(4)];
        let total = over_cpus(&per_cpu, 2);
        assert_eq!(total[0].count, Counter { packets: 4, bytes: 400 });
        assert_eq!(total.iter().map(|hits| hits.last.0).collect::<Vec<_>>(), [30, 200]);
    }

    fn places(text: &str) -> Vec<Identity> {
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        identities(&settings.policy)
    }

    fn hits(count: u64) -> Hits {
        let bytes = count * 100;
        Hits { count: Counter { packets: count, bytes }, last: Ticks(count * 10) }
    }
}
