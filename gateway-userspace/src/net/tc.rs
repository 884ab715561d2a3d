//! The `clsact` queueing discipline and the filters on it: where TC programs attach on kernels
//! without TCX.

use futures_util::{StreamExt, TryStreamExt};
use nix::errno::Errno;
use rtnetlink::{
    Error, Handle,
    packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
    },
};

use super::{NetError, rtnetlink::ask};

/// Which of the two hooks of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Packets that the interface received.
    Ingress,
    /// Packets that the interface is about to send.
    Egress,
}

impl Hook {
    /// The name used in output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    const fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Ingress => TcHandle::MIN_INGRESS,
            Self::Egress => TcHandle::MIN_EGRESS,
        };
        TcHandle { major: TcHandle::CLSACT.major, minor }
    }
}

/// A BPF filter on a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Lower numbers run first.
    pub(crate) priority: u16,
    /// Tells the filters of one priority apart.
    pub(crate) handle: u32,
    /// The program that runs, if it is a BPF filter.
    pub(crate) program_id: Option<u32>,
}

/// The kind of the queueing discipline that TC programs need.
pub(crate) const CLSACT: &str = "clsact";

/// The kind of queueing discipline at the interface's ingress: `clsact`, `ingress` or none.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn ingress_qdisc(index: u32) -> Result<Option<String>, NetError> {
    ask(
        format!("listing the queueing disciplines of interface #{index}"),
        async |handle: Handle| {
            let mut qdiscs = handle.qdisc().get().execute();
            let mut found = None;
            while let Some(qdisc) = qdiscs.try_next().await? {
                if u32::try_from(qdisc.header.index) == Ok(index)
                    && qdisc.header.parent == TcHandle::CLSACT
                {
                    found = kind_of(&qdisc);
                }
            }
            Ok(found)
        },
    )
}

/// Removes the `clsact` queueing discipline with everything on it. That it is gone already is
/// no error.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn remove_clsact(index: u32) -> Result<(), NetError> {
    let removed =
        ask(format!("removing clsact from interface #{index}"), async |handle: Handle| {
            let mut request = handle.qdisc().del(as_signed(index));
            let header = &mut request.message_mut().header;
            header.parent = TcHandle::CLSACT;
            header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
            request.execute().await
        });
    unless_gone(removed)
}

/// The filters of one hook. Filters of other kinds than BPF are in the list without a program.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn filters(index: u32, hook: Hook) -> Result<Vec<Filter>, NetError> {
    let action = format!("listing the {} filters of interface #{index}", hook.name());
    let listed = ask(action, async |handle: Handle| {
        let request = handle.traffic_filter(as_signed(index)).get();
        let mut messages = match hook {
            Hook::Ingress => request.ingress(),
            Hook::Egress => request.egress(),
        }
        .execute();
        let mut found = Vec::new();
        while let Some(message) = messages.try_next().await? {
            found.push(filter_of(&message));
        }
        Ok(found)
    });
    match listed {
        Err(NetError::Netlink { source, .. }) if is_gone(&source) => Ok(Vec::new()),
        other => other,
    }
}

/// Removes a filter. That it, or its interface, is gone already is no error.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn remove_filter(
    index: u32,
    hook: Hook,
    priority: u16,
    filter_handle: u32,
) -> Result<(), NetError> {
    let action = format!("removing the {} filter of interface #{index}", hook.name());
    let removed = ask(action, async |mut handle: Handle| {
        let mut filter = TcMessage::with_index(as_signed(index));
        filter.header.parent = hook.parent();
        filter.header.handle = filter_handle.into();
        filter.header.info = u32::from(priority) << 16 | u32::from(ALL_PROTOCOLS.to_be());
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelTrafficFilter(filter));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut answers = handle.request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(Error::NetlinkError(error));
            }
        }
        Ok(())
    });
    unless_gone(removed)
}

/// `ETH_P_ALL`: our filters see every frame.
const ALL_PROTOCOLS: u16 = 3;

fn filter_of(message: &TcMessage) -> Filter {
    let mut filter = Filter {
        priority: (message.header.info >> 16) as u16,
        handle: message.header.handle.into(),
        program_id: None,
    };
    for attribute in &message.attributes {
        let TcAttribute::Options(options) = attribute else { continue };
        for option in options {
            if let TcOption::Bpf(TcFilterBpfOption::ProgId(id)) = option {
                filter.program_id = Some(*id);
            }
        }
    }
    filter
}

fn kind_of(message: &TcMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| {
        if let TcAttribute::Kind(kind) = attribute { Some(kind.clone()) } else { None }
    })
}

fn unless_gone(result: Result<(), NetError>) -> Result<(), NetError> {
    match result {
        Err(NetError::Netlink { source, .. }) if is_gone(&source) => Ok(()),
        other => other,
    }
}

/// How the kernel says that an interface, its `clsact` or a filter does not exist.
fn is_gone(error: &std::io::Error) -> bool {
    [Errno::ENODEV, Errno::ENOENT, Errno::EINVAL]
        .iter()
        .any(|&errno| error.raw_os_error() == Some(errno as i32))
}

/// Interface indices are positive and fit; TC messages carry them signed.
fn as_signed(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
