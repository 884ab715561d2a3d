//! The conformance table: what the gateway does, packet by packet.
//!
//! A [`Row`] is a story of a few packets. Each [`Step`] says which packet travels which way, and
//! what it must change: its verdict's counter and whatever [`Expect`] adds to that. Everything
//! else must stay as it was, down to the last counter and timestamp, and [`check`](check::check)
//! asserts that too.
//!
//! ```
//! use tests::rows::prelude::*;
//!
//! let u = udp_flow(Family::Ipv6);
//! let row = row(&["RFC6092-REC-17"], "only the host that was asked may answer")
//!     .asked(&u)
//!     .inbound(u.back(), belongs_to(&u))
//!     .inbound(from(STRANGER, INSIDE, Family::Ipv6).udp(53, 40_001), refused(Reason::NoFlow));
//! # _ = row;
//! ```
//!
//! TCP segments carry the numbers that their senders would give them at that point of the story,
//! and what the gateway must have written down of those follows by itself. A row says only what
//! is out of the ordinary:
//!
//! ```
//! use tests::rows::prelude::*;
//!
//! let l = tcp_flow(Family::Ipv6);
//! let row = row(&["RFC5961-3.2-3"], "an inexact reset, and a stray one")
//!     .established(&l)
//!     .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
//!     .inbound(l.segment_back(flag::RST).ahead(100), belongs_to(&l).without_refresh())
//!     .inbound(l.segment_back(flag::RST).behind(5), refused(Reason::TcpWindow));
//! # _ = row;
//! ```
//!
//! The same rows run on [`Model`](crate::model::Model) and on the programs in the kernel. One
//! second passes before each step, unless [`Row::wait`] says otherwise.

pub mod check;
mod conversation;
mod effects;
pub mod errand;
pub mod expect;
pub mod hosts;
mod report;

mod admission;
mod discovery;
mod ends;
mod fragments4;
mod fragments6;
mod host_limits;
mod icmp;
mod icmp_quotes;
mod icmp_types;
mod ipv4;
mod ipv4_options;
mod ipv6;
mod ipv6_extensions;
mod link;
mod martians;
mod multicast;
mod policy;
mod protocols;
mod reload;
mod rfc6092;
mod rules;
mod sctp;
mod spoofing;
mod subnets;
mod tcp;
mod tcp_closing;
mod tcp_fast_open;
mod tcp_opening;
mod tcp_options;
mod tcp_resets;
mod tcp_restart;
mod tcp_simultaneous;
mod tcp_timing;
mod tcp_windows;
mod tcp_windows_closed;
mod tunnels;
mod udp;

use std::mem;

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowState, mark},
    limits::POLICY_SLOTS,
    tuple::{Direction, FlowKey},
};

use gateway_userspace::{policy::CompiledPolicy, settings::Settings};

use crate::{
    model::Frame,
    packet::{Packet, flag},
};
use conversation::Conversations;
use errand::Errand;
use expect::{Expect, belongs_to, opens};
use hosts::Flow;

/// What the files of rows are written with.
pub mod prelude {
    pub use super::{
        Row,
        expect::{Expect, admits, belongs_to, opens, passed, refused, related},
        hosts::{
            Flow, INSIDE, INSIDE_OTHER, OUTSIDE, ROUTER, STRANGER, from, ping_flow, tcp_flow,
            udp_flow,
        },
        row,
    };
    pub use crate::{
        address::FAMILIES,
        packet::{Packet, flag, tcp::option},
    };
    pub use gateway_common::{
        counter::FlowEvent,
        flow::{FlowState, mark},
        tuple::{Direction, Family},
        verdict::Reason,
    };

    /// The flags of an answer to an opening.
    pub const SYN_ACK: u16 = flag::SYN | flag::ACK;
    /// The flags of an end.
    pub const FIN_ACK: u16 = flag::FIN | flag::ACK;
}

/// A group of rows.
pub type Theme = (&'static str, fn() -> Vec<Row>);

/// Every row, by theme.
pub const THEMES: [Theme; 37] = [
    ("link", link::rows),
    ("ipv4", ipv4::rows),
    ("ipv4_options", ipv4_options::rows),
    ("fragments4", fragments4::rows),
    ("ipv6", ipv6::rows),
    ("ipv6_extensions", ipv6_extensions::rows),
    ("fragments6", fragments6::rows),
    ("tunnels", tunnels::rows),
    ("protocols", protocols::rows),
    ("icmp", icmp::rows),
    ("icmp_quotes", icmp_quotes::rows),
    ("icmp_types", icmp_types::rows),
    ("discovery", discovery::rows),
    ("multicast", multicast::rows),
    ("tcp", tcp::rows),
    ("tcp_opening", tcp_opening::rows),
    ("tcp_simultaneous", tcp_simultaneous::rows),
    ("tcp_fast_open", tcp_fast_open::rows),
    ("tcp_options", tcp_options::rows),
    ("tcp_windows", tcp_windows::rows),
    ("tcp_windows_closed", tcp_windows_closed::rows),
    ("tcp_resets", tcp_resets::rows),
    ("tcp_restart", tcp_restart::rows),
    ("tcp_closing", tcp_closing::rows),
    ("tcp_timing", tcp_timing::rows),
    ("udp", udp::rows),
    ("sctp", sctp::rows),
    ("martians", martians::rows),
    ("policy", policy::rows),
    ("admission", admission::rows),
    ("rules", rules::rows),
    ("subnets", subnets::rows),
    ("spoofing", spoofing::rows),
    ("reload", reload::rows),
    ("rfc6092", rfc6092::rows),
    ("host_limits", host_limits::rows),
    ("ends", ends::rows),
];

/// Every row.
#[must_use]
pub fn all() -> Vec<Row> {
    THEMES.iter().flat_map(|(_, rows)| rows()).collect()
}

/// One story. See the module's documentation.
#[derive(Clone, Debug)]
#[must_use]
pub struct Row {
    /// The requirements that it shows, by their ids in `docs/requirements.toml`.
    pub ids: &'static [&'static str],
    /// What it shows, for people.
    pub about: String,
    /// How the configuration differs from the defaults.
    pub tweak: fn(&mut Config),
    /// After how many seconds the gateway stands by, unless it is confirmed.
    pub confirm_secs: Option<u32>,
    /// Whether the table of established flows has no room.
    pub established_full: bool,
    /// The packets, in order.
    pub steps: Vec<Step>,
    /// How many seconds pass before the step to come.
    wait_secs: u32,
    /// The policy that comes into force before it.
    policy: Option<Policy>,
    /// What user space does before it.
    errands: Vec<Errand>,
    /// How the flow ended in whose place it opens one.
    replaced: Option<FlowEvent>,
    /// What the ends of TCP connections have said so far.
    conversations: Conversations,
}

/// One packet and what comes of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The policy that comes into force before it.
    pub policy: Option<Policy>,
    /// What user space does before it, under that policy.
    pub errands: Vec<Errand>,
    /// How many seconds pass before it.
    pub wait_secs: u32,
    /// Which way it travels.
    pub direction: Direction,
    /// The packet.
    pub packet: Packet,
    /// The frame, as the hook sees it.
    pub frame: Frame,
    /// The most payload of one segment, in bytes, if the packet is under segmentation offload.
    pub segment_bytes: u32,
    /// What it must change.
    pub expect: Expect,
    /// The states that flows must be in afterwards.
    pub states: Vec<(FlowKey, FlowState)>,
    /// Why the kernel cannot be made to run this packet on its own.
    pub host_only: Option<&'static str>,
}

/// A policy, as people write it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The configuration file's text.
    pub text: String,
    /// Whether its tables are where the packet path looks for them.
    pub has_tables: bool,
}

impl Policy {
    /// Makes `config` that of this policy, which replaces the one that was, and returns its tables,
    /// unless they are missing.
    ///
    /// # Panics
    /// If the text is no valid configuration.
    pub fn come_into_force(&self, config: &mut Config) -> Option<CompiledPolicy> {
        const MEMORY_BYTES: u64 = 1 << 30;
        let nowhere = u32::try_from(POLICY_SLOTS).expect("there are few");
        let (settings, _) = Settings::parse(&self.text, MEMORY_BYTES)
            .unwrap_or_else(|problems| panic!("{problems:?} in\n{}", self.text));
        let compiled = CompiledPolicy::new(&settings.policy);
        config.policy = compiled.summary;
        config.generation += 1;
        config.policy_slot = if self.has_tables { config.generation % nowhere } else { nowhere };
        self.has_tables.then_some(compiled)
    }
}

/// A row without steps yet.
pub fn row(ids: &'static [&'static str], about: impl Into<String>) -> Row {
    Row {
        ids,
        about: about.into(),
        tweak: |_| {},
        confirm_secs: None,
        established_full: false,
        steps: Vec::new(),
        wait_secs: 1,
        policy: None,
        errands: Vec::new(),
        replaced: None,
        conversations: Conversations::default(),
    }
}

impl Row {
    /// Changes the configuration.
    pub fn config(self, tweak: fn(&mut Config)) -> Self {
        Self { tweak, ..self }
    }

    /// Puts the policy of this configuration file in force before the next step. Nothing else of
    /// the file counts.
    pub fn policy(self, text: impl Into<String>) -> Self {
        Self { policy: Some(Policy { text: text.into(), has_tables: true }), ..self }
    }

    /// The same, but the policy's tables are missing.
    pub fn policy_without_tables(self, text: impl Into<String>) -> Self {
        Self { policy: Some(Policy { text: text.into(), has_tables: false }), ..self }
    }

    /// Nobody confirms the gateway, who has this many seconds for it.
    pub fn unconfirmed(self, secs: u32) -> Self {
        Self { confirm_secs: Some(secs), ..self }
    }

    /// Starts with a full table of established flows.
    pub fn established_full(self) -> Self {
        Self { established_full: true, ..self }
    }

    /// Lets this many seconds pass before the next step, instead of one.
    pub fn wait(self, secs: u32) -> Self {
        Self { wait_secs: secs, ..self }
    }

    /// The next step opens a flow in place of one with the same key that ended this way, if any did.
    pub fn replacing(self, end: impl Into<Option<FlowEvent>>) -> Self {
        Self { replaced: end.into(), ..self }
    }

    /// A packet from outside.
    pub fn inbound(self, packet: Packet, expect: Expect) -> Self {
        self.step(Direction::Inbound, packet, expect)
    }

    /// A packet from inside.
    pub fn outbound(self, packet: Packet, expect: Expect) -> Self {
        self.step(Direction::Outbound, packet, expect)
    }

    /// The same packet, both ways.
    pub fn both_ways(self, packet: &Packet, expect: &Expect) -> Self {
        self.inbound(packet.clone(), expect.clone()).outbound(packet.clone(), expect.clone())
    }

    fn step(mut self, direction: Direction, packet: Packet, mut expect: Expect) -> Self {
        if let Some(end) = self.replaced.take() {
            expect = expect.replacing(end);
        }
        let packet = self.conversations.say(direction, packet, expect.trace.as_mut());
        self.steps.push(Step {
            policy: self.policy.take(),
            errands: mem::take(&mut self.errands),
            wait_secs: self.wait_secs,
            direction,
            frame: packet.frame().into(),
            packet,
            segment_bytes: 0,
            expect,
            states: Vec::new(),
            host_only: None,
        });
        Self { wait_secs: 1, ..self }
    }

    /// After the last step the flow is in this state.
    pub fn then(mut self, flow: &Flow, state: FlowState) -> Self {
        self.last().states.push((flow.key, state));
        self
    }

    /// The last step's packet is under segmentation offload. It counts as `segments` packets of
    /// at most `segment_bytes` of payload.
    pub fn segmented(mut self, segments: u32, segment_bytes: u32) -> Self {
        let step = self.last();
        step.frame.segments = segments;
        step.segment_bytes = segment_bytes;
        self
    }

    /// The last step's packet is another host's, and the flow that it opens remembers that.
    pub fn forwarded(mut self) -> Self {
        let step = self.last();
        step.frame.is_forwarded = true;
        if let Some(trace) = &mut step.expect.trace
            && trace.opens
        {
            trace.marks |= mark::FORWARDED;
        }
        self
    }

    /// The driver keeps the last step's VLAN tag beside the frame.
    pub fn offloaded_vlan(mut self, tag: u16) -> Self {
        self.last().frame.offloaded_vlan = Some(tag);
        self.host_only("BPF_PROG_TEST_RUN takes no VLAN tag beside the frame")
    }

    /// The last step cannot be run in the kernel. If it changes flows, the row ends there.
    pub fn host_only(mut self, why: &'static str) -> Self {
        self.last().host_only = Some(why);
        self
    }

    fn last(&mut self) -> &mut Step {
        self.steps.last_mut().expect("there is a step to say this about")
    }
}

/// The base states that stories begin with.
impl Row {
    /// The first packet of a flow from inside.
    pub fn asked(self, flow: &Flow) -> Self {
        self.outbound(flow.out(), opens(flow))
    }

    /// Question and answer.
    pub fn answered(self, flow: &Flow) -> Self {
        self.asked(flow).inbound(flow.back(), belongs_to(flow))
    }

    /// A TCP handshake, after which the flow is established.
    pub fn established(self, flow: &Flow) -> Self {
        self.established_with(flow, &[], &[])
    }

    /// The same with these options in the SYNs of inside and outside.
    pub fn established_with(self, flow: &Flow, inside: &[u8], outside: &[u8]) -> Self {
        let syn = flow.segment_out(flag::SYN).tcp_options(inside);
        let answer = flow.segment_back(flag::SYN | flag::ACK).tcp_options(outside);
        self.outbound(syn, opens(flow))
            .inbound(answer, belongs_to(flow))
            .outbound(flow.segment_out(flag::ACK), belongs_to(flow).promoted())
            .then(flow, FlowState::Established)
    }

    /// An established flow that both sides have closed.
    pub fn closed(self, flow: &Flow) -> Self {
        self.established(flow)
            .outbound(flow.segment_out(flag::FIN | flag::ACK), belongs_to(flow).marked(mark::FIN))
            .inbound(flow.segment_back(flag::FIN | flag::ACK), belongs_to(flow).marked(mark::FIN))
            .outbound(flow.segment_out(flag::ACK), belongs_to(flow).marked(mark::LAST_ACK))
            .then(flow, FlowState::TimeWait)
    }
}
