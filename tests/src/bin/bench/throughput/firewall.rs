//! The firewalls to compare, each as its user would set it up for an egress-only gateway.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use tests::{
    eigw::Hook,
    topology::{Lab, UPLINK},
};

use crate::empty::Empty;

/// What stands on the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firewall {
    /// Plain forwarding.
    None,
    /// A stateful ruleset, which stands on the kernel's connection tracking.
    Nftables,
    /// An XDP program on the uplink that lets everything pass: what XDP costs on a veth before
    /// a program does anything.
    EmptyXdp,
    /// The gateway.
    Eigw(Hook),
}

/// What must live on for a firewall to stay in place.
pub(super) enum Installed {
    /// Nothing: it is the kernel's, or pinned.
    Elsewhere,
    /// A program and its link.
    Here { _empty: Box<Empty> },
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

impl Firewall {
    pub(super) const ALL: [Self; 6] = [
        Self::None,
        Self::Nftables,
        Self::EmptyXdp,
        Self::Eigw(Hook::Xdp),
        Self::Eigw(Hook::Tc),
        Self::Eigw(Hook::XdpGeneric),
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::Nftables => "nftables, stateful",
            Self::EmptyXdp => "empty XDP program",
            Self::Eigw(Hook::Xdp) => "eigw --hook xdp",
            Self::Eigw(Hook::Tc) => "eigw --hook tc",
            Self::Eigw(Hook::XdpGeneric) => "eigw --hook xdp-generic",
        }
    }

    /// Whether it keeps unsolicited packets out.
    pub(super) const fn filters(self) -> bool {
        match self {
            Self::None | Self::EmptyXdp => false,
            Self::Nftables | Self::Eigw(_) => true,
        }
    }

    /// Puts the firewall on the lab's gateway.
    pub(super) fn install(self, lab: &Lab) -> Result<Installed> {
        match self {
            Self::None => {}
            Self::Nftables => nft(lab)?,
            Self::EmptyXdp => {
                let mut empty = Box::new(Empty::load()?);
                lab.gateway.run(|| {
                    empty.xdp()?.attach(UPLINK, XdpMode::Driver).map_err(anyhow::Error::from)
                })?;
                return Ok(Installed::Here { _empty: empty });
            }
            Self::Eigw(hook) => lab.attach(hook),
        }
        Ok(Installed::Elsewhere)
    }
}

fn nft(lab: &Lab) -> Result<()> {
    let output =
        lab.gateway.output(Command::new("nft").arg(RULES)).context("starting nft (nftables)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft refused the rules: {complaint}");
    Ok(())
}
