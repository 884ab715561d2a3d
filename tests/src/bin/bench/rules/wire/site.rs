//! A link with a firewall at its end.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use serde_json::Value;
use tests::{
    bpffs::Bpffs,
    eigw::{self, Answer, Hook},
    netns::Netns,
    topology::{UPLINK, UPLINK_MAC},
    unique,
};

use super::{
    super::{
        nft::{self, Style},
        policy::Generated,
    },
    sender::Sender,
};
use crate::empty::Empty;

/// The end that frames are sent from.
const OUTSIDE: &str = "outside";
const OUTSIDE_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x22];
/// Flow tables that take little memory: nothing here opens flows.
const FLOWS: &str = "[flows]\nhalf_open_max = 4096\nestablished_max = 16384\n";

/// What decides about the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firewall {
    /// Nothing: all of them reach the end.
    None,
    /// An XDP program that lets everything pass.
    EmptyXdp,
    /// nftables, on the kernel's connection tracking.
    Nftables(Style),
    /// The gateway.
    Eigw(Hook),
}

impl Firewall {
    pub(super) const FLOORS: [Self; 2] = [Self::None, Self::EmptyXdp];
    pub(super) const GOVERNED: [Self; 4] = [
        Self::Nftables(Style::Linear),
        Self::Nftables(Style::Set),
        Self::Eigw(Hook::Xdp),
        Self::Eigw(Hook::Tc),
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::EmptyXdp => "empty XDP program",
            Self::Nftables(Style::Linear) => "nftables, a rule each",
            Self::Nftables(Style::Set) => "nftables, a set",
            Self::Eigw(Hook::Xdp) => "eigw --hook xdp",
            Self::Eigw(Hook::XdpGeneric) => "eigw --hook xdp-generic",
            Self::Eigw(Hook::Tc) => "eigw --hook tc",
        }
    }

    /// What the way costs without it.
    pub(super) const fn floor(self) -> Self {
        match self {
            Self::EmptyXdp | Self::Eigw(Hook::Xdp) => Self::EmptyXdp,
            Self::None | Self::Nftables(_) | Self::Eigw(Hook::Tc | Hook::XdpGeneric) => Self::None,
        }
    }
}

/// What was put through a site, by what should have become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

/// A veth pair with a firewall on one end.
pub(super) struct Site {
    pub(super) firewall: Firewall,
    pub(super) policy: Generated,
    pub(super) expected: Fate,
    pub(super) sender: Sender,
    /// Holds the program in place, and goes before its interface does.
    empty: Option<Box<Empty>>,
    host: Netns,
    bpffs: Bpffs,
}

impl Site {
    /// Sets it up.
    ///
    /// # Errors
    /// If the firewall cannot be had.
    pub(super) fn new(firewall: Firewall, policy: Generated) -> Result<Self> {
        let host = Netns::new(&unique::stem());
        connect(&host);
        nft::end(&host)?;
        let mut site = Self {
            firewall,
            policy,
            expected: Fate::default(),
            sender: Sender::open(&host, OUTSIDE)?,
            empty: None,
            bpffs: Bpffs::new(),
            host,
        };
        site.install().with_context(|| format!("installing {}", firewall.name()))?;
        Ok(site)
    }

    fn install(&mut self) -> Result<()> {
        match self.firewall {
            Firewall::None => {}
            Firewall::EmptyXdp => {
                let mut empty = Box::new(Empty::load()?);
                self.host.run(|| {
                    empty.xdp()?.attach(UPLINK, XdpMode::Driver).map_err(anyhow::Error::from)
                })?;
                self.empty = Some(empty);
            }
            Firewall::Nftables(style) => nft::govern(&self.host, style, self.policy)?,
            Firewall::Eigw(hook) => {
                let file = tempfile::NamedTempFile::new().context("making a file")?;
                fs::write(&file, format!("{FLOWS}{}", self.policy.text()))?;
                let file = file.path().to_str().context("a path without words")?;
                let attach = ["attach", "--uplink", UPLINK, "--hook", hook.name(), "-c", file];
                self.eigw(&attach)?;
            }
        }
        Ok(())
    }

    /// A frame for the firewalled end.
    pub(super) fn frame(packet: tests::packet::Packet) -> Vec<u8> {
        packet.macs(OUTSIDE_MAC, UPLINK_MAC).frame()
    }

    /// Checks that everything so far met the fate that was expected of it.
    ///
    /// # Errors
    /// If it did not.
    pub(super) fn check(&self) -> Result<()> {
        let admitted = nft::counted(&self.host, "admitted")?;
        let refused = match self.firewall {
            Firewall::None | Firewall::EmptyXdp => 0,
            Firewall::Nftables(_) => nft::counted(&self.host, "refused")?,
            Firewall::Eigw(_) => self.refused_by_eigw(admitted)?,
        };
        let found = Fate { admitted, refused };
        let expected = self.expected;
        ensure!(found == expected, "{}: {found:?} instead of {expected:?}", self.firewall.name());
        Ok(())
    }

    /// What the gateway refused; what it let in must be what came through.
    fn refused_by_eigw(&self, admitted: u64) -> Result<u64> {
        let answer = self.eigw(&["-j", "stats", "show"])?;
        let stats: Value = serde_json::from_str(&answer).context("reading eigw's answer")?;
        let verdicts = stats["verdicts"].as_array().context("stats have verdicts")?;
        let counted = |reasons: &[&str]| -> u64 {
            let inbound = verdicts.iter().filter(|row| row["direction"] == "in");
            let met = inbound.filter(|row| reasons.iter().any(|reason| row["reason"] == *reason));
            met.filter_map(|row| row["packets"].as_u64()).sum()
        };
        let allowed = counted(&["rule-allowed"]);
        ensure!(allowed == admitted, "rules let in {allowed}, and {admitted} came through");
        Ok(counted(&["no-flow", "rule-denied"]))
    }

    fn eigw(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(eigw::binary());
        command.args(["--netns", self.host.name(), "--bpffs"]).arg(self.bpffs.path());
        let output = command.args(arguments).output().context("starting eigw")?;
        let answer = Answer::from(output);
        ensure!(answer.code == Some(0), "eigw {arguments:?} failed: {}", answer.stderr);
        Ok(answer.stdout)
    }
}

/// A veth pair with both ends here. What arrives must get as far as the hooks, so IPv6 is on where
/// it does; nobody says anything on their own.
fn connect(host: &Netns) {
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    host.ip(&format!(
        "link add {OUTSIDE} address {} type veth peer name {UPLINK} address {}\n\
         link set {OUTSIDE} addrgenmode none\n\
         link set {UPLINK} addrgenmode none\n",
        mac(OUTSIDE_MAC),
        mac(UPLINK_MAC)
    ));
    host.sysctl(&[("net/ipv6/conf/outside/disable_ipv6", "1")]);
    host.ip(&format!("link set {OUTSIDE} up\nlink set {UPLINK} up\n"));
}
