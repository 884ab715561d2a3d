//! Files, good and bad, and what is said about them.

mod example;
mod flows;
mod policy;

use gateway_common::{
    config::{Config, Mode},
    timeouts::{Ticks, TimeoutClass},
};

use super::*;

/// Of the machine that files are judged for: its tables have 65,536 and 16,384 entries.
const MEMORY_BYTES: u64 = 1 << 30;

/// RFC6888-REQ-12: among them that no flow is logged.
#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(parse(""), Ok((Settings::default(), Vec::new())));
    assert_eq!(Settings::default().flow_log, None);
    let config = Settings::default().to_config(250, false);
    assert_eq!(config, Config::new(250));
    assert_eq!(config.mode, Mode::Armed as u32);
}

#[test]
fn the_documented_file_means_the_defaults_too() {
    let documented = r#"
[gateway]
name = "wan"
uplinks = ["eth0"]
hook = "auto"
default_route = "egress-only"
profile = "rfc"
[flows]
half_open_max = "auto"
established_max = "auto"
half_open_per_host = "auto"
established_per_host = "auto"
[timeouts]
tcp_half_open = 240
tcp_established = 7440
tcp_closing = 240
tcp_time_wait = 120
udp_unreplied = 120
udp = 300
udp_dns = 30
icmp = 60
other = 300
[allow]
ping = false
dhcp_client = true
redirects = false
[link]
pass_ethertypes = []
[martians]
enabled = true
except = []
[rfc6092]
endpoint_independent_filtering = false
unsolicited_ipsec = false
delayed_reject = false
port_control = false
transparent = false
"#;
    let named = Settings {
        name: Some(GatewayName::new("wan").expect("valid name")),
        uplinks: vec!["eth0".to_owned()],
        ..Settings::default()
    };
    assert_eq!(parse(documented), Ok((named, Vec::new())));
}

#[test]
fn every_value_arrives_in_the_packet_path() {
    let text = r#"
[gateway]
uplinks = ["eth0.7", "wan1"]
hook = "xdp-generic"
profile = "aws"
[flows]
half_open_max = 2048
established_max = 0x4000
half_open_per_host = 2048
established_per_host = 1
[timeouts]
udp = 60
sctp_established = 31_536_000
[allow]
ping = true
dhcp_client = false
redirects = true
[link]
pass_ethertypes = [0x88b5, "0x88B6", 35063]
[martians]
enabled = false
except = ["192.0.2.0/24", "2001:db8::1"]
"#;
    let (settings, warnings) = parse(text).expect("valid file");
    assert_eq!(warnings, [], "floors count for profile rfc only");
    assert_eq!(settings.gateway_name(), Some(GatewayName::of_uplink("eth0.7")));
    assert_eq!(settings.hook, HookChoice::XdpGeneric);
    assert_eq!(
        settings.table_sizes(0),
        TableSizes { half_open_max: 2_048, established_max: 16_384 }
    );
    assert_eq!(settings.hosts, HostLimits { half_open: Some(2_048), established: Some(1) });

    let config = settings.to_config(100, false);
    assert_eq!(config.timeout(TimeoutClass::Udp), Ticks(6_000));
    assert_eq!(config.timeout(TimeoutClass::SctpEstablished), Ticks(3_153_600_000));
    assert_eq!(config.timeout(TimeoutClass::TcpEstablished), Ticks(35_000));
    assert_eq!((config.allow_ping, config.allow_dhcp_client, config.allow_redirects), (1, 0, 1));
    assert_eq!(config.martians_enabled, 0);
    assert!([0x88b5, 0x88b6, 35_063].into_iter().all(|kind| config.passes_ethertype(kind)));
    assert_eq!(config.pass_ethertypes_used, 3);
    assert_eq!(exceptions_of(&config), ["192.0.2.0/24", "2001:db8::1/128"]);
}

#[test]
fn an_uplink_with_a_unique_local_address_excepts_them_all() {
    let exceptions = |file: &str| {
        let (settings, _) = parse(file).expect("valid file");
        exceptions_of(&settings.to_config(100, true))
    };
    assert_eq!(exceptions(""), ["fc00::/7"]);
    let some = "martians.except = ['10.0.0.0/8', 'fd00::/8']";
    assert_eq!(exceptions(some), ["10.0.0.0/8", "fc00::/7"]);
    assert_eq!(exceptions("martians.except = ['f000::/4']"), ["f000::/4"]);
}

#[test]
fn unknown_keys_and_tables_are_named_with_their_line() {
    assert_problems(
        "[gateway]\n\nupliks = ['eth0']\ncolour = 'red'\n[flow]\n[timeouts]\ntcp_halfopen = 5\n",
        &[
            "3: unknown key 'upliks' in [gateway]; did you mean 'uplinks'?",
            "4: unknown key 'colour' in [gateway]",
            "5: unknown key 'flow' in the configuration; did you mean 'flows'?",
            "7: unknown key 'tcp_halfopen' in [timeouts]; did you mean 'tcp_half_open'?",
        ],
    );
}

#[test]
fn wrong_types_say_what_is_expected() {
    assert_problems(
        "[gateway]\nname = 5\nuplinks = 'eth0'\nhook = true\n[allow]\nping = 'yes'\n\
         [martians]\nexcept = [\n  '10.0.0.0/8',\n  7,\n]\n[link]\npass_ethertypes = 1.5\n",
        &[
            "2: 'name' in [gateway] must be a string, not the number 5",
            "3: 'uplinks' in [gateway] must be an array, each element the name of an interface, \
             not the string \"eth0\"",
            "4: 'hook' in [gateway] must be a string, not true",
            "6: 'ping' in [allow] must be true or false, not the string \"yes\"",
            "10: each element of 'except' in [martians] must be a prefix like \"2001:db8::/32\", \
             not the number 7",
            "13: 'pass_ethertypes' in [link] must be an array, each element an ethertype from \
             0x0600 to 0xffff, as a number or a string like \"0x88b5\", not the fraction 1.5",
        ],
    );
    assert_problems(
        "gateway = 'wan'\n",
        &["1: 'gateway' must be a table with the heading [gateway], not the string \"wan\""],
    );
}

#[test]
fn values_out_of_range_are_refused() {
    assert_problems(
        "[timeouts]\nudp = 0\nicmp = 31536001\nother = -1\n[flows]\nhalf_open_max = 1023\n\
         established_max = 16777217\nhalf_open_per_host = 'none'\nestablished_per_host = 0\n",
        &[
            "2: 'udp' in [timeouts] must be a whole number of seconds from 1 to 31536000, not \
             the number 0",
            "3: 'icmp' in [timeouts] must be a whole number of seconds from 1 to 31536000, not \
             the number 31536001",
            "4: 'other' in [timeouts] must be a whole number of seconds from 1 to 31536000, not \
             the number -1",
            "6: 'half_open_max' in [flows] must be \"auto\" or a whole number from 1024 to \
             16777216, not the number 1023",
            "7: 'established_max' in [flows] must be \"auto\" or a whole number from 1024 to \
             16777216, not the number 16777217",
            "8: 'half_open_per_host' in [flows] must be \"auto\" or a whole number from 1 to \
             16777216, not the string \"none\"",
            "9: 'established_per_host' in [flows] must be \"auto\" or a whole number from 1 to \
             16777216, not the number 0",
        ],
    );
}

#[test]
fn choices_are_listed() {
    assert_problems(
        "[gateway]\nhook = 'xpd'\nprofile = 'gcp'\ndefault_route = 'egres-only'\n",
        &[
            "2: 'hook' in [gateway] must be one of \"auto\", \"xdp\", \"xdp-generic\", \"tc\", \
             not \"xpd\"; did you mean 'xdp'?",
            "3: 'profile' in [gateway] must be one of \"rfc\", \"aws\", \"linux\", not \"gcp\"",
            "4: 'default_route' in [gateway] must be one of \"egress-only\", \"internet\", \
             \"blocked\", not \"egres-only\"; did you mean 'egress-only'?",
        ],
    );
}

#[test]
fn names_and_uplinks_are_checked() {
    let many: Vec<_> = (0..17).map(|index| format!("'eth{index}'")).collect();
    assert_problems(
        &format!("[gateway]\nname = 'my wan'\nuplinks = [{}]\n", many.join(", ")),
        &[
            "2: 'name' in [gateway]: 'my wan' is not a valid gateway name: use 1 to 64 ASCII \
             letters, digits, '_' and '-'",
            "3: 'uplinks' in [gateway]: 'eth16' is one too many: a gateway has at most 16",
        ],
    );
    assert_problems(
        "gateway.uplinks = ['eth0',\n'eth0',\n'a/b']\n",
        &[
            "2: 'uplinks' in [gateway]: 'eth0' is listed twice",
            "3: 'uplinks' in [gateway]: 'a/b' is not a valid interface name: Linux allows 1 to \
             15 bytes without '/', ':' and blanks",
        ],
    );
}

#[test]
fn ethertypes_that_the_gateway_judges_cannot_pass() {
    assert_problems(
        "[link]\npass_ethertypes = [\n0x0800,\n'0x86dd',\n0x0806,\n0x8100,\n0x88a8,\n0x05ff,\n\
         '88b5',\n0x88b5,\n'0x88b5',\n65536,\n]\n",
        &[
            "3: 'pass_ethertypes' in [link]: 0x0800 is IPv4, which the gateway judges itself",
            "4: 'pass_ethertypes' in [link]: 0x86dd is IPv6, which the gateway judges itself",
            "5: 'pass_ethertypes' in [link]: 0x0806 is ARP, which the gateway judges itself",
            "6: 'pass_ethertypes' in [link]: 0x8100 is a VLAN tag, which the gateway judges itself",
            "7: 'pass_ethertypes' in [link]: 0x88a8 is a service VLAN tag, which the gateway \
             judges itself",
            "8: each element of 'pass_ethertypes' in [link] must be an ethertype from 0x0600 to \
             0xffff, as a number or a string like \"0x88b5\", not the number 0x05ff",
            "9: each element of 'pass_ethertypes' in [link] must be an ethertype from 0x0600 to \
             0xffff, as a number or a string like \"0x88b5\", not the string \"88b5\"",
            "11: 'pass_ethertypes' in [link]: 0x88b5 is listed twice",
            "12: each element of 'pass_ethertypes' in [link] must be an ethertype from 0x0600 to \
             0xffff, as a number or a string like \"0x88b5\", not the number 65536",
        ],
    );
    let nine: Vec<_> = (0x1000..0x1009).map(|kind: u16| kind.to_string()).collect();
    assert_problems(
        &format!("link.pass_ethertypes = [{}]", nine.join(",")),
        &["1: 'pass_ethertypes' in [link]: 0x1008 is one too many: at most 8 can pass"],
    );
}

#[test]
fn exceptions_are_clean_prefixes_that_do_not_overlap() {
    assert_problems(
        "[martians]\nexcept = [\n'10.0.0.1/8',\n'nonsense',\n'fc00::/7',\n'fd00::/8',\n\
         '192.0.2.1',\n'192.0.2.0/24',\n'::/0',\n]\n",
        &[
            "3: 'except' in [martians]: '10.0.0.1/8' has bits set behind its length; the prefix \
             would be 10.0.0.0/8",
            "4: 'except' in [martians]: 'nonsense' is not an address or prefix like 192.0.2.1, \
             192.0.2.0/24 or 2001:db8::/32",
            "6: 'except' in [martians]: fd00::/8 and fc00::/7 overlap; keep the shorter one",
            "8: 'except' in [martians]: 192.0.2.0/24 and 192.0.2.1/32 overlap; keep the shorter \
             one",
            "9: 'except' in [martians]: ::/0 covers IPv4-mapped addresses, which never pass; \
             write IPv4 prefixes as such",
        ],
    );
    let many: Vec<_> = (0..16).map(|index| format!("'10.{index}.0.0/16'")).collect();
    assert_problems(
        &format!("martians.except = [{}]", many.join(",")),
        &["1: 'except' in [martians]: 10.15.0.0/16 is one too many: at most 15 are possible"],
    );
}

#[test]
fn broken_toml_is_reported_beside_the_other_problems() {
    let problems = complaints("[gateway]\nname = wan\nhook = 5\n[gateway]\n");
    assert!(problems[0].starts_with("2: invalid TOML: "), "{problems:#?}");
    assert_eq!(problems[1], "3: 'hook' in [gateway] must be a string, not the number 5");
    assert!(problems[2].starts_with("4: invalid TOML: "), "{problems:#?}");
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(complaints("[gateway\n")[0].starts_with("1: invalid TOML: "));
    assert!(complaints("[gateway]\nname = 'a'\nname = 'b'\n")[0].starts_with("3: invalid TOML: "));
}

#[test]
fn the_command_lines_uplinks_replace_the_files() {
    let (mut settings, _) = parse("gateway.uplinks = ['eth0']").expect("valid file");
    settings.override_uplinks(vec!["wan0".to_owned(), "wan1".to_owned()]).expect("distinct");
    assert_eq!(settings.uplinks, ["wan0", "wan1"]);
    assert_eq!(settings.gateway_name(), Some(GatewayName::of_uplink("wan0")));
    assert!(settings.override_uplinks(vec!["a".to_owned(); 2]).is_err());
    let many = (0..17).map(|index| format!("eth{index}")).collect();
    assert!(settings.override_uplinks(many).is_err_and(|why| why.contains("at most 16")));
    assert_eq!(settings.uplinks, ["wan0", "wan1"], "a refused list changes nothing");
}

#[test]
fn files_are_named_in_every_line_of_the_error() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("wan.toml");
    let missing = Settings::load(&path, MEMORY_BYTES).expect_err("no such file").to_string();
    assert!(missing.starts_with("cannot read the configuration /"), "{missing}");
    assert!(missing.contains("wan.toml: No such file"), "{missing}");

    std::fs::write(&path, "[gateway]\nnam = 'a'\nhok = 'b'\n").expect("write");
    let wrong = Settings::load(&path, MEMORY_BYTES).expect_err("two problems").to_string();
    let shown = path.display();
    assert_eq!(
        wrong,
        format!(
            "{shown}:2: unknown key 'nam' in [gateway]; did you mean 'name'?\n\
             {shown}:3: unknown key 'hok' in [gateway]; did you mean 'hook'?"
        )
    );
}

#[track_caller]
fn assert_problems(text: &str, expected: &[&str]) {
    assert_eq!(complaints(text), expected, "in\n{text}");
}

fn parse(text: &str) -> Result<(Settings, Vec<Problem>), Vec<Problem>> {
    Settings::parse(text, MEMORY_BYTES)
}

#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("the file is wrong");
    problems.iter().map(|problem| format!("{}: {}", problem.line, problem.message)).collect()
}

fn exceptions_of(config: &Config) -> Vec<String> {
    config
        .martian_exceptions
        .iter()
        .take(config.martian_exceptions_used as usize)
        .map(|prefix| prefix::from_packet_path(prefix).to_string())
        .collect()
}
