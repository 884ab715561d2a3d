//! Which packets a command is about.

use clap::{ArgAction, Args, builder::PossibleValuesParser};
use gateway_common::{
    observe::{PacketRecord, Watch, want},
    tuple::Direction,
    verdict::Reason,
};

use crate::{
    cli::{
        observe::{Scene, rate},
        parties::Parties,
    },
    settings::Policy,
};

/// Conditions that a packet must all meet. Most of them are the packet path's to look at.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Filters")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct PacketFilter {
    /// Only packets with this reason; may be given several times
    #[arg(long, global = true, value_name = "REASON", value_parser = reasons())]
    reason: Vec<String>,
    /// Only packets from outside
    #[arg(long = "in", global = true, conflicts_with = "outbound")]
    inbound: bool,
    /// Only packets from inside
    #[arg(long = "out", global = true)]
    outbound: bool,
    #[command(flatten)]
    parties: Parties,
    /// Also packets that pass
    #[arg(long, global = true)]
    passes: bool,
    /// Only packets that a rule with 'log = true' decided, also those that pass
    #[arg(long, global = true)]
    logged: bool,
    /// Only packets that this rule decided, by number or name, also those that pass
    #[arg(long, global = true, value_name = "RULE")]
    rule: Option<String>,
    /// At most so many packets a second; 0 is no limit
    #[arg(long, global = true, value_name = "N", default_value = "1000", value_parser = rate)]
    rate: u32,
    /// End after so many packets
    #[arg(long, global = true, value_name = "N", action = ArgAction::Set)]
    count: Option<u64>,
}

impl PacketFilter {
    /// What the packet path shall report.
    pub(super) fn watch(&self, scene: &Scene) -> Watch {
        let wants = match (self.logged, self.passes || self.rule.is_some()) {
            (true, _) => want::LOGGED,
            (false, true) => want::DROPS | want::PASSES,
            (false, false) => want::DROPS,
        };
        let directions = match (self.inbound, self.outbound) {
            (true, _) => 1 << Direction::Inbound as u32,
            (_, true) => 1 << Direction::Outbound as u32,
            (false, false) => u32::MAX,
        };
        let watch = Watch { directions, ..Watch::everything(wants) };
        let watch = self.parties.narrow(watch).about(&self.reasons());
        watch.limited(self.rate, scene.config().ticks_per_sec)
    }

    /// Whether a reported packet is one of those that were asked for.
    pub(super) fn matches(&self, record: &PacketRecord, policy: &Policy) -> bool {
        self.rule.as_ref().is_none_or(|rule| is_of_rule(record, rule, policy))
    }

    /// Whether so many packets are enough.
    pub(super) fn is_enough(&self, shown: u64) -> bool {
        self.count.is_some_and(|count| shown >= count)
    }

    fn reasons(&self) -> Vec<Reason> {
        let is_asked = |reason: &&Reason| {
            (self.reason.is_empty() || self.reason.iter().any(|name| name == reason.name()))
                && (self.rule.is_none() || reason.is_of_rule())
        };
        Reason::ALL.iter().filter(is_asked).copied().collect()
    }
}

/// Whether a rule, named by its number or its name, decided.
fn is_of_rule(record: &PacketRecord, asked: &str, policy: &Policy) -> bool {
    let index = record.rule as usize;
    let Some(rule) = policy.rules.get(index) else { return false };
    rule.name.as_deref() == Some(asked) || asked.parse() == Ok(index + 1)
}

fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(Reason::ALL.iter().map(|reason| reason.name()))
}
