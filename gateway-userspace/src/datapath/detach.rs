//! Taking gateways apart. This has to work whatever state they are in.

use std::path::Path;

use gateway_common::config::Mode;

use super::{
    DatapathError, GatewayName, attachment,
    bpffs::{self, LockedRoot},
    daemon,
    maps::ConfigMaps,
    meta::{Meta, MetaMap},
    observer,
    pin::{self, GatewayDir},
    requirements, upgrade,
};
use crate::net::netns;

/// How detaching went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetachOutcome {
    /// The gateways that are gone.
    pub detached: Vec<String>,
    /// What else the operator should know, in whole sentences.
    pub notes: Vec<String>,
}

/// Detaches a gateway: nothing is filtered any more (RFC6092-REC-49), and nothing of it is left.
/// Works for gateways of other versions, for damaged ones and for those whose interfaces are gone.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::NotDetached`],
/// [`DatapathError::NotPrivileged`], [`DatapathError::NotBpffs`] or [`DatapathError::Bpffs`].
pub fn detach(bpffs: &Path, name: &GatewayName) -> Result<DetachOutcome, DatapathError> {
    requirements::check_privileges()?;
    let not_attached = || DatapathError::NotAttached {
        name: name.to_string(),
        path: bpffs::gateway_path(bpffs, name),
    };
    let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
    detach_locked(bpffs, &root, name)
}

/// As [`detach`], for whoever has the lock.
///
/// # Errors
/// As [`detach`].
pub(super) fn detach_locked(
    bpffs: &Path,
    root: &LockedRoot,
    name: &GatewayName,
) -> Result<DetachOutcome, DatapathError> {
    let cleaned = clean_up(root)?;
    if root.root().gateway(name).exists() {
        detach_entry(root, name.as_str())?;
    } else if !cleaned.iter().any(|leftover| leftover == name.as_str()) {
        let path = bpffs::gateway_path(bpffs, name);
        return Err(DatapathError::NotAttached { name: name.to_string(), path });
    }
    Ok(DetachOutcome { detached: vec![name.to_string()], notes: notes(&cleaned) })
}

/// Detaches every gateway, and everything that looks like one.
///
/// # Errors
/// As [`detach`], but that there is no gateway is no error. When one gateway cannot be detached
/// the others still are.
pub fn detach_all(bpffs: &Path) -> Result<DetachOutcome, DatapathError> {
    requirements::check_privileges()?;
    let Some(root) = LockedRoot::find(bpffs)? else { return Ok(DetachOutcome::default()) };
    let mut failure = None;
    let cleaned = clean_up(&root).unwrap_or_else(|error| {
        failure = Some(error);
        Vec::new()
    });
    let mut outcome = DetachOutcome { detached: Vec::new(), notes: notes(&cleaned) };
    for name in root.everything()? {
        match detach_entry(&root, &name) {
            Ok(()) => outcome.detached.push(name),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(outcome), Err)
}

/// Removes what unfinished commands left behind, and names the gateways they were about.
///
/// # Errors
/// [`DatapathError::NotDetached`] or [`DatapathError::Bpffs`].
pub(super) fn clean_up(root: &LockedRoot) -> Result<Vec<String>, DatapathError> {
    daemon::forget_dead(root)?;
    observer::forget_dead(root)?;
    let mut names = Vec::new();
    for (name, directory) in root.leftovers()? {
        take_apart(&name, &directory)?;
        names.push(name);
    }
    Ok(names)
}

/// What to say about [`clean_up`].
pub(super) fn notes(cleaned: &[String]) -> Vec<String> {
    let note = |name: &String| {
        format!("an interrupted command left parts of gateway {name} behind; they were removed")
    };
    cleaned.iter().map(note).collect()
}

/// Detaches an entry of the directory of all gateways.
fn detach_entry(root: &LockedRoot, name: &str) -> Result<(), DatapathError> {
    let directory = root.entry(name);
    // From here on all uplinks let everything pass, so the order of what follows is harmless.
    stand_by(name, &directory);
    let detaching = root.detaching(name);
    directory.rename(&detaching)?;
    take_apart(name, &detaching)
}

/// Disarms the gateway if it can be understood at all.
fn stand_by(name: &str, directory: &GatewayDir) {
    let Ok(name) = GatewayName::new(name) else { return };
    let is_ours = read_meta(directory).is_ok_and(|meta| upgrade::is_understood(meta.abi_version));
    if !is_ours {
        return;
    }
    if let Ok(mut maps) = ConfigMaps::open(&name, directory)
        && let Ok(config) = maps.in_force()
    {
        // Detaching goes on in any case, only less smoothly.
        drop(maps.commit(&config, Mode::Standby));
    }
}

/// Detaches everything pinned in a directory, and removes it.
fn take_apart(name: &str, directory: &GatewayDir) -> Result<(), DatapathError> {
    // Read first: it is among the pins.
    let meta = read_meta(directory);
    let mut failures = Vec::new();
    for path in directory.files() {
        if pin::link_state(&path).is_some() {
            failures.extend(pin::remove_link(&path).err().map(|error| error.to_string()));
        }
    }
    if let Ok(meta) = &meta {
        failures.extend(remove_filters(meta));
    }
    failures.extend(directory.remove().err().map(|error| error.to_string()));
    if failures.is_empty() {
        return Ok(());
    }
    Err(DatapathError::NotDetached { name: name.to_owned(), failures })
}

/// Removes the `clsact` filters, which belong to the interfaces' network namespace. If that is
/// gone, so are they.
fn remove_filters(meta: &Meta) -> Vec<String> {
    let with_filters = || {
        meta.uplinks
            .iter()
            .filter(|uplink| uplink.clsact_ingress || uplink.clsact_egress || uplink.clsact_added)
    };
    if with_filters().next().is_none() {
        return Vec::new();
    }
    let removed = netns::run_in(meta.netns, || {
        with_filters().filter_map(|uplink| attachment::remove_all_filters(uplink).err()).collect()
    });
    let errors: Vec<_> = removed.map_or_else(|error| vec![error], Option::unwrap_or_default);
    errors.iter().map(ToString::to_string).collect()
}

fn read_meta(directory: &GatewayDir) -> Result<Meta, String> {
    MetaMap::open(&directory.maps())?.read()
}
