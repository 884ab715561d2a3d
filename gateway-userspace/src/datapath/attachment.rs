//! The ways in which a program sits on a hook, and the kernel operations for each.
//!
//! XDP and TCX attachments are links: their pin keeps them, and the program in them can be
//! replaced without a gap. `clsact` filters belong to the interface, have a fixed place there,
//! and are replaced in it.

use std::{io, path::Path};

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact},
    xdp,
};
use gateway_common::abi::name;
use nix::net::if_::if_nametoindex;

use super::{
    DatapathError, TcMeans,
    cause::{chain, errno_of},
    hook::IngressHook,
    meta::UplinkRecord,
};
use crate::net::{
    NetError,
    interface::{self, Interface, XdpMode},
    tc::{self, Filter, Hook},
};

/// Our filters' priority on `clsact`: first, because a filter that lets a packet pass keeps
/// later ones from seeing it.
pub(super) const FILTER_PRIORITY: u16 = 1;

/// Our filters' handle within their priority, which others may share.
pub(super) const FILTER_HANDLE: TcHandle = TcHandle::new(0, 0xe16);

/// A way in which a program sits on a hook of an uplink. At most one of each kind is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// The XDP program, native or generic.
    Xdp(XdpMode),
    /// A TC program by TCX.
    Tcx(Hook),
    /// A TC program by a `clsact` filter.
    Clsact(Hook),
}

impl Attachment {
    /// One of each kind of link; ingress comes first.
    pub(super) const LINKS: [Self; 3] =
        [Self::Xdp(XdpMode::Native), Self::Tcx(Hook::Ingress), Self::Tcx(Hook::Egress)];

    /// The end of the link's pin; `None` for what is no link.
    pub(super) const fn link_role(self) -> Option<&'static str> {
        match self {
            Self::Xdp(_) => Some("ingress_xdp"),
            Self::Tcx(Hook::Ingress) => Some("ingress_tcx"),
            Self::Tcx(Hook::Egress) => Some("egress_tcx"),
            Self::Clsact(_) => None,
        }
    }

    /// The hook the program sits on.
    pub(super) const fn hook(self) -> Hook {
        match self {
            Self::Xdp(_) => Hook::Ingress,
            Self::Tcx(hook) | Self::Clsact(hook) => hook,
        }
    }

    /// How users know an ingress attachment.
    pub(super) const fn ingress_hook(self) -> IngressHook {
        match self {
            Self::Xdp(XdpMode::Generic) => IngressHook::XdpGeneric,
            Self::Xdp(XdpMode::Native | XdpMode::Hardware) => IngressHook::XdpNative,
            Self::Tcx(_) => IngressHook::Tc(TcMeans::Tcx),
            Self::Clsact(_) => IngressHook::Tc(TcMeans::Clsact),
        }
    }

    /// How users know a TC attachment.
    pub(super) const fn tc_means(self) -> TcMeans {
        match self {
            Self::Xdp(_) | Self::Tcx(_) => TcMeans::Tcx,
            Self::Clsact(_) => TcMeans::Clsact,
        }
    }
}

/// The TC program for a hook.
pub(super) const fn classifier_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Ingress => name::INGRESS_TC,
        Hook::Egress => name::EGRESS_TC,
    }
}

/// Attaches the XDP program and pins the link.
///
/// # Errors
/// [`DatapathError::ForeignXdp`], [`DatapathError::XdpRefused`] or [`DatapathError::Pin`].
pub(super) fn attach_xdp(
    program: &mut Xdp,
    uplink: &Interface,
    mode: XdpMode,
    pin: &Path,
) -> Result<(), DatapathError> {
    let aya_mode = match mode {
        XdpMode::Generic => xdp::XdpMode::Skb,
        XdpMode::Native | XdpMode::Hardware => xdp::XdpMode::Driver,
    };
    let link = program
        .attach_to_if_index(uplink.index, aya_mode)
        .and_then(|id| program.take_link(id))
        .map_err(|error| xdp_refusal(uplink, mode, &error))?;
    let Ok(link) = FdLink::try_from(link) else {
        // When the kernel refuses a link, aya attaches without one, which cannot be pinned.
        interface::remove_xdp(uplink.index, mode)?;
        let source = io::Error::from_raw_os_error(libc::EINVAL);
        return Err(xdp_refused(uplink, mode, source));
    };
    pin_link(link, pin)
}

/// Replaces the program in a pinned XDP link.
///
/// # Errors
/// [`DatapathError::Program`].
pub(super) fn replace_xdp(program: &mut Xdp, pin: &Path) -> Result<(), DatapathError> {
    let link = open_link(pin).and_then(TryInto::try_into);
    link.map_err(into_program_error)
        .and_then(|link| program.attach_to_link(link).map(drop))
        .map_err(replacing(name::INGRESS_XDP))
}

/// Attaches a TC program by TCX and pins the link.
///
/// # Errors
/// [`DatapathError::TcRefused`] or [`DatapathError::Pin`].
pub(super) fn attach_tcx(
    program: &mut SchedClassifier,
    uplink: &Interface,
    hook: Hook,
    pin: &Path,
) -> Result<(), DatapathError> {
    // First, because a program that lets a packet pass keeps later ones from seeing it.
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let link = program
        .attach_with_options(&uplink.name, attach_type(hook), options)
        .and_then(|id| program.take_link(id))
        .map_err(|error| tc_refused(uplink, hook, TcMeans::Tcx, &error))?;
    let link = FdLink::try_from(link)
        .map_err(|error| tc_refused(uplink, hook, TcMeans::Tcx, &into_program_error(error)))?;
    // Otherwise the link goes, and the program with it.
    ensure_same(uplink, hook, TcMeans::Tcx)?;
    pin_link(link, pin)
}

/// Replaces the program in a pinned TCX link.
///
/// # Errors
/// [`DatapathError::Program`].
pub(super) fn replace_tcx(
    program: &mut SchedClassifier,
    hook: Hook,
    pin: &Path,
) -> Result<(), DatapathError> {
    let link = open_link(pin).and_then(TryInto::try_into);
    link.map_err(into_program_error)
        .and_then(|link| program.attach_to_link(link).map(drop))
        .map_err(replacing(classifier_name(hook)))
}

/// Adds the `clsact` queueing discipline.
///
/// # Errors
/// [`DatapathError::TcRefused`].
pub(super) fn add_clsact(uplink: &Interface, hook: Hook) -> Result<(), DatapathError> {
    qdisc_add_clsact(&uplink.name)
        .map_err(|error| tc_refused(uplink, hook, TcMeans::Clsact, &error.into()))?;
    ensure_same(uplink, hook, TcMeans::Clsact).inspect_err(|_| {
        // Only what was not there before is added.
        if let Ok(other) = if_nametoindex(uplink.name.as_str()) {
            drop(remove_clsact_if_unused(other));
        }
    })
}

/// Attaches a TC program by a `clsact` filter, which stays when this process ends.
///
/// # Errors
/// [`DatapathError::TcRefused`].
pub(super) fn attach_filter(
    program: &mut SchedClassifier,
    uplink: &Interface,
    hook: Hook,
) -> Result<(), DatapathError> {
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: FILTER_PRIORITY,
        handle: FILTER_HANDLE,
        classid: None,
    });
    let attached = program.attach_with_options(&uplink.name, attach_type(hook), options);
    let link = attached
        .and_then(|id| program.take_link(id))
        .map_err(|error| tc_refused(uplink, hook, TcMeans::Clsact, &error))?;
    ensure_same(uplink, hook, TcMeans::Clsact)?;
    // Dropping the link would remove the filter.
    std::mem::forget(link);
    Ok(())
}

/// Replaces the program in our `clsact` filter.
///
/// # Errors
/// [`DatapathError::TcRefused`].
pub(super) fn replace_filter(
    program: &mut SchedClassifier,
    uplink: &Interface,
    hook: Hook,
) -> Result<(), DatapathError> {
    let link = SchedClassifierLink::attached(
        &uplink.name,
        attach_type(hook),
        FILTER_PRIORITY,
        FILTER_HANDLE,
        None,
    );
    let link = link
        .map_err(ProgramError::from)
        .and_then(|link| program.attach_to_link(link))
        .and_then(|id| program.take_link(id))
        .map_err(|error| tc_refused(uplink, hook, TcMeans::Clsact, &error))?;
    ensure_same(uplink, hook, TcMeans::Clsact)?;
    // Dropping the link would remove the filter.
    std::mem::forget(link);
    Ok(())
}

/// The `clsact` filter in our place on a hook.
///
/// # Errors
/// [`NetError::Netlink`].
pub(super) fn our_filter(ifindex: u32, hook: Hook) -> Result<Option<Filter>, NetError> {
    let filters = tc::filters(ifindex, hook)?;
    Ok(filters.into_iter().find(|filter| {
        filter.priority == FILTER_PRIORITY && filter.handle == u32::from(FILTER_HANDLE)
    }))
}

/// Removes our `clsact` filter from a hook. That there is none is no error.
///
/// # Errors
/// [`NetError::Netlink`].
pub(super) fn remove_filter(ifindex: u32, hook: Hook) -> Result<(), NetError> {
    tc::remove_filter(ifindex, hook, FILTER_PRIORITY, FILTER_HANDLE.into())
}

/// Removes the `clsact` queueing discipline unless somebody else uses it.
///
/// # Errors
/// [`NetError::Netlink`].
pub(super) fn remove_clsact_if_unused(ifindex: u32) -> Result<(), NetError> {
    for hook in [Hook::Ingress, Hook::Egress] {
        if !tc::filters(ifindex, hook)?.is_empty() {
            return Ok(());
        }
    }
    match tc::ingress_qdisc(ifindex)?.as_deref() {
        Some(tc::CLSACT) => tc::remove_clsact(ifindex),
        Some(_) | None => Ok(()),
    }
}

/// Removes everything of ours from an interface's `clsact`, as far as it is on record.
///
/// # Errors
/// [`NetError::Netlink`].
pub(super) fn remove_all_filters(record: &UplinkRecord) -> Result<(), NetError> {
    for hook in [Hook::Ingress, Hook::Egress] {
        if record.may_have_filter(hook) {
            remove_filter(record.ifindex, hook)?;
        }
    }
    if record.clsact_added {
        remove_clsact_if_unused(record.ifindex)?;
    }
    Ok(())
}

/// The program's id and name, for people.
pub(super) fn describe_program(id: u32) -> String {
    let named = loaded_programs().flatten().find(|program| program.id() == id);
    match named.as_ref().and_then(|program| program.name_as_str()) {
        Some(name) if !name.is_empty() => format!("{id} ({name})"),
        Some(_) | None => id.to_string(),
    }
}

/// Makes sure that an uplink still has its name, by which aya finds it: what was put on another
/// interface, which got the name meanwhile, would stay there, since records go by indices.
fn ensure_same(uplink: &Interface, hook: Hook, means: TcMeans) -> Result<(), DatapathError> {
    if if_nametoindex(uplink.name.as_str()).is_ok_and(|index| index == uplink.index) {
        return Ok(());
    }
    let source = io::Error::other(
        "it was removed, renamed or replaced by another interface meanwhile; try again",
    );
    let interface = uplink.name.clone();
    Err(DatapathError::TcRefused { interface, hook: hook.name(), means: means.name(), source })
}

fn pin_link(link: FdLink, path: &Path) -> Result<(), DatapathError> {
    link.pin(path).map(drop).map_err(|source| DatapathError::Pin { path: path.to_owned(), source })
}

fn open_link(pin: &Path) -> Result<FdLink, LinkError> {
    PinnedLink::from_pin(pin).map(FdLink::from)
}

const fn attach_type(hook: Hook) -> TcAttachType {
    match hook {
        Hook::Ingress => TcAttachType::Ingress,
        Hook::Egress => TcAttachType::Egress,
    }
}

/// An XDP program in either mode keeps a link from being attached: in the same mode the kernel
/// says that it is busy, in the other that something exists.
fn xdp_refusal(uplink: &Interface, mode: XdpMode, error: &ProgramError) -> DatapathError {
    let errno = errno_of(error);
    if matches!(errno, Some(libc::EBUSY | libc::EEXIST)) {
        let there = interface::by_index(uplink.index).ok();
        let id = there.and_then(|uplink| uplink.xdp.first().map(|xdp| xdp.program_id));
        return DatapathError::ForeignXdp {
            interface: uplink.name.clone(),
            program: id
                .map_or_else(|| "of another interface below or above".to_owned(), describe_program),
        };
    }
    xdp_refused(uplink, mode, io_error(errno, error))
}

fn xdp_refused(uplink: &Interface, mode: XdpMode, source: io::Error) -> DatapathError {
    DatapathError::XdpRefused { interface: uplink.name.clone(), mode: mode.name(), source }
}

fn tc_refused(
    uplink: &Interface,
    hook: Hook,
    means: TcMeans,
    error: &ProgramError,
) -> DatapathError {
    DatapathError::TcRefused {
        interface: uplink.name.clone(),
        hook: hook.name(),
        means: means.name(),
        source: io_error(errno_of_tc(error), error),
    }
}

/// aya hides the error numbers of netlink behind a method of its own.
fn errno_of_tc(error: &ProgramError) -> Option<i32> {
    if let ProgramError::TcError(TcError::NetlinkError(netlink)) = error {
        netlink.raw_os_error()
    } else {
        errno_of(error)
    }
}

fn io_error(errno: Option<i32>, error: &ProgramError) -> io::Error {
    errno.map_or_else(|| io::Error::other(chain(error)), io::Error::from_raw_os_error)
}

fn into_program_error(error: LinkError) -> ProgramError {
    match error {
        LinkError::SyscallError(error) => error.into(),
        LinkError::InvalidLink | LinkError::UnknownLinkType(_) => {
            ProgramError::UnexpectedProgramType
        }
    }
}

fn replacing(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |source| DatapathError::Program { action: "replacing the attached", program, source }
}
