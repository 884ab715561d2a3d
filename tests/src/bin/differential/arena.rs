//! Two gateways side by side, which get the same packets.
//!
//! ```text
//!           ┌───────────── inside │ eigw's gateway │ uplink ─────────────┐
//!  ends ────┤                                                            ├──── ends
//!           └───────────── inside │   reference    │ uplink ─────────────┘
//! ```
//!
//! Each line is a pair of veths. All ends are in one namespace which has no addresses, so that
//! nothing there answers; frames are put on the links and heard there as they are. The gateways
//! route between the same addresses, with the same link-layer addresses: a frame that one takes
//! the other takes too. Their neighbours are written down, so there is no discovery either.

use std::{fs, io, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    address::Dual,
    bpffs::Bpffs,
    capture::Link,
    eigw::{self, Answer, Hook},
    netns::{self, Netns},
    topology::{GATEWAY, GATEWAY_INSIDE, INSIDE, OUTSIDE, ROUTER, STRANGER, UPLINK},
    unique,
};

pub(crate) use tests::exchange::mac;

/// What the reference says of a packet, as nftables names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CtState {
    /// Attached to no entry, and not to be: a packet that makes no sense.
    Invalid,
    /// The first packet of an entry, or a later one as long as nobody answered.
    New,
    /// Of an entry that saw both directions.
    Established,
    /// An ICMP error about a packet of an entry.
    Related,
}

impl CtState {
    /// Every state. The place of each is what the reference writes into the packet.
    pub(crate) const ALL: [Self; 4] = [Self::Invalid, Self::New, Self::Established, Self::Related];

    /// Its name in nftables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::New => "new",
            Self::Established => "established",
            Self::Related => "related",
        }
    }

    /// The state for what was found in a packet.
    pub(crate) fn from_service(service: u8) -> Option<Self> {
        Self::ALL.get(usize::from(service).checked_sub(1)?).copied()
    }
}

/// The policy of an egress-only gateway in terms of connection tracking: what inside sends
/// passes, from outside only what belongs to it.
///
/// Packets that pass tell what connection tracking thought of them: the rules write it into the
/// traffic class, after the decision. Packets that do not are counted by it.
fn rules() -> String {
    let marks: String = (1..)
        .zip(CtState::ALL)
        .flat_map(|(mark, state)| {
            ["ip", "ip6"].map(|ip| format!("ct state {} {ip} dscp set {mark}\n", state.name()))
        })
        .collect();
    format!(
        "table inet reference {{
            counter invalid {{ }}
            counter new {{ }}
            chain forward {{
                type filter hook forward priority filter; policy drop;
                iifname {UPLINK} ct state invalid counter name invalid drop
                iifname {UPLINK} ct state new counter name new drop
                iifname {UPLINK} ct state != {{ established, related }} drop
                {marks}
                accept
            }}
            chain input {{
                type filter hook input priority filter; policy drop;
                ct state established,related accept
                iifname != {UPLINK} accept
                icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept
            }}
        }}"
    )
}

/// The gateways and their surroundings; all of it goes away with this value.
pub(crate) struct Arena {
    /// The gateway under test.
    pub(crate) eigw: Gateway,
    /// The one it is compared with.
    pub(crate) reference: Gateway,
    bpffs: Bpffs,
    _ends: Netns,
}

/// One gateway, and the two links that lead to it.
pub(crate) struct Gateway {
    /// Its namespace.
    pub(crate) netns: Netns,
    /// The inside end.
    pub(crate) inside: Link,
    /// The outside end.
    pub(crate) outside: Link,
}

impl Arena {
    /// Both gateways, in force; without a hook, `eigw` is not.
    ///
    /// # Errors
    /// If nftables is missing or refuses the rules.
    ///
    /// # Panics
    /// Without root, or if the kernel lacks something, or if `eigw` does not attach.
    pub(crate) fn new(hook: Option<Hook>) -> Result<Self> {
        netns::require_root();
        let stem = unique::stem();
        let ends = Netns::new(&format!("{stem}-ends"));
        ends.sysctl(&[
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
        ]);
        let eigw = Gateway::new(&stem, "eigw", &ends);
        let reference = Gateway::new(&stem, "reference", &ends);
        let arena = Self { eigw, reference, bpffs: Bpffs::new(), _ends: ends };
        if let Some(hook) = hook {
            arena.attach(hook);
        }
        arena.install_rules()?;
        Ok(arena)
    }

    fn attach(&self, hook: Hook) {
        let arguments = ["attach", "--uplink", UPLINK, "--name", eigw::NAME, "--hook", hook.name()];
        self.run_eigw(&arguments).success();
    }

    /// Runs `eigw` for its gateway.
    fn run_eigw(&self, arguments: &[&str]) -> Answer {
        let mut command = Command::new(eigw::binary());
        command.args(["--netns", self.eigw.netns.name(), "--bpffs"]).arg(self.bpffs.path());
        command.args(arguments);
        command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}")).into()
    }

    /// What `eigw -j` answers.
    ///
    /// # Errors
    /// If the answer is no JSON.
    pub(crate) fn eigw_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run_eigw(&[&["-j"], arguments].concat()).success();
        serde_json::from_str(&text).with_context(|| format!("reading eigw -j {arguments:?}"))
    }

    fn install_rules(&self) -> Result<()> {
        self.nft(&[&rules()])?;
        // A connection that is reset or closing must outlive a batch on a slow machine: timeouts
        // are not what is compared here.
        self.reference.netns.sysctl(&[
            ("net/netfilter/nf_conntrack_tcp_timeout_close", "120"),
            ("net/netfilter/nf_conntrack_tcp_timeout_last_ack", "120"),
            ("net/netfilter/nf_conntrack_udp_timeout", "120"),
            ("net/netfilter/nf_conntrack_icmp_timeout", "120"),
            ("net/netfilter/nf_conntrack_icmpv6_timeout", "120"),
        ]);
        Ok(())
    }

    /// What `nft` prints in the reference's namespace.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub(crate) fn nft(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("nft");
        let output = self
            .reference
            .netns
            .output(command.args(arguments))
            .context("starting nft (nftables)")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "nft refused {arguments:?}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The state of the reference's entry with this inside port, as connection tracking names it.
    ///
    /// # Errors
    /// If the kernel does not list its entries.
    pub(crate) fn tracked(&self, inside_port: &str) -> io::Result<Option<String>> {
        let list = "/proc/thread-self/net/nf_conntrack";
        let text = self.reference.netns.run(|| fs::read_to_string(list))?;
        let named = ["sport", "id"].map(|name| format!("{name}={inside_port}"));
        let has_name = |line: &&str| line.split(' ').any(|word| named.iter().any(|it| it == word));
        Ok(text.lines().find(has_name).map(|line| state(line).unwrap_or("tracked").to_owned()))
    }
}

/// The state in a line of the list of entries: of TCP a word in capitals in front of the
/// addresses. Others have none.
fn state(line: &str) -> Option<&str> {
    let words = line.split_whitespace().take_while(|word| !word.contains('='));
    words.filter(|word| word.starts_with(|it: char| it.is_ascii_uppercase())).last()
}

impl Gateway {
    fn new(stem: &str, role: &str, ends: &Netns) -> Self {
        let netns = Netns::new(&format!("{stem}-{role}"));
        netns.sysctl(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
        ]);
        let (inside_end, outside_end) = (format!("{role}-in"), format!("{role}-out"));
        let ends_name = ends.name();
        netns.ip(&format!(
            "link add inside type veth peer name {inside_end} netns {ends_name}\n\
             link add {UPLINK} type veth peer name {outside_end} netns {ends_name}\n\
             link set inside address {}\n\
             link set {UPLINK} address {}\n",
            text(mac::INSIDE),
            text(mac::UPLINK)
        ));
        for interface in ["inside", UPLINK] {
            switch_offloads_off(&netns, interface);
        }
        for interface in [&inside_end, &outside_end] {
            switch_offloads_off(ends, interface);
            ends.ip(&format!("link set {interface} up\n"));
        }
        address(&netns, "inside", GATEWAY_INSIDE);
        address(&netns, UPLINK, GATEWAY);
        neighbour(&netns, "inside", INSIDE, mac::HOST);
        neighbour(&netns, UPLINK, ROUTER, mac::ROUTER);
        for host in [OUTSIDE, STRANGER] {
            netns.ip(&format!(
                "route add {} via {}\nroute add {} via {}\n",
                host.v4, ROUTER.v4, host.v6, ROUTER.v6
            ));
        }
        let inside = Link::open(ends, &inside_end);
        let outside = Link::open(ends, &outside_end);
        Self { netns, inside, outside }
    }
}

fn address(host: &Netns, interface: &str, at: Dual) {
    host.ip(&format!(
        "link set {interface} up\n\
         address add {}/24 dev {interface}\n\
         address add {}/64 dev {interface} nodad\n",
        at.v4, at.v6
    ));
}

fn neighbour(host: &Netns, interface: &str, at: Dual, mac: [u8; 6]) {
    let mac = text(mac);
    host.ip(&format!(
        "neighbour replace {} lladdr {mac} dev {interface} nud permanent\n\
         neighbour replace {} lladdr {mac} dev {interface} nud permanent\n",
        at.v4, at.v6
    ));
}

/// Nothing is merged or held back on the way: then frames arrive in the order in which they were
/// sent, and one behind all others proves that these have arrived or never will.
fn switch_offloads_off(host: &Netns, interface: &str) {
    let mut command = Command::new("ethtool");
    command.args(["-K", interface, "tx", "off", "rx", "off", "sg", "off"]);
    command.args(["tso", "off", "gso", "off", "gro", "off"]);
    let output = host.output(&mut command).unwrap_or_else(|error| panic!("start ethtool: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "switch offloads of {interface} off:\n{stderr}");
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}
