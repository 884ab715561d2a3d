//! The interfaces that a gateway is to protect, and what is attached to them already.

use std::collections::HashSet;

use aya::programs::{SchedClassifier, TcAttachType};
use gateway_common::limits::UPLINKS_MAX;

use super::{
    DatapathError, GatewayName,
    attachment::{self, Attachment},
    bpffs::Root,
    meta::{Meta, MetaMap},
    pin::{self, GatewayDir},
    programs::Programs,
    sys::LinkKind,
};
use crate::net::{
    interface::{self, Interface},
    netns::NetnsId,
    tc::Hook,
};

/// Looks the uplinks up and makes sure that they can be uplinks.
///
/// # Errors
/// [`DatapathError::Uplinks`] or [`DatapathError::Net`].
pub(super) fn resolve(names: &[String]) -> Result<Vec<Interface>, DatapathError> {
    let refused = |reason: String| Err(DatapathError::Uplinks { reason });
    if names.is_empty() {
        return refused("no uplink is given; name one or more with --uplink IF".to_owned());
    }
    if names.len() > UPLINKS_MAX {
        return refused(format!(
            "{} uplinks are given, but a gateway has at most {UPLINKS_MAX}; use several gateways",
            names.len()
        ));
    }
    let mut indices = HashSet::new();
    let mut uplinks = Vec::with_capacity(names.len());
    for name in names {
        let uplink = interface::find(name)?;
        uplink.ensure_ethernet()?;
        if !indices.insert(uplink.index) {
            return refused(format!("uplink {name} is given twice; name every interface once"));
        }
        uplinks.push(uplink);
    }
    Ok(uplinks)
}

/// Makes sure that no other gateway has one of the uplinks.
///
/// # Errors
/// [`DatapathError::UplinkTaken`], [`DatapathError::Bpffs`] or [`DatapathError::Net`].
pub(super) fn ensure_free(
    root: &Root,
    name: &GatewayName,
    uplinks: &[Interface],
) -> Result<(), DatapathError> {
    let here = NetnsId::current()?;
    for other in root.names()?.into_iter().filter(|other| other != name) {
        let directory = root.gateway(&other);
        let Ok(meta) = MetaMap::open(&directory.maps()).and_then(|map| map.read()) else {
            continue;
        };
        if meta.netns != here {
            continue;
        }
        for uplink in uplinks {
            if !attached(&directory, &meta, uplink)?.is_empty() {
                return Err(DatapathError::UplinkTaken {
                    uplink: uplink.name.clone(),
                    gateway: other.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// What of a gateway is on an uplink now, by what the kernel says rather than by what was
/// meant to be there.
///
/// # Errors
/// [`DatapathError::Net`].
pub(super) fn attached(
    directory: &GatewayDir,
    meta: &Meta,
    uplink: &Interface,
) -> Result<Vec<Attachment>, DatapathError> {
    let links = Attachment::LINKS.into_iter();
    let mut found: Vec<Attachment> =
        links.filter_map(|link| attached_link(directory, uplink, link)).collect();
    if let Some(record) = meta.uplink(uplink.index) {
        for hook in [Hook::Ingress, Hook::Egress] {
            if record.may_have_filter(hook) && attachment::our_filter(uplink.index, hook)?.is_some()
            {
                found.push(Attachment::Clsact(hook));
            }
        }
    }
    Ok(found)
}

fn attached_link(
    directory: &GatewayDir,
    uplink: &Interface,
    link: Attachment,
) -> Option<Attachment> {
    let state = pin::link_state(&directory.link(uplink.index, link)?)?;
    if state.ifindex != Some(uplink.index) {
        return None;
    }
    match (link, state.kind) {
        (Attachment::Xdp(_), LinkKind::Xdp) => {
            Some(Attachment::Xdp(uplink.xdp_mode_of(state.program_id)?))
        }
        (Attachment::Tcx(_), LinkKind::Tcx) => Some(link),
        (Attachment::Xdp(_) | Attachment::Tcx(_) | Attachment::Clsact(_), _) => None,
    }
}

/// The programs of others on the uplink's hooks, for people.
pub(super) fn neighbours(uplink: &Interface, programs: &Programs) -> Vec<String> {
    let mut notes = Vec::new();
    let ours = programs.ids();
    // Looked up again, because our own program is a new one.
    let xdp = interface::by_index(uplink.index).map(|uplink| uplink.xdp).unwrap_or_default();
    for xdp in xdp.into_iter().filter(|xdp| !ours.contains(&xdp.program_id)) {
        let program = attachment::describe_program(xdp.program_id);
        notes.push(format!(
            "interface {} also runs the XDP program {program}, which sees packets first",
            uplink.name
        ));
    }
    for (hook, attach_type) in
        [(Hook::Ingress, TcAttachType::Ingress), (Hook::Egress, TcAttachType::Egress)]
    {
        // Kernels without TCX have no such programs.
        let Ok((_, others)) = SchedClassifier::query_tcx(&uplink.name, attach_type) else {
            continue;
        };
        for other in others.iter().filter(|other| !ours.contains(&other.id())) {
            notes.push(format!(
                "interface {} also runs the TC {} program {}",
                uplink.name,
                hook.name(),
                attachment::describe_program(other.id())
            ));
        }
    }
    notes
}
