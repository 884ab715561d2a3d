//! What was measured, as a table and as a picture.

use super::{
    Measured, Options,
    stage::{
        Case,
        Spread::{Any, One},
    },
};
use crate::{
    plot::{Line, Panel, Plot},
    report::{Column, Table, thousands},
    statistics::Spread,
};

pub(super) fn table(measured: &[Measured], options: &Options, cpu: usize) -> Table {
    let mut rows = Vec::new();
    for (index, case) in Case::ALL.into_iter().enumerate() {
        for Measured { flows, series } in measured {
            let series = &series[index];
            if !series.ns.is_empty() {
                rows.push(vec![
                    case.name().to_owned(),
                    thousands((*flows).into()),
                    format!("{:.0}", Spread::of(series.ns.iter().copied())),
                    format!("{:+.0}", Spread::of_differences(&series.ns, &series.floor_ns)),
                ]);
            }
        }
    }
    Table {
        title: "Time per packet, by number of live flows",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN of {} packets in one go: UDP over IPv6, each of a flow or a \
                 stranger that a program draws at random just before the gateway's program is \
                 called (a tail call), so that nothing of another flow comes between. Nanoseconds \
                 of CPU time on CPU {cpu}, median [min – max] of {} interleaved rounds. The last \
                 column is the difference to an empty program called in the same manner for the \
                 same packets, taken within each round.",
                thousands(options.runs.into()),
                options.rounds
            ),
            "Packets of one flow or stranger find all that is looked at in the caches. Those of any \
             find hardly anything there once there are many. The table of established flows has \
             room for a twentieth more than are live, 65,536 at least. Verdicts are checked with \
             the programs' own counters."
                .into(),
        ],
        columns: vec![
            Column::Words("packet"),
            Column::Numbers("live flows"),
            Column::Numbers("ns per packet"),
            Column::Numbers("over the empty program"),
        ],
        rows,
        pictures: vec![plot(measured).picture()],
    }
}

/// No flow at all has no place on a logarithmic axis.
fn plot(measured: &[Measured]) -> Plot {
    let line = |name, case: Case| {
        let index = Case::ALL.iter().position(|other| *other == case).expect("one of all");
        let point = |Measured { flows, series }: &Measured| {
            let series = &series[index];
            let ns = Spread::of_differences(&series.ns, &series.floor_ns).median;
            // Noise alone can make it less than nothing.
            (f64::from(*flows), ns.max(1.0))
        };
        let points = measured.iter().filter(|measured| measured.flows > 0).map(point);
        Line { name, points: points.collect() }
    };
    let panel = |title, spread| Panel {
        title,
        lines: vec![
            line("unsolicited", Case::Drop(spread)),
            line("reply", Case::Reply(spread)),
            line("outbound", Case::Refresh(spread)),
            line("opens a flow", Case::Create),
        ],
    };
    Plot {
        file: "scaling.svg",
        title: "What a packet costs, by number of live flows",
        x: "live flows",
        y: "ns per packet over an empty program",
        panels: vec![panel("one flow, in the caches", One), panel("any flow, at random", Any)],
    }
}
