//! What commands answer: plain data with units in the names. The JSON forms are API; the plain
//! forms are rendered from the same values.

mod accounts;
mod actions;
mod doctor;
mod flow;
mod flow_event;
mod hits;
mod packet;
mod policy;
mod pressure;
mod reload;
mod ruleset;
mod stats;
mod status;
mod top;
mod why;

use serde::Serialize;

pub use accounts::{AccountListView, AccountView, AccountsView, CostListView, CostView, CountView};
pub use actions::{
    AttachView, AttachedUplinkView, CheckView, ConfirmView, DetachView, ManView, SeededView,
    SettingsView, TextView, WarningView,
};
pub use doctor::{DoctorView, InterfaceFindingsView};
pub use flow::{FlowCountView, FlowListView, FlowView, FlowsRemovedView};
pub use flow_event::FlowEventView;
pub(crate) use hits::age_ms;
pub use hits::{FlowSumView, RuleHitsView, RuleListView, SubnetHitsView, SubnetListView};
pub use packet::{MissingView, Names, PacketView};
pub use policy::{AllowView, MartiansView, PolicyView, TimeoutsView};
pub use pressure::{HostView, PressureView};
pub use reload::{EndingFlowView, PolicySizeView, ReloadPreviewView, ReloadView, RuleRefView};
pub use ruleset::{
    PrefixListView, RuleTextView, RuleView, RulesetTablesView, RulesetView, SubnetView,
};
pub(crate) use stats::per_sec;
pub use stats::{EventsView, FlowTablesView, RatesView, StatsView, VerdictRateView, VerdictView};
pub use status::{
    AttachmentView, GatewayView, LoadedPolicyView, StatusElement, StatusView, UnconfirmedView,
    UnreadableView, UplinkView,
};
pub use top::{
    FlowRateView, LineView, RateView, RatesBothView, RuleRateView, TopUplinkView, TopView,
};
pub(crate) use why::travel;
pub use why::{
    WhyChangeView, WhyFieldView, WhyFlowView, WhyHintView, WhyNearFlowView, WhyPacketView,
    WhyPolicyView, WhyRuleView, WhySubnetView, WhyView,
};

/// The answer of any command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum View {
    /// Of `attach`.
    Attach(AttachView),
    /// Of `detach`.
    Detach(DetachView),
    /// Of `confirm`.
    Confirm(ConfirmView),
    /// Of `reload`.
    Reload(ReloadView),
    /// Of `reload --dry-run`.
    ReloadPreview(ReloadPreviewView),
    /// Of `check`.
    Check(Box<CheckView>),
    /// Of `status`.
    Status(StatusView),
    /// Of `flow show`.
    FlowList(FlowListView),
    /// Of `flow get`.
    Flow(FlowView),
    /// Of `flow count`.
    FlowCount(FlowCountView),
    /// Of `flow delete` and `flow flush`.
    FlowsRemoved(FlowsRemovedView),
    /// Of `rule show`.
    RuleList(RuleListView),
    /// Of `subnet show`.
    SubnetList(SubnetListView),
    /// Of `stats show`.
    Stats(StatsView),
    /// Of `stats cost`.
    Cost(Box<CostListView>),
    /// Of `stats watch`, once per interval.
    Rates(RatesView),
    /// Of `top`.
    Top(Box<TopView>),
    /// Of `why`.
    Why(Box<WhyView>),
    /// Of `doctor`.
    Doctor(DoctorView),
    /// Of `drop watch`, for each packet.
    Packet(Box<PacketView>),
    /// Of `flow watch`, for each event.
    FlowEvent(Box<FlowEventView>),
    /// Of both, at the end and whenever more is missing.
    Missing(MissingView),
    /// Of `man`.
    Man(ManView),
    /// Of `completions`.
    Text(TextView),
}

#[cfg(test)]
pub(crate) use packet::tests as packet_tests;
