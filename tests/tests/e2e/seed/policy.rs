//! What the policy says about connections that are there.

use gateway_common::tuple::Family;
use tests::{
    config::{ConfigFile, Prepared},
    eigw::Hook,
    topology::{GATEWAY, Lab, OUTSIDE},
};

use super::pair::{Pair, Side, answer, seeded};

const ADMITTED: &str = "[[rule]]\nname = 'ssh'\ndirection = 'in'\naction = 'allow'\n\
                        proto = 'tcp'\nports = 22\n";

/// A connection that outside opened goes on under a policy that would not let it in, and when the
/// same policy is put in force again.
#[test]
fn a_policy_without_a_rule_cuts_nothing() {
    let lab = Lab::new();
    let pair = ssh(&lab);
    let file = ConfigFile::of_lab("");
    assert_eq!(seeded(&answer(&lab, Hook::Xdp, &["-c", file.path()])), [1, 0, 0]);
    pair.goes_on(b"after");
    lab.reload(&Prepared::of_lab(""));
    pair.goes_on(b"and later");
    assert_eq!(lab.packets("in", "policy-revoked"), 0);
}

/// Where a rule lets it in, the flow is one that was admitted: it ends when the rule goes.
#[test]
fn an_admitted_connection_depends_on_its_rule() {
    let lab = Lab::new();
    let pair = ssh(&lab);
    let file = ConfigFile::of_lab(ADMITTED);
    assert_eq!(seeded(&answer(&lab, Hook::Xdp, &["-c", file.path()])), [1, 0, 0]);
    pair.goes_on(b"after");
    lab.reload(&Prepared::of_lab(""));
    pair.is_cut(&lab, "policy-revoked");
}

/// What a rule denies by name is not seeded, whoever opened it.
#[test]
fn what_the_policy_forbids_is_not_seeded() {
    let lab = Lab::new();
    let web = OUTSIDE.port(Family::Ipv4, 443);
    let pairs = [ssh(&lab), Pair::tcp(&lab.outside, web, &lab.gateway, web, Side::Server)];
    let file = ConfigFile::of_lab(&format!(
        "{}\n[[rule]]\ndirection = 'out'\naction = 'deny'\nproto = 'tcp'\nports = 443\n",
        ADMITTED.replace("allow", "deny")
    ));
    let answer = answer(&lab, Hook::Xdp, &["-c", file.path()]);
    assert_eq!(seeded(&answer), [0, 0, 2]);
    let notes = answer["notes"].to_string();
    assert!(notes.contains("2 of 2 connections were not seeded because the policy"), "{notes}");
    pairs[0].is_cut(&lab, "rule-denied");
    pairs[1].is_cut(&lab, "no-flow");
}

fn ssh(lab: &Lab) -> Pair {
    let ssh = GATEWAY.port(Family::Ipv4, 22);
    Pair::tcp(&lab.gateway, ssh, &lab.outside, ssh, Side::Client)
}
