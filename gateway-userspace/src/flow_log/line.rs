//! The text of lines.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::FlowEntry,
    timeouts::Ticks,
    tuple::{Direction, Family, FlowKey},
    verdict::Reason,
};
use network_types::ip::IpProto;

use super::{
    Field,
    baseline::Delta,
    json::{self, JsonFlow, JsonReject, JsonSilence},
    reject::{Rejected, Sum},
};
use crate::settings::{FlowLogFormat, FlowLogSettings};

/// What tells the time of the packet path's ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    at: Ticks,
    unix_ms: u64,
    ticks_per_sec: u32,
}

impl Clock {
    /// It is `at` now.
    pub(super) fn new(at: Ticks, now: SystemTime, config: &Config) -> Self {
        let unix = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Self { at, unix_ms, ticks_per_sec: config.ticks_per_sec.max(1) }
    }

    /// A moment in seconds since 1970.
    pub(super) fn unix_secs(&self, at: Ticks) -> u64 {
        let later_ms = at.since(self.at).to_ms(self.ticks_per_sec);
        let earlier_ms = self.at.since(at).to_ms(self.ticks_per_sec);
        self.unix_ms.saturating_add(later_ms).saturating_sub(earlier_ms) / 1000
    }
}

/// What a window has to tell of a flow.
pub(super) struct FlowReport<'a> {
    pub(super) interface: &'a str,
    pub(super) key: &'a FlowKey,
    pub(super) entry: &'a FlowEntry,
    pub(super) at: Ticks,
    pub(super) config: &'a Config,
    /// What is new, by direction.
    pub(super) deltas: [Delta; 2],
    /// How it ended.
    pub(super) end: Option<FlowEvent>,
    pub(super) clock: &'a Clock,
    /// When the window began.
    pub(super) window_start: u64,
}

impl FlowReport<'_> {
    /// First and last packet of a direction, as far as that is known.
    pub(super) fn times(&self, direction: Direction) -> (u64, u64) {
        let (half, delta) = (self.entry.half(direction), &self.deltas[direction as usize]);
        let created = self.clock.unix_secs(self.entry.created);
        let is_opener = direction == Direction::Outbound;
        let is_from_start = delta.is_first && is_opener;
        let start = if is_from_start { created } else { created.max(self.window_start) };
        if half.seen == Ticks(0) {
            return (start, start);
        }
        let end = self.clock.unix_secs(half.seen).max(created);
        // Its packets may all have come just before the window, after that one was read.
        (start.min(end), end)
    }
}

/// What a line says about log status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// There was no traffic.
    NoData,
    /// Something is missing.
    SkipData,
}

/// Writes lines as the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    settings: FlowLogSettings,
    fields: Vec<Field>,
    version: u8,
}

/// A line's values, `-` where there is none.
struct Values<'a> {
    interface: &'a str,
    parties: Option<(&'a FlowKey, Direction)>,
    packets: Option<(u64, u64)>,
    times: (u64, u64),
    action: &'a str,
    status: &'a str,
    tcp_flags: Option<u8>,
    reason: &'a str,
    rule: &'a str,
    state: &'a str,
    end: &'a str,
}

const NONE: &str = "-";

impl Writer {
    pub(super) fn new(settings: FlowLogSettings) -> Self {
        let fields = settings.fields.clone().unwrap_or_else(|| Field::default_line().to_vec());
        Self { version: Field::version_of(&fields), fields, settings }
    }

    pub(super) const fn settings(&self) -> &FlowLogSettings {
        &self.settings
    }

    const fn is_json(&self) -> bool {
        matches!(self.settings.format, FlowLogFormat::Json)
    }

    /// Whether lines tell why packets were dropped.
    pub(super) fn tells_why(&self) -> bool {
        self.is_json()
            || self.fields.iter().any(|field| matches!(field, Field::Reason | Field::Rule))
    }

    /// The first line of a file; empty if there is none.
    pub(super) fn header(&self) -> String {
        if self.is_json() || self.settings.fields.is_none() {
            return String::new();
        }
        let names: Vec<_> = self.fields.iter().map(|field| field.name()).collect();
        names.join(" ") + "\n"
    }

    /// Writes what a window has to tell of a flow, and returns how many lines that is.
    pub(super) fn flow(&self, text: &mut String, report: &FlowReport<'_>) -> u64 {
        let is_news = report.deltas.iter().any(|delta| delta.packets != 0);
        if self.is_json() {
            if is_news || report.end.is_some() {
                json::write(text, &JsonFlow::new(report));
                return 1;
            }
            return 0;
        }
        let mut lines = 0;
        for direction in [Direction::Outbound, Direction::Inbound] {
            let delta = &report.deltas[direction as usize];
            if delta.packets == 0 {
                continue;
            }
            let is_tcp = report.key.protocol == IpProto::Tcp as u8;
            lines += self.line(
                text,
                &Values {
                    interface: report.interface,
                    parties: Some((report.key, direction)),
                    packets: Some((delta.packets, delta.bytes)),
                    times: report.times(direction),
                    action: "ACCEPT",
                    status: "OK",
                    tcp_flags: is_tcp.then_some(delta.tcp_flags),
                    reason: NONE,
                    rule: NONE,
                    state: report.entry.state(report.key).name(),
                    end: report.end.map_or(NONE, FlowEvent::name),
                },
            );
        }
        lines
    }

    /// Writes what a window has to tell of dropped packets.
    pub(super) fn reject(
        &self,
        text: &mut String,
        interface: &str,
        rejected: &Rejected,
        sum: &Sum,
        rule: Option<&str>,
    ) -> u64 {
        if self.is_json() {
            json::write(text, &JsonReject::new(interface, rejected, sum, rule));
            return 1;
        }
        let is_parsed = rejected.key.family != 0;
        let rule = rule.filter(|rule| !rule.contains(char::is_whitespace));
        self.line(
            text,
            &Values {
                interface,
                parties: is_parsed.then_some((&rejected.key, rejected.direction)),
                packets: Some((sum.packets, sum.bytes)),
                times: (sum.start, sum.end),
                action: "REJECT",
                status: "OK",
                tcp_flags: None,
                reason: rejected.reason().map_or(NONE, Reason::name),
                rule: rule.unwrap_or(NONE),
                state: NONE,
                end: NONE,
            },
        )
    }

    /// Writes that a window has nothing to tell, or not everything.
    pub(super) fn silence(
        &self,
        text: &mut String,
        interface: &str,
        silence: Silence,
        times: (u64, u64),
    ) -> u64 {
        let (status, event) = match silence {
            Silence::NoData => ("NODATA", "no-data"),
            Silence::SkipData => ("SKIPDATA", "skip-data"),
        };
        if self.is_json() {
            json::write(text, &JsonSilence { event, interface, start: times.0, end: times.1 });
            return 1;
        }
        self.line(
            text,
            &Values {
                interface,
                parties: None,
                packets: None,
                times,
                action: NONE,
                status,
                tcp_flags: None,
                reason: NONE,
                rule: NONE,
                state: NONE,
                end: NONE,
            },
        )
    }

    fn line(&self, line: &mut String, values: &Values<'_>) -> u64 {
        for (index, &field) in self.fields.iter().enumerate() {
            if index != 0 {
                line.push(' ');
            }
            self.field(line, field, values);
        }
        line.push('\n');
        1
    }

    fn field(&self, line: &mut String, field: Field, values: &Values<'_>) {
        // Source first.
        let addresses = values.parties.map(|(key, direction)| match direction {
            Direction::Outbound => [key.inside, key.outside],
            Direction::Inbound => [key.outside, key.inside],
        });
        let ports = values.parties.map(|(key, direction)| match direction {
            _ if !has_ports(key.protocol) => [0, 0],
            Direction::Outbound => [key.inside_port, key.outside_port],
            Direction::Inbound => [key.outside_port, key.inside_port],
        });
        let key = values.parties.map(|(key, _)| key);
        let direction = values.parties.map(|(_, direction)| direction);
        match field {
            Field::Version => put(line, Some(self.version)),
            Field::AccountId
            | Field::VpcId
            | Field::SubnetId
            | Field::InstanceId
            | Field::Region
            | Field::AzId
            | Field::SublocationType
            | Field::SublocationId
            | Field::PktSrcAwsService
            | Field::PktDstAwsService => line.push_str(self.settings.constants.get(field)),
            Field::InterfaceId => line.push_str(values.interface),
            Field::SrcAddr | Field::PktSrcAddr => put(line, addresses.map(|it| it[0].to_ip())),
            Field::DstAddr | Field::PktDstAddr => put(line, addresses.map(|it| it[1].to_ip())),
            Field::SrcPort => put(line, ports.map(|it| it[0])),
            Field::DstPort => put(line, ports.map(|it| it[1])),
            Field::Protocol => put(line, key.map(|key| key.protocol)),
            Field::Packets => put(line, values.packets.map(|it| it.0)),
            Field::Bytes => put(line, values.packets.map(|it| it.1)),
            Field::Start => put(line, Some(values.times.0)),
            Field::End => put(line, Some(values.times.1)),
            Field::Action => line.push_str(values.action),
            Field::LogStatus => line.push_str(values.status),
            Field::TcpFlags => put(line, values.tcp_flags),
            Field::Type => put(line, key.map(type_of)),
            Field::FlowDirection => put(
                line,
                direction.map(|direction| match direction {
                    Direction::Inbound => "ingress",
                    Direction::Outbound => "egress",
                }),
            ),
            Field::TrafficPath => {
                let leaves = direction == Some(Direction::Outbound) && values.action == "ACCEPT";
                // Through an internet gateway.
                put(line, leaves.then_some(8));
            }
            Field::Reason => line.push_str(values.reason),
            Field::Rule => line.push_str(values.rule),
            Field::State => line.push_str(values.state),
            Field::EndReason => line.push_str(values.end),
        }
    }
}

fn put(line: &mut String, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => write!(line, "{value}").expect("writing to a string"),
        None => line.push_str(NONE),
    }
}

const fn type_of(key: &FlowKey) -> &'static str {
    if key.family == Family::Ipv4.version() { "IPv4" } else { "IPv6" }
}

fn has_ports(protocol: u8) -> bool {
    [IpProto::Tcp, IpProto::Udp, IpProto::Sctp, IpProto::UdpLite, IpProto::Dccp]
        .iter()
        .any(|with| *with as u8 == protocol)
}
