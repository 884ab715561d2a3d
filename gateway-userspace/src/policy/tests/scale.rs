//! How tables grow, and that the largest policies are no trouble.

use std::{fmt::Write as _, time::Instant};

use super::policy;
use crate::policy::{CompiledPolicy, PolicySizes, doubts};

#[test]
fn an_empty_policy_has_no_prefixes() {
    let sizes = CompiledPolicy::new(&policy("")).sizes();
    let expected =
        PolicySizes { inside_prefixes: 0, outside_prefixes: 0, markers: 0, classes: 1, words: 0 };
    assert_eq!(sizes, expected);
}

#[test]
fn prefixes_that_change_nothing_take_no_place() {
    let text = "[prefix_list.a]\nprefixes = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24']\n\
                [[rule]]\ndirection = 'in'\naction = 'deny'\nfrom = ['@a', '10.9.0.0/16']\n\
                [[rule]]\ndirection = 'in'\naction = 'allow'\nfrom = '@a'\n";
    // 10.0.0.0/8 for both rules. Of the rest, none is about another rule.
    let compiled = CompiledPolicy::new(&policy(text));
    assert_eq!((compiled.sizes().outside_prefixes, compiled.prefixes.len()), (1, 1));
}

/// 10,000 rules, all with ports and prefixes of their own, and a list of 100,000 prefixes.
#[test]
fn the_largest_policies_compile_quickly_and_always_alike() {
    let mut text = String::from("[prefix_list.big]\nprefixes = [");
    for index in 0..100_000 {
        let [_, a, b, c] = u32::to_be_bytes(index);
        write!(text, "'{}.{b}.{c}.0/24', ", 20 + a).expect("memory");
    }
    text.push_str("]\n[[rule]]\ndirection = 'in'\naction = 'deny'\nfrom = '@big'\n");
    for index in 0_u32..10_000 {
        let [_, _, a, b] = index.to_be_bytes();
        write!(
            text,
            "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = {index}\n\
             from = '100.{a}.{b}.0/24'\nto = '10.{a}.{b}.1'\n"
        )
        .expect("memory");
    }
    let policy = policy(&text);
    let start = Instant::now();
    let compiled = CompiledPolicy::new(&policy);
    let compiled_in = start.elapsed();
    assert_eq!(doubts::of(&policy), []);
    println!("compiled in {compiled_in:?}, with warnings {:?}", start.elapsed());
    println!("{:?}", compiled.sizes());
    assert_eq!(compiled, CompiledPolicy::new(&policy), "the same policy, the same tables");
    assert!(compiled.sizes().words < 40_000, "{:?}", compiled.sizes());
    if !cfg!(debug_assertions) {
        assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    }
}
