//! What an interface's driver is and can do. Nothing here is an error: a kernel or a driver that
//! does not tell leaves a question open.

use std::{collections::HashSet, io};

use ethtool::{EthtoolAttr, EthtoolFeatureAttr};
use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, Nla,
    NlaBuffer, NlasIterator, Parseable, ParseableParametrized,
};

use super::{rtnetlink::apart, sys};

/// The name of an interface's driver.
pub(crate) fn name(interface: &str) -> Option<String> {
    sys::driver(interface).ok().filter(|name| !name.is_empty())
}

/// What a driver can do for XDP, by the kernel's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpFeatures(pub(crate) u64);

impl XdpFeatures {
    /// Programs run in the driver.
    pub(crate) const fn is_native(self) -> bool {
        self.0 & 1 != 0
    }

    /// Packets may be larger than a page.
    pub(crate) const fn has_fragments(self) -> bool {
        self.0 & 1 << 5 != 0
    }
}

/// What an interface's driver can do for XDP, if the kernel tells (since Linux 6.3).
pub(crate) fn xdp_features(index: u32) -> Option<XdpFeatures> {
    let asked = apart(async || {
        let (connection, mut handle, _) = genetlink::new_connection()?;
        tokio::spawn(connection);
        let question = Device(vec![DefaultNla::new(IFINDEX, index.to_ne_bytes().to_vec())]);
        let mut message = NetlinkMessage::from(GenlMessage::from_payload(question));
        message.header.flags = NLM_F_REQUEST;
        let answers = handle.request(message).await.map_err(io::Error::other)?;
        let answers: Vec<_> = answers.try_collect().await.map_err(io::Error::other)?;
        let features = answers.into_iter().find_map(|answer| {
            let NetlinkPayload::InnerMessage(message) = answer.payload else { return None };
            message.payload.xdp_features()
        });
        Ok(features)
    });
    asked.ok().flatten()
}

/// The attributes of the kernel's `netdev` family.
const IFINDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;

/// A message of the kernel's `netdev` family about an interface.
#[derive(Debug)]
struct Device(Vec<DefaultNla>);

impl Device {
    fn xdp_features(&self) -> Option<XdpFeatures> {
        let found = self.0.iter().find(|attribute| attribute.kind() == XDP_FEATURES)?;
        let mut bits = [0; size_of::<u64>()];
        if found.value_len() != bits.len() {
            return None;
        }
        found.emit_value(&mut bits);
        Some(XdpFeatures(u64::from_ne_bytes(bits)))
    }
}

impl GenlFamily for Device {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        const GET: u8 = 1;
        GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Device {
    fn buffer_len(&self) -> usize {
        self.0.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.0.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Device {
    fn parse_with_param(payload: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let attributes = NlasIterator::new(payload)
            .map(|found: Result<NlaBuffer<_>, _>| DefaultNla::parse(&found?));
        attributes.collect::<Result<_, _>>().map(Self)
    }
}

/// The offloads of an interface that are active and matter to a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches")]
pub(crate) struct Offloads {
    /// Received segments are merged by the kernel.
    pub(crate) gro: bool,
    /// They are merged by the card, which can undo it.
    pub(crate) gro_hw: bool,
    /// They are merged by the card, which cannot.
    pub(crate) lro: bool,
    /// TCP is cut into segments by the card.
    pub(crate) tso: bool,
    /// VLAN tags are taken off by the card.
    pub(crate) rx_vlan: bool,
}

/// The offloads of an interface, if the kernel tells.
pub(crate) fn offloads(interface: &str) -> Option<Offloads> {
    let asked = apart(async || {
        let (connection, mut handle, _) = ethtool::new_connection()?;
        tokio::spawn(connection);
        let answers = handle.feature().get(Some(interface)).execute().await;
        let answers: Vec<_> = answers.map_err(io::Error::other)?.collect().await;
        let mut active = HashSet::new();
        for answer in answers {
            let message = answer.map_err(io::Error::other)?;
            active.extend(message.payload.nlas.into_iter().flat_map(active_features));
        }
        Ok(active)
    });
    asked.ok().map(|active| Offloads {
        gro: active.contains("rx-gro"),
        gro_hw: active.contains("rx-gro-hw"),
        lro: active.contains("rx-lro"),
        tso: active.contains("tx-tcp-segmentation"),
        rx_vlan: active.contains("rx-vlan-hw-parse"),
    })
}

fn active_features(attribute: EthtoolAttr) -> Vec<String> {
    if let EthtoolAttr::Feature(EthtoolFeatureAttr::Active(features)) = attribute {
        features.into_iter().filter(|bit| bit.value).map(|bit| bit.name).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::interface;

    #[test]
    fn the_loopback_device_has_offloads_and_no_native_xdp() {
        let index = interface::find("lo").expect("every network namespace has one").index;
        let features = xdp_features(index).expect("this kernel tells");
        assert!(!features.is_native() && !features.has_fragments(), "{features:?}");
        assert!(offloads("lo").is_some_and(|offloads| offloads.tso && !offloads.lro));
        assert_eq!(name("lo"), None);
    }

    #[test]
    fn what_is_not_there_has_nothing() {
        assert_eq!((xdp_features(u32::MAX), offloads("no-such-device0")), (None, None));
    }
}
