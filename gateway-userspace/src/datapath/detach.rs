//! Taking gateways apart. This has to work whatever state they are in.

use std::path::Path;

use gateway_common::{abi::ABI_VERSION, config::Mode};

use super::{
    DatapathError, GatewayName,
    attachment,
    bpffs::LockedRoot,
    maps::ConfigMaps,
    meta::{Meta, MetaMap},
    pin::{self, GatewayDir},
    requirements,
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

/// Detaches a gateway: nothing is filtered any more, and nothing of it is left. Works for
/// gateways of other versions, for damaged ones and for those whose interfaces are gone.
///
/// # Errors
/// [`DatapathError::NotAttached`], [`DatapathError::NotDetached`],
/// [`DatapathError::NotPrivileged`], [`DatapathError::NotBpffs`] or [`DatapathError::Bpffs`].
pub fn detach(bpffs: &Path, name: &GatewayName) -> Result<DetachOutcome, DatapathError> {
    requirements::check_privileges()?;
    let not_attached = || DatapathError::NotAttached {
        name: name.to_string(),
        path: bpffs.join("eigw").join(name.as_str()),
    };
    let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
    let notes = clean_up(&root)?;
    let was_unfinished = !notes.is_empty();
    let mut outcome = DetachOutcome { detached: Vec::new(), notes };
    if root.root().gateway(name).exists() {
        detach_entry(&root, name.as_str(), &mut outcome)?;
    } else if !was_unfinished {
        return Err(not_attached());
    }
    Ok(outcome)
}
