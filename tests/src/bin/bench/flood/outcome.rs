//! What was measured, as a table and as a picture.

use super::{BURST, BURST_INTERVAL_NS, Options, STATEFUL, STATELESS, Series, Subject};
use crate::{
    bars::{Bar, Bars, Group},
    lab::{
        firewall::Firewall,
        site::count,
        traffic::{SOURCES, Unsolicited},
    },
    report::{Column, Table, thousands},
    statistics::Spread,
};

pub(super) fn table(subjects: &[Subject], options: &Options) -> Table {
    let mut rows = Vec::new();
    for index in 0..Unsolicited::ALL.len() {
        for subject in subjects {
            rows.push(row(subjects, subject, index));
        }
    }
    Table {
        title: "Unsolicited packets, end to end",
        notes: notes(options),
        columns: vec![
            Column::Words("packets"),
            Column::Words("firewall"),
            Column::Numbers("live flows"),
            Column::Numbers("ns per packet"),
            Column::Numbers("to XDP_DROP"),
            Column::Numbers("nftables, stateful, to this"),
            Column::Numbers("full speed: ns"),
            Column::Numbers("Mpps"),
            Column::Numbers("to XDP_DROP"),
            Column::Numbers("nftables to this"),
        ],
        rows,
        pictures: Unsolicited::ALL
            .iter()
            .enumerate()
            .map(|(index, unsolicited)| bars(subjects, options, index, *unsolicited).picture())
            .collect(),
    }
}

fn notes(options: &Options) -> Vec<String> {
    vec![
        format!(
            "Frames of 74 bytes over IPv6 from {} random sources, made in the kernel by one CPU \
             (`BPF_PROG_RUN` with live frames) and put on the uplink's veth; the gateway receives them \
             on a thread of its own on another CPU. Nanoseconds per packet are that thread's CPU time, \
             as the scheduler accounts for it, over the packets that it received: the whole way from \
             the driver to the end. Median [min – max] of {} interleaved rounds of {} ms; ratios are \
             taken within each round.",
            thousands(f64::from(SOURCES)),
            options.rounds,
            options.turn_ms
        ),
        format!(
            "First in bursts of {BURST} frames, {} a second, which every firewall is done with before \
             the next one comes: none is lost. Then as fast as the generator can, as a flood would; \
             what cannot keep up finds its ring full all the time, and generator and gateway take the \
             ring's memory from each other with every packet. Mpps is what the gateway received in a \
             second then.",
            thousands(1e9 / count(BURST_INTERVAL_NS) * f64::from(BURST))
        ),
        "The second row is a program that drops everything as well, but computes 64 products first and \
         touches no memory but the packet's: what it costs more than the floor at full speed than in \
         bursts, the ring does."
            .into(),
        "Without a firewall packets are forwarded and dropped at the inside host by an XDP program, \
         on the generator's CPU; with each other one a sink there must see none of them. \
         The rules without state (raw prerouting, netdev ingress) drop the flood by its port: they \
         could not tell answers from it. A flowtable takes part in nothing here, since unsolicited \
         packets are of no flow. Live flows are UDP, were opened and answered through the gateway, \
         and send nothing meanwhile. Connection tracking has four places in its hash table for each of \
         them, which all namespaces share."
            .into(),
    ]
}

fn row(subjects: &[Subject], subject: &Subject, index: usize) -> Vec<String> {
    let Subject { site, series } = subject;
    let Series { packet_ns, full_ns, full_mpps } = &series[index];
    let floor = &of(subjects, Firewall::XdpDrop, 0)[index];
    let nftables = find(subjects, Firewall::Nftables, site.flows)
        .filter(|_| site.firewall != Firewall::Nftables)
        .map(|series| &series[index]);
    let gain = |ns: Option<&[f64]>, of: &[f64]| {
        ns.map_or_else(String::new, |ns| format!("{:.1}", Spread::of_ratios(ns, of)))
    };
    vec![
        Unsolicited::ALL[index].name().to_owned(),
        site.firewall.name().to_owned(),
        if site.firewall.is_stateful() { thousands(site.flows.into()) } else { String::new() },
        format!("{:.0}", Spread::of(packet_ns.iter().copied())),
        format!("{:.2}", Spread::of_ratios(packet_ns, &floor.packet_ns)),
        gain(nftables.map(|series| &series.packet_ns[..]), packet_ns),
        format!("{:.0}", Spread::of(full_ns.iter().copied())),
        format!("{:.2}", Spread::of(full_mpps.iter().copied())),
        format!("{:.2}", Spread::of_ratios(full_ns, &floor.full_ns)),
        gain(nftables.map(|series| &series.full_ns[..]), full_ns),
    ]
}

/// The stateless ones once, and the stateful ones by their numbers of flows.
fn bars(subjects: &[Subject], options: &Options, index: usize, kind: Unsolicited) -> Bars {
    let bar = |firewall: Firewall, flows: u32, name: String| {
        let ns = &of(subjects, firewall, flows)[index].packet_ns;
        Bar {
            name,
            spread: Spread::of(ns.iter().copied()),
            highlighted: matches!(firewall, Firewall::Eigw(_)),
        }
    };
    let stateless = STATELESS.map(|firewall| bar(firewall, 0, firewall.name().to_owned())).into();
    let mut groups = vec![Group { name: "without state".to_owned(), bars: stateless }];
    for &flows in &options.flows {
        let bars = STATEFUL.map(|firewall| bar(firewall, flows, firewall.name().to_owned()));
        let name = format!("{} live flows", thousands(flows.into()));
        groups.push(Group { name, bars: bars.into() });
    }
    let (file, title) = match kind {
        Unsolicited::Udp => ("flood-udp.svg", "An unsolicited UDP datagram, end to end"),
        Unsolicited::TcpSyn => ("flood-syn.svg", "An unsolicited TCP SYN, end to end"),
    };
    Bars { file, title, unit: "ns of the gateway's CPU time per packet; shorter is better", groups }
}

fn of(subjects: &[Subject], firewall: Firewall, flows: u32) -> &[Series] {
    find(subjects, firewall, flows).expect("each firewall has its sites")
}

fn find(subjects: &[Subject], firewall: Firewall, flows: u32) -> Option<&[Series]> {
    let its = |subject: &&Subject| subject.site.firewall == firewall && subject.site.flows == flows;
    subjects.iter().find(its).map(|subject| &subject.series[..])
}
