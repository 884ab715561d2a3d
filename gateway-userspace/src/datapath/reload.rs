//! Putting another policy in force on an attached gateway.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use gateway_common::config::{Config, Mode};

use super::{
    DatapathError, GatewayName, HostLimits, TableSizes,
    bpffs::{self, LockedRoot},
    confirm, gateway,
    maps::{self, ConfigMaps},
    pin::GatewayDir,
    policy::{NewPolicy, PolicySwap},
    requirements,
};

/// What to put in force, and where.
#[derive(Clone, Debug)]
pub struct ReloadRequest<'a> {
    /// The BPF file system's directory.
    pub bpffs: &'a Path,
    /// The gateway's name.
    pub name: &'a GatewayName,
    /// How large the flow tables should be; they stay as they are.
    pub tables: TableSizes,
    /// How much of them one inside host may take.
    pub hosts: HostLimits,
    /// The configuration to put in force; its mode, its limits of hosts, what it says of the
    /// policy and until when it has to be confirmed are ignored.
    pub config: &'a Config,
    /// The policy to put in force with it.
    pub policy: &'a NewPolicy,
}

/// How reloading went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// The generation of the policy that is in force now.
    pub generation: u32,
    /// How long it took to make and fill its tables.
    pub building: Duration,
    /// How long it took to put them in force, mostly waiting for packets under way.
    pub swapping: Duration,
    /// What else the operator should know, in whole sentences.
    pub notes: Vec<String>,
}

/// Puts another policy and configuration in force on a gateway, in one step for all packets on all
/// uplinks. Programs, uplinks and flow tables stay as they are. When this fails or the process is
/// killed, what was in force remains so.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::StalePins`], [`DatapathError::Damaged`],
/// [`DatapathError::NotArmed`], [`DatapathError::Overdue`], [`DatapathError::Map`] or
/// [`DatapathError::Syscall`], and those of a BPF file system that cannot be used.
pub fn reload(request: &ReloadRequest<'_>) -> Result<ReloadOutcome, DatapathError> {
    requirements::check_privileges()?;
    let ReloadRequest { bpffs, name, .. } = *request;
    let not_attached = || DatapathError::NotAttached {
        name: name.to_string(),
        path: bpffs::gateway_path(bpffs, name),
    };
    let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
    let directory = root.root().gateway(name);
    if !directory.exists() {
        return Err(not_attached());
    }
    gateway::open_meta(name, &directory)?;
    maps::check_all(name, &directory)?;
    swap(request, &directory)
}

fn swap(
    request: &ReloadRequest<'_>,
    directory: &GatewayDir,
) -> Result<ReloadOutcome, DatapathError> {
    let name = request.name;
    let before = ConfigMaps::open(name, directory)?.in_force()?;
    confirm::ensure_enforced(name, directory, &before)?;
    let ReloadRequest { hosts, config, .. } = *request;
    let tables = gateway::table_sizes(name, directory)?;
    let overflow_slots = gateway::overflow_slots(name, directory)?;
    let mut notes = hosts.kept(name, request.tables, tables, overflow_slots);
    let config = hosts.within(tables).apply(config, overflow_slots);
    // Whoever reloads may try one policy after the other before confirming one.
    let config = Config { confirm_by: before.confirm_by, ..config };
    let begun = Instant::now();
    let mut swap = PolicySwap::prepare(name, directory, request.policy)?;
    let building = begun.elapsed();
    let config = swap.commit(&config, Mode::Armed)?;
    notes.extend(swap.notes());
    let swapping = begun.elapsed().saturating_sub(building);
    Ok(ReloadOutcome { generation: config.generation, building, swapping, notes })
}
