//! The same policies for nftables.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{netns::Netns, topology::UPLINK};

use super::policy::{Generated, HTTPS, Shape, inside_host, len, network, port, prefix};

/// How rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One rule after the other.
    Linear,
    /// One rule that asks a set.
    Set,
}

/// What a firewall lets in is counted and dropped behind it, so that no packet costs more than
/// the way there and the decision.
const END: &str = "
table inet end {
    counter admitted { }
    chain end {
        type filter hook prerouting priority filter + 10; policy accept;
        counter name admitted drop
    }
}
";

/// Puts the end of all packets in place.
pub(super) fn end(host: &Netns) -> Result<()> {
    load(host, END)
}

/// Puts a policy in place: what connections live, then its rules, then nothing. It is asked in
/// prerouting, behind connection tracking, since there is nowhere to route to.
pub(super) fn govern(host: &Netns, style: Style, policy: Generated) -> Result<()> {
    let (sets, rules) = match policy.shape {
        Shape::List => list(style, policy.size),
        Shape::Services => services(style, policy.size),
        Shape::Clients | Shape::Networks | Shape::Adversary => {
            unreachable!("{policy:?} is for the programs only")
        }
    };
    load(
        host,
        &format!(
            "table inet filter {{
                counter refused {{ }}
                {sets}
                chain inbound {{
                    type filter hook prerouting priority filter; policy drop;
                    iifname != \"{UPLINK}\" accept
                    ct state established,related accept
                    {rules}
                    counter name refused drop
                }}
            }}"
        ),
    )
}

fn services(style: Style, size: u32) -> (String, String) {
    let mut text = String::new();
    for rule in 0..size {
        let (network, host, port) = (network(rule), inside_host(rule), port(rule));
        let network = format!("{network}/{}", len(rule));
        _ = match style {
            Style::Linear => writeln!(
                text,
                "ct state new ip6 saddr {network} ip6 daddr {host} tcp dport {port} accept"
            ),
            Style::Set => writeln!(text, "{network} . {host} . {port},"),
        };
    }
    match style {
        Style::Linear => (String::new(), text),
        Style::Set => (
            format!(
                "set services {{
                    type ipv6_addr . ipv6_addr . inet_service; flags interval;
                    elements = {{ {text} }}
                }}"
            ),
            "ct state new ip6 saddr . ip6 daddr . tcp dport @services accept".into(),
        ),
    }
}

fn list(style: Style, size: u32) -> (String, String) {
    let accept = format!("ct state new tcp dport {HTTPS} accept");
    match style {
        Style::Linear => {
            let deny = |number| format!("ip6 saddr {} counter name refused drop\n", prefix(number));
            let denials: String = (0..size).map(deny).collect();
            (String::new(), format!("{denials}{accept}"))
        }
        Style::Set => {
            let elements: Vec<_> = (0..size).map(prefix).collect();
            let elements = elements.join(", ");
            (
                format!(
                    "set denied {{
                        type ipv6_addr; flags interval;
                        elements = {{ {elements} }}
                    }}"
                ),
                format!("ip6 saddr @denied counter name refused drop\n{accept}"),
            )
        }
    }
}

/// Packets that a counter has seen, `admitted` or `refused`; none if there is no such counter.
///
/// # Errors
/// If nft does not tell.
pub(super) fn counted(host: &Netns, counter: &str) -> Result<u64> {
    let mut command = Command::new("nft");
    let output = host
        .output(command.args(["--json", "list", "counters"]))
        .context("starting nft (nftables)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft lists no counters: {complaint}");
    let answer: Value = serde_json::from_slice(&output.stdout).context("reading nft's answer")?;
    let objects = answer["nftables"].as_array().context("nft answers with a list")?;
    let counters = objects.iter().map(|object| &object["counter"]);
    let packets = counters
        .filter(|found| found["name"] == counter)
        .map(|found| found["packets"].as_u64().context("a counter counts packets"));
    packets.sum()
}

/// Loads rules from a file: they are too many for a command line.
fn load(host: &Netns, rules: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new().context("making a file")?;
    std::fs::write(&file, rules).context("writing rules to a file")?;
    let mut command = Command::new("nft");
    let output =
        host.output(command.arg("--file").arg(file.path())).context("starting nft (nftables)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint: String = complaint.chars().take(2_000).collect();
    ensure!(output.status.success(), "nft refused the rules: {complaint}");
    Ok(())
}
