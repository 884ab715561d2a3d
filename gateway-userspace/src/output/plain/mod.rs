//! Answers for people.

mod accounts;
mod actions;
mod doctor;
mod flow;
mod hits;
mod reload;
mod ruleset;
mod stats;
mod status;
mod watch;
mod why;

use crate::view::View;

pub(super) use watch::{flow_event_headings, packet_headings};

/// The answer as text that ends in a line feed, unless it is empty.
pub(super) fn render(view: &View) -> String {
    match view {
        View::Attach(view) => actions::attach(view),
        View::Detach(view) => actions::detach(view),
        View::Confirm(view) => actions::confirm(view),
        View::Reload(view) => reload::reload(view),
        View::ReloadPreview(view) => reload::preview(view),
        View::Check(view) => actions::check(view),
        View::Status(view) => status::status(view),
        View::FlowList(view) => flow::list(view.flows.iter()),
        View::Flow(view) => flow::list(std::iter::once(view)),
        View::FlowCount(view) => format!("{}\n", view.count),
        View::FlowsRemoved(view) => flow::removed(view),
        View::RuleList(view) => hits::rules(&view.rules),
        View::SubnetList(view) => hits::subnets(&view.subnets),
        View::Stats(view) => stats::stats(view),
        View::Cost(view) => accounts::list(view),
        View::Rates(view) => stats::rates(view),
        // On a terminal and elsewhere it is a screen of its own.
        View::Top(view) => format!("gateway {}\n", view.name),
        View::Why(view) => why::why(view),
        View::Doctor(view) => doctor::doctor(view),
        View::Packet(view) => watch::packet(view),
        View::FlowEvent(view) => watch::flow_event(view),
        View::Missing(view) => watch::missing(view),
        View::Man(view) => actions::man(view),
        View::Text(view) => view.text.clone(),
    }
}
