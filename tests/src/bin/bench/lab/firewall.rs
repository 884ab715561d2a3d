//! The firewalls to compare, each as its user would set it up for an egress-only gateway.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};
use tests::{
    eigw::Hook,
    netns::Netns,
    topology::{Lab, UPLINK},
    unique,
};

use super::{programs, stream::INSIDE_PORT};
use crate::empty::Empty;

/// What stands on the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firewall {
    /// Plain forwarding.
    None,
    /// A stateful ruleset, which stands on the kernel's connection tracking.
    Nftables,
    /// The same with a flowtable, which takes established flows past most of the stack.
    Flowtable,
    /// A rule before connection tracking that drops what the flood is, and knows nothing of flows.
    NftablesRaw,
    /// The same rule where the kernel first has the packet.
    NftablesIngress,
    /// An XDP program on the uplink that drops everything: less is not possible.
    XdpDrop,
    /// An XDP program on the uplink that drops everything as well, but takes its time: what becomes of
    /// any program that a fast generator gives no rest.
    XdpBusy,
    /// An XDP program on the uplink that lets everything pass: what XDP costs on a veth before
    /// a program does anything.
    EmptyXdp,
    /// The gateway.
    Eigw(Hook),
}

/// What must live on for a firewall to stay in place.
pub(crate) enum Installed {
    /// Nothing: it is the kernel's, or pinned.
    Elsewhere,
    /// A program and its link.
    Here { _empty: Box<Empty> },
    /// The same of the laboratory.
    Program { _ebpf: Box<Ebpf> },
}

/// The same policy as the gateway's, for what it forwards and for itself.
const RULES: &str = "
table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname != \"uplink\" accept
    }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname != \"uplink\" accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
    }
}
";
const FLOWTABLE: &str = "
table inet fast {
    flowtable flows { hook ingress priority 0; devices = { inside, uplink }; }
    chain forward {
        type filter hook forward priority -10; policy accept;
        ct state established flow add @flows
    }
}
";
/// Flows live as long as anybody measures.
const LONG_SECS: u32 = 1_000_000;

impl Firewall {
    /// Those that a bulk transfer goes through.
    pub(crate) const TRANSFER: [Self; 6] = [
        Self::None,
        Self::Nftables,
        Self::EmptyXdp,
        Self::Eigw(Hook::Xdp),
        Self::Eigw(Hook::Tc),
        Self::Eigw(Hook::XdpGeneric),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::Nftables => "nftables, stateful",
            Self::Flowtable => "nftables, flowtable",
            Self::NftablesRaw => "nftables, raw prerouting",
            Self::NftablesIngress => "nftables, netdev ingress",
            Self::XdpDrop => "XDP_DROP, the floor",
            Self::XdpBusy => "XDP_DROP, 64 multiplications later",
            Self::EmptyXdp => "empty XDP program",
            Self::Eigw(Hook::Xdp) => "eigw --hook xdp",
            Self::Eigw(Hook::Tc) => "eigw --hook tc",
            Self::Eigw(Hook::XdpGeneric) => "eigw --hook xdp-generic",
        }
    }

    /// Whether it keeps unsolicited packets out.
    pub(crate) const fn filters(self) -> bool {
        match self {
            Self::None | Self::EmptyXdp => false,
            Self::Nftables
            | Self::Flowtable
            | Self::NftablesRaw
            | Self::NftablesIngress
            | Self::XdpDrop
            | Self::XdpBusy
            | Self::Eigw(_) => true,
        }
    }

    /// Whether it tells flows apart.
    pub(crate) const fn is_stateful(self) -> bool {
        matches!(self, Self::Nftables | Self::Flowtable | Self::Eigw(_))
    }

    /// Has the kernel take the rules of those that are made of rules, in a namespace of its own.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn try_out(self) -> Result<()> {
        let host = Netns::new(&format!("{}-trial", unique::stem()));
        host.ip(
            "link add inside type veth peer name uplink\nlink set inside up\nlink set uplink up",
        );
        self.rules().map_or(Ok(()), |rules| nft(&host, &rules))
    }

    /// The rules of those that are made of rules.
    fn rules(self) -> Option<String> {
        match self {
            Self::Nftables => Some(RULES.to_owned()),
            Self::Flowtable => Some(format!("{RULES}{FLOWTABLE}")),
            Self::NftablesRaw => {
                Some(stateless("inet", "prerouting priority raw", "iifname uplink"))
            }
            Self::NftablesIngress => {
                Some(stateless("netdev", &format!("ingress device {UPLINK} priority 0"), ""))
            }
            Self::None | Self::XdpDrop | Self::XdpBusy | Self::EmptyXdp | Self::Eigw(_) => None,
        }
    }

    /// Puts the firewall on the lab's gateway as it is by default.
    pub(crate) fn install(self, lab: &Lab) -> Result<Installed> {
        self.install_with(lab, "")
    }

    /// Puts the firewall on the lab's gateway, with room for so many flows, which one inside host
    /// may have and which do not end while anybody measures.
    pub(crate) fn install_for(self, lab: &Lab, flows: u32) -> Result<Installed> {
        // No smaller than what `auto` chooses on a machine with a few gigabytes.
        let established = flows.saturating_add(flows / 20).max(262_144);
        let half_open = established / 4;
        let installed = self.install_with(
            lab,
            &format!(
                "[flows]\nhalf_open_max = {half_open}\nestablished_max = {established}\n\
                 half_open_per_host = {half_open}\nestablished_per_host = {established}\n\
                 [timeouts]\nudp = {LONG_SECS}\nudp_unreplied = {LONG_SECS}\n"
            ),
        )?;
        if let Self::Nftables | Self::Flowtable = self {
            let secs = LONG_SECS.to_string();
            lab.gateway.sysctl(&[
                ("net/netfilter/nf_conntrack_udp_timeout", &secs),
                ("net/netfilter/nf_conntrack_udp_timeout_stream", &secs),
            ]);
        }
        Ok(installed)
    }

    fn install_with(self, lab: &Lab, configuration: &str) -> Result<Installed> {
        match self {
            Self::None => {}
            Self::Nftables | Self::Flowtable | Self::NftablesRaw | Self::NftablesIngress => {
                nft(&lab.gateway, &self.rules().context("no rules")?)?;
            }
            Self::XdpDrop => return attach(lab, "drop_all"),
            Self::XdpBusy => return attach(lab, "drop_busy"),
            Self::EmptyXdp => {
                let mut empty = Box::new(Empty::load()?);
                lab.gateway.run(|| {
                    empty.xdp()?.attach(UPLINK, XdpMode::Driver).map_err(anyhow::Error::from)
                })?;
                return Ok(Installed::Here { _empty: empty });
            }
            Self::Eigw(hook) => {
                let file = tempfile::NamedTempFile::new().context("making a file")?;
                fs::write(&file, configuration).context("writing a configuration")?;
                let path = file.path().to_str().context("a path without words")?;
                lab.attach_with(hook, &["--config", path]);
            }
        }
        Ok(Installed::Elsewhere)
    }
}

/// Attaches one of the laboratory's programs to the gateway's uplink.
fn attach(lab: &Lab, name: &str) -> Result<Installed> {
    let mut ebpf = Box::new(programs::load()?);
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load().with_context(|| format!("loading {name}"))?;
    lab.gateway.run(|| program.attach(UPLINK, XdpMode::Driver))?;
    Ok(Installed::Program { _ebpf: ebpf })
}

/// A chain that drops what the flood is: all that it can do without state.
fn stateless(table: &str, hook: &str, condition: &str) -> String {
    format!(
        "table {table} early {{ chain early {{ type filter hook {hook}; policy accept; {condition} \
         meta l4proto {{ tcp, udp }} th dport {INSIDE_PORT} drop; }}; }}"
    )
}

fn nft(host: &Netns, rules: &str) -> Result<()> {
    let output = host.output(Command::new("nft").arg(rules)).context("starting nft (nftables)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft refused the rules: {complaint}");
    Ok(())
}
