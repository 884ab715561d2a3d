//! The same packet again and again: what the program itself costs while everything that it
//! touches is in the CPU's caches.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gateway_common::{
    limits::EXTENSION_HEADERS_MAX,
    tuple::{Direction, Family},
    verdict::Reason,
};
use nix::time::{ClockId, clock_gettime};
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
    topology::{INSIDE, ROUTER},
};

use super::{
    Options,
    flow::{Flow, hosts},
    load, verdict_cell, verify,
};
use crate::{
    empty::{Empty, Hook},
    report::Table,
    statistics::Spread,
};

/// IPv6 first, as everywhere.
const FAMILIES: [Family; 2] = [Family::Ipv6, Family::Ipv4];
/// "No operation", as often as the header has room for.
const OPTIONS: [u8; 40] = [1; 40];
const PACKET_TOO_BIG: u8 = 2;
const MTU_BYTES: u32 = 1400;

/// A packet and the program that judges it.
struct Case {
    packet: String,
    subject: Subject,
    frame: Vec<u8>,
    /// Nanoseconds per packet, in each round.
    ns: Vec<f64>,
}

enum Subject {
    Empty(Hook),
    Gateway(Program, Reason),
}

impl Subject {
    /// The hook whose empty program is the floor.
    const fn hook(&self) -> Hook {
        match self {
            Self::Empty(hook) => *hook,
            Self::Gateway(Program::IngressXdp, _) => Hook::Xdp,
            Self::Gateway(Program::IngressTc | Program::EgressTc, _) => Hook::Tc,
        }
    }
}

/// Measures all cases.
pub(super) fn run(options: &Options, cpu: usize) -> Result<Table> {
    let mut empty = Empty::load()?;
    let programs = load();
    let mut cases = floors();
    for family in FAMILIES {
        for flow in flows(family) {
            flow.establish(&programs);
        }
        cases.extend(plain(family));
    }
    cases.extend(related_and_long());

    let before = programs.state();
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {}, {} cases", options.rounds, cases.len());
        for case in &mut cases {
            let ns = turn(case, &mut empty, &programs, options.runs)?;
            case.ns.push(ns);
        }
    }
    let packets = u64::from(options.rounds) * u64::from(options.runs);
    let expected: Vec<_> = cases
        .iter()
        .filter_map(|case| match case.subject {
            Subject::Empty(_) => None,
            Subject::Gateway(program, reason) => Some(((direction(program), reason), packets)),
        })
        .collect();
    verify(&before, &programs.state(), &expected).context("the cases did not do what they say")?;
    Ok(table(&cases, options, cpu))
}

/// One turn of one case, in CPU time of this thread, which does not count what other processes
/// take. What the system call itself costs is spread over all the runs.
fn turn(case: &Case, empty: &mut Empty, programs: &Programs, runs: u32) -> Result<f64> {
    let before = cpu_time()?;
    match case.subject {
        Subject::Empty(hook) => empty.run_ns(hook, &case.frame, runs)?,
        Subject::Gateway(program, _) => programs.run_ns(program, &case.frame, runs),
    };
    let spent = cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e9 / f64::from(runs))
}

fn cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("reading the CPU clock")?;
    Ok(time.into())
}

const fn direction(program: Program) -> Direction {
    match program {
        Program::IngressXdp | Program::IngressTc => Direction::Inbound,
        Program::EgressTc => Direction::Outbound,
    }
}

fn floors() -> Vec<Case> {
    let [flow, _] = flows(Family::Ipv6);
    let floor = |hook| Case {
        packet: "any, the floor".into(),
        subject: Subject::Empty(hook),
        frame: flow.reply.frame(),
        ns: Vec::new(),
    };
    vec![floor(Hook::Xdp), floor(Hook::Tc)]
}

/// The two flows of a family that packets may belong to.
fn flows(family: Family) -> [Flow; 2] {
    let (inside, outside) = hosts(family);
    [Flow::tcp(inside, outside), Flow::udp(inside, outside)]
}

/// A SYN and a datagram that nobody asked for: outside opens what it may not.
fn unsolicited(family: Family) -> [Packet; 2] {
    let (inside, outside) = hosts(family);
    [Flow::tcp(outside, inside).opening, Flow::udp(outside, inside).opening]
}

/// Everyday packets of a family.
fn plain(family: Family) -> Vec<Case> {
    let [tcp, udp] = flows(family);
    let [syn, datagram] = unsolicited(family);
    let named = |what: &str| format!("{what}, IPv{}", family.version());
    let mut cases = Vec::new();
    cases.extend(ingress(&named("TCP SYN, unsolicited"), &syn, Reason::NoFlow));
    cases.extend(ingress(&named("UDP, unsolicited"), &datagram, Reason::NoFlow));
    cases.extend(ingress(&named("TCP reply"), &tcp.reply, Reason::Flow));
    cases.extend(ingress(&named("UDP reply"), &udp.reply, Reason::Flow));
    cases.push(egress(&named("TCP of a flow"), &tcp.outbound));
    cases.push(egress(&named("UDP of a flow"), &udp.outbound));
    cases
}

/// What takes the parser longest.
fn related_and_long() -> Vec<Case> {
    let [flow, _] = flows(Family::Ipv6);
    let error = Packet::ip(ROUTER.v6, INSIDE.v6).icmp_error(
        PACKET_TOO_BIG,
        0,
        MTU_BYTES,
        &flow.outbound.ip_bytes(),
    );
    let chain = |packet: Packet| {
        (1..EXTENSION_HEADERS_MAX)
            .fold(packet.hop_by_hop(), |packet, _| packet.destination_options())
    };
    let [syn, _] = unsolicited(Family::Ipv6);
    let long = format!("{EXTENSION_HEADERS_MAX} extension headers");
    let mut cases = Vec::new();
    cases.extend(ingress("ICMPv6 packet too big about a flow", &error, Reason::Related));
    cases.extend(ingress(&format!("TCP SYN, {long}"), &chain(syn), Reason::NoFlow));
    cases.extend(ingress(&format!("TCP reply, {long}"), &chain(flow.reply), Reason::Flow));

    let [flow, _] = flows(Family::Ipv4);
    let [syn, _] = unsolicited(Family::Ipv4);
    let syn = syn.options(&OPTIONS);
    cases.extend(ingress("TCP SYN, 40 bytes of IPv4 options", &syn, Reason::NoFlow));
    let reply = flow.reply.options(&OPTIONS);
    cases.extend(ingress("TCP reply, 40 bytes of IPv4 options", &reply, Reason::Flow));
    cases
}

/// A packet from outside, judged by both programs that can.
fn ingress(what: &str, packet: &Packet, reason: Reason) -> [Case; 2] {
    Program::INGRESS.map(|program| case(what, program, packet, reason))
}

fn egress(what: &str, packet: &Packet) -> Case {
    case(what, Program::EgressTc, packet, Reason::Flow)
}

fn case(what: &str, program: Program, packet: &Packet, reason: Reason) -> Case {
    Case {
        packet: what.to_owned(),
        subject: Subject::Gateway(program, reason),
        frame: packet.frame(),
        ns: Vec::new(),
    }
}

fn table(cases: &[Case], options: &Options, cpu: usize) -> Table {
    let floor = |hook: Hook| {
        let floors =
            cases.iter().find(|case| matches!(case.subject, Subject::Empty(at) if at == hook));
        &floors.expect("both floors are measured").ns
    };
    let rows = cases.iter().map(|case| {
        let (program, verdict, over) = match case.subject {
            Subject::Empty(hook) => (hook.program(), "pass".to_owned(), String::new()),
            Subject::Gateway(program, reason) => {
                let over = Spread::of_differences(&case.ns, floor(case.subject.hook()));
                (program.name(), verdict_cell(reason), format!("{over:+.1}"))
            }
        };
        let ns = Spread::of(case.ns.iter().copied());
        vec![case.packet.clone(), verdict, program.to_owned(), format!("{ns:.1}"), over]
    });
    Table {
        title: "Time per packet, caches warm",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN of one packet over and over: median [min – max] of {} rounds \
                 in which every case has one turn of {} runs, in nanoseconds of CPU time on CPU \
                 {cpu}. The last column is the difference to the empty program of the same hook, \
                 taken within each round. The floor holds what the test run itself costs.",
                options.rounds, options.runs
            ),
            "Verdicts are checked: the programs' own counters must show every packet of a case \
             under its reason, and no other."
                .into(),
        ],
        columns: super::columns(),
        rows: rows.collect(),
    }
}
