//! Subnets, rules and lists, good and bad.

use gateway_common::{
    limits::RULES_MAX,
    policy::{Action, Route, Summary},
    tuple::Direction,
};

use super::{
    super::policy::{Addresses, PrefixList, RULES_OF_FILE_MAX, Rule, Subnet},
    *,
};

#[test]
fn every_value_arrives_in_the_policy() {
    let text = "\
[gateway]
default_route = 'blocked'
[prefix_list.office]
prefixes = ['192.0.2.0/24', '::ffff:0:0/96', '2a00:9::/48']
[[subnet]]
name = 'private-a'
prefix = '2a00:1:0:a::/64'
[[subnet]]
name = 'dmz'
prefix = '10.7.0.0/16'
route = 'internet'
[[rule]]
name = 'ssh'
direction = 'in'
action = 'allow'
proto = 'tcp'
ports = [22, '8000-8100', '8101']
from = ['@office', '2a00:8::1']
to = '10.7.0.5'
log = true
[[rule]]
direction = 'out'
action = 'deny'
proto = ['udp', 6, 'UDP']
shadow = true
[[rule]]
direction = 'out'
action = 'deny'
proto = 'icmpv6'
icmp_types = ['128-129', 1]
[[rule]]
direction = 'out'
action = 'allow'
proto = 'any'
";
    let Settings { policy, .. } = parse(text).expect("valid file").0;
    assert_eq!(policy.default_route, Route::Blocked);
    let subnet = |line, name: &str, prefix, route| Subnet {
        line,
        name: name.to_owned(),
        prefix: prefix::parse(prefix).expect(prefix),
        route,
    };
    assert_eq!(
        policy.subnets,
        [
            subnet(5, "private-a", "2a00:1:0:a::/64", Route::EgressOnly),
            subnet(8, "dmz", "10.7.0.0/16", Route::Internet)
        ]
    );
    let prefixes = ["192.0.2.0/24", "2a00:9::/48"].map(|text| prefix::parse(text).expect(text));
    let office =
        PrefixList { line: 3, name: "office".to_owned(), prefixes: prefixes.into(), file: None };
    assert_eq!(policy.lists, [office]);
    let address = |text| Addresses::Prefix(prefix::parse(text).expect(text));
    let plain = Rule {
        line: 30,
        name: None,
        direction: Direction::Outbound,
        action: Action::Deny,
        protocols: vec![58],
        selectors: vec![1..=1, 128..=129],
        from: Vec::new(),
        to: Vec::new(),
        log: false,
        shadow: false,
    };
    let expected = [
        Rule {
            line: 12,
            name: Some("ssh".to_owned()),
            direction: Direction::Inbound,
            action: Action::Allow,
            protocols: vec![6],
            selectors: vec![22..=22, 8000..=8101],
            from: vec![Addresses::List(0), address("2a00:8::1/128")],
            to: vec![address("10.7.0.5/32")],
            log: true,
            ..plain.clone()
        },
        Rule {
            line: 21,
            protocols: vec![6, 17],
            selectors: Vec::new(),
            shadow: true,
            ..plain.clone()
        },
        Rule { line: 26, ..plain.clone() },
        Rule {
            line: 31,
            action: Action::Allow,
            protocols: Vec::new(),
            selectors: Vec::new(),
            ..plain
        },
    ];
    assert_eq!(policy.rules, expected);
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    assert_problems(
        "[[subnet]]\nroute = 'egress'\n[[rule]]\nprot = 'tcp'\n[[rule]]\ndirection = 'inn'\n\
         action = 'permit'\n[prefix_list.a]\nprefix = []\n[rfc6092]\ntransparency = true\n",
        &[
            "1: 'name' is missing in [[subnet]]",
            "1: 'prefix' is missing in [[subnet]]",
            "2: 'route' in [[subnet]] must be one of \"egress-only\", \"internet\", \"blocked\", \
             not \"egress\"",
            "3: 'action' is missing in [[rule]]",
            "3: 'direction' is missing in [[rule]]",
            "4: unknown key 'prot' in [[rule]]; did you mean 'proto'?",
            "6: 'direction' in [[rule]] must be one of \"in\", \"out\", not \"inn\"; did you mean \
             'in'?",
            "7: 'action' in [[rule]] must be one of \"allow\", \"deny\", not \"permit\"",
            "8: [prefix_list.a] has neither 'prefixes' nor 'file'",
            "9: unknown key 'prefix' in [prefix_list.a]; did you mean 'prefixes'?",
            "11: unknown key 'transparency' in [rfc6092]; did you mean 'transparent'?",
        ],
    );
    assert_problems(
        "rule = 5\nsubnet = ['a']\nprefix_list.a = 7\n",
        &[
            "1: 'rule' must be tables with the heading [[rule]] each",
            "2: 'subnet' must be tables with the heading [[subnet]] each",
            "3: 'prefix_list.a' must be a table with the heading [prefix_list.a], not the number 7",
        ],
    );
}

#[test]
fn subnets_differ_and_leave_an_outside() {
    assert_problems(
        "[[subnet]]\nname = 'a'\nprefix = '10.0.0.0/8'\n[[subnet]]\nname = 'a'\n\
         prefix = '10.0.0.0/8'\n[[subnet]]\nname = 'b c'\nprefix = '10.1.0.0/8'\n[[subnet]]\n\
         name = 'd'\nprefix = '::/0'\n[[subnet]]\nname = 'e'\nprefix = '::ffff:10.0.0.0/104'\n",
        &[
            "5: 'name' in [[subnet]]: a is used on line 2 already",
            "6: 'prefix' in [[subnet]]: 10.0.0.0/8 is used on line 3 already",
            "8: 'name' in [[subnet]]: 'b c' is not a valid name: use 1 to 64 ASCII letters, \
             digits, '.', '_' and '-'",
            "9: 'prefix' in [[subnet]]: '10.1.0.0/8' has bits set behind its length; the prefix \
             would be 10.0.0.0/8",
            "12: 'prefix' in [[subnet]]: ::/0 is every address, so that nothing would be outside; \
             say what happens to addresses of no subnet with 'default_route' in [gateway]",
            "15: 'prefix' in [[subnet]]: ::ffff:10.0.0.0/104 covers IPv4-mapped addresses only, \
             which never pass; write IPv4 prefixes as such",
        ],
    );
}

#[test]
fn ports_and_types_need_protocols_that_have_them() {
    let rule = "[[rule]]\ndirection = 'in'\naction = 'allow'\n";
    let lines = |keys: &str| format!("{rule}{keys}");
    let possible = "possible are tcp, udp, sctp, dccp, udplite";
    for (keys, complaints) in [
        (
            "ports = 22\n",
            vec![
                "4: 'ports' in [[rule]] needs 'proto' to be one of tcp, udp, sctp, \
             dccp, udplite"
                    .to_owned(),
            ],
        ),
        (
            "proto = ['tcp', 'gre']\nports = 22\n",
            vec![format!("5: 'ports' in [[rule]] with proto gre, which has none; {possible}")],
        ),
        (
            "proto = 'icmp'\nports = 22\n",
            vec![format!("5: 'ports' in [[rule]] with proto icmp, which has none; {possible}")],
        ),
        (
            "proto = 'tcp'\nicmp_types = 8\n",
            vec![
            "5: 'icmp_types' in [[rule]] with proto tcp, which has none; possible are icmp, icmpv6"
                .to_owned(),
        ],
        ),
        (
            "icmp_types = 8\n",
            vec!["4: 'icmp_types' in [[rule]] needs 'proto' to be one of icmp, icmpv6".to_owned()],
        ),
        (
            "proto = ['icmp', 'icmpv6']\nicmp_types = 8\n",
            vec![
            "5: 'icmp_types' in [[rule]] with both icmp and icmpv6, in which the same numbers mean \
             different things; write a rule for each"
                .to_owned(),
        ],
        ),
        (
            "proto = 'tcp'\nports = 1\nicmp_types = 8\n",
            vec![
            "6: 'icmp_types' in [[rule]] with proto tcp, which has none; possible are icmp, icmpv6"
                .to_owned(),
            "6: 'ports' and 'icmp_types' in the same [[rule]]; no packet has both".to_owned(),
        ],
        ),
    ] {
        assert_eq!(super::complaints(&lines(keys)), complaints, "{keys}");
    }
}

#[test]
fn values_of_rules_are_checked_one_by_one() {
    assert_problems(
        "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = ['tpc', 300, 'nonsense']\n\
         ports = [65536, '9-8', 'http', '-1', 1.5]\nfrom = []\nto = ['10.0.0/8', 5]\nlog = 'yes'\n\
         [[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'icmp'\nicmp_types = 256\n",
        &[
            "4: 'proto' in [[rule]]: 'nonsense' is not a number from 0 to 255 and none of tcp, \
             udp, icmp, icmpv6, sctp, udplite, dccp, gre, esp, ah, ipip, ipv6, igmp, ospf, pim, \
             vrrp, l2tp, ipcomp, etherip, rsvp, hip",
            "4: 'proto' in [[rule]]: 'tpc' is not a protocol; did you mean 'tcp'?",
            "4: each element of 'proto' in [[rule]] must be a protocol's name or number, not the \
             number 300",
            &element("5", "ports", PORT, "the fraction 1.5"),
            &element("5", "ports", PORT, "the number 65536"),
            &element("5", "ports", PORT, "the string \"-1\""),
            &element("5", "ports", PORT, "the string \"9-8\""),
            &element("5", "ports", PORT, "the string \"http\""),
            "6: 'from' in [[rule]] is empty, so that nothing would match; remove it to match \
             everything",
            "7: 'to' in [[rule]]: '10.0.0/8' is not an address or prefix like 192.0.2.1, \
             192.0.2.0/24 or 2001:db8::/32",
            "7: each element of 'to' in [[rule]] must be a prefix like \"2001:db8::/32\" or a list \
             like \"@bogons\", not the number 5",
            "8: 'log' in [[rule]] must be true or false, not the string \"yes\"",
            "13: 'icmp_types' in [[rule]] must be a type from 0 to 255 or a range like \
             \"128-129\", lower end first, not the number 256",
        ],
    );
}

const PORT: &str = "a port from 0 to 65535 or a range like \"8000-8100\", lower end first";

fn element(line: &str, key: &str, expected: &str, found: &str) -> String {
    format!("{line}: each element of '{key}' in [[rule]] must be {expected}, not {found}")
}

#[test]
fn lists_are_found_by_their_names() {
    assert_problems(
        "[prefix_list.bogons]\nprefixes = ['10.0.0.0/8']\n[[rule]]\ndirection = 'in'\n\
         action = 'deny'\nfrom = ['@bogon', 'bogons', '@x']\nname = 'a'\n[[rule]]\n\
         direction = 'in'\naction = 'deny'\nname = 'a'\n",
        &[
            "6: 'from' in [[rule]]: 'bogons' is a prefix list; write \"@bogons\"",
            "6: 'from' in [[rule]]: there is no [prefix_list.bogon]; did you mean 'bogons'?",
            "6: 'from' in [[rule]]: there is no [prefix_list.x]",
            "11: 'name' in [[rule]]: a is used on line 7 already",
        ],
    );
    assert_problems(
        "[prefix_list.'a b']\nprefixes = ['10.0.0.1/8', 7, '::ffff:10.0.0.1']\nfile = 'x'\n",
        &[
            "1: the prefix list 'a b' is not a valid name: use 1 to 64 ASCII letters, digits, \
             '.', '_' and '-'",
            "2: each element of 'prefixes' in [prefix_list.a b] must be a prefix like \
             \"2001:db8::/32\", not the number 7",
            "3: [prefix_list.a b] has both 'prefixes' and 'file'; keep one of them",
        ],
    );
}

#[test]
fn lists_come_from_files_beside_the_configuration() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("write");
    };
    let parse = |text: &str| Settings::parse_in(directory.path(), text, MEMORY_BYTES);
    write("good", "# bogons\n10.0.0.0/8\n\n  2a00::/16 # a comment\r\n::ffff:0:0/96\n192.0.2.1\n");
    let text = "[prefix_list.a]\nfile = 'good'\n[[rule]]\ndirection = 'in'\naction = 'deny'\n\
                from = '@a'\n";
    let (settings, warnings) = parse(text).expect("valid file");
    assert_eq!(warnings, []);
    let prefixes: Vec<_> =
        settings.policy.lists[0].prefixes.iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["10.0.0.0/8", "2a00::/16", "192.0.2.1/32"]);
    assert_eq!(settings.policy.lists[0].file, Some(directory.path().join("good")));

    write("bad", &format!("10.0.0.0/8\n10.0.0.1/8\n{}", "nonsense\n".repeat(11)));
    let problems = parse("prefix_list.a.file = 'bad'\nprefix_list.b.file = 'none'\n")
        .expect_err("the files are wrong");
    let path = directory.path().join("bad").display().to_string();
    let text = |index: usize| problems[index].message.as_str();
    assert_eq!(problems.len(), 12, "{problems:#?}");
    let complaint = format!("'file' in [prefix_list.a]: {path}");
    assert!(problems[..11].iter().all(|problem| problem.message.starts_with(&complaint)));
    assert_eq!(text(0), format!("{complaint}: 2 more lines are wrong"));
    assert!(
        problems.iter().any(|problem| problem.message.contains("bad:2: '10.0.0.1/8' has bits"))
    );
    assert_eq!(problems[11].line, 2);
    assert!(text(11).starts_with("'file' in [prefix_list.b]: cannot read "), "{}", text(11));
}

#[test]
fn more_rules_than_the_packet_path_takes_are_refused() {
    let rules = |count| "[[rule]]\ndirection = 'in'\naction = 'deny'\n".repeat(count);
    let (settings, _) = parse(&rules(RULES_OF_FILE_MAX)).expect("as many as there may be");
    assert_eq!(settings.policy.rules.len(), RULES_OF_FILE_MAX);
    let line = 3 * RULES_OF_FILE_MAX + 1;
    assert_problems(
        &rules(RULES_MAX),
        &[&format!(
            "{line}: [[rule]]: there are 10240 rules; a gateway has at most {RULES_OF_FILE_MAX}"
        )],
    );
}

#[test]
fn switches_of_rfc_6092_open_the_policy() {
    let text = "[rfc6092]\nunsolicited_ipsec = true\ntransparent = true\n[[subnet]]\nname = 'a'\n\
                prefix = '10.0.0.0/8'\nroute = 'blocked'\n[[subnet]]\nname = 'b'\n\
                prefix = '10.1.0.0/16'\n";
    let (Settings { policy, rfc6092, .. }, warnings) = parse(text).expect("valid file");
    assert!(rfc6092.unsolicited_ipsec && rfc6092.transparent && warnings.is_empty());
    assert_eq!(policy.default_route, Route::Internet);
    let routes: Vec<_> = policy.subnets.iter().map(|subnet| subnet.route).collect();
    assert_eq!(routes, [Route::Blocked, Route::Internet]);
    let [ipsec, ike] = &policy.rules[..] else { panic!("{:#?}", policy.rules) };
    assert_eq!((&ipsec.protocols[..], &ike.protocols[..]), (&[50, 51, 139][..], &[17][..]));
    assert_eq!(ike.selectors, [500..=500]);
    assert!(policy.rules.iter().all(|rule| rule.action == Action::Allow
        && rule.direction == Direction::Inbound
        && rule.to.is_empty()));
}

#[test]
fn switches_that_need_more_are_refused_with_what_to_do_instead() {
    assert_problems(
        "[rfc6092]\ndelayed_reject = true\nport_control = true\n",
        &["3: 'port_control' in [rfc6092] needs a port control server, which this version does \
             not have; remove it and publish each port by a [[rule]] with direction = \"in\""],
    );
    parse("[rfc6092]\ndelayed_reject = false\nport_control = false\n").expect("off is fine");
}

#[test]
fn the_policy_arrives_in_the_packet_path() {
    let text = "gateway.default_route = 'blocked'\n[rfc6092]\nunsolicited_ipsec = true\n\
                endpoint_independent_filtering = true\ndelayed_reject = true\n[[subnet]]\nname = 'a'\n\
                prefix = '10.0.0.0/8'\n";
    let (settings, _) = parse(text).expect("valid file");
    let config = settings.to_config(250, false);
    let Summary { rules, subnets, default_route, .. } = config.policy;
    assert_eq!((rules, subnets, default_route), (2, 1, Route::Blocked as u8));
    assert_eq!((config.endpoint_independent, config.delayed_reject), (1, 1));
    let (settings, _) = parse("").expect("valid file");
    let config = settings.to_config(250, false);
    assert_eq!((config.policy, config.endpoint_independent), (Summary::EGRESS_ONLY, 0));
}
