//! Network interfaces.

use std::io;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use nix::{errno::Errno, libc};
use rtnetlink::{
    Handle,
    packet_route::{
        address::{AddressAttribute, AddressMessage},
        link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp},
    },
};

use super::{NetError, rtnetlink::ask};

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// In the network card.
    Hardware,
}

impl XdpMode {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
        }
    }
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's id of the program.
    pub program_id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// A network interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface's index, unique in its network namespace while it exists.
    pub index: u32,
    /// Its name, which may change.
    pub name: String,
    /// The largest packet it carries, in bytes, without the link-layer header.
    pub mtu: u32,
    /// The kernel's `ARPHRD_*` number of the link layer.
    pub link_type: u16,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<IpNet>,
    /// The XDP programs on it, at most one per mode.
    pub xdp: Vec<AttachedXdp>,
}

impl Interface {
    /// Makes sure the gateway can read the interface's frames.
    ///
    /// # Errors
    /// [`NetError::NotEthernet`] or [`NetError::Loopback`].
    pub fn ensure_ethernet(&self) -> Result<(), NetError> {
        let name = self.name.clone();
        match self.link_type {
            libc::ARPHRD_ETHER => Ok(()),
            libc::ARPHRD_LOOPBACK => Err(NetError::Loopback { name }),
            link_type => Err(NetError::NotEthernet { name, link_type }),
        }
    }

    /// Whether it is the loopback device.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.link_type == libc::ARPHRD_LOOPBACK
    }

    /// The mode in which this program runs on the interface, if it does as an XDP program.
    #[must_use]
    pub fn xdp_mode_of(&self, program_id: u32) -> Option<XdpMode> {
        self.xdp.iter().find(|xdp| xdp.program_id == program_id).map(|xdp| xdp.mode)
    }
}

/// Looks an interface up by name, in this thread's network namespace.
///
/// # Errors
/// [`NetError::InterfaceMissing`] or [`NetError::Netlink`].
pub fn find(name: &str) -> Result<Interface, NetError> {
    // The kernel takes any name here and answers a too long one with a range error.
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(NetError::InterfaceMissing { name: name.to_owned() });
    }
    look_up(name, async |handle: &Handle| {
        handle.link().get().match_name(name).execute().try_next().await
    })
}

/// Looks an interface up by index, in this thread's network namespace.
///
/// # Errors
/// [`NetError::InterfaceMissing`] or [`NetError::Netlink`].
pub fn by_index(index: u32) -> Result<Interface, NetError> {
    look_up(&format!("#{index}"), async |handle: &Handle| {
        handle.link().get().match_index(index).execute().try_next().await
    })
}

/// Removes the XDP program that was attached in `mode` without a link.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn remove_xdp(index: u32, mode: XdpMode) -> Result<(), NetError> {
    // The kernel's numbers, from `if_link.h`.
    let flag = match mode {
        XdpMode::Generic => 1 << 1,
        XdpMode::Native => 1 << 2,
        XdpMode::Hardware => 1 << 3,
    };
    ask(format!("removing XDP from interface #{index}"), async |handle: Handle| {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes = vec![LinkAttribute::Xdp(vec![LinkXdp::Fd(-1), LinkXdp::Flags(flag)])];
        handle.link().set(link).execute().await
    })
}

fn look_up<F>(name: &str, get: F) -> Result<Interface, NetError>
where
    F: AsyncFnOnce(&Handle) -> Result<Option<LinkMessage>, rtnetlink::Error> + Send,
{
    let action = format!("looking up interface {name}");
    let found = ask(action.clone(), async |handle: Handle| {
        let Some(link) = get(&handle).await? else { return Ok(None) };
        let mut addresses =
            handle.address().get().set_link_index_filter(link.header.index).execute();
        let mut interface = from_message(&link);
        while let Some(address) = addresses.try_next().await? {
            interface.addresses.extend(address_of(&address));
        }
        Ok(Some(interface))
    });
    match found {
        Ok(Some(interface)) => Ok(interface),
        Ok(None) => {
            Err(NetError::Netlink { action, source: io::Error::other("the kernel did not answer") })
        }
        Err(NetError::Netlink { source, .. })
            if source.raw_os_error() == Some(Errno::ENODEV as i32) =>
        {
            Err(NetError::InterfaceMissing { name: name.to_owned() })
        }
        Err(error) => Err(error),
    }
}

pub(super) fn from_message(link: &LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        name: String::new(),
        mtu: 0,
        link_type: u16::from(link.header.link_layer_type),
        up: link.header.flags.contains(LinkFlags::Up),
        addresses: Vec::new(),
        xdp: Vec::new(),
    };
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            interface.name.clone_from(name);
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            interface.mtu = *mtu;
        } else if let LinkAttribute::Xdp(attributes) = attribute {
            interface.xdp = attached_xdp(attributes);
        }
    }
    interface
}

/// The kernel names the mode and the program when there is one program, and one attribute per
/// mode when there are several; the latter are there in both cases.
fn attached_xdp(attributes: &[LinkXdp]) -> Vec<AttachedXdp> {
    let mut found = Vec::new();
    for attribute in attributes {
        let (program_id, mode) = if let LinkXdp::DrvProgId(id) = attribute {
            (*id, XdpMode::Native)
        } else if let LinkXdp::SkbProgId(id) = attribute {
            (*id, XdpMode::Generic)
        } else if let LinkXdp::HwProgId(id) = attribute {
            (*id, XdpMode::Hardware)
        } else {
            continue;
        };
        found.push(AttachedXdp { program_id, mode });
    }
    found
}

fn address_of(message: &AddressMessage) -> Option<IpNet> {
    // On point-to-point links `Address` is the peer's and `Local` is ours.
    let local = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Local(address) = attribute { Some(*address) } else { None }
    });
    let address = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Address(address) = attribute { Some(*address) } else { None }
    });
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::XdpAttached;

    use super::*;

    #[test]
    fn only_ethernet_devices_are_uplinks() {
        let interface = |link_type| Interface {
            index: 7,
            name: "up0".to_owned(),
            mtu: 1500,
            link_type,
            up: true,
            addresses: Vec::new(),
            xdp: Vec::new(),
        };
        assert!(interface(libc::ARPHRD_ETHER).ensure_ethernet().is_ok());
        let refusal = |link_type| interface(link_type).ensure_ethernet().unwrap_err().to_string();
        assert!(refusal(libc::ARPHRD_LOOPBACK).contains("loopback"));
        assert!(refusal(libc::ARPHRD_NONE).contains("up0 is not an Ethernet device"));
    }

    #[test]
    fn attached_programs_are_read_in_every_mode() {
        assert_eq!(attached_xdp(&[LinkXdp::Attached(XdpAttached::None)]), []);
        assert_eq!(
            attached_xdp(&[
                LinkXdp::Attached(XdpAttached::Driver),
                LinkXdp::ProgId(5),
                LinkXdp::DrvProgId(5)
            ]),
            [AttachedXdp { program_id: 5, mode: XdpMode::Native }]
        );
        assert_eq!(
            attached_xdp(&[
                LinkXdp::Attached(XdpAttached::Multiple),
                LinkXdp::SkbProgId(6),
                LinkXdp::HwProgId(7)
            ]),
            [
                AttachedXdp { program_id: 6, mode: XdpMode::Generic },
                AttachedXdp { program_id: 7, mode: XdpMode::Hardware }
            ]
        );
    }

    #[test]
    fn the_loopback_device_is_found_and_others_are_missing() {
        let loopback = find("lo").expect("every network namespace has one");
        assert_eq!(loopback.link_type, libc::ARPHRD_LOOPBACK);
        assert_eq!(by_index(loopback.index).expect("the same").name, "lo");
        for name in ["", "no-such-device0", "a-name-too-long-for-linux"] {
            let error = find(name).unwrap_err();
            assert!(matches!(error, NetError::InterfaceMissing { .. }), "{name}: {error}");
        }
    }
}
