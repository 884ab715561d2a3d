//! An interface: its driver, its offloads, its place among others, and who is on its hooks.

use std::collections::HashMap;

use super::{Finding, ok, problem, warning};
use crate::{
    datapath::{self, HookProgram},
    net::{
        NetError,
        driver::{self, Offloads, XdpFeatures},
        links::Link,
    },
};

/// What there is.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceFacts {
    /// The interface.
    pub(crate) link: Link,
    /// Whether the operator asked for this one. What cannot be an uplink is no problem otherwise.
    pub(crate) is_wanted: bool,
    /// The driver's name, if the kernel tells.
    pub(crate) driver: Option<String>,
    /// What the driver can do for XDP, if the kernel tells.
    pub(crate) xdp: Option<XdpFeatures>,
    /// What offloads are active, if the kernel tells.
    pub(crate) offloads: Option<Offloads>,
    /// The VLAN interfaces above it.
    pub(crate) vlans: Vec<String>,
    /// What it is a port of: name and kind.
    pub(crate) controller: Option<(String, String)>,
    /// Whether this process sees the TC programs of others, which takes privileges.
    pub(crate) sees_programs: bool,
    /// The programs on its hooks, and the gateways that own them.
    pub(crate) programs: Vec<(HookProgram, Option<String>)>,
}

impl InterfaceFacts {
    /// Looks at an interface among all of its namespace.
    ///
    /// # Errors
    /// [`NetError::Netlink`].
    pub(crate) fn gather(
        link: &Link,
        links: &[Link],
        owners: &HashMap<u32, String>,
        is_wanted: bool,
    ) -> Result<Self, NetError> {
        let interface = &link.interface;
        let is_vlan_above =
            |other: &&Link| other.vlan_id.is_some() && other.lower == Some(interface.index);
        let controller = links.iter().find(|it| Some(it.interface.index) == link.controller);
        let programs = datapath::programs_on(interface)?.into_iter();
        Ok(Self {
            link: link.clone(),
            is_wanted,
            driver: driver::name(&interface.name),
            xdp: driver::xdp_features(interface.index),
            offloads: driver::offloads(&interface.name),
            vlans: links.iter().filter(is_vlan_above).map(|it| it.interface.name.clone()).collect(),
            controller: controller.map(|it| {
                let kind = it.kind.clone().unwrap_or_else(|| "interface".to_owned());
                (it.interface.name.clone(), kind)
            }),
            sees_programs: datapath::lacking_capabilities().is_empty(),
            programs: programs.map(|it| (it.clone(), owners.get(&it.id).cloned())).collect(),
        })
    }

    fn name(&self) -> &str {
        &self.link.interface.name
    }

    fn is_native(&self) -> bool {
        self.xdp.is_some_and(XdpFeatures::is_native)
    }
}

/// What it means.
pub(crate) fn judge(facts: &InterfaceFacts) -> Vec<Finding> {
    vec![
        link_type(facts),
        state(facts),
        driver_name(facts),
        native_xdp(facts),
        mtu(facts),
        offloads(facts),
        vlan(facts),
        port(facts),
        xdp_programs(facts),
        tc_programs(facts),
    ]
}

fn link_type(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "link-type";
    match facts.link.interface.ensure_ethernet() {
        Ok(()) => ok(CHECK, "Ethernet"),
        Err(error) if facts.is_wanted => {
            problem(CHECK, error.to_string(), "attach to the Ethernet interface that carries it")
        }
        Err(error) => warning(
            CHECK,
            format!("it cannot be an uplink: {error}"),
            "nothing, unless it shall be one",
        ),
    }
}

fn state(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "state";
    if facts.link.interface.up {
        return ok(CHECK, "up");
    }
    warning(CHECK, "down: nothing passes", format!("ip link set {} up", facts.name()))
}

fn driver_name(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "driver";
    let kind = facts.link.kind.as_ref();
    match facts.driver.as_ref().or(kind) {
        Some(name) => ok(CHECK, name),
        None => ok(CHECK, "unknown: the kernel does not tell"),
    }
}

fn native_xdp(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "native-xdp";
    match facts.xdp {
        Some(features) if features.is_native() && facts.link.kind.as_deref() == Some("veth") => {
            warning(
                CHECK,
                "the driver has it, but on a veth it takes segmentation offload from the other \
                 end, which slows TCP down",
                "use --hook tc where TCP throughput counts",
            )
        }
        Some(features) if features.is_native() => ok(CHECK, "the driver has it"),
        Some(_) => {
            ok(CHECK, "the driver lacks it; --hook auto takes TC, which costs more a packet")
        }
        None => ok(CHECK, "unknown until tried; --hook auto takes TC if it fails"),
    }
}

fn mtu(facts: &InterfaceFacts) -> Finding {
    /// What is left of a page of 4096 bytes beside headroom and the kernel's own.
    const PAGE_MTU: u32 = 3_498;
    const CHECK: &str = "mtu";
    let mtu = facts.link.interface.mtu;
    let has_fragments = facts.xdp.is_some_and(XdpFeatures::has_fragments);
    if mtu > PAGE_MTU && facts.is_native() && !has_fragments {
        return warning(
            CHECK,
            format!(
                "{mtu} bytes, but the driver takes no packets larger than a page in native XDP, so \
                 --hook auto takes TC"
            ),
            format!("an MTU of at most about {PAGE_MTU}, if native XDP is wanted"),
        );
    }
    let fragments = if has_fragments { "; the driver takes larger ones than a page" } else { "" };
    ok(CHECK, format!("{mtu} bytes{fragments}"))
}

fn offloads(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "offloads";
    let Some(offloads) = facts.offloads else {
        return ok(CHECK, "unknown: the kernel does not tell");
    };
    let Offloads { gro, gro_hw, lro, tso, .. } = offloads;
    let switch = |on| if on { "on" } else { "off" };
    let found = format!("gro {}, lro {}, tso {}", switch(gro || gro_hw), switch(lro), switch(tso));
    if lro {
        return warning(
            CHECK,
            format!(
                "{found}: LRO merges segments beyond repair, so most drivers refuse native XDP"
            ),
            format!("ethtool -K {} lro off", facts.name()),
        );
    }
    if gro_hw && facts.is_native() {
        return warning(
            CHECK,
            format!("{found}: GRO is done by the card, with which some drivers refuse native XDP"),
            format!("ethtool -K {} rx-gro-hw off", facts.name()),
        );
    }
    ok(CHECK, found)
}

fn vlan(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "vlan";
    if let Some(id) = facts.link.vlan_id {
        return ok(CHECK, format!("it is VLAN {id}, whose frames arrive here without their tag"));
    }
    if facts.vlans.is_empty() {
        return ok(CHECK, "none above it");
    }
    let vlans = facts.vlans.join(", ");
    if facts.is_native() && facts.offloads.is_some_and(|offloads| offloads.rx_vlan) {
        return warning(
            CHECK,
            format!(
                "carries {vlans}, and the card takes tags off before native XDP sees them, so \
                 replies to tagged flows are not recognized"
            ),
            format!("ethtool -K {} rxvlan off, or use --hook tc", facts.name()),
        );
    }
    ok(CHECK, format!("carries {vlans}; flows are kept apart by their tags"))
}

fn port(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "port";
    match &facts.controller {
        Some((name, kind)) if matches!(kind.as_str(), "bond" | "team") => warning(
            CHECK,
            format!("a port of {kind} {name}, whose other ports would stay open"),
            format!("attach to {name}, or to all its ports as uplinks of one gateway"),
        ),
        Some((name, kind)) if kind == "bridge" => {
            ok(CHECK, format!("a port of bridge {name}; the gateway filters what crosses it here"))
        }
        Some((name, kind)) => ok(CHECK, format!("belongs to {kind} {name}")),
        None if facts.link.has_ports() => {
            let kind = facts.link.kind.as_deref().unwrap_or("interface");
            ok(CHECK, format!("a {kind}: only what this machine itself sends and gets is filtered"))
        }
        None => ok(CHECK, "of nothing"),
    }
}

fn xdp_programs(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "xdp-programs";
    let programs: Vec<_> = facts.programs.iter().filter(|(it, _)| it.hook == "xdp").collect();
    let others: Vec<_> = others(&programs);
    match (programs.as_slice(), others.as_slice()) {
        ([], _) => ok(CHECK, "none"),
        (_, []) => ok(CHECK, ours(&programs)),
        (_, others) => problem(
            CHECK,
            format!("{}, which the gateway does not replace", others.join(", ")),
            format!(
                "remove it (`ip link set dev {} xdp off`, or its owner's tool), or attach with \
                 --hook tc",
                facts.name()
            ),
        ),
    }
}

fn tc_programs(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "tc-programs";
    let programs: Vec<_> = facts.programs.iter().filter(|(it, _)| it.hook != "xdp").collect();
    let others: Vec<_> = others(&programs);
    match (programs.as_slice(), others.as_slice()) {
        ([], _) if !facts.sees_programs => ok(CHECK, "unknown: only privileged processes see them"),
        ([], _) => ok(CHECK, "none"),
        (_, []) => ok(CHECK, ours(&programs)),
        (_, others) => warning(
            CHECK,
            format!("{}, which see what the gateway lets pass", others.join(", ")),
            "make sure that they are meant to be there",
        ),
    }
}

fn others(programs: &[&(HookProgram, Option<String>)]) -> Vec<String> {
    let others = programs.iter().filter(|(_, owner)| owner.is_none());
    others.map(|(program, _)| format!("{} {}", program.hook, program.description)).collect()
}

fn ours(programs: &[&(HookProgram, Option<String>)]) -> String {
    let owner = programs.iter().find_map(|(_, owner)| owner.as_ref());
    format!("those of gateway {}", owner.map_or("?", String::as_str))
}

#[cfg(test)]
mod tests;
