//! What is attached to a gateway's uplinks now.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    DatapathError, IngressHook, TcMeans,
    attachment::{self, Attachment},
    meta::{Meta, UplinkRecord},
    pin::{self, GatewayDir},
    uplinks,
};
use crate::net::{NetError, interface, netns, tc::Hook};

/// One uplink of an attached gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkStatus {
    /// The interface's index when it was attached.
    pub ifindex: u32,
    /// The interface's name; once it is gone, the last one that is on record.
    pub name: String,
    /// Whether the interface is there.
    pub present: bool,
    /// Whether it is administratively up.
    pub up: bool,
    /// The program that judges inbound packets; `None` when the interface is gone or somebody
    /// removed the program.
    pub ingress: Option<AttachedProgram<IngressHook>>,
    /// The program that records outbound packets; `None` as for `ingress`.
    pub egress: Option<AttachedProgram<TcMeans>>,
}

/// A program that is attached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedProgram<H> {
    /// How.
    pub hook: H,
    /// The kernel's id of the program.
    pub program_id: u32,
}

/// The uplinks of a gateway, examined in its network namespace.
///
/// # Errors
/// [`DatapathError::Net`].
pub(super) fn of(directory: &GatewayDir, meta: &Meta) -> Result<Vec<UplinkStatus>, DatapathError> {
    let examined = netns::run_in(meta.netns, || {
        meta.uplinks.iter().map(|record| examine(directory, meta, record)).collect()
    })?;
    // A network namespace that is gone took its interfaces along.
    examined.unwrap_or_else(|| Ok(meta.uplinks.iter().map(detached).collect()))
}

/// The addresses of the uplinks of a gateway that still exist.
///
/// # Errors
/// [`DatapathError::Net`].
pub(super) fn addresses(meta: &Meta) -> Result<Vec<(String, Vec<IpAddr>)>, DatapathError> {
    let found = netns::run_in(meta.netns, || {
        let mut found = Vec::new();
        for record in &meta.uplinks {
            match interface::by_index(record.ifindex) {
                Ok(uplink) => {
                    let addresses = uplink.addresses.iter().map(IpNet::addr).collect();
                    found.push((uplink.name, addresses));
                }
                Err(NetError::InterfaceMissing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    })?;
    Ok(found.transpose()?.unwrap_or_default())
}

fn examine(
    directory: &GatewayDir,
    meta: &Meta,
    record: &UplinkRecord,
) -> Result<UplinkStatus, DatapathError> {
    let mut status = detached(record);
    let uplink = match interface::by_index(record.ifindex) {
        Ok(uplink) => uplink,
        Err(NetError::InterfaceMissing { .. }) => return Ok(status),
        Err(error) => return Err(error.into()),
    };
    status.name.clone_from(&uplink.name);
    status.present = true;
    status.up = uplink.up;
    for attachment in uplinks::attached(directory, meta, &uplink)? {
        let Some(program_id) = program_id(directory, uplink.index, attachment)? else { continue };
        match attachment.hook() {
            Hook::Ingress => {
                let hook = attachment.ingress_hook();
                status.ingress = status.ingress.or(Some(AttachedProgram { hook, program_id }));
            }
            Hook::Egress => {
                let hook = attachment.tc_means();
                status.egress = status.egress.or(Some(AttachedProgram { hook, program_id }));
            }
        }
    }
    Ok(status)
}

fn program_id(
    directory: &GatewayDir,
    ifindex: u32,
    attachment: Attachment,
) -> Result<Option<u32>, DatapathError> {
    if let Some(path) = directory.link(ifindex, attachment) {
        return Ok(pin::link_state(&path).map(|state| state.program_id));
    }
    let filter = attachment::our_filter(ifindex, attachment.hook())?;
    Ok(filter.and_then(|filter| filter.program_id))
}

fn detached(record: &UplinkRecord) -> UplinkStatus {
    UplinkStatus {
        ifindex: record.ifindex,
        name: record.name.clone(),
        present: false,
        up: false,
        ingress: None,
        egress: None,
    }
}
