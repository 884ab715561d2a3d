//! Values on the command line, judged by the same rules as in the configuration.

use ipnet::IpNet;

use crate::{
    datapath::GatewayName,
    protocol,
    settings::{check_interface_name, prefix},
};

pub(super) fn gateway_name(text: &str) -> Result<GatewayName, String> {
    GatewayName::new(text).map_err(|error| error.to_string())
}

pub(super) fn interface(text: &str) -> Result<String, String> {
    check_interface_name(text).map(|()| text.to_owned())
}

pub(super) fn protocol_number(text: &str) -> Result<u8, String> {
    protocol::parse(text)
}

pub(super) fn address_prefix(text: &str) -> Result<IpNet, String> {
    prefix::parse(text)
}
