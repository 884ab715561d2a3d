//! What was measured, as tables and as a plot.

use super::{Case, Options, Study, Subject, site::Firewall};
use crate::{
    plot::{Line, Panel, Plot},
    report::{Column, Table, thousands},
    statistics::Spread,
};

impl Case {
    const fn name(self, study: Study) -> &'static str {
        match (self, study.sizes.all.len()) {
            (Self::Last, _) => "the last rule lets it in",
            (Self::Any, 5) => "a rule lets it in, another each time",
            (Self::Any, _) => "on the list, another each time",
            (Self::Stranger, 5) => "no rule lets it in, another each time",
            (Self::Stranger, _) => "not on the list, and let in, another each time",
        }
    }
}

/// The table and plot of policies by their rules.
pub(super) fn of_rules(study: Study, subjects: &[Subject], options: &Options, cpu: usize) -> Table {
    let mut notes = vec![way(options, cpu)];
    notes.push(
        "Each rule lets another network in to another port of another inside host. nftables has \
         a rule for each, or one rule and a set of concatenations with intervals; both stand \
         behind `ct state established,related accept`, so connection tracking looks at every \
         packet first."
            .into(),
    );
    Table {
        title: "New flows over a veth, by number of rules",
        notes,
        columns: columns(study),
        rows: rows(study, subjects),
        pictures: vec![plot(study, subjects).picture()],
    }
}

/// The table of policies by the prefixes of a list.
pub(super) fn of_lists(study: Study, subjects: &[Subject], options: &Options, cpu: usize) -> Table {
    let mut notes = vec![way(options, cpu)];
    notes.push(
        "A rule denies all whom the list names, and the next one lets everybody in to one port. \
         nftables has a rule for each prefix or a set with intervals."
            .into(),
    );
    Table {
        title: "New flows over a veth, by number of prefixes",
        notes,
        columns: columns(study),
        rows: rows(study, subjects),
        pictures: Vec::new(),
    }
}

fn way(options: &Options, cpu: usize) -> String {
    format!(
        "TCP SYNs over IPv6, sent through a veth in a network namespace by CPU {cpu}, which does \
         the work of the other end too: nanoseconds of its time per frame, sending included, \
         median of {} interleaved rounds of about {} ms. What is let in is dropped by an nftables \
         chain behind everything else; without a firewall, all of it. The ratio is taken within \
         each round (median [min – max]), and so is the difference to no firewall in the last \
         column (median), for the largest policy; that of XDP is the difference to an empty XDP program, \
         since a veth copies frames for any. It is negative where dropping a frame early saves \
         more than deciding costs. The counters of both firewalls must show every frame.",
        options.rounds, options.turn_ms
    )
}

fn columns(study: Study) -> Vec<Column> {
    let mut columns = study.sizes.columns(&["SYN", "firewall"]);
    columns.push(Column::Numbers("the most, over no firewall"));
    columns
}

fn rows(study: Study, subjects: &[Subject]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for &case in study.cases {
        for firewall in Firewall::FLOORS.into_iter().chain(Firewall::GOVERNED) {
            let by_size = |size: &u32| rounds(subjects, firewall, *size, case);
            let series: Vec<_> = study.sizes.all.iter().map(by_size).collect();
            let words = [case.name(study).to_owned(), firewall.name().to_owned()];
            let mut row: Vec<_> = words.into_iter().chain(study.sizes.cells(&series)).collect();
            let floor = rounds(subjects, firewall.floor(), study.sizes.all[0], case);
            let largest = series
                .iter()
                .rev()
                .find(|ns| !ns.is_empty())
                .filter(|_| Firewall::GOVERNED.contains(&firewall));
            row.push(largest.map_or_else(String::new, |ns| {
                thousands(Spread::of_differences(ns, floor).median)
            }));
            rows.push(row);
        }
    }
    rows
}

/// What was measured of one cell; nothing if nothing was.
fn rounds(subjects: &[Subject], firewall: Firewall, size: u32, case: Case) -> &[f64] {
    let found = subjects
        .iter()
        .find(|subject| subject.site.firewall == firewall && subject.site.policy.size == size);
    let measured = found.and_then(|subject| subject.cases.iter().find(|all| all.case == case));
    measured.map_or(&[], |measured| &measured.ns)
}

/// What the firewalls add to a packet that a rule lets in, over the number of rules.
fn plot(study: Study, subjects: &[Subject]) -> Plot {
    let sizes = study.sizes.all;
    let added_ns = |case, firewall: Firewall, size| {
        let ns = rounds(subjects, firewall, size, case);
        let floor = rounds(subjects, firewall.floor(), sizes[0], case);
        let median = (!ns.is_empty()).then(|| Spread::of_differences(ns, floor).median);
        // Noise alone can make it less than nothing.
        median.filter(|ns| *ns > 0.0)
    };
    let line = |case, firewall: Firewall| {
        let point = |&size: &u32| Some((f64::from(size), added_ns(case, firewall, size)?));
        Line { name: firewall.name(), points: sizes.iter().filter_map(point).collect() }
    };
    let panel = |title, case| {
        let lines = Firewall::GOVERNED.map(|firewall| line(case, firewall)).into();
        Panel { title, lines }
    };
    Plot {
        file: "classifier.svg",
        title: "What firewalls add to a new flow that a rule lets in",
        x: "rules",
        y: "ns per packet over no firewall",
        panels: vec![
            panel("the last rule, all packets alike", Case::Last),
            panel("any rule, another packet each time", Case::Any),
        ],
    }
}
