//! The differences that are meant.
//!
//! Each is a rule that tells, from one packet and what happened before, whether the two gateways
//! are supposed to treat that packet differently, and which standard says so. A rule is as narrow
//! as it can be: what no rule covers is a bug on one of the two sides.

use std::fmt::Write as _;

use crate::{
    compare::Case,
    rules::{checksum, icmp, memory, opening, reset, window},
};

/// One documented difference.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// What `eigw` does and what the reference does instead.
    pub(crate) what: &'static str,
    /// Which standard asks for it, or leaves it open, and why.
    pub(crate) why: &'static str,
    /// Whether the gateways remember different things from there on, so that what follows can
    /// not be compared any more.
    pub(crate) parts_ways: bool,
    /// Whether it accounts for what happened to the last packet of the case.
    pub(crate) covers: fn(&Case<'_>) -> bool,
}

/// All of them, by what they are about.
const DIFFERENCES: [&[Difference]; 6] =
    [checksum::RULES, icmp::RULES, reset::RULES, window::RULES, opening::RULES, memory::RULES];

/// All of them. The first that covers a packet counts.
pub(crate) fn all() -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.into_iter().flatten()
}

/// `docs/differences.md`.
pub(crate) fn document() -> String {
    let mut text = String::from(
        "# Differences from nftables\n\n\
         `cargo xtask differential` sends the same packets through `eigw` and through a stateful \
         nftables ruleset\nwith the same policy. They treat packets alike except as listed here; \
         any other difference fails the run.\nSo does a TCP segment that `eigw` treats otherwise \
         than [ADR 9](adr/0009-windows-without-locks.md) and the standards say, whatever\n\
         nftables does with it. This file is generated from \
         `tests/src/bin/differential/rules`.\n\n\
         | difference | what `eigw` does, and what nftables does | why |\n|---|---|---|\n",
    );
    for Difference { name, what, why, .. } in all() {
        writeln!(text, "| `{name}` | {what} | {why} |").expect("writing to a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arena::CtState, grammar, runner::Observation};

    /// A rule that accounts for this would account for anything.
    #[test]
    fn no_rule_covers_what_follows_the_protocols() {
        for exchange in grammar::plain_exchanges() {
            for end in 1..=exchange.len() {
                let steps = &exchange[..end];
                for eigw in [true, false] {
                    let mut observed = vec![BOTH; end];
                    observed[end - 1] =
                        Observation { eigw, reference: BOTH.reference.filter(|_| !eigw) };
                    for is_ipv6 in [true, false] {
                        let case = Case { is_ipv6, steps, observed: &observed };
                        let rule = all().find(|it| (it.covers)(&case));
                        assert!(rule.is_none(), "{rule:?} covers {case:?}");
                    }
                }
            }
        }
    }

    const BOTH: Observation = Observation { eigw: true, reference: Some(CtState::Established) };

    #[test]
    fn names_are_unique_and_every_rule_cites_a_standard() {
        let mut names: Vec<_> = all().map(|it| it.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for Difference { name, why, .. } in all() {
            assert!(why.contains("RFC "), "{name}: {why}");
        }
    }
}
