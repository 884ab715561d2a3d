//! `eigw check`: is a configuration file valid, and what would it do?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Context, Result};
use crate::{
    policy::CompiledPolicy,
    settings::{self, Settings},
    view::{CheckView, PolicyView, RulesetView, SettingsView, WarningView},
};

/// Check a configuration file and show its settings with every default filled in
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(context: &Context, args: &CheckArgs) -> Result<CheckView> {
    context.explain(|| format!("reading {}", args.config.display()));
    let memory_bytes = settings::memory_bytes().context("cannot tell the memory's size")?;
    let (settings, warnings) = Settings::load(&args.config, memory_bytes)?;
    let sizes = settings.table_sizes(memory_bytes);
    let shares = settings.hosts.within(sizes);
    let ticks_per_sec =
        settings::ticks_per_sec().context("cannot tell the kernel's tick length")?;
    // Whether an uplink has a unique local address shows only when it is attached.
    let config = shares.apply(&settings.to_config(ticks_per_sec, false), shares.half_open);
    Ok(CheckView {
        file: args.config.clone(),
        warnings: warnings.into_iter().map(WarningView::from).collect(),
        settings: SettingsView {
            name: settings.gateway_name().map(|name| name.to_string()),
            uplinks: settings.uplinks.clone(),
            hook: settings::hook_name(settings.hook),
            profile: settings.profile.name(),
            half_open_max: sizes.half_open_max,
            established_max: sizes.established_max,
            flow_memory_bytes: sizes.memory_bytes(),
            policy: PolicyView::from(&config),
            ruleset: RulesetView::new(
                &settings.policy,
                &settings.rfc6092,
                CompiledPolicy::new(&settings.policy).sizes(),
            ),
        },
    })
}
