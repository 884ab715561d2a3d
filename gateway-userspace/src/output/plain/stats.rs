//! Counters as tables.

use super::accounts;
use crate::{
    output::table::{numbers, render, words},
    view::{EventsView, FlowTablesView, RatesView, StatsView},
};

pub(super) fn stats(view: &StatsView) -> String {
    let columns = [
        words("DIRECTION"),
        words("VERDICT"),
        words("REASON"),
        numbers("PACKETS"),
        numbers("BYTES"),
    ];
    let rows = view.verdicts.iter().map(|counter| {
        [
            counter.direction.to_owned(),
            counter.verdict.to_owned(),
            counter.reason.to_owned(),
            counter.packets.to_string(),
            counter.bytes.to_string(),
        ]
    });
    let mut text = with_totals(&view.name, &render(columns, rows), view.flows, &view.events);
    text.extend(view.cost.as_ref().map(accounts::summary));
    text
}

pub(super) fn rates(view: &RatesView) -> String {
    let columns = [
        words("DIRECTION"),
        words("VERDICT"),
        words("REASON"),
        numbers("PACKETS"),
        numbers("BYTES"),
        numbers("PACKETS/S"),
        numbers("BYTES/S"),
    ];
    let rows = view.verdicts.iter().map(|counter| {
        [
            counter.total.direction.to_owned(),
            counter.total.verdict.to_owned(),
            counter.total.reason.to_owned(),
            counter.total.packets.to_string(),
            counter.total.bytes.to_string(),
            format!("{:.1}", counter.packets_per_sec),
            format!("{:.1}", counter.bytes_per_sec),
        ]
    });
    with_totals(&view.name, &render(columns, rows), view.flows, &view.events)
}

/// How full the flow tables are, in one line.
pub(super) fn flow_tables(flows: FlowTablesView) -> String {
    let FlowTablesView { half_open, established, half_open_max, established_max, .. } = flows;
    let expired = |flows: usize| match flows {
        0 => String::new(),
        flows => format!(" and {flows} expired"),
    };
    format!(
        "half-open {half_open}{} of {half_open_max}, established {established}{} of \
         {established_max}",
        expired(flows.half_open_expired),
        expired(flows.established_expired),
    )
}

fn with_totals(name: &str, table: &str, flows: FlowTablesView, events: &EventsView) -> String {
    let events: Vec<_> =
        events.0.iter().map(|(event, count)| format!("{} {count}", event.name())).collect();
    format!(
        "gateway {name}\n\n{table}\nflows:  {}\nevents: {}\n",
        flow_tables(flows),
        events.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateway_common::{
        counter::{Counter, FlowEvent},
        tuple::Direction,
        verdict::Reason,
    };

    use super::*;
    use crate::view::VerdictView;

    #[test]
    fn counters_and_tables_fit_one_screen() {
        let expected = "\
gateway wan

DIRECTION  VERDICT  REASON   PACKETS  BYTES
in         drop     no-flow       12   1234
out        pass     flow           3    222

flows:  half-open 1 of 1024, established 2 and 7 expired of 4096
events: created 5, promoted 3, established-full 0, host-share-full 2, host-overflow 9, host-recycled 1
";
        assert_eq!(stats(&view(12)), expected);
    }

    #[test]
    fn rates_stand_beside_the_totals() {
        let rates_view = RatesView::between(&view(2), view(12), Duration::from_secs(4));
        let text = rates(&rates_view);
        assert!(
            text.contains("in         drop     no-flow       12   1234        2.5      0.0\n"),
            "{text}"
        );
    }

    fn view(dropped: u64) -> StatsView {
        let counter = |packets, bytes| Counter { packets, bytes };
        StatsView {
            name: "wan".to_owned(),
            verdicts: vec![
                VerdictView::new(Direction::Inbound, Reason::NoFlow, counter(dropped, 1234)),
                VerdictView::new(Direction::Outbound, Reason::Flow, counter(3, 222)),
            ],
            flows: FlowTablesView {
                half_open: 1,
                established: 2,
                half_open_max: 1_024,
                established_max: 4_096,
                half_open_expired: 0,
                established_expired: 7,
            },
            events: EventsView(FlowEvent::ALL.into_iter().zip([5, 3, 0, 2, 9, 1]).collect()),
            cost: None,
        }
    }
}
