//! The grammar: what is understood, what is refused, and that everything made from it is complete.

use clap::CommandFactory;

use super::*;

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn commands_and_their_unambiguous_prefixes_are_understood() {
    for words in [
        "attach --uplink eth0 --uplink eth1 --name wan --hook xdp-generic --no-seed",
        "att -c wan.toml",
        "detach --all",
        "det --name wan",
        "att --uplink eth0 --confirm 60 --force",
        "conf --name wan",
        "confirm",
        "doctor",
        "doc eth0",
        "-j doctor --netns blue",
        "run --uplink eth0 --confirm 86400",
        "reload",
        "rel -c wan.toml --name wan --dry-run",
        "run",
        "run -c wan.toml --uplink eth0 --name wan --hook tc --detach-on-exit",
        "rule",
        "rul sh",
        "-j rule list --name wan",
        "subnet --name wan",
        "sub show",
        "check -c wan.toml",
        "ch -c wan.toml",
        "status",
        "statu --name wan",
        "-j flow show --proto tcp --local 2a00:1::/32 --remote 192.0.2.1 --state established",
        "flow list --local-port 40000 --remote-port 443",
        "fl sh",
        "f l",
        "flow --proto 58",
        "flow --name wan count --proto icmpv6",
        "f c --name wan",
        "flow get --remote-port 22",
        "flow del --state syn-sent",
        "flow flush",
        "flow watch --existing --proto tcp --rate 100/s --count 5",
        "drop watch",
        "dr w --reason no-flow --reason tcp-flags --in --proto tcp --local 2a00:1::/32",
        "-j drop watch --remote 192.0.2.1 --local-port 22 --remote-port 1 --rate 10/s --count 3",
        "drop watch --rule ssh --out --name wan",
        "drop watch --logged --passes --rate 0",
        "drop capture -w drops.pcapng --reason no-flow --count 10",
        "drop --in capture --write -",
        "stats",
        "stats list",
        "stats show --name wan",
        "stats watch --interval 0.5",
        "stats cost --by destination --sort cost --name wan",
        "top --interval 2 --sort bytes --reverse --once --proto tcp --name wan",
        "comp bash",
        "man /tmp",
        "why --in tcp 192.0.2.1:1 192.0.2.2:22 --flags syn-ack --name wan",
        "why -c wan.toml --out icmpv6 2a00:1::5 2a00:2::1 --icmp-type 128 --forwarded --vlan 7",
        "w --in --packet 45 --ip",
        "status -p --bpffs /mnt/bpf --netns blue -v",
        "--netns /proc/1/ns/net status",
    ] {
        let read = read(words);
        assert!(read.is_ok(), "eigw {words}: {}", read.expect_err("not understood"));
    }
}

#[test]
fn what_is_wrong_is_refused_as_bad_usage() {
    for (words, complaint) in [
        ("", "Usage: eigw"),
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("stat", "unrecognized subcommand 'stat'"),
        ("attach --uplink eth0 --confirm 0", "0 is not in 1..=86400"),
        ("attach --uplink eth0 --confirm 86401", "86401 is not in 1..=86400"),
        ("attach --uplink eth0 --confirm soon", "--confirm <SECS>"),
        ("confirm wan", "unexpected argument 'wan'"),
        ("flow frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("flow f2", "unrecognized subcommand 'f2'"),
        ("attach --hook xpd", "invalid value 'xpd'"),
        ("attach --name my/wan", "not a valid gateway name"),
        ("attach --uplink no/interface", "not a valid interface name"),
        ("detach --all --name wan", "cannot be used with"),
        ("reload wan.toml", "unexpected argument"),
        ("run --dry-run", "unexpected argument"),
        ("ru", "unrecognized subcommand 'ru'"),
        ("r", "unrecognized subcommand 'r'"),
        ("s", "unrecognized subcommand 's'"),
        ("check", "--config"),
        ("flow show --proto tpc", "none of tcp, udp"),
        ("flow show --local 10.0.0.1/8", "the prefix would be 10.0.0.0/8"),
        ("flow show --state open", "invalid value 'open'"),
        ("flow show --remote-port 65536", "65536"),
        ("drop", "Usage: eigw drop"),
        ("drop watch --reason because", "invalid value 'because'"),
        ("drop watch --in --out", "cannot be used with"),
        ("drop watch --rate fast", "100/s"),
        ("drop capture", "--write <FILE>"),
        ("stats watch --interval 0", "from 0.1 to 3600"),
        ("top --interval 0", "from 0.1 to 3600"),
        ("completions cmd", "invalid value 'cmd'"),
        ("why tcp 192.0.2.1:1 192.0.2.2:22", "<--in|--out>"),
        ("why --in", "required"),
        ("why --in --ip tcp 192.0.2.1:1 192.0.2.2:22", "cannot be used with"),
        ("why --in tcp 192.0.2.1:1 192.0.2:22", "not an address"),
        ("status --name", "value is required"),
    ] {
        let error = read(words).expect_err(words);
        assert_eq!(error.exit_code(), 2, "eigw {words}");
        assert!(error.to_string().contains(complaint), "eigw {words}: {error}");
    }
}

#[test]
fn commands_that_do_not_exist_are_refused() {
    for words in ["rule watch", "flow move"] {
        let error = read(words).expect_err(words).to_string();
        assert!(error.contains("unrecognized subcommand"), "eigw {words}: {error}");
    }
}

#[test]
fn help_is_everywhere() {
    for words in [
        "help",
        "--help",
        "help attach",
        "flow help",
        "flow help delete",
        "flow delete help",
        "attach help",
        "attach --uplink eth0 help",
        "check help",
        "reload help",
        "rule help",
        "rule show help",
        "subnet help",
        "status help",
        "stats help",
        "stats watch help",
        "completions help",
        "-V",
    ] {
        let shown = read(words).expect_err(words);
        assert_eq!(shown.exit_code(), 0, "eigw {words}: {shown}");
    }
    assert!(read("attach help").expect_err("help").to_string().contains("--uplink <IF>"));
    let nonsense = read("nonsense help").expect_err("no such command");
    assert_eq!(nonsense.exit_code(), 2, "{nonsense}");
}

#[test]
fn pretty_implies_json() {
    for (words, format) in [
        ("status", Format::Plain),
        ("-j status", Format::Json),
        ("status --json", Format::Json),
        ("-p status", Format::JsonPretty),
        ("flow -j show -p", Format::JsonPretty),
    ] {
        assert_eq!(read(words).expect(words).format(), format, "eigw {words}");
    }
}

#[test]
fn filters_protect_from_slips_before_anything_is_touched() {
    for (words, advice) in [
        ("flow delete", "flow flush"),
        ("flow flush --proto tcp", "flow delete"),
        ("flow get", "flow show"),
        ("attach", "--uplink"),
        ("run", "--uplink"),
    ] {
        let message = usage_failure(words);
        assert!(message.contains(advice), "eigw {words}: {message}");
    }
}

#[test]
fn bad_configurations_are_bad_usage() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("wan.toml");
    let shown = path.display();
    let missing = usage_failure(&format!("check -c {shown}"));
    assert!(missing.contains("cannot read the configuration"), "{missing}");
    std::fs::write(&path, "[gateway]\nupliks = []\n").expect("write");
    for command in ["check", "attach", "reload", "reload --dry-run", "run"] {
        let message = usage_failure(&format!("{command} -c {shown}"));
        assert_eq!(
            message,
            format!("{shown}:2: unknown key 'upliks' in [gateway]; did you mean 'uplinks'?")
        );
    }
}

#[test]
fn check_shows_the_effective_settings() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("wan.toml");
    let text = "[gateway]\nuplinks = ['eth0']\n[flows]\nestablished_max = 4096\n\
                [timeouts]\nicmp = 30\n";
    std::fs::write(&path, text).expect("write");
    let plain = answer(&format!("check -c {}", path.display()));
    assert!(plain.starts_with(&format!("{}: ok\nwarning: ", path.display())), "{plain}");
    assert!(plain.contains("flows:      half-open 1024, established 4096"), "{plain}");
    assert!(plain.contains("per host:   half-open 128, established 3072\n"), "{plain}");
    let json: serde_json::Value =
        serde_json::from_str(&answer(&format!("-j check -c {}", path.display()))).expect("JSON");
    assert_eq!(json["warnings"][0]["line"], 6);
    let settings = &json["settings"];
    assert_eq!((&settings["name"], &settings["uplinks"][0]), (&"eth0".into(), &"eth0".into()));
    assert_eq!((&settings["hook"], &settings["profile"]), (&"auto".into(), &"rfc".into()));
    assert_eq!(settings["half_open_max"], 1024);
    assert_eq!(settings["half_open_per_host"], 128);
    assert_eq!(settings["established_per_host"], 3072);
    assert_eq!(settings["timeouts_secs"]["icmp"], 30);
    assert_eq!(settings["timeouts_secs"]["tcp_established"], 7440);
    assert_eq!(settings["martians"]["enabled"], true);
}

#[test]
fn check_shows_a_policy() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("wan.toml");
    let text = "[gateway]\nuplinks = ['eth0']\n[prefix_list.office]\n\
                prefixes = ['192.0.2.0/24']\n[[rule]]\nname = 'ssh'\ndirection = 'in'\n\
                action = 'allow'\nproto = 'tcp'\nports = 22\nfrom = '@office'\n";
    std::fs::write(&path, text).expect("write");
    let shown = path.display();
    let plain = answer(&format!("check -c {shown}"));
    assert!(plain.starts_with(&format!("{shown}: ok\n\n")), "{plain}");
    let rule = "   1  ssh   in         allow   tcp    22     @office  any  -\n";
    assert!(plain.contains(rule), "{plain}");
    let json: serde_json::Value =
        serde_json::from_str(&answer(&format!("-j check -c {shown}"))).expect("JSON");
    assert_eq!(json["warnings"], serde_json::json!([]));
    assert_eq!(json["settings"]["rules"][0]["from"], serde_json::json!(["@office"]));
}

#[test]
fn every_command_gets_a_manual_page() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let target = directory.path().join("man8");
    let json = answer(&format!("-j man {}", target.display()));
    let pages: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let names: Vec<_> = pages["pages"]
        .as_array()
        .expect("array")
        .iter()
        .map(|page| page.as_str().expect("path").trim_start_matches(target.to_str().expect("path")))
        .collect();
    assert_eq!(
        names,
        [
            "/eigw-attach.8",
            "/eigw-check.8",
            "/eigw-completions.8",
            "/eigw-confirm.8",
            "/eigw-detach.8",
            "/eigw-doctor.8",
            "/eigw-drop-capture.8",
            "/eigw-drop-watch.8",
            "/eigw-drop.8",
            "/eigw-flow-count.8",
            "/eigw-flow-delete.8",
            "/eigw-flow-flush.8",
            "/eigw-flow-get.8",
            "/eigw-flow-show.8",
            "/eigw-flow-watch.8",
            "/eigw-flow.8",
            "/eigw-man.8",
            "/eigw-reload.8",
            "/eigw-rule-show.8",
            "/eigw-rule.8",
            "/eigw-run.8",
            "/eigw-stats-cost.8",
            "/eigw-stats-show.8",
            "/eigw-stats-watch.8",
            "/eigw-stats.8",
            "/eigw-status.8",
            "/eigw-subnet-show.8",
            "/eigw-subnet.8",
            "/eigw-top.8",
            "/eigw-why.8",
            "/eigw.8",
        ]
    );
    let page = std::fs::read_to_string(target.join("eigw-flow-delete.8")).expect("page");
    assert!(page.contains("local\\-port"), "{page}");
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = answer(&format!("completions {shell}"));
        assert!(script.contains("eigw") && script.contains("attach"), "{shell}: {script}");
    }
}

/// systemd finds the program by its name; `%i` is the gateway's.
#[test]
fn the_commands_of_the_unit_are_understood() {
    let unit = include_str!("../../../dist/eigw@.service");
    let commands: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Exec")?.split_once('=')?.1.strip_prefix("eigw "))
        .map(|words| words.replace("%i", "wan"))
        .collect();
    assert_eq!(commands, ["run -c /etc/eigw/wan.toml", "check -c /etc/eigw/wan.toml"]);
    for words in commands {
        let read = read(&words);
        assert!(read.is_ok(), "eigw {words}: {}", read.expect_err("not understood"));
    }
}

fn read(words: &str) -> std::result::Result<Cli, clap::Error> {
    let arguments = std::iter::once("eigw").chain(words.split_whitespace());
    Cli::read(arguments.map(OsString::from))
}

/// What a command prints.
#[track_caller]
fn answer(words: &str) -> String {
    let cli = read(words).expect(words);
    let mut output = Output::new(Vec::new(), cli.format());
    match cli.run(&mut output) {
        Ok(()) => String::from_utf8(output.into_inner()).expect("text"),
        Err(failure) => panic!("eigw {words}: {failure:?}"),
    }
}

/// What is said about bad usage that only running the command reveals.
#[track_caller]
fn usage_failure(words: &str) -> String {
    let mut output = Output::new(Vec::new(), Format::Plain);
    match read(words).expect(words).run(&mut output) {
        Err(Failure::Usage(error)) => error.to_string(),
        other => panic!("eigw {words}: {other:?}"),
    }
}
