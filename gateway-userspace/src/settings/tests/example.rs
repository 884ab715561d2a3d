//! The example that is installed with the gateway: right, complete, and honest about defaults.

use std::collections::BTreeSet;

use super::{
    super::{
        profile::TIMEOUT_GROUPS,
        raw::{self, RawSettings},
    },
    *,
};

const EXAMPLE: &str = include_str!("../../../../dist/example.toml");

/// Every key but those of `[timeouts]`, by its table.
const KEYS: [(&str, &[&str]); 12] = [
    ("gateway", &["name", "uplinks", "hook", "default_route", "profile"]),
    ("flows", &["half_open_max", "established_max", "half_open_per_host", "established_per_host"]),
    ("allow", &["ping", "dhcp_client", "redirects"]),
    ("link", &["pass_ethertypes"]),
    ("martians", &["enabled", "except"]),
    (
        "rfc6092",
        &[
            "unsolicited_ipsec",
            "transparent",
            "endpoint_independent_filtering",
            "delayed_reject",
            "port_control",
        ],
    ),
    ("subnet", &["name", "prefix", "route"]),
    ("prefix_list", &["office"]),
    (
        "rule",
        &[
            "name",
            "direction",
            "action",
            "proto",
            "ports",
            "icmp_types",
            "from",
            "to",
            "log",
            "shadow",
        ],
    ),
    ("cost", &["per_gb", "currency", "prefix"]),
    ("metrics", &["listen"]),
    (
        "flow_log",
        &[
            "path",
            "format",
            "interval",
            "fields",
            "max_size",
            "keep",
            "rejects",
            "account_id",
            "vpc_id",
            "subnet_id",
            "instance_id",
            "region",
            "az_id",
            "sublocation_type",
            "sublocation_id",
            "state_dir",
        ],
    ),
];

#[test]
fn the_example_is_a_valid_file() {
    let settings = Settings { uplinks: vec!["eth0".to_owned()], ..Settings::default() };
    assert_eq!(parse(EXAMPLE), Ok((settings, Vec::new())));
}

#[test]
fn what_the_example_comments_out_is_the_default_and_valid() {
    let text = uncommented();
    let (gateway, _) = text.split_once("[flow_log]").expect("a section about the flow log");
    let (settings, warnings) = parse(gateway).expect("valid with every comment removed");
    assert_eq!(warnings, []);
    assert!(settings.cost.is_priced() && settings.cost.classes.len() == 1);
    assert!(!settings.policy.rules.is_empty() && !settings.policy.subnets.is_empty());
    let defaults = Settings {
        name: Some(GatewayName::new("eth0").expect("valid name")),
        uplinks: vec!["eth0".to_owned()],
        ..Settings::default()
    };
    let Settings { metrics, .. } = &settings;
    assert_eq!(metrics.listen, ["127.0.0.1:9477".parse().expect("valid")]);
    let (policy, metrics, cost) = (Policy::default(), Metrics::default(), Cost::default());
    assert_eq!(Settings { policy, metrics, cost, ..settings }, defaults);
    let problems = parse(&text).err().unwrap_or_default();
    for problem in &problems {
        assert!(problem.message.contains("not supported by this version"), "{problems:?}");
    }
}

#[test]
fn the_example_explains_every_key() {
    let text = uncommented();
    let mut expected: BTreeSet<_> = KEYS
        .into_iter()
        .flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")))
        .collect();
    let classes = TimeoutClass::ALL.map(TimeoutClass::name);
    let timeouts = classes.into_iter().chain(TIMEOUT_GROUPS.map(|(key, _)| key));
    expected.extend(timeouts.map(|key| format!("timeouts.{key}")));
    assert_eq!(keys(&text.parse().expect("valid TOML")), expected);
    assert!(EXAMPLE.contains("#     file = \""), "the other way to make a list");

    // A field that is missing here is one whose key belongs into the example and into KEYS.
    let RawSettings {
        name: _,
        uplinks: _,
        hook: _,
        default_route: _,
        profile: _,
        half_open_max: _,
        established_max: _,
        half_open_per_host: _,
        established_per_host: _,
        timeouts: _,
        ping: _,
        dhcp_client: _,
        redirects: _,
        pass_ethertypes: _,
        martians_enabled: _,
        martians_except: _,
        policy: _,
        metrics: _,
        flow_log: _,
        cost: _,
    } = raw::read(&text, &mut Vec::new());
}

/// The example with every key in force: text stands behind "# ", a key right behind "#".
fn uncommented() -> String {
    let lines = EXAMPLE.lines().filter(|line| !line.starts_with("# ") && *line != "#");
    lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn keys(document: &toml::Table) -> BTreeSet<String> {
    let tables = document.iter().flat_map(|(name, value)| {
        let tables = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        tables.iter().map(move |table| (name, table))
    });
    tables
        .flat_map(|(name, table)| {
            let table = table.as_table().expect("every key is in a table");
            table.keys().map(move |key| format!("{name}.{key}"))
        })
        .collect()
}
