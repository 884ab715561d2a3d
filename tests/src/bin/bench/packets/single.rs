//! Packets that are only once what they are: the first of a flow is not the first when it is
//! repeated.
//!
//! So each case judges many different packets, each once, and the kernel's own clock around each
//! run is summed up. Two things differ from repeating one packet: the time includes reading that
//! clock, and every packet finds its part of the tables, and often the program too, out of the
//! caches, because the system calls in between have used them. The empty program runs in the
//! same manner on the same packets, so the difference to it is what counts; a flow's later
//! packets stand beside as the measure for what cold caches alone do.

use anyhow::{Context as _, Result};
use gateway_common::{counter::FlowEvent, tuple::Direction, verdict::Reason};
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
};

use super::{
    ESTABLISHED_ENTRIES, HALF_OPEN_ENTRIES, Options,
    flow::{Flow, hosts_numbered},
    load, verdict_cell, verify,
};
use crate::{
    empty::{Empty, Hook},
    report::{Column, Table},
    statistics::Spread,
};

/// Packets of one turn.
const BATCH: u32 = 2048;

/// What is measured; every packet is of another flow, and every flow is to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Floor,
    Refresh,
    CreateTcp,
    CreateUdp,
    CreateEvicting,
    Promote,
}

impl Case {
    const ALL: [Self; 6] = [
        Self::Floor,
        Self::Refresh,
        Self::CreateTcp,
        Self::CreateUdp,
        Self::CreateEvicting,
        Self::Promote,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Floor => "any, the floor",
            Self::Refresh => "TCP ACK of an established flow",
            Self::CreateTcp => "TCP SYN, opens a flow",
            Self::CreateUdp => "UDP, opens a flow",
            Self::CreateEvicting => "TCP SYN, opens a flow and evicts one",
            Self::Promote => "TCP ACK, moves a flow to the established ones",
        }
    }

    const fn reason(self) -> Option<Reason> {
        match self {
            Self::Floor => None,
            Self::Refresh | Self::Promote => Some(Reason::Flow),
            Self::CreateTcp | Self::CreateUdp | Self::CreateEvicting => Some(Reason::FlowCreated),
        }
    }

    fn flow(self, number: u32) -> Flow {
        let (inside, outside) = hosts_numbered(number);
        match self {
            Self::CreateUdp => Flow::udp(inside, outside),
            Self::Floor
            | Self::Refresh
            | Self::CreateTcp
            | Self::CreateEvicting
            | Self::Promote => Flow::tcp(inside, outside),
        }
    }

    /// What has happened to a flow before its packet is measured.
    fn prepare(self, flow: &Flow, programs: &Programs) {
        match self {
            Self::Refresh => flow.establish(programs),
            Self::Promote => flow.answered(programs),
            Self::Floor | Self::CreateTcp | Self::CreateUdp | Self::CreateEvicting => {}
        }
    }

    fn packet(self, flow: Flow) -> Packet {
        match self {
            Self::Refresh | Self::Promote => flow.outbound,
            Self::Floor | Self::CreateTcp | Self::CreateUdp | Self::CreateEvicting => flow.opening,
        }
    }
}

/// Programs with room for every flow of a turn, others whose table of half-open flows is full,
/// and programs that do nothing.
struct Stage {
    empty: Empty,
    roomy: Programs,
    full: Programs,
    next_flow: u32,
}

/// Measures all cases.
pub(super) fn run(options: &Options, cpu: usize) -> Result<Table> {
    eprintln!("packets: filling a flow table");
    let mut stage = Stage { empty: Empty::load()?, roomy: load(), full: load(), next_flow: 0 };
    fill(&stage.full, &mut stage.next_flow);

    let mut ns = Case::ALL.map(|_| Vec::new());
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {}, each packet once", options.rounds);
        for (case, ns) in Case::ALL.into_iter().zip(&mut ns) {
            let turn = stage.turn(case).with_context(|| case.name())?;
            ns.push(turn);
        }
    }
    Ok(table(&ns, options, cpu))
}

/// Opens flows until there is room for no other.
fn fill(programs: &Programs, next_flow: &mut u32) {
    // Per-CPU free lists may keep some entries back, so a few more than the table has.
    for _ in 0..HALF_OPEN_ENTRIES + HALF_OPEN_ENTRIES / 4 {
        let (inside, outside) = hosts_numbered(*next_flow);
        *next_flow += 1;
        let frame = Flow::tcp(inside, outside).opening.frame();
        _ = programs.run_ns(Program::EgressTc, &frame, 1);
    }
}

impl Stage {
    /// One turn of one case: the mean time of a packet.
    fn turn(&mut self, case: Case) -> Result<f64> {
        let programs = if case == Case::CreateEvicting { &self.full } else { &self.roomy };
        let first = self.next_flow;
        self.next_flow += BATCH;
        let mut frames = Vec::new();
        for number in first..first + BATCH {
            let flow = case.flow(number);
            case.prepare(&flow, programs);
            frames.push(case.packet(flow).frame());
        }
        let before = programs.counters();
        let mut total_ns = 0;
        for frame in &frames {
            total_ns += match case {
                Case::Floor => self.empty.run_ns(Hook::Tc, frame, 1)?,
                _ => programs.run_ns(Program::EgressTc, frame, 1),
            };
        }
        Ok(total_ns as f64 / f64::from(BATCH))
    }
}
