//! Lines about what happens now. Nobody knows how wide the next ones will be, so columns have the
//! width of what is usual, and what is wider shifts its line.

use std::{fmt::Write as _, net::IpAddr};

use jiff::{Timestamp, tz::TimeZone};

use super::flow::vlan;
use crate::{
    output::units::{duration, endpoint, plural},
    view::{FlowEventView, MissingView, PacketView, RuleRefView},
};

/// The widths of a packet's columns; the last one has what it needs.
const PACKET_WIDTHS: [usize; 8] = [12, 3, 8, 7, 20, 7, 47, 6];
/// The widths of a flow event's columns.
const FLOW_EVENT_WIDTHS: [usize; 6] = [12, 9, 7, 25, 25, 4];

/// What stands above packets.
pub(in super::super) fn packet_headings() -> String {
    line(
        PACKET_WIDTHS,
        ["TIME", "DIR", "UPLINK", "VERDICT", "REASON", "PROTO", "PACKET", "BYTES"],
        "DETAILS",
    )
}

/// What stands above flow events.
pub(in super::super) fn flow_event_headings() -> String {
    line(
        FLOW_EVENT_WIDTHS,
        ["TIME", "EVENT", "PROTO", "LOCAL", "REMOTE", "VLAN"],
        "STATE        PACKETS-OUT  BYTES-OUT  PACKETS-IN  BYTES-IN  AGE",
    )
}

pub(super) fn packet(view: &PacketView) -> String {
    packet_in(view, &TimeZone::system())
}

pub(super) fn flow_event(view: &FlowEventView) -> String {
    flow_event_in(view, &TimeZone::system())
}

pub(super) fn missing(view: &MissingView) -> String {
    let MissingView { reported, limited, lost, .. } = view;
    format!("reported {reported}, beyond the limit {limited}, lost {lost}\n")
}

fn packet_in(view: &PacketView, zone: &TimeZone) -> String {
    let ends = [(view.source, view.source_port), (view.destination, view.destination_port)]
        .map(|(address, port)| end(address, port));
    let [source, destination] = ends;
    line(
        PACKET_WIDTHS,
        [
            &clock(view.time, zone),
            view.direction,
            &view.uplink,
            view.verdict,
            view.reason,
            view.proto.as_deref().unwrap_or("-"),
            &format!("{source} > {destination}"),
            &view.bytes.to_string(),
        ],
        &details(view),
    )
}

fn flow_event_in(view: &FlowEventView, zone: &TimeZone) -> String {
    let flow = &view.flow;
    let counts = format!(
        "{:<11}  {:>11}  {:>9}  {:>10}  {:>8}  {}",
        flow.state,
        flow.packets_out,
        flow.bytes_out,
        flow.packets_in,
        flow.bytes_in,
        duration(flow.age_ms)
    );
    line(
        FLOW_EVENT_WIDTHS,
        [
            &clock(view.time, zone),
            view.event,
            &flow.proto,
            &endpoint(flow.local, flow.local_port),
            &endpoint(flow.remote, flow.remote_port),
            &vlan(flow),
        ],
        &counts,
    )
}

/// What only some packets have.
fn details(view: &PacketView) -> String {
    let mut details = Vec::new();
    if let Some(flags) = &view.tcp_flags {
        details.push(if flags.is_empty() { "no flags".to_owned() } else { flags.join(",") });
    }
    if let (Some(kind), Some(code)) = (view.icmp_type, view.icmp_code) {
        details.push(format!("type {kind} code {code}"));
    }
    if let Some(vlan) = view.vlan {
        details.push(format!("vlan {vlan}"));
    }
    if view.packets != 1 {
        let packets = plural(view.packets as usize, "packet", "packets");
        details.push(format!("{} {packets}", view.packets));
    }
    if let Some(RuleRefView { number, name }) = &view.rule {
        let name = name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        details.push(format!("rule {number}{name}"));
    }
    if let Some(subnet) = &view.subnet {
        details.push(format!("subnet {subnet}"));
    }
    details.join("; ")
}

fn end(address: Option<IpAddr>, port: Option<u16>) -> String {
    address.map_or_else(|| "-".to_owned(), |address| endpoint(address, port.unwrap_or_default()))
}

fn clock(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string()
}

fn line<const N: usize>(widths: [usize; N], cells: [&str; N], rest: &str) -> String {
    let mut line = String::new();
    for (cell, width) in cells.into_iter().zip(widths) {
        // Writing to a string cannot fail.
        _ = write!(line, "{cell:<width$}  ");
    }
    line.push_str(rest);
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use gateway_common::verdict::Reason;

    use super::*;
    use crate::{
        output::plain::flow,
        view::packet_tests::{syn, view},
    };

    #[test]
    fn packets_stand_in_columns() {
        let denied = view(&syn(Reason::RuleDenied));
        let refused = PacketView {
            proto: None,
            source: None,
            source_port: None,
            destination: None,
            destination_port: None,
            tcp_flags: None,
            packets: 3,
            reason: "ethertype",
            rule: None,
            subnet: None,
            ..denied.clone()
        };
        let ping = PacketView {
            tcp_flags: None,
            icmp_type: Some(8),
            icmp_code: Some(0),
            vlan: Some(7),
            rule: Some(RuleRefView { number: 9, name: None }),
            ..denied.clone()
        };
        let lines = [denied, refused, ping].map(|view| packet_in(&view, &TimeZone::UTC));
        let expected = "\
TIME          DIR  UPLINK    VERDICT  REASON                PROTO    PACKET                                           BYTES   DETAILS
12:00:00.004  in   eth0      drop     rule-denied           tcp      198.51.100.7:40000 > 192.0.2.1:22                40      syn; rule 2 ssh; subnet lan
12:00:00.004  in   eth0      drop     ethertype             -        - > -                                            40      3 packets
12:00:00.004  in   eth0      drop     rule-denied           tcp      198.51.100.7:40000 > 192.0.2.1:22                40      type 8 code 0; vlan 7; rule 9; subnet lan
";
        assert_eq!(packet_headings() + &lines.concat(), expected);
    }

    #[test]
    fn flow_events_stand_in_columns() {
        let time = "2026-11-22T12:00:00Z".parse().expect("a time");
        let event = FlowEventView { time, event: "closed", flow: flow::tests::tcp() };
        let expected = "\
TIME          EVENT      PROTO    LOCAL                      REMOTE                     VLAN  STATE        PACKETS-OUT  BYTES-OUT  PACKETS-IN  BYTES-IN  AGE
12:00:00.000  closed     tcp      [2a00:1::5]:40000          [2a00:2::1]:443            -     established            3        222           2       150  1.2s
";
        assert_eq!(flow_event_headings() + &flow_event_in(&event, &TimeZone::UTC), expected);
    }
}
