//! Which programs are on an interface's hooks, whoever attached them.

use std::{collections::HashMap, path::Path};

use aya::programs::{SchedClassifier, TcAttachType};

use super::{Gateway, attachment, gateway};
use crate::net::{
    NetError,
    interface::Interface,
    tc::{self, Hook},
};

/// A program on a hook of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookProgram {
    /// `xdp`, `ingress` or `egress`.
    pub hook: &'static str,
    /// The kernel's identifier.
    pub id: u32,
    /// The identifier and the name, if it has one, for people.
    pub description: String,
}

/// The programs on an interface's hooks, as far as this process may see them.
///
/// # Errors
/// [`NetError::Netlink`].
pub fn programs_on(interface: &Interface) -> Result<Vec<HookProgram>, NetError> {
    let program =
        |hook, id| HookProgram { hook, id, description: attachment::describe_program(id) };
    let mut found: Vec<_> =
        interface.xdp.iter().map(|xdp| program("xdp", xdp.program_id)).collect();
    for (hook, attach_type) in
        [(Hook::Ingress, TcAttachType::Ingress), (Hook::Egress, TcAttachType::Egress)]
    {
        // Kernels without TCX have none, and others tell only who may attach some.
        let tcx = SchedClassifier::query_tcx(&interface.name, attach_type);
        let tcx = tcx.map(|(_, programs)| programs).unwrap_or_default();
        found.extend(tcx.iter().map(|other| program(hook.name(), other.id())));
        let filters = tc::filters(interface.index, hook)?.into_iter();
        found.extend(filters.filter_map(|it| it.program_id).map(|id| program(hook.name(), id)));
    }
    Ok(found)
}

/// The gateways that own programs, by the programs' identifiers, as far as they can be read.
#[must_use]
pub fn owners(bpffs: &Path) -> HashMap<u32, String> {
    let mut owners = HashMap::new();
    for name in gateway::list(bpffs).unwrap_or_default() {
        let opened = Gateway::open(bpffs, &name);
        for uplink in opened.and_then(|gateway| gateway.uplinks()).unwrap_or_default() {
            let ingress = uplink.ingress.map(|program| program.program_id);
            let egress = uplink.egress.map(|program| program.program_id);
            owners.extend(ingress.into_iter().chain(egress).map(|id| (id, name.to_string())));
        }
    }
    owners
}
