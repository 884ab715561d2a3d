//! Ethernet and VLAN tags.

use network_types::{eth::EthHdr, vlan::VlanHdr};

use crate::{
    bytes::PacketBytes,
    config::Config,
    limits::VLAN_TAGS_MAX,
    tuple::{Family, VlanPath},
    verdict::Reason,
    wire::ethernet,
};

/// What the link layer says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The ethertype behind all tags, in host byte order.
    pub ethertype: u16,
    /// Where the network-layer header starts.
    pub network_offset: usize,
    /// The VLAN the frame travels in.
    pub vlan: VlanPath,
}

impl Link {
    /// The IP version that the ethertype announces.
    #[must_use]
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.ethertype == ethernet::IPV4 { Family::Ipv4 } else { Family::Ipv6 }
    }
}

/// Walks the link-layer headers. A VLAN tag hides nothing and tells flows apart, wherever the
/// driver keeps it (E5, E6, E7). Whom a frame is for does not matter: what a switch sent
/// everywhere, or to a group, is judged as any other packet (E12, E13).
///
/// # Errors
///
/// [`Reason::FrameTruncated`] or [`Reason::VlanDepth`].
#[inline(always)]
pub fn parse<B: PacketBytes>(bytes: &B) -> Result<Link, Reason> {
    let mut tags = Tags::default();
    if let Some(tag) = bytes.offloaded_vlan() {
        tags.push(tag)?;
    }
    let mut network_offset = EthHdr::LEN;
    let mut ethertype = read_ethertype(bytes, network_offset)?;
    for _ in 0..=VLAN_TAGS_MAX {
        if !matches!(ethertype, ethernet::VLAN | ethernet::SERVICE_VLAN) {
            return Ok(Link { ethertype, network_offset, vlan: tags.path });
        }
        let tag = bytes.read::<2>(network_offset).ok_or(Reason::FrameTruncated)?;
        tags.push(u16::from_be_bytes(tag))?;
        network_offset += VlanHdr::LEN;
        ethertype = read_ethertype(bytes, network_offset)?;
    }
    Err(Reason::VlanDepth)
}

/// Judges what is not IP by its ethertype alone; `None` means IP, which goes on to the parser. ARP
/// (E2) and link control (E3) keep the link alive; whatever could carry IP unseen stays out (E4).
#[must_use]
#[inline(always)]
pub fn judge(link: &Link, config: &Config) -> Option<Reason> {
    match link.ethertype {
        ethernet::IPV4 | ethernet::IPV6 => None,
        ethernet::ARP => Some(Reason::Arp),
        0..=ethernet::LLC_LENGTH_MAX
        | ethernet::SLOW_PROTOCOLS
        | ethernet::EAPOL
        | ethernet::LLDP => Some(Reason::LinkControl),
        other if config.passes_ethertype(other) => Some(Reason::EthertypeAllowed),
        _ => Some(Reason::EthertypeRefused),
    }
}

/// The tags seen so far, outermost first.
#[derive(Default)]
struct Tags {
    path: VlanPath,
    count: usize,
}

impl Tags {
    #[inline(always)]
    fn push(&mut self, tag: u16) -> Result<(), Reason> {
        self.count += 1;
        // Nobody looks behind a third one (E8).
        if self.count > VLAN_TAGS_MAX {
            return Err(Reason::VlanDepth);
        }
        // VID 0 is a priority tag: the kernel treats the frame as untagged (E9).
        let id = tag & ethernet::VLAN_ID_MASK;
        if self.path.outer == 0 {
            self.path.outer = id;
        } else {
            self.path.inner = id;
        }
        Ok(())
    }
}

/// The ethertype field stands in the last two bytes before the header that it announces, or the
/// frame is too short for any (E1).
#[inline(always)]
fn read_ethertype<B: PacketBytes>(bytes: &B, header_offset: usize) -> Result<u16, Reason> {
    let field = bytes.read::<2>(header_offset - 2).ok_or(Reason::FrameTruncated)?;
    Ok(u16::from_be_bytes(field))
}
