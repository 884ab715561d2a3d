//! Sequences for people to read.
//!
//! Numbers are given relative to each side's first sequence number, called `I` inside and `O`
//! outside, since the absolute ones mean nothing to anybody.

use std::fmt::Write as _;

use gateway_common::tuple::{Direction, Family};
use tests::packet::flag;

use crate::option::TcpOption;
use crate::step::{
    Checksum, Content, IcmpError, Outside, Query, QueryKind, Segment, Sequence, Shift, Step,
};

/// The flags by their letters' names, in the order of their bits.
const FLAGS: [(u16, &str); 9] = [
    (flag::SYN, "SYN"),
    (flag::FIN, "FIN"),
    (flag::RST, "RST"),
    (flag::PSH, "PSH"),
    (flag::ACK, "ACK"),
    (flag::URG, "URG"),
    (flag::ECE, "ECE"),
    (flag::CWR, "CWR"),
    (flag::AE, "AE"),
];

/// What numbers are relative to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origins {
    inside: u32,
    outside: u32,
}

impl Origins {
    /// Those of a sequence: the first number that each side uses, or that the other
    /// acknowledges.
    pub(crate) fn of(sequence: &Sequence) -> Self {
        let segments =
            || sequence.steps.iter().filter_map(|it| Some((it.direction, it.segment()?)));
        let first = |direction| {
            let own = segments().find(|(sent, _)| *sent == direction).map(|(_, it)| it.sequence);
            let other = || {
                let acks = segments().filter(|(sent, it)| *sent != direction && it.has(flag::ACK));
                acks.map(|(_, it)| it.acknowledgment).next()
            };
            own.or_else(other).unwrap_or(0)
        };
        Self { inside: first(Direction::Outbound), outside: first(Direction::Inbound) }
    }

    fn number(self, direction: Direction, number: u32) -> String {
        let (name, origin) = match direction {
            Direction::Outbound => ('I', self.inside),
            Direction::Inbound => ('O', self.outside),
        };
        match number.wrapping_sub(origin).cast_signed() {
            0 => name.to_string(),
            distance => format!("{name}{distance:+}"),
        }
    }
}

/// One step in one line.
pub(crate) fn step(step: &Step, origins: Origins) -> String {
    let mut text = format!("{:3} {}", step.direction.name(), content(step, origins));
    if step.outside == Outside::Stranger {
        text += ", the stranger";
    }
    let Shift { inside, outside } = step.shift;
    if inside != 0 {
        text += ", another inside port";
    }
    if outside != 0 {
        text += ", another outside port";
    }
    match &step.mutation {
        Some(mutation) => write!(text, "  ({}; changed: {})", step.label, mutation.name),
        None => write!(text, "  ({})", step.label),
    }
    .expect("writing to a string");
    text
}

/// The family's name.
pub(crate) const fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn content(step: &Step, origins: Origins) -> String {
    match &step.content {
        Content::Tcp(it) => segment(it, step.direction, origins),
        Content::Udp(it) => {
            let claimed =
                it.claimed_len.map_or(String::new(), |len| format!(", length field {len}"));
            format!("UDP {} bytes{claimed}{}", it.payload_len, checksum(it.checksum))
        }
        Content::Query(it) => query(it),
        Content::Error(it) => icmp_error(it, origins),
    }
}

fn segment(segment: &Segment, direction: Direction, origins: Origins) -> String {
    let named: Vec<_> =
        FLAGS.iter().filter(|(bit, _)| segment.has(*bit)).map(|(_, name)| *name).collect();
    let known = FLAGS.iter().fold(0, |bits, (bit, _)| bits | bit);
    let mut text = if named.is_empty() { "no flags".to_owned() } else { named.join("|") };
    if segment.flags & !known != 0 {
        text += "|reserved";
    }
    let mut put = |what: std::fmt::Arguments<'_>| {
        text.write_fmt(what).expect("writing to a string");
    };
    put(format_args!(" seq {}", origins.number(direction, segment.sequence)));
    if segment.has(flag::ACK) {
        let other = crate::step::opposite(direction);
        put(format_args!(" ack {}", origins.number(other, segment.acknowledgment)));
    } else if segment.acknowledgment != 0 {
        put(format_args!(" ack field {:#x}", segment.acknowledgment));
    }
    put(format_args!(" win {}", segment.window));
    if segment.payload_len > 0 {
        put(format_args!(" len {}", segment.payload_len));
    }
    if !segment.options.is_empty() {
        let other = crate::step::opposite(direction);
        let options: Vec<_> =
            segment.options.iter().map(|it| option(*it, other, origins)).collect();
        put(format_args!(" [{}]", options.join(", ")));
    }
    if let Some(words) = segment.claimed_words {
        put(format_args!(", header length {}", 4 * words));
    }
    put(format_args!("{}", checksum(segment.checksum)));
    text
}

fn option(option: TcpOption, acknowledged: Direction, origins: Origins) -> String {
    match option {
        TcpOption::SegmentSize(size) => format!("mss {size}"),
        TcpOption::Scale(shift) => format!("scale {shift}"),
        TcpOption::SackPermitted => "sack-permitted".to_owned(),
        TcpOption::Sack { left, right } => format!(
            "sack {}–{}",
            origins.number(acknowledged, left),
            origins.number(acknowledged, right)
        ),
        TcpOption::Timestamps => "timestamps".to_owned(),
        TcpOption::Unknown => "unknown option".to_owned(),
        TcpOption::Endless => "option of length 0".to_owned(),
        TcpOption::TooLong => "option beyond the header".to_owned(),
    }
}

fn query(query: &Query) -> String {
    let kind = match query.kind {
        QueryKind::EchoRequest => "echo request".to_owned(),
        QueryKind::EchoReply => "echo reply".to_owned(),
        QueryKind::Other(kind) => format!("ICMP type {kind}"),
    };
    let code = if query.code == 0 { String::new() } else { format!(" code {}", query.code) };
    format!("{kind}{code} {}{}", query.sequence, checksum(query.checksum))
}

fn icmp_error(error: &IcmpError, origins: Origins) -> String {
    let IcmpError { kind, code, value, quoted, quoted_len } = error;
    format!(
        "ICMP error {kind}/{code} ({value}) about {quoted_len} bytes of «{}»",
        step(quoted, origins)
    )
}

const fn checksum(checksum: Checksum) -> &'static str {
    match checksum {
        Checksum::Right => "",
        Checksum::Wrong => ", wrong checksum",
        Checksum::Absent => ", no checksum",
    }
}
