//! Counters.

use std::time::Duration;

use gateway_common::{
    counter::{Counter, FlowEvent},
    tuple::Direction,
    verdict::{Reason, Verdict},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::CostView;

/// The answer of `stats show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatsView {
    /// The gateway.
    pub name: String,
    /// One element for each direction and reason that packets met, in a fixed order.
    pub verdicts: Vec<VerdictView>,
    /// How full the flow tables are.
    pub flows: FlowTablesView,
    /// What happened to flows.
    pub events: EventsView,
    /// What flows carried and what it cost; absent where no daemon keeps accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostView>,
}

/// Packets that met one reason in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictView {
    /// `in` or `out`.
    pub direction: &'static str,
    /// `pass` or `drop`.
    pub verdict: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// Packets as they are on the wire.
    pub packets: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
}

impl VerdictView {
    /// The counter of `reason` in `direction`.
    #[must_use]
    pub fn new(direction: Direction, reason: Reason, counter: Counter) -> Self {
        let verdict: Verdict = reason.verdict();
        Self {
            direction: direction.name(),
            verdict: verdict.name(),
            reason: reason.name(),
            packets: counter.packets,
            bytes: counter.bytes,
        }
    }
}

/// How full the flow tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FlowTablesView {
    /// Live flows in the table of new flows.
    pub half_open: usize,
    /// Live flows in the table of established flows.
    pub established: usize,
    /// Entries that the table of new flows has room for.
    pub half_open_max: u32,
    /// Entries that the table of established flows has room for.
    pub established_max: u32,
    /// Expired flows that still take room in the table of new flows.
    pub half_open_expired: usize,
    /// Expired flows that still take room in the table of established flows.
    pub established_expired: usize,
}

/// How often each event happened to a flow since the gateway was attached: an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsView(pub Vec<(FlowEvent, u64)>);

impl Serialize for EventsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (event, count) in &self.0 {
            map.serialize_entry(&event.name().replace('-', "_"), count)?;
        }
        map.end()
    }
}

/// The answer of `stats watch`, once per interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatesView {
    /// The gateway.
    pub name: String,
    /// The time that the rates are taken over; zero in the first answer, which has none.
    pub interval_ms: u64,
    /// As in `stats show`, with rates.
    pub verdicts: Vec<VerdictRateView>,
    /// How full the flow tables are.
    pub flows: FlowTablesView,
    /// What happened to flows.
    pub events: EventsView,
}

/// A counter and how fast it grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VerdictRateView {
    /// The counter.
    #[serde(flatten)]
    pub total: VerdictView,
    /// Packets per second over the interval.
    pub packets_per_sec: f64,
    /// Bytes per second over the interval.
    pub bytes_per_sec: f64,
}

impl VerdictRateView {
    /// How fast each of `after` grew from `before`, `elapsed` ago.
    #[must_use]
    pub fn between(
        before: &[VerdictView],
        after: impl IntoIterator<Item = VerdictView>,
        elapsed: Duration,
    ) -> Vec<Self> {
        let rate = |total: VerdictView| {
            let is_same = |earlier: &&VerdictView| {
                (earlier.direction, earlier.reason) == (total.direction, total.reason)
            };
            let earlier = before.iter().find(is_same);
            let (packets, bytes) =
                earlier.map_or((0, 0), |earlier| (earlier.packets, earlier.bytes));
            Self {
                total,
                packets_per_sec: per_sec(total.packets, packets, elapsed),
                bytes_per_sec: per_sec(total.bytes, bytes, elapsed),
            }
        };
        after.into_iter().map(rate).collect()
    }
}

impl RatesView {
    /// What changed from `before`, `elapsed` ago, to `after`.
    #[must_use]
    pub fn between(before: &StatsView, after: StatsView, elapsed: Duration) -> Self {
        let verdicts = VerdictRateView::between(&before.verdicts, after.verdicts, elapsed);
        Self {
            name: after.name,
            interval_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            verdicts,
            flows: after.flows,
            events: after.events,
        }
    }
}

/// A rate, zero when no time has passed or the counter was reset, to three decimals.
pub(crate) fn per_sec(after: u64, before: u64, elapsed: Duration) -> f64 {
    let secs = elapsed.as_secs_f64();
    if secs == 0.0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let grown = after.saturating_sub(before) as f64;
    (grown / secs * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_the_contracts() {
        let json = serde_json::to_string(&stats(12, 1234)).expect("plain data");
        assert_eq!(
            json,
            concat!(
                r#"{"name":"wan","verdicts":[{"direction":"in","verdict":"drop","#,
                r#""reason":"no-flow","packets":12,"bytes":1234}],"#,
                r#""flows":{"half_open":1,"established":2,"half_open_max":1024,"#,
                r#""established_max":4096,"half_open_expired":0,"established_expired":7},"#,
                r#""events":{"created":5,"promoted":3,"established_full":0,"#,
                r#""host_share_full":2,"host_overflow":9,"host_recycled":1}}"#
            )
        );
    }

    #[test]
    fn rates_are_differences_over_time() {
        let rates = RatesView::between(&stats(12, 1000), stats(15, 4000), Duration::from_secs(2));
        let json = serde_json::to_value(&rates).expect("plain data");
        assert_eq!(json["interval_ms"], 2000);
        let verdict = &json["verdicts"][0];
        assert_eq!(verdict["reason"], "no-flow");
        assert_eq!((&verdict["packets"], &verdict["bytes"]), (&15.into(), &4000.into()));
        assert_eq!(verdict["packets_per_sec"], 1.5);
        assert_eq!(verdict["bytes_per_sec"], 1500.0);
    }

    #[test]
    fn rates_of_new_reset_and_instant_counters_are_harmless() {
        let empty = StatsView { verdicts: Vec::new(), ..stats(0, 0) };
        let rate = |before: &StatsView, after, millis| {
            RatesView::between(before, after, Duration::from_millis(millis)).verdicts[0]
                .packets_per_sec
        };
        assert_eq!(rate(&empty, stats(5, 5), 1000).to_bits(), 5.0_f64.to_bits());
        assert_eq!(rate(&stats(9, 9), stats(5, 5), 1000).to_bits(), 0.0_f64.to_bits());
        assert_eq!(rate(&empty, stats(5, 5), 0).to_bits(), 0.0_f64.to_bits());
    }

    fn stats(packets: u64, bytes: u64) -> StatsView {
        let counter = Counter { packets, bytes };
        StatsView {
            name: "wan".to_owned(),
            verdicts: vec![VerdictView::new(Direction::Inbound, Reason::NoFlow, counter)],
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
