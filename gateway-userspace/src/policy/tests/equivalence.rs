//! The compiled policy and the policy read from the top say the same to every packet.

use std::collections::BTreeMap;

use fastrand::Rng;
use gateway_common::policy::{Decision, NO_RULE, NO_SUBNET, Scope};

use super::{
    model::{Judgement, Model},
    policy, random,
};
use crate::policy::{CompiledPolicy, HostTables};

/// Packets for each policy.
const PACKETS: usize = 500;

/// Policies by the number of their rules: around the sizes of a word and of an aggregate's word,
/// and up to the greatest. An optimized build tries more.
const POLICIES: [(std::ops::RangeInclusive<usize>, usize, usize); 4] =
    [(0..=12, 60, 8_000), (60..=140, 12, 1_000), (4_200..=4_500, 2, 20), (10_000..=10_238, 0, 4)];

#[test]
fn compiled_policies_say_what_reading_them_says() {
    let mut tally = Tally::default();
    let mut seed = 1;
    for (rules, debug, release) in POLICIES {
        let policies = if cfg!(debug_assertions) { debug } else { release };
        for _ in 0..policies {
            try_policy(seed, rules.clone(), &mut tally);
            seed += 1;
        }
    }
    println!("{} packets through {} policies, no difference", tally.packets, seed - 1);
    println!("{:#?}", tally.outcomes);
    for outcome in [
        "RuleAllowed",
        "RuleDenied",
        "RouteAllowed",
        "Unsolicited",
        "RouteBlocked",
        "EgressSpoof",
        "IngressSpoof",
        "InsideDestination",
        "a shadow rule before a decision",
        "a shadow rule before none",
        "the log",
        "a rule beyond the first word",
        "a rule beyond the first aggregate",
        "a subnet",
    ] {
        assert!(tally.outcomes.contains_key(outcome), "{outcome} never came up: {tally:?}");
    }
}

/// What the packets came to, so that a test which misses something shows it.
#[derive(Debug, Default)]
struct Tally {
    packets: usize,
    outcomes: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, judgement: &Judgement) {
        self.packets += 1;
        let mut count = |outcome: &str, happened: bool| {
            if happened {
                *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
            }
        };
        let Judgement { ruling, rule, shadow, subnet, log } = judgement;
        count(&format!("{ruling:?}"), true);
        count("a shadow rule before a decision", shadow.is_some() && rule.is_some());
        count("a shadow rule before none", shadow.is_some() && rule.is_none());
        count("the log", *log);
        count("a rule beyond the first word", *rule >= Some(64));
        count("a rule beyond the first aggregate", *rule >= Some(64 * 64));
        count("a subnet", subnet.is_some());
    }
}

fn try_policy(seed: u64, rules: std::ops::RangeInclusive<usize>, tally: &mut Tally) {
    let mut rng = Rng::with_seed(seed);
    let rules = rng.usize(rules);
    let model = random::model(&mut rng, rules);
    let text = model.to_toml();
    let compiled = CompiledPolicy::new(&policy(&text));
    let tables = HostTables::new(&compiled);
    for _ in 0..PACKETS {
        let query = random::query(&mut rng, &model);
        let judged = model.judge(&query);
        for (decided, judged) in [
            (tables.decide(&query), judged),
            (tables.ask(Scope::Addresses, &query), model.judge_addresses(&query)),
        ] {
            assert_eq!(
                in_the_same_words(decided),
                judged,
                "seed {seed}, {query:?}, from {} to {} of\n{}",
                query.inside.to_ip(),
                query.outside.to_ip(),
                excerpt(&model, &text)
            );
        }
        tally.add(&judged);
    }
}

fn in_the_same_words(decision: Decision) -> Judgement {
    let index = |rule: u32| (rule != NO_RULE).then_some(rule as usize);
    Judgement {
        ruling: decision.ruling,
        rule: index(decision.rule),
        shadow: index(decision.shadow),
        subnet: (decision.subnet != NO_SUBNET).then_some(usize::from(decision.subnet)),
        log: decision.log,
    }
}

/// A policy that fits a screen, or how large it is.
fn excerpt(model: &Model, text: &str) -> String {
    if model.rules.len() < 20 { text.to_owned() } else { format!("{} rules", model.rules.len()) }
}
