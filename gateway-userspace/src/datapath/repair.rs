//! Keeping an attached gateway on its uplinks while interfaces come, go and change their names.
//! Policy, configuration, flows and counters stay as they are.

use std::{collections::HashMap, path::Path};

use gateway_common::config::{Config, Mode};

use super::{
    AttachOutcome, DatapathError, GatewayName, HookChoice, TcChoice,
    attach::{self, Placed},
    attachment::Attachment,
    bpffs::{self, LockedRoot},
    gateway,
    maps::{self, ConfigMaps},
    meta::{Meta, MetaMap},
    pin::{self, GatewayDir},
    programs::Programs,
    requirements,
    undo::Undo,
    uplinks,
    work::Work,
};
use crate::net::{
    NetError,
    interface::{self, Interface},
    netns::NetnsId,
    tc::Hook,
};

/// Which uplinks lack programs.
#[derive(Clone, Debug)]
pub struct RepairRequest<'a> {
    /// The BPF file system's directory.
    pub bpffs: &'a Path,
    /// The gateway's name.
    pub name: &'a GatewayName,
    /// The interfaces to protect beside those that the gateway protects already.
    pub uplinks: &'a [String],
    /// Which ingress hook to use.
    pub hook: HookChoice,
}

/// What became of the uplinks on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The old and the new name of those that were renamed.
    pub renamed: Vec<(String, String)>,
    /// The names of those that left for another network namespace; nothing filters them there.
    pub moved: Vec<String>,
}

/// An attached gateway that is locked.
struct Repair {
    directory: GatewayDir,
    meta_map: MetaMap,
    meta: Meta,
    root: LockedRoot,
}

/// Attaches an attached gateway's programs to interfaces that lack them, be they new or robbed of
/// them. Its other uplinks are not touched. Records of interfaces that are gone end.
/// When this fails, everything it did is undone.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::NotArmed`], [`DatapathError::OtherNetns`], and
/// whatever keeps [`attach`](attach::attach) from attaching programs.
pub fn repair(request: &RepairRequest<'_>) -> Result<AttachOutcome, DatapathError> {
    requirements::check()?;
    let name = request.name;
    let mut repair = Repair::open(request.bpffs, name)?;
    let wanted = uplinks::resolve(request.uplinks)?;
    uplinks::ensure_free(repair.root.root(), name, &wanted)?;
    maps::check_all(name, &repair.directory)?;
    if ConfigMaps::open(name, &repair.directory)?.in_force()?.mode != Mode::Armed as u32 {
        return Err(DatapathError::NotArmed { name: name.to_string() });
    }
    let mut lacking = Vec::new();
    for uplink in wanted {
        let found = uplinks::attached(&repair.directory, &repair.meta, &uplink)?;
        if ![Hook::Ingress, Hook::Egress].iter().all(|&hook| on(hook, &found)) {
            lacking.push(uplink);
        }
    }
    let mut outcome = AttachOutcome {
        created: false,
        uplinks: Vec::new(),
        notes: Vec::new(),
        seeded: None,
        confirm_by: None,
    };
    if lacking.is_empty() {
        // Somebody else did it meanwhile, or was killed when most of it was done.
        Programs::forget_unfinished(&repair.directory)?;
        return Ok(outcome);
    }
    repair.forget_gone()?;
    let mut undo = Undo::default();
    match repair.attach(request, &lacking, &mut outcome.notes, &mut undo) {
        Ok(placed) => {
            outcome.uplinks = placed.into_iter().map(|placed| placed.outcome).collect();
            Ok(outcome)
        }
        Err(cause) => Err(undo.roll_back(name, cause)),
    }
}

/// Brings a gateway's records up to date: with the names that its uplinks have now, and without
/// programs on interfaces that were moved to another network namespace, where nobody can see by
/// whom they are filtered.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::OtherNetns`], [`DatapathError::Damaged`],
/// [`DatapathError::Net`] or [`DatapathError::Map`].
pub fn follow(bpffs: &Path, name: &GatewayName) -> Result<Followed, DatapathError> {
    requirements::check_privileges()?;
    let mut repair = Repair::open(bpffs, name)?;
    let mut followed = Followed::default();
    for record in &mut repair.meta.uplinks {
        if let Some(uplink) = find(record.ifindex)? {
            if uplink.name != record.name {
                let old = std::mem::replace(&mut record.name, uplink.name.clone());
                followed.renamed.push((old, uplink.name));
            }
        } else if remove_links(&repair.directory, record.ifindex)? {
            followed.moved.push(record.name.clone());
        }
    }
    repair.meta_map.write(&repair.meta)?;
    Ok(followed)
}

/// Puts another configuration in force with the same policy, if `change` finds one for that in
/// force; whether it did.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::Damaged`], [`DatapathError::Map`] or
/// [`DatapathError::Syscall`].
pub fn adjust(
    bpffs: &Path,
    name: &GatewayName,
    change: impl FnOnce(Config) -> Option<Config>,
) -> Result<bool, DatapathError> {
    requirements::check_privileges()?;
    let repair = Repair::open(bpffs, name)?;
    let mut maps = ConfigMaps::open(name, &repair.directory)?;
    let in_force = maps.in_force()?;
    if in_force.mode != Mode::Armed as u32 {
        return Ok(false);
    }
    let Some(config) = change(in_force) else { return Ok(false) };
    maps.commit(&config, Mode::Armed)?;
    Ok(true)
}

impl Repair {
    fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let not_attached = || DatapathError::NotAttached {
            name: name.to_string(),
            path: bpffs::gateway_path(bpffs, name),
        };
        let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
        let directory = root.root().gateway(name);
        if !directory.exists() {
            return Err(not_attached());
        }
        let (meta_map, meta) = gateway::open_meta(name, &directory)?;
        if meta.netns != NetnsId::current()? {
            return Err(DatapathError::OtherNetns { name: name.to_string() });
        }
        Ok(Self { directory, meta_map, meta, root })
    }

    /// Ends the records of interfaces that are gone, so that there is room for others.
    fn forget_gone(&mut self) -> Result<(), DatapathError> {
        for record in self.meta.uplinks.clone() {
            if find(record.ifindex)?.is_none() {
                remove_links(&self.directory, record.ifindex)?;
                self.meta.uplinks.retain(|uplink| uplink.ifindex != record.ifindex);
            }
        }
        self.meta_map.write(&self.meta)
    }

    fn attach(
        self,
        request: &RepairRequest<'_>,
        lacking: &[Interface],
        notes: &mut Vec<String>,
        undo: &mut Undo,
    ) -> Result<Vec<Placed>, DatapathError> {
        let Self { directory, mut meta_map, mut meta, root } = self;
        let tables = gateway::table_sizes(request.name, &directory)?;
        let overflow_slots = gateway::overflow_slots(request.name, &directory)?;
        let programs = Programs::load(&directory, tables, overflow_slots)?;
        let (maps, old_meta) = (directory.maps(), meta.clone());
        attach::note_wanted(request.name, &mut meta, lacking)?;
        undo.push(move || match MetaMap::open(&maps) {
            Ok(mut map) => map.write(&old_meta),
            // Then there is nothing to restore.
            Err(_) => Ok(()),
        });
        meta_map.write(&meta)?;
        let tc = TcChoice::Auto;
        let attached = HashMap::new();
        let mut work = Work { directory, programs, meta, meta_map, tc, notes, undo, attached };
        let placed = attach::place_all(&mut work, lacking, request.hook)?;
        work.undo.clear();
        if let Err(error) = attach::keep_placed(&mut work, lacking, &placed) {
            work.notes.push(format!("parts of the uplinks' earlier state remain: {error}"));
        }
        drop(root);
        Ok(placed)
    }
}

fn on(hook: Hook, attached: &[Attachment]) -> bool {
    attached.iter().any(|attachment| attachment.hook() == hook)
}

/// The interface of that index in this network namespace, if there is one.
pub(super) fn find(ifindex: u32) -> Result<Option<Interface>, DatapathError> {
    match interface::by_index(ifindex) {
        Ok(uplink) => Ok(Some(uplink)),
        Err(NetError::InterfaceMissing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes the links of an interface; whether one of them was attached still.
fn remove_links(directory: &GatewayDir, ifindex: u32) -> Result<bool, DatapathError> {
    let mut were_attached = false;
    for link in Attachment::LINKS {
        if let Some(path) = directory.link(ifindex, link) {
            were_attached |= pin::link_state(&path).is_some_and(|state| state.ifindex.is_some());
            pin::remove_link(&path)?;
        }
    }
    Ok(were_attached)
}
