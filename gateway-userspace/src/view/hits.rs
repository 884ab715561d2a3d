//! Rules and subnets with what they counted.

use gateway_common::{counter::Hits, timeouts::Ticks};
use ipnet::IpNet;
use serde::Serialize;

use super::RuleTextView;

/// The answer of `rule show`: an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuleListView {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<RuleHitsView>,
}

/// A rule and what it decided. The counts go on over reloads as long as the rule is there: one with
/// a name may say something else then, one without may stand elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleHitsView {
    /// Its place among the rules, counted from one.
    pub number: usize,
    /// What it says.
    #[serde(flatten)]
    pub text: RuleTextView,
    /// Packets that it decided; of a shadow rule those that it would have decided.
    pub hits: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
    /// Time since the last of them; `null` when there was none.
    pub last_hit_ms: Option<u64>,
}

/// The answer of `subnet show`: an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SubnetListView {
    /// The subnets, in the order of the file, then the addresses that none covers.
    pub subnets: Vec<SubnetHitsView>,
}

/// A subnet and what is going on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubnetHitsView {
    /// Its name; `(other)` for the addresses that no subnet covers.
    pub name: String,
    /// Its addresses; `null` for those that no subnet covers.
    pub prefix: Option<IpNet>,
    /// Its route.
    pub route: &'static str,
    /// Live flows of its addresses, and what these flows carried.
    #[serde(flatten)]
    pub flows: FlowSumView,
    /// Packets that the policy refused to or from its addresses.
    pub dropped_packets: u64,
    /// Their bytes, from the IP header on.
    pub dropped_bytes: u64,
    /// Time since the last of them; `null` when there was none.
    pub last_drop_ms: Option<u64>,
}

/// Flows taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FlowSumView {
    /// How many there are.
    pub flows: usize,
    /// Packets that inside sent.
    pub packets_out: u64,
    /// Bytes that inside sent, from the IP header on.
    pub bytes_out: u64,
    /// Packets that outside sent.
    pub packets_in: u64,
    /// Bytes that outside sent, from the IP header on.
    pub bytes_in: u64,
}

impl RuleHitsView {
    /// The rule at `index` with its hits as they are at `now`.
    #[must_use]
    pub fn new(
        index: usize,
        text: RuleTextView,
        hits: &Hits,
        now: Ticks,
        ticks_per_sec: u32,
    ) -> Self {
        Self {
            number: index + 1,
            text,
            hits: hits.count.packets,
            bytes: hits.count.bytes,
            last_hit_ms: age_ms(hits, now, ticks_per_sec),
        }
    }
}

/// Time since the last hit.
pub(crate) fn age_ms(hits: &Hits, now: Ticks, ticks_per_sec: u32) -> Option<u64> {
    // A zeroed configuration, which no armed gateway has, must not divide by zero.
    (hits.last.0 != 0).then(|| now.since(hits.last).to_ms(ticks_per_sec.max(1)))
}

#[cfg(test)]
mod tests {
    use gateway_common::counter::Counter;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_json_is_the_contracts() {
        let text = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n\
                    from = '192.0.2.0/24'\n";
        let hits = Hits { count: Counter { packets: 12, bytes: 1234 }, last: Ticks(750) };
        let view = |hits| RuleListView {
            rules: vec![RuleHitsView::new(0, rule(text), hits, Ticks(2_000), 250)],
        };
        assert_eq!(
            serde_json::to_string(&view(&hits)).expect("plain data"),
            concat!(
                r#"[{"number":1,"name":null,"direction":"in","action":"allow","proto":["tcp"],"#,
                r#""ports":["22"],"icmp_types":[],"from":["192.0.2.0/24"],"to":[],"log":false,"#,
                r#""shadow":false,"hits":12,"bytes":1234,"last_hit_ms":5000}]"#
            )
        );
        let json = serde_json::to_value(view(&Hits::default())).expect("plain data");
        assert_eq!(json[0]["last_hit_ms"], serde_json::Value::Null);
    }

    fn rule(text: &str) -> RuleTextView {
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        RuleTextView::new(&settings.policy.rules[0], &settings.policy)
    }

    #[test]
    fn subnets_without_a_prefix_are_those_that_none_covers() {
        let view = SubnetHitsView {
            name: "(other)".to_owned(),
            prefix: None,
            route: "blocked",
            flows: FlowSumView {
                flows: 1,
                packets_out: 2,
                bytes_out: 3,
                packets_in: 4,
                bytes_in: 5,
            },
            dropped_packets: 6,
            dropped_bytes: 7,
            last_drop_ms: None,
        };
        assert_eq!(
            serde_json::to_string(&view).expect("plain data"),
            concat!(
                r#"{"name":"(other)","prefix":null,"route":"blocked","flows":1,"packets_out":2,"#,
                r#""bytes_out":3,"packets_in":4,"bytes_in":5,"dropped_packets":6,"#,
                r#""dropped_bytes":7,"last_drop_ms":null}"#
            )
        );
    }
}
