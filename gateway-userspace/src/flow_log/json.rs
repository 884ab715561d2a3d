//! Lines that are JSON objects.

use std::net::IpAddr;

use gateway_common::{
    counter::FlowEvent,
    tuple::{Direction, Family, FlowKey},
    verdict::Reason,
};
use serde::Serialize;

use super::{
    line::FlowReport,
    reject::{Rejected, Sum},
};
use crate::{protocol, view::FlowView};

/// A flow as `flow show` has it, with what is new.
#[derive(Serialize)]
pub(super) struct JsonFlow<'a> {
    event: &'static str,
    interface: &'a str,
    action: &'static str,
    start: u64,
    end: u64,
    #[serde(flatten)]
    total: FlowView,
    packets_out_delta: u64,
    bytes_out_delta: u64,
    packets_in_delta: u64,
    bytes_in_delta: u64,
    end_reason: Option<&'static str>,
}

impl<'a> JsonFlow<'a> {
    pub(super) fn new(report: &FlowReport<'a>) -> Self {
        let [inbound, outbound] = report.deltas;
        let out = (outbound.packets != 0).then(|| report.times(Direction::Outbound));
        let back = (inbound.packets != 0).then(|| report.times(Direction::Inbound));
        let at = report.clock.unix_secs(report.at);
        let times = || [out, back].into_iter().flatten();
        Self {
            event: if report.end.is_some() { "flow-end" } else { "flow" },
            interface: report.interface,
            action: "accept",
            start: times().map(|times| times.0).min().unwrap_or(at),
            end: times().map(|times| times.1).max().unwrap_or(at),
            total: FlowView::new(report.key, report.entry, report.at, report.config),
            packets_out_delta: outbound.packets,
            bytes_out_delta: outbound.bytes,
            packets_in_delta: inbound.packets,
            bytes_in_delta: inbound.bytes,
            end_reason: report.end.map(FlowEvent::name),
        }
    }
}

/// Dropped packets.
#[derive(Serialize)]
pub(super) struct JsonReject<'a> {
    event: &'static str,
    interface: &'a str,
    action: &'static str,
    start: u64,
    end: u64,
    direction: &'static str,
    proto: Option<String>,
    family: Option<&'static str>,
    local: Option<IpAddr>,
    local_port: Option<u16>,
    remote: Option<IpAddr>,
    remote_port: Option<u16>,
    packets: u64,
    bytes: u64,
    reason: Option<&'static str>,
    rule: Option<&'a str>,
}

impl<'a> JsonReject<'a> {
    pub(super) fn new(
        interface: &'a str,
        rejected: &Rejected,
        sum: &Sum,
        rule: Option<&'a str>,
    ) -> Self {
        let key = Some(&rejected.key).filter(|key| key.family != 0);
        let is_ipv4 = |key: &FlowKey| key.family == Family::Ipv4.version();
        Self {
            event: "reject",
            interface,
            action: "reject",
            start: sum.start,
            end: sum.end,
            direction: rejected.direction.name(),
            proto: key.map(|key| protocol::name(key.protocol)),
            family: key.map(|key| if is_ipv4(key) { "ipv4" } else { "ipv6" }),
            local: key.map(|key| key.inside.to_ip()),
            local_port: key.map(|key| key.inside_port),
            remote: key.map(|key| key.outside.to_ip()),
            remote_port: key.map(|key| key.outside_port),
            packets: sum.packets,
            bytes: sum.bytes,
            reason: rejected.reason().map(Reason::name),
            rule,
        }
    }
}

/// A window with nothing to tell, or not everything.
#[derive(Serialize)]
pub(super) struct JsonSilence<'a> {
    pub(super) event: &'static str,
    pub(super) interface: &'a str,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Writes an object as a line.
pub(super) fn write(text: &mut String, value: &impl Serialize) {
    text.push_str(&serde_json::to_string(value).expect("plain data"));
    text.push('\n');
}
