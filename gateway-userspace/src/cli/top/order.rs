//! What comes first on the screen.

use std::cmp::Ordering;

use clap::ValueEnum;

use crate::view::{FlowRateView, LineView, RatesBothView, RuleRateView, VerdictRateView};

/// What to sort by; a list without that column is sorted by rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Column {
    /// Bits per second in both directions
    #[default]
    Rate,
    /// Bits per second that inside sends
    Out,
    /// Bits per second that outside sends
    In,
    /// Packets per second in both directions
    Packets,
    /// Live flows
    Flows,
    /// Bytes in both directions
    Bytes,
    /// What it cost
    Cost,
    /// The time since the flow was opened
    Age,
    /// The name
    Name,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: Column,
    /// Whether the least comes first, or the last of names.
    pub(super) is_reversed: bool,
}

impl Order {
    /// The same by the next column.
    pub(super) fn next(self) -> Self {
        let all = Column::value_variants();
        let at = all.iter().position(|&column| column == self.column).unwrap_or_default();
        Self { column: all[(at + 1) % all.len()], ..self }
    }

    /// The name of the column.
    pub(super) fn name(self) -> String {
        let value = self.column.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// A number that is greater for flows that come first; `carried` and `grown` have packets and
    /// bytes of inside, then of outside.
    pub(super) fn rank_flow(self, carried: [u64; 4], grown: [u64; 4], created: u64) -> (u64, u64) {
        let rank = match self.column {
            Column::Rate => grown[1].saturating_add(grown[3]),
            Column::Out => grown[1],
            Column::In => grown[3],
            Column::Packets => grown[0].saturating_add(grown[2]),
            Column::Flows | Column::Cost | Column::Bytes | Column::Name => 0,
            Column::Age => u64::MAX - created,
        };
        (rank, carried[1].saturating_add(carried[3]))
    }

    fn apply(self, ordering: Ordering) -> Ordering {
        if self.is_reversed { ordering.reverse() } else { ordering }
    }
}

fn rate(rates: &RatesBothView, column: Column) -> f64 {
    match column {
        Column::Out => rates.bits_out_per_sec,
        Column::In => rates.bits_in_per_sec,
        Column::Packets => rates.packets_out_per_sec + rates.packets_in_per_sec,
        Column::Rate
        | Column::Flows
        | Column::Bytes
        | Column::Cost
        | Column::Age
        | Column::Name => rates.bits_per_sec(),
    }
}

/// Sorts flows that are taken together.
pub(super) fn lines(lines: &mut [LineView], order: Order) {
    let column = order.column;
    lines.sort_by(|left, right| {
        let by_name = || left.name.cmp(&right.name);
        let by_rate = || rate(&right.rates, column).total_cmp(&rate(&left.rates, column));
        let first = match column {
            Column::Name => by_name(),
            Column::Flows => right.flows.cmp(&left.flows),
            Column::Bytes => right.bytes().cmp(&left.bytes()),
            Column::Cost => {
                right.cost.unwrap_or_default().total_cmp(&left.cost.unwrap_or_default())
            }
            Column::Rate | Column::Out | Column::In | Column::Packets | Column::Age => by_rate(),
        };
        let then = || right.bytes().cmp(&left.bytes()).then_with(by_name);
        order.apply(first.then_with(then))
    });
}

/// Sorts flows.
pub(super) fn flows(flows: &mut [FlowRateView], order: Order) {
    let column = order.column;
    let bytes = |view: &FlowRateView| view.flow.bytes_out.saturating_add(view.flow.bytes_in);
    let name = |view: &FlowRateView| {
        let flow = &view.flow;
        (flow.local, flow.remote, flow.proto.clone(), flow.local_port, flow.remote_port)
    };
    flows.sort_by(|left, right| {
        let first = match column {
            Column::Name => name(left).cmp(&name(right)),
            Column::Age => right.flow.age_ms.cmp(&left.flow.age_ms),
            Column::Bytes => bytes(right).cmp(&bytes(left)),
            Column::Rate
            | Column::Out
            | Column::In
            | Column::Packets
            | Column::Flows
            | Column::Cost => rate(&right.rates, column).total_cmp(&rate(&left.rates, column)),
        };
        let then = || bytes(right).cmp(&bytes(left)).then_with(|| name(left).cmp(&name(right)));
        order.apply(first.then_with(then))
    });
}

/// Sorts reasons of drops.
pub(super) fn drops(drops: &mut [VerdictRateView], order: Order) {
    drops.sort_by(|left, right| {
        let first = match order.column {
            Column::Name => left.total.reason.cmp(right.total.reason),
            Column::Bytes => right.total.bytes.cmp(&left.total.bytes),
            Column::Rate
            | Column::Out
            | Column::In
            | Column::Packets
            | Column::Flows
            | Column::Cost
            | Column::Age => right.packets_per_sec.total_cmp(&left.packets_per_sec),
        };
        order.apply(first.then(right.total.packets.cmp(&left.total.packets)))
    });
}

/// Sorts rules; by default they stand as they are asked.
pub(super) fn rules(rules: &mut [RuleRateView], order: Order) {
    rules.sort_by(|left, right| {
        let first = match order.column {
            Column::Name => left.name.cmp(&right.name),
            Column::Bytes => right.flow_bytes.cmp(&left.flow_bytes),
            Column::Cost => {
                right.cost.unwrap_or_default().total_cmp(&left.cost.unwrap_or_default())
            }
            Column::Packets => right.hits_per_sec.total_cmp(&left.hits_per_sec),
            Column::Rate | Column::Out | Column::In | Column::Flows | Column::Age => {
                left.number.cmp(&right.number)
            }
        };
        order.apply(first)
    });
}
