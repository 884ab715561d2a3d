//! What goes on right now.

use serde::Serialize;

use super::{CostView, FlowTablesView, FlowView, VerdictRateView};

/// The answer of `top`, once per interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TopView {
    /// The gateway.
    pub name: String,
    /// The interfaces it protects.
    pub uplinks: Vec<TopUplinkView>,
    /// The generation of the policy in force.
    pub generation: u32,
    /// The time that rates are taken over; zero in the first answer, which has none.
    pub interval_ms: u64,
    /// How long it took to read the tables.
    pub read_ms: u64,
    /// How full the flow tables are.
    pub tables: FlowTablesView,
    /// All packets that arrived from outside.
    pub inbound: RateView,
    /// All packets that inside sent.
    pub outbound: RateView,
    /// Packets per second that were dropped.
    pub drops_per_sec: f64,
    /// The live flows that the filters choose, together.
    pub total: LineView,
    /// The same by inside host.
    pub talkers: Vec<LineView>,
    /// The same by network of the destination.
    pub destinations: Vec<LineView>,
    /// Flows.
    pub flows: Vec<FlowRateView>,
    /// Why packets were dropped.
    pub drops: Vec<VerdictRateView>,
    /// Rules.
    pub rules: Vec<RuleRateView>,
    /// What flows cost so far; `null` where no daemon keeps accounts.
    pub cost: Option<CostView>,
}

/// An uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopUplinkView {
    /// Its name.
    pub name: String,
    /// `up`, `down` or `absent`.
    pub state: &'static str,
    /// Where inbound packets are judged; `null` where they are not.
    pub hook: Option<&'static str>,
}

/// How fast something comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RateView {
    /// Packets per second.
    pub packets_per_sec: f64,
    /// Bits per second, from the IP header on.
    pub bits_per_sec: f64,
}

/// How fast both directions of flows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RatesBothView {
    /// Packets per second that inside sends.
    pub packets_out_per_sec: f64,
    /// Bits per second that inside sends.
    pub bits_out_per_sec: f64,
    /// Packets per second that outside sends.
    pub packets_in_per_sec: f64,
    /// Bits per second that outside sends.
    pub bits_in_per_sec: f64,
}

/// Flows that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LineView {
    /// What they have in common.
    pub name: String,
    /// How many are live.
    pub flows: u64,
    /// Packets that inside sent in these.
    pub packets_out: u64,
    /// Bytes that inside sent.
    pub bytes_out: u64,
    /// Packets that outside sent.
    pub packets_in: u64,
    /// Bytes that outside sent.
    pub bytes_in: u64,
    /// How fast they come.
    #[serde(flatten)]
    pub rates: RatesBothView,
    /// What all flows cost since accounts are kept; `null` if nothing has a price.
    pub cost: Option<f64>,
}

/// A flow and how fast its packets come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowRateView {
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowView,
    /// How fast its packets come.
    #[serde(flatten)]
    pub rates: RatesBothView,
}

/// A rule and how fast it decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleRateView {
    /// Its place among the rules, counted from one.
    pub number: usize,
    /// Its name.
    pub name: Option<String>,
    /// `in` or `out`.
    pub direction: &'static str,
    /// `allow` or `deny`.
    pub action: &'static str,
    /// Packets that it decided.
    pub hits: u64,
    /// The same per second.
    pub hits_per_sec: f64,
    /// Bytes in both directions of the flows it admitted, since accounts are kept; `null` without.
    pub flow_bytes: Option<u64>,
    /// What these cost; `null` if nothing has a price.
    pub cost: Option<f64>,
}

impl LineView {
    /// Bytes in both directions.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_out.saturating_add(self.bytes_in)
    }
}

impl RatesBothView {
    /// Bits per second in both directions.
    #[must_use]
    pub const fn bits_per_sec(&self) -> f64 {
        self.bits_out_per_sec + self.bits_in_per_sec
    }
}
