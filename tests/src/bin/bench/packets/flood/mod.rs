//! A flood of openings from inside: what packets cost meanwhile, and what it pushes out.

mod losses;
mod traffic;

use anyhow::{Context as _, Result};
use gateway_common::{limits::HOSTS_MAX, tuple::Family, verdict::Reason};
use tests::prog_run::Program;

use self::{
    losses::Watch,
    traffic::{LIVE_FLOWS, Opener, Openings, Protocol, Strangers, live},
};
use super::{
    BATCH, Options,
    flow::Flow,
    gateway::Gateway,
    series::{self, Series, Subject},
};
use crate::{
    cpu,
    empty::{Empty, Hook},
    object::SIZES,
    report::Table,
};

/// What is measured.
#[derive(Clone, Copy)]
enum Case {
    Floor,
    /// A packet of the flood.
    Opening(Opener, Protocol),
    /// A packet from outside that nobody asked for.
    Unsolicited(Family, Protocol),
    /// A packet from outside of one of the live flows.
    Reply(Protocol),
    /// A TCP segment from inside of one of them.
    Outbound,
}

/// The gateway under flood and what goes through it.
struct Stage {
    empty: Empty,
    gateway: Gateway,
    openings: Openings,
    strangers: Strangers,
}

/// Floods a gateway, measures meanwhile, and counts what was lost.
pub(super) fn run(options: &Options, cpu: usize) -> Result<[Table; 2]> {
    let mut stage = Stage {
        empty: Empty::load()?,
        gateway: Gateway::load(),
        openings: Openings::default(),
        strangers: Strangers::default(),
    };
    eprintln!("packets: establishing {LIVE_FLOWS} flows");
    for number in 0..LIVE_FLOWS {
        live(number).establish(&mut stage.gateway);
    }
    let mut phases = Vec::new();
    for opener in [Opener::Scanner, Opener::Forger] {
        eprintln!("packets: a flood from {}", opener.name());
        let watch = Watch::begin(&mut stage.gateway, &mut stage.openings);
        // Ten times as many as there is room for.
        stage.flood(&[opener], 10 * SIZES.half_open_max);
        phases.push(watch.end(opener.name(), &stage.gateway)?);
    }

    // The scanning host's older flows went in the second flood; now each new one has an older one
    // to remove again.
    stage.flood(&Opener::ALL, 4 * Gateway::shares().half_open);
    let watch = Watch::begin(&mut stage.gateway, &mut stage.openings);
    let mut all: Vec<_> = cases()
        .into_iter()
        .map(|(case, name, subject)| (case, Series::new(name, subject)))
        .collect();
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {} during a flood", options.rounds);
        for (case, series) in &mut all {
            let ns = stage.turn(*case, series.subject)?;
            series.ns.push(ns);
        }
    }
    phases.push(watch.end("both in turn, while measuring", &stage.gateway)?);
    stage.gateway.check().context("the packets did not do what their rows say")?;
    let series: Vec<_> = all.iter().map(|(_, series)| series).collect();
    Ok([table(&series, options, cpu), losses::table(&phases)])
}

/// All cases with their names and what judges them.
fn cases() -> Vec<(Case, String, Subject)> {
    let floor = |hook| (Case::Floor, "any, the floor".to_owned(), Subject::Empty(hook));
    let mut cases = vec![floor(Hook::Xdp), floor(Hook::Tc)];
    for opener in [Opener::Scanner, Opener::Forger] {
        for protocol in Protocol::ALL {
            cases.push((
                Case::Opening(opener, protocol),
                format!("{}, opens a flow, {}", protocol.opening_name(), opener.name()),
                Subject::Gateway(Program::EgressTc, Reason::FlowCreated),
            ));
        }
    }
    for family in [Family::Ipv6, Family::Ipv4] {
        for protocol in Protocol::ALL {
            cases.push((
                Case::Unsolicited(family, protocol),
                format!("{}, unsolicited, IPv{}", protocol.opening_name(), family.version()),
                Subject::Gateway(Program::IngressXdp, Reason::NoFlow),
            ));
        }
    }
    for protocol in Protocol::ALL {
        cases.push((
            Case::Reply(protocol),
            format!("{} reply of a live flow", protocol.name()),
            Subject::Gateway(Program::IngressXdp, Reason::Flow),
        ));
    }
    cases.push((
        Case::Outbound,
        "TCP ACK of a live flow".to_owned(),
        Subject::Gateway(Program::EgressTc, Reason::Flow),
    ));
    cases
}

impl Stage {
    /// So many openings from each of these in turn, of TCP and UDP in turn.
    fn flood(&mut self, openers: &[Opener], openings: u32) {
        for (opener, protocol) in kinds(openers).take(openings as usize) {
            self.open(opener, protocol);
        }
    }

    fn open(&mut self, opener: Opener, protocol: Protocol) {
        let frame = self.openings.next(opener, protocol).frame();
        self.gateway.time(Program::EgressTc, &frame, Reason::FlowCreated, 1);
    }

    /// One turn of one case: the mean time of a packet, in nanoseconds. The flood goes on: before
    /// each packet another flow is opened.
    fn turn(&mut self, case: Case, subject: Subject) -> Result<f64> {
        let frames: Vec<_> = (0..BATCH).map(|_| self.frame(case)).collect();
        let mut total_ns = 0;
        for (frame, (opener, protocol)) in frames.iter().zip(kinds(&Opener::ALL)) {
            self.open(opener, protocol);
            total_ns += match subject {
                Subject::Gateway(program, reason) => self.gateway.time(program, frame, reason, 1),
                Subject::Empty(hook) => self.empty.run_ns(hook, frame, 1)?,
                Subject::Forget => unreachable!("the flood deletes nothing"),
            };
        }
        Ok(cpu::mean_ns(total_ns, BATCH))
    }

    /// Another packet of this kind.
    fn frame(&mut self, case: Case) -> Vec<u8> {
        let Self { openings, strangers, .. } = self;
        let packet = match case {
            Case::Floor => openings.next(Opener::Scanner, Protocol::Tcp),
            Case::Opening(opener, protocol) => openings.next(opener, protocol),
            Case::Unsolicited(family, protocol) => strangers.packet(family, protocol),
            Case::Reply(protocol) => strangers.any_live(protocol).reply,
            Case::Outbound => {
                let Flow { outbound, .. } = strangers.any_live(Protocol::Tcp);
                outbound
            }
        };
        packet.frame()
    }
}

/// Kinds of openings without end.
fn kinds(openers: &[Opener]) -> impl Iterator<Item = (Opener, Protocol)> {
    openers.iter().flat_map(|opener| Protocol::ALL.map(|protocol| (*opener, protocol))).cycle()
}

fn table(all: &[&Series], options: &Options, cpu: usize) -> Table {
    let shares = Gateway::shares();
    Table {
        title: "Time per packet, during a flood from inside",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN as in the table above: {BATCH} different packets a turn, each \
                 once, median [min – max] of {} interleaved rounds, in nanoseconds of the \
                 kernel's clock on CPU {cpu}; the difference to the empty program in the last \
                 column is what counts. Before each packet another one of the flood goes through \
                 unmeasured.",
                options.rounds
            ),
            format!(
                "The gateway holds {LIVE_FLOWS} established flows of 500 inside hosts, half of \
                 them IPv4, half of them UDP, and its table of {} half-open flows is full. \
                 Packets of live flows are of one drawn at random each time, which no packet has \
                 touched for long; TCP has the usual options. Unsolicited packets have random \
                 hosts and ports. The scanning host is far beyond its allowance of {} half-open \
                 flows, so each of its flows removes an older one; the forged hosts are {HOSTS_MAX} \
                 inside addresses that take turns, each within its allowance.",
                SIZES.half_open_max, shares.half_open
            ),
        ],
        columns: series::columns(),
        rows: series::rows(all, 0),
        pictures: Vec::new(),
    }
}
