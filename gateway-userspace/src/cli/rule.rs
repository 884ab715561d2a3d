//! `eigw rule`: the rules in force.

use clap::{Args, Subcommand};

use super::{Context, Result, select, values};
use crate::{
    datapath::{Gateway, GatewayName},
    view::{RuleHitsView, RuleListView, RuleTextView},
};

/// Show the rules in force and what they decided
///
/// The counts go on over reloads as long as the rule is there: a rule with a name may say something
/// else then, one without may stand elsewhere.
#[derive(Args, Debug)]
pub(super) struct RuleArgs {
    #[command(subcommand)]
    command: Option<RuleCommand>,
    /// The gateway, needed when there are several
    #[arg(long, global = true, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum RuleCommand {
    /// Show the rules in the order in which they are asked, with their hits
    #[command(visible_alias = "list")]
    Show,
}

pub(super) fn run(context: &Context, args: &RuleArgs) -> Result<RuleListView> {
    match args.command.unwrap_or(RuleCommand::Show) {
        RuleCommand::Show => show(&select::open(context, args.name.as_ref())?),
    }
}

fn show(gateway: &Gateway) -> Result<RuleListView> {
    let in_force = gateway.policy()?;
    let (now, ticks_per_sec) = (gateway.now()?, gateway.config()?.ticks_per_sec);
    let policy = &in_force.policy;
    let rules = policy.rules.iter().zip(&in_force.rules).enumerate();
    let view = rules.map(|(index, (rule, hits))| {
        RuleHitsView::new(index, RuleTextView::new(rule, policy), hits, now, ticks_per_sec)
    });
    Ok(RuleListView { rules: view.collect() })
}
