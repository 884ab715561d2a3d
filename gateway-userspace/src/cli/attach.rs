//! `eigw attach`: protects uplinks.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Context, Failure, Result, values};
use crate::{
    datapath::{self, AttachOutcome, AttachRequest, GatewayName, HookChoice, TcChoice},
    net::interface,
    settings::{self, Settings, SettingsError, ULA, is_ula},
    view::{AttachView, AttachedUplinkView},
};

/// Protect uplinks, or bring a gateway that does so up to date
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

/// What to attach, and what the operator should know about it.
#[derive(Debug)]
struct Plan {
    name: GatewayName,
    settings: Settings,
    notes: Vec<String>,
}

pub(super) fn run(context: &Context, args: AttachArgs) -> Result<AttachView> {
    let memory_bytes = settings::memory_bytes().context("cannot tell the memory's size")?;
    let Plan { name, settings, mut notes } = plan(args, memory_bytes)?;
    let ula_uplink = first_with_ula(&settings.uplinks)?;
    if let Some(uplink) = ula_uplink.as_ref().filter(|_| settings.martians.enabled) {
        notes.push(format!("uplink {uplink} has a unique local address, so {ULA} is no martian"));
    }
    let ticks_per_sec =
        settings::ticks_per_sec().context("cannot tell the kernel's tick length")?;
    let tables = settings.table_sizes(memory_bytes);
    context.explain(|| {
        format!(
            "attaching gateway {name} to {}: half-open {}, established {}, {ticks_per_sec} ticks \
             a second",
            settings.uplinks.join(", "),
            tables.half_open_max,
            tables.established_max,
        )
    });
    let outcome = datapath::attach(&AttachRequest {
        bpffs: &context.bpffs,
        name: &name,
        uplinks: &settings.uplinks,
        hook: settings.hook,
        tc: TcChoice::Auto,
        tables,
        hosts: settings.hosts,
        config: &settings.to_config(ticks_per_sec, ula_uplink.is_some()),
    })?;
    Ok(view(&name, outcome, notes))
}

/// The file's settings under those of the command line. A file with a policy that the packet path
/// does not enforce is refused: its author would rely on denials that nothing carries out.
fn plan(args: AttachArgs, memory_bytes: u64) -> Result<Plan> {
    let (mut settings, warnings) = match &args.config {
        None => (Settings::default(), Vec::new()),
        Some(path) => {
            let (settings, warnings) = Settings::load(path, memory_bytes)?;
            if !settings.unenforced.is_empty() {
                let (path, keys) = (path.clone(), settings.unenforced);
                return Err(SettingsError::Unenforced { path, keys }.into());
            }
            (settings, warnings.iter().map(|warning| warning.at(path)).collect())
        }
    };
    if !args.uplinks.is_empty() {
        settings.override_uplinks(args.uplinks).map_err(Failure::usage)?;
    }
    settings.name = args.name.or(settings.name);
    settings.hook = args.hook.unwrap_or(settings.hook);
    match settings.gateway_name() {
        Some(name) if !settings.uplinks.is_empty() => Ok(Plan { name, settings, notes: warnings }),
        Some(_) | None => Err(Failure::usage(
            "there is no uplink to protect; name one with --uplink IF, or list 'uplinks' in \
             [gateway] of a configuration file and give it with -c FILE",
        )),
    }
}

/// The first uplink that has a unique local address.
fn first_with_ula(uplinks: &[String]) -> Result<Option<String>> {
    for uplink in uplinks {
        if interface::find(uplink)?.addresses.iter().any(|address| is_ula(&address.addr())) {
            return Ok(Some(uplink.clone()));
        }
    }
    Ok(None)
}

fn view(name: &GatewayName, outcome: AttachOutcome, mut notes: Vec<String>) -> AttachView {
    notes.extend(outcome.notes);
    let uplinks = outcome.uplinks.into_iter().map(|uplink| AttachedUplinkView {
        name: uplink.name,
        ifindex: uplink.ifindex,
        created: uplink.created,
        hook: uplink.ingress.name(),
        egress: uplink.egress.name(),
    });
    AttachView {
        name: name.to_string(),
        created: outcome.created,
        uplinks: uplinks.collect(),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY_BYTES: u64 = 1 << 30;

    #[test]
    fn the_command_line_stands_above_the_file() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("wan.toml");
        let text = "[gateway]\nname = 'file'\nuplinks = ['eth0', 'eth1']\nhook = 'tc'\n\
                    [timeouts]\nudp = 5\n";
        std::fs::write(&path, text).expect("write");
        let file = || AttachArgs { config: Some(path.clone()), ..no_arguments() };

        let Plan { name, settings, notes } = plan(file(), MEMORY_BYTES).expect("complete file");
        assert_eq!((name.as_str(), settings.hook), ("file", HookChoice::Tc));
        assert_eq!(settings.uplinks, ["eth0", "eth1"]);
        assert_eq!(notes.len(), 1, "the short timeout is worth a note: {notes:?}");

        let overrides = AttachArgs {
            uplinks: vec!["wan0".to_owned()],
            name: Some(GatewayName::of_uplink("line")),
            hook: Some(HookChoice::Xdp),
            ..file()
        };
        let Plan { name, settings, .. } = plan(overrides, MEMORY_BYTES).expect("complete file");
        assert_eq!((name.as_str(), settings.hook), ("line", HookChoice::Xdp));
        assert_eq!(settings.uplinks, ["wan0"]);
    }

    #[test]
    fn an_uplink_is_enough_and_none_is_not() {
        let uplink = AttachArgs { uplinks: vec!["eth0.7".to_owned()], ..no_arguments() };
        let Plan { name, settings, .. } = plan(uplink, MEMORY_BYTES).expect("one uplink");
        assert_eq!(name, GatewayName::of_uplink("eth0.7"));
        assert_eq!(settings.hook, HookChoice::Auto);
        let named = AttachArgs { name: Some(GatewayName::of_uplink("wan")), ..no_arguments() };
        for args in [no_arguments(), named] {
            let Err(Failure::Usage(error)) = plan(args, MEMORY_BYTES) else {
                panic!("no uplink is no plan")
            };
            assert!(error.to_string().contains("--uplink IF"), "{error}");
        }
    }

    #[test]
    fn a_policy_that_is_not_enforced_is_no_plan() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("wan.toml");
        let plan_of = |text: &str| {
            std::fs::write(&path, text).expect("write");
            let uplinks = vec!["eth0".to_owned()];
            plan(AttachArgs { config: Some(path.clone()), uplinks, ..no_arguments() }, MEMORY_BYTES)
        };
        let rule = "[[rule]]\ndirection = 'out'\naction = 'deny'\n";
        for (text, line, key) in [
            (
                "gateway.default_route = 'blocked'\n",
                1,
                "'default_route' in [gateway] is \"blocked\"",
            ),
            ("\n[[subnet]]\nname = 'a'\nprefix = '10.0.0.0/8'\n", 2, "there is a [[subnet]]"),
            (rule, 1, "there is a [[rule]]"),
            (&rule.repeat(3), 1, "there are 3 [[rule]], here the first"),
            ("[rfc6092]\ntransparent = true\n", 2, "'transparent' in [rfc6092] is true"),
            ("rfc6092.unsolicited_ipsec = true\n", 1, "'unsolicited_ipsec' in [rfc6092] is true"),
        ] {
            let Err(Failure::Usage(error)) = plan_of(text) else { panic!("accepted: {text}") };
            let expected = format!(
                "{}:{line}: {key}, which this version reads and checks but does not enforce yet; \
                 remove it from the file (`eigw check` shows what it would mean)",
                path.display()
            );
            assert_eq!(error.to_string(), expected);
        }
        let all = format!("{rule}[rfc6092]\ntransparent = true\n");
        let Err(Failure::Usage(error)) = plan_of(&all) else { panic!("accepted: {all}") };
        assert_eq!(error.to_string().lines().count(), 2, "{error}");

        let harmless = "gateway.default_route = 'egress-only'\nrfc6092.transparent = false\n\
                        prefix_list.office.prefixes = ['192.0.2.0/24']\n";
        plan_of(harmless).expect("lists and defaults decide nothing");
    }

    fn no_arguments() -> AttachArgs {
        AttachArgs { config: None, uplinks: Vec::new(), name: None, hook: None }
    }
}
