//! Warnings about policies that are valid.

use super::policy;
use crate::policy::doubts;

#[test]
fn rules_that_an_earlier_one_covers_are_named() {
    for (earlier, later, complaint) in [
        ("", "proto = 'tcp'\nports = 22", Some("never matches")),
        ("proto = 'tcp'\nports = '20-30'", "proto = 'tcp'\nports = [22, '25-30']", Some("never")),
        (
            "proto = 'tcp'\nports = ['20-25', '26-30']",
            "proto = 'tcp'\nports = '22-28'",
            Some("never"),
        ),
        ("proto = 'tcp'\nports = '20-30'", "proto = 'tcp'\nports = '22-31'", None),
        ("proto = 'tcp'\nports = '20-30'", "proto = 'tcp'", None),
        ("proto = ['tcp', 'udp']", "proto = 'udp'", Some("never")),
        ("proto = ['tcp', 'udp']", "proto = ['udp', 'gre']", None),
        ("proto = 'tcp'", "", None),
        ("from = ['10.0.0.0/8', '2a00::/16']", "from = '10.1.0.0/16'", Some("never")),
        ("from = ['10.0.0.0/8', '2a00::/16']", "from = ['10.1.0.0/16', '2b00::1']", None),
        ("from = '10.1.0.0/16'", "from = '10.0.0.0/8'", None),
        ("from = ['::/0', '0.0.0.0/0']", "", Some("contradicts")),
        ("from = '::/0'", "", None),
        ("from = '::/0'", "from = '10.0.0.0/8'", None),
        ("from = '@wide'", "from = '@narrow'", Some("never")),
        ("from = '@narrow'", "from = '@wide'", None),
        ("from = '@narrow'", "from = ['10.1.1.0/24', '@narrow']", Some("contradicts")),
        ("to = '10.0.0.0/8'", "from = '10.0.0.0/8'", None),
        ("shadow = true", "proto = 'tcp'", None),
        ("", "shadow = true", Some("contradicts")),
        ("proto = 'tcp'", "proto = 6", Some("contradicts")),
        ("from = '@wide'", "from = ['10.0.0.0/8', '172.16.0.0/12']", Some("contradicts")),
    ] {
        let text = format!(
            "[prefix_list.wide]\nprefixes = ['10.0.0.0/8', '172.16.0.0/12']\n\
             [prefix_list.narrow]\nprefixes = ['10.1.0.0/16', '172.16.1.0/24']\n\
             [[rule]]\nname = 'a'\ndirection = 'in'\naction = 'allow'\n{earlier}\n\
             [[rule]]\nname = 'b'\ndirection = 'in'\naction = 'deny'\n{later}\n\
             [[rule]]\ndirection = 'out'\naction = 'deny'\nto = ['@wide', '@narrow']\n"
        );
        let found = doubts_of(&text);
        let expected = complaint.map(|what| format!("the rule 'b' {what}"));
        match (&found[..], expected) {
            ([], None) => {}
            ([one], Some(start)) if one.contains(&start) => {
                assert!(one.contains("the rule 'a' on line 5"), "{one}");
            }
            (_, expected) => panic!("{found:#?} instead of {expected:?} in\n{text}"),
        }
    }
}

#[test]
fn the_same_rule_twice_never_matches_the_second_time() {
    let rule = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\n";
    assert_eq!(
        doubts_of(&format!("{rule}{rule}")),
        ["5: the rule never matches: the rule on line 1 comes first and matches all that it does"]
    );
    assert_eq!(
        doubts_of(&format!("{rule}{}", rule.replace("allow", "deny"))),
        ["5: the rule contradicts the rule on line 1: both match the same, and the earlier one \
          decides"]
    );
}

#[test]
fn rules_without_a_common_ip_version_never_match() {
    let void =
        "the rule never matches: its addresses and its protocol have no IP version in common";
    for (keys, is_void) in [
        ("from = '10.0.0.0/8'\nto = '2a00::/16'", true),
        ("from = ['10.0.0.0/8', '2b00::/16']\nto = '2a00::/16'", false),
        ("from = '10.0.0.0/8'\nproto = 'icmpv6'", true),
        ("from = '2a00::/16'\nproto = 'icmp'", true),
        ("from = '2a00::/16'\nproto = ['icmp', 'tcp']", false),
        ("proto = 'icmp'", false),
    ] {
        let text = format!("[[rule]]\ndirection = 'in'\naction = 'allow'\n{keys}\n");
        let expected = if is_void { vec![format!("1: {void}")] } else { Vec::new() };
        assert_eq!(doubts_of(&text), expected, "{keys}");
    }
}

#[test]
fn rules_about_addresses_of_no_subnet_are_named() {
    let text = "\
[[subnet]]
name = 'a'
prefix = '10.1.0.0/16'
[[subnet]]
name = 'b'
prefix = '10.1.2.0/24'
[prefix_list.off]
prefixes = ['10.0.0.0/16', '10.2.0.0/16']
[prefix_list.partly]
prefixes = ['10.2.0.0/16', '10.1.2.3']
[[rule]]
direction = 'in'
action = 'allow'
proto = 'udp'
to = ['10.1.0.1', '10.0.0.0/8', '@partly', '2a00::1']
[[rule]]
direction = 'in'
action = 'allow'
proto = 'tcp'
to = ['10.2.0.1', '@off']
[[rule]]
direction = 'out'
action = 'deny'
from = '10.0.255.255'
to = '10.9.9.9'
";
    let helps = "that helps only if it is an address of this host";
    assert_eq!(
        doubts_of(text),
        [
            format!("16: 'to' in [[rule]]: 10.2.0.1/32 lies in no subnet; {helps}"),
            format!("16: 'to' in [[rule]]: no prefix of '@off' lies in a subnet; {helps}"),
            format!("21: 'from' in [[rule]]: 10.0.255.255/32 lies in no subnet; {helps}"),
        ]
    );
}

#[test]
fn lists_without_effect_are_named() {
    let text = "[prefix_list.a]\nprefixes = []\n[prefix_list.b]\nprefixes = ['::/0']\n\
                [[rule]]\ndirection = 'in'\naction = 'allow'\nfrom = '@a'\n";
    assert_eq!(
        doubts_of(text),
        [
            "1: [prefix_list.a] is empty, so that it matches nothing",
            "3: [prefix_list.b] is named by no rule",
        ]
    );
}

fn doubts_of(text: &str) -> Vec<String> {
    let doubts = doubts::of(&policy(text));
    doubts.iter().map(|doubt| format!("{}: {}", doubt.line, doubt.message)).collect()
}
