//! `eigw why`: what the gateway does with a packet, and why.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use gateway_common::{tables::Table, tuple::Direction, wire::tcp::flag};

use super::{Context, Failure, Result, select, values};
use crate::{
    datapath::{DatapathError, GatewayName},
    policy::CompiledPolicy,
    settings::{self, Settings, policy::Policy},
    view::WhyView,
    why::{self, Endpoint, Frame, FreshMemory, Memory, Numbers, Question, opening_flags},
};

/// The identifier of an ICMP query of which none is given.
const ANY_ICMP_ID: u16 = 1;

/// Explain what the gateway does with a packet, and why
///
/// The packet path's own logic judges the packet with the flows and the policy in force. Nothing
/// changes by that: no flow, no counter. The exit code is 0 whatever the verdict.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(group(ArgGroup::new("direction").args(["inbound", "outbound"]).required(true)))]
pub(super) struct WhyArgs {
    /// The packet arrives on the uplink: SRC is outside
    #[arg(long = "in")]
    inbound: bool,
    /// The packet leaves on the uplink: SRC is inside
    #[arg(long = "out")]
    outbound: bool,
    /// The protocol, by name or number
    #[arg(value_name = "PROTO", value_parser = values::protocol_number,
        required_unless_present = "packet", conflicts_with = "packet")]
    protocol: Option<u8>,
    /// Where the packet comes from; IPv6 with a port in brackets
    #[arg(value_name = "SRC[:PORT]", required_unless_present = "packet")]
    source: Option<Endpoint>,
    /// Where it goes to
    #[arg(value_name = "DST[:PORT]", required_unless_present = "packet")]
    destination: Option<Endpoint>,
    /// The packet itself, an Ethernet frame in hexadecimal digits; - reads them from standard input
    #[arg(long, value_name = "HEX")]
    packet: Option<String>,
    /// The packet begins with its IP header
    #[arg(long, requires = "packet", conflicts_with = "protocol")]
    ip: bool,
    /// TCP flags, joined with '-': syn, syn-ack, ack, fin-ack, rst
    #[arg(long, value_name = "FLAGS", value_parser = opening_flags, conflicts_with = "packet")]
    flags: Option<u8>,
    /// The TCP sequence number; without, the flow's next one if there is a flow
    #[arg(long, value_name = "N", conflicts_with = "packet")]
    seq: Option<u32>,
    /// The TCP acknowledgement number
    #[arg(long, value_name = "N", conflicts_with = "packet")]
    ack: Option<u32>,
    /// The ICMP type; an echo request's if it is not given
    #[arg(long, value_name = "TYPE", conflicts_with = "packet")]
    icmp_type: Option<u8>,
    /// The ICMP code
    #[arg(long, value_name = "CODE", default_value_t = 0, conflicts_with = "packet")]
    icmp_code: u8,
    /// The identifier of the ICMP query
    #[arg(long, value_name = "ID", conflicts_with = "packet")]
    icmp_id: Option<u16>,
    /// The VLAN that the packet travels in
    #[arg(long, value_name = "VID", conflicts_with = "packet")]
    vlan: Option<u16>,
    /// Another host inside sent the packet, and this one forwards it
    #[arg(long, conflicts_with = "inbound")]
    forwarded: bool,
    /// Ask this configuration file instead of a gateway: what would become of a new packet?
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    config: Option<PathBuf>,
    /// The gateway, needed when there are several
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

pub(super) fn run(context: &Context, args: &WhyArgs) -> Result<WhyView> {
    // What is wrong with the question is found before anything is opened.
    let asked = Asked::new(args)?;
    if let Some(file) = &args.config {
        let memory_bytes = settings::memory_bytes().context("cannot tell the memory's size")?;
        context.explain(|| format!("reading {}", file.display()));
        let (settings, _) = Settings::load(file, memory_bytes)?;
        let ticks_per_sec =
            settings::ticks_per_sec().context("cannot tell the kernel's tick length")?;
        let shares = settings.hosts.within(settings.table_sizes(memory_bytes));
        // Whether an uplink has a unique local address shows only when it is attached.
        let config = shares.apply(&settings.to_config(ticks_per_sec, false), shares.half_open);
        let compiled = CompiledPolicy::new(&settings.policy);
        let view = explain(args, asked, &FreshMemory::new(&config, &compiled), &settings.policy)?;
        return Ok(WhyView { file: Some(file.clone()), ..view });
    }
    let gateway = select::open(context, args.name.as_ref())?;
    let tables = gateway.tables()?;
    let (policy, is_known) = match gateway.policy() {
        Ok(in_force) if in_force.generation == tables.config().generation => {
            (in_force.policy, true)
        }
        // Names and lines are all that is missing; the verdict does not depend on them.
        Ok(_) | Err(DatapathError::Damaged { .. }) => (Policy::default(), false),
        Err(error) => return Err(error.into()),
    };
    let mut view = explain(args, asked, &tables, &policy)?;
    if !is_known {
        let missing = "the policy's text could not be read, so rules and subnets are not named";
        view.notes.push(missing.to_owned());
    }
    Ok(WhyView { gateway: Some(gateway.name().to_string()), ..view })
}

/// What is asked about.
enum Asked {
    Frame(Frame),
    Question(Question),
}

impl Asked {
    fn new(args: &WhyArgs) -> Result<Self> {
        if let Some(digits) = &args.packet {
            return packet(args, digits).map(Self::Frame);
        }
        let (Some(protocol), Some(source), Some(destination)) =
            (args.protocol, args.source, args.destination)
        else {
            return Err(Failure::usage("PROTO, SRC and DST are needed, or --packet"));
        };
        let question = Question {
            protocol,
            source,
            destination,
            direction: direction(args),
            flags: args.flags.unwrap_or(flag::SYN),
            numbers: Numbers {
                sequence: args.seq.unwrap_or(0),
                acknowledgement: args.ack.unwrap_or(0),
            },
            icmp_type: args.icmp_type,
            icmp_code: args.icmp_code,
            icmp_id: args.icmp_id.unwrap_or(ANY_ICMP_ID),
            vlan: args.vlan,
            is_forwarded: args.forwarded,
        };
        question.check().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self::Question(question))
    }
}

fn direction(args: &WhyArgs) -> Direction {
    if args.inbound { Direction::Inbound } else { Direction::Outbound }
}

/// The frame that the digits of the command line or of standard input are.
fn packet(args: &WhyArgs, digits: &str) -> Result<Frame> {
    let mut text = String::new();
    let digits = if digits == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the packet from standard input")?;
        &text
    } else {
        digits
    };
    let usage = |reason: String| Failure::usage(format!("--packet: {reason}"));
    let bytes = Frame::digits(digits).map_err(usage)?;
    let frame = if args.ip { Frame::ip(&bytes).map_err(usage)? } else { Frame::ethernet(bytes) };
    Ok(Frame { is_forwarded: args.forwarded, ..frame })
}

fn explain(args: &WhyArgs, asked: Asked, memory: &impl Memory, policy: &Policy) -> Result<WhyView> {
    let mut notes = Vec::new();
    let frame = match asked {
        Asked::Frame(frame) => frame,
        Asked::Question(mut question) => {
            if question.is_source_port_open() {
                let port = question.source_port();
                notes.push(format!("the source's port was left open; {port} stands for any"));
            }
            if let Some(numbers) = known_numbers(args, &question, memory)? {
                question.numbers = numbers;
                notes.push("the segment has the numbers that the flow expects next".to_owned());
            }
            question.frame().map_err(|error| Failure::usage(error.to_string()))?
        }
    };
    let explanation = why::explain(&frame, direction(args), memory)?;
    Ok(WhyView { notes, ..WhyView::new(&explanation, &frame, policy) })
}

/// The numbers of a segment that belongs to a connection, unless they are given.
fn known_numbers(
    args: &WhyArgs,
    question: &Question,
    memory: &impl Memory,
) -> Result<Option<Numbers>> {
    const TCP: u8 = network_types::ip::IpProto::Tcp as u8;
    let is_given = args.seq.is_some() || args.ack.is_some();
    if question.protocol != TCP || question.flags == flag::SYN || is_given {
        return Ok(None);
    }
    let key = question.flow_key();
    let found = match memory.flow(Table::Established, &key)? {
        Some(entry) => Some(entry),
        None => memory.flow(Table::HalfOpen, &key)?,
    };
    Ok(found.map(|entry| Numbers::next(&entry, question.direction)))
}
