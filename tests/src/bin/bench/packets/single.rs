//! Packets that are only once what they are: the first of a flow is not the first when it is
//! repeated.
//!
//! So each case judges many different packets, each once, and the kernel's own clock around each
//! run is summed up. Two things differ from repeating one packet: the time includes reading that
//! clock, and every packet finds its part of the tables, and often the program too, out of the
//! caches, because the system calls in between have used them. The empty program runs in the
//! same manner on the same packets, so the difference to it is what counts; a flow's later
//! packets stand beside as the measure for what cold caches alone do.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gateway_common::{counter::FlowEvent, tuple::Direction, verdict::Reason};
use tests::{
    prog_run::{Program, Programs},
    state::State,
};

use super::{
    ESTABLISHED_ENTRIES, HALF_OPEN_ENTRIES, Options,
    flow::{Flow, hosts_numbered},
    load, verdict_cell, verify,
};
use crate::{
    empty::{Empty, Hook},
    report::Table,
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

    /// The packet that is measured.
    fn frame(self, flow: &Flow) -> Vec<u8> {
        match self {
            Self::Refresh | Self::Promote => flow.outbound.frame(),
            Self::Floor | Self::CreateTcp | Self::CreateUdp | Self::CreateEvicting => {
                flow.opening.frame()
            }
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
    stage.fill();
    let before = [stage.roomy.state(), stage.full.state()];

    let mut ns = Case::ALL.map(|_| Vec::new());
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {}, each packet once", options.rounds);
        for (case, ns) in Case::ALL.into_iter().zip(&mut ns) {
            ns.push(stage.turn(case)?);
        }
    }
    let after = [stage.roomy.state(), stage.full.state()];
    check(&before, &after, u64::from(options.rounds) * u64::from(BATCH))
        .context("the cases did not do what they say")?;
    Ok(table(&ns, options, cpu))
}

impl Stage {
    /// Opens flows until there is room for no other.
    fn fill(&mut self) {
        // Free entries wait in a list of each CPU, where this one does not reach them all; from
        // some point on it only evicts.
        for number in 0..2 * HALF_OPEN_ENTRIES {
            let frame = Case::CreateEvicting.frame(&Case::CreateEvicting.flow(number));
            _ = self.full.run_ns(Program::EgressTc, &frame, 1);
        }
        self.next_flow = 2 * HALF_OPEN_ENTRIES;
    }

    /// One turn of one case: the mean time of a packet, in nanoseconds.
    fn turn(&mut self, case: Case) -> Result<f64> {
        let programs = if case == Case::CreateEvicting { &self.full } else { &self.roomy };
        let mut frames = Vec::new();
        for number in self.next_flow..self.next_flow + BATCH {
            let flow = case.flow(number);
            case.prepare(&flow, programs);
            frames.push(case.frame(&flow));
        }
        self.next_flow += BATCH;
        let mut total_ns = 0;
        for frame in &frames {
            total_ns += if case == Case::Floor {
                self.empty.run_ns(Hook::Tc, frame, 1)?
            } else {
                programs.run_ns(Program::EgressTc, frame, 1)
            };
        }
        self.roomy.clear();
        Ok(Duration::from_nanos_u128(total_ns).as_secs_f64() * 1e9 / f64::from(BATCH))
    }
}

/// Checks that all packets of all turns, `packets` of each case, did what their case says.
fn check(before: &[State; 2], after: &[State; 2], packets: u64) -> Result<()> {
    let opened = (Direction::Outbound, Reason::FlowCreated);
    let answered = (Direction::Inbound, Reason::Flow);
    let went_on = (Direction::Outbound, Reason::Flow);
    let roomy = [
        // Prepared for `Refresh` and `Promote`.
        (opened, 2 * packets),
        (answered, 2 * packets),
        (went_on, packets),
        // `Refresh` and `Promote`, `CreateTcp` and `CreateUdp`.
        (went_on, 2 * packets),
        (opened, 2 * packets),
    ];
    verify(&before[0], &after[0], &roomy)?;
    let promoted = after[0].since(&before[0]).events[FlowEvent::Promoted as usize];
    ensure!(promoted == 2 * packets, "{promoted} flows moved, not {}", 2 * packets);

    verify(&before[1], &after[1], &[(opened, packets)])?;
    let (then, now) = (before[1].flows.len(), after[1].flows.len());
    // Entries are evicted some at a time.
    ensure!(
        now.abs_diff(then) < BATCH as usize / 2,
        "{packets} new flows in a full table, which had {then} and has {now} flows"
    );
    Ok(())
}

fn table(ns: &[Vec<f64>; Case::ALL.len()], options: &Options, cpu: usize) -> Table {
    let rows = Case::ALL.into_iter().zip(ns).map(|(case, values)| {
        let (program, verdict, over) = match case.reason() {
            None => (Hook::Tc.program(), "pass".to_owned(), String::new()),
            Some(reason) => {
                let over = Spread::of_differences(values, &ns[Case::Floor as usize]);
                (Program::EgressTc.name(), verdict_cell(reason), format!("{over:+.0}"))
            }
        };
        let spread = Spread::of(values.iter().copied());
        vec![case.name().into(), verdict, program.into(), format!("{spread:.0}"), over]
    });
    Table {
        title: "Time per packet, every packet of another flow",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN of {BATCH} different packets, each once: mean of a turn, then \
                 median [min – max] of {} interleaved rounds, in nanoseconds of the kernel's \
                 clock on CPU {cpu}. The time holds two readings of that clock and finds caches \
                 as system calls leave them, so only the difference to the empty program in the \
                 last column means something, and it does not compare with the table above.",
                options.rounds
            ),
            format!(
                "Every flow is IPv6 and to another outside host. Tables hold {HALF_OPEN_ENTRIES} \
                 half-open and {ESTABLISHED_ENTRIES} established flows and are empty at first, \
                 but for the row that evicts."
            ),
        ],
        columns: super::columns(),
        rows: rows.collect(),
    }
}
