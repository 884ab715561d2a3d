//! `eigw attach`: protects uplinks.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::{Args, value_parser};

use super::{Context, Failure, Result, guard, lockout::Lockout, values};
use crate::{
    datapath::{
        self, AttachOutcome, AttachRequest, DEFAULT_BPFFS, GatewayName, HookChoice, NewPolicy,
        PolicySource, TcChoice,
    },
    net::interface,
    settings::{self, Settings, ULA, is_ula},
    view::{AttachView, AttachedUplinkView, SeededView},
};

/// Protect uplinks, or bring a gateway that does so up to date
///
/// What inside opens may be answered from now on; what outside starts is dropped. The gateway
/// works without any process until it is detached. In an SSH session whose client could not log in
/// again, it takes --confirm or --force.
#[derive(Args, Clone, Debug)]
pub(super) struct AttachArgs {
    /// The configuration file; without it, every default applies
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// An interface to protect, instead of those in the file; may be repeated
    #[arg(long = "uplink", value_name = "IF", value_parser = values::interface)]
    pub(super) uplinks: Vec<String>,
    /// The gateway's name, instead of the one in the file; by default the first uplink's
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    pub(super) name: Option<GatewayName>,
    /// The ingress hook, instead of the one in the file
    #[arg(long, value_name = "HOOK")]
    pub(super) hook: Option<HookChoice>,
    /// Do not enter the connections that are there into the flow table: those that are idle, or on
    /// which outside speaks next, are cut
    #[arg(long)]
    pub(super) no_seed: bool,
    /// Detach the gateway after this many seconds unless 'eigw confirm' comes before
    ///
    /// So nobody stays locked out: it happens whether or not this session or any process of the
    /// gateway lives; at the latest then everything passes. A gateway that was attached before is
    /// detached as well, not set back to what it was. Attaching again without --confirm confirms.
    #[arg(long, value_name = "SECS", value_parser = value_parser!(u32).range(1..=CONFIRM_SECS_MAX))]
    pub(super) confirm: Option<u32>,
    /// Attach even if the client of this SSH session could not log in again
    #[arg(long)]
    pub(super) force: bool,
}

/// The longest time to confirm a gateway: a day.
const CONFIRM_SECS_MAX: i64 = 24 * 60 * 60;

/// What to attach, and what the operator should know about it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: GatewayName,
    pub(super) settings: Settings,
    source: PolicySource,
    confirm_secs: Option<u32>,
    force: bool,
    notes: Vec<String>,
    memory_bytes: u64,
    seed: bool,
}

pub(super) fn run(context: &Context, args: AttachArgs) -> Result<AttachView> {
    let plan = prepare(args)?;
    attach(context, &plan, &plan.settings.uplinks)
}

/// Reads what is to be attached; changes nothing.
pub(super) fn prepare(args: AttachArgs) -> Result<Plan> {
    plan(args, settings::memory_bytes().context("cannot tell the memory's size")?)
}

/// Does what was prepared, to these of the uplinks. If there are more, they are only missing, so
/// that whatever else the gateway protects already may be one of them by another name.
pub(super) fn attach(context: &Context, plan: &Plan, uplinks: &[String]) -> Result<AttachView> {
    let Plan { name, settings, source, confirm_secs, force, notes, memory_bytes, seed } = plan;
    let mut notes = notes.clone();
    let ula_uplink = first_with_ula(uplinks)?;
    if let Some(uplink) = ula_uplink.as_ref().filter(|_| settings.martians.enabled) {
        notes.push(ula_note(uplink));
    }
    notes.extend(reject_note(context, name, settings));
    let ticks_per_sec =
        settings::ticks_per_sec().context("cannot tell the kernel's tick length")?;
    let config = settings.to_config(ticks_per_sec, ula_uplink.is_some());
    let policy = NewPolicy::new(&settings.policy, source.clone());
    if let Some(lockout) = Lockout::find(uplinks, &config, policy.compiled())? {
        if !force && confirm_secs.is_none() {
            return Err(Failure::operation(lockout.refusal(&settings.policy)));
        }
        notes.push(lockout.warning(&settings.policy));
    }
    let tables = settings.table_sizes(*memory_bytes);
    context.explain(|| {
        format!(
            "attaching gateway {name} to {}: half-open {}, established {}, {ticks_per_sec} ticks \
             a second",
            uplinks.join(", "),
            tables.half_open_max,
            tables.established_max,
        )
    });
    let outcome = datapath::attach(&AttachRequest {
        bpffs: &context.bpffs,
        name,
        uplinks,
        keep_others: uplinks.len() < settings.uplinks.len(),
        hook: settings.hook,
        tc: TcChoice::Auto,
        tables,
        hosts: settings.hosts,
        config: &config,
        confirm_secs: *confirm_secs,
        policy: &policy,
        seed: *seed,
    })?;
    for explanation in outcome.seeded.iter().flat_map(|seeded| &seeded.explanations) {
        context.explain(|| explanation.clone());
    }
    notes.extend(confirm_secs.map(|secs| confirm_note(context, name, secs)));
    if confirm_secs.is_some() && !outcome.created {
        notes.push(format!(
            "gateway {name} was attached before; unless confirmed it is detached as well, not set \
             back to what it was"
        ));
    }
    if let Some(confirm_by) = outcome.confirm_by
        && let Err(error) = guard::start(context, name, confirm_by)
    {
        notes.push(format!(
            "the process that would detach gateway {name} cannot be started: {error:#}; if nobody \
             confirms it in time, everything passes all the same, but it has to be detached by hand"
        ));
    }
    Ok(view(name, outcome, *confirm_secs, notes))
}

/// The file's settings under those of the command line.
fn plan(args: AttachArgs, memory_bytes: u64) -> Result<Plan> {
    let (mut settings, warnings) = match &args.config {
        None => (Settings::default(), Vec::new()),
        Some(path) => {
            let (settings, warnings) = Settings::load(path, memory_bytes)?;
            (settings, warnings.iter().map(|warning| warning.at(path)).collect())
        }
    };
    let mut source = source_of(args.config.as_deref())?;
    source.uplinks_given = !args.uplinks.is_empty();
    source.hook_given = args.hook.is_some();
    if !args.uplinks.is_empty() {
        settings.override_uplinks(args.uplinks).map_err(Failure::usage)?;
    }
    settings.name = args.name.or(settings.name);
    settings.hook = args.hook.unwrap_or(settings.hook);
    settings::hook_name(settings.hook).clone_into(&mut source.hook);
    match settings.gateway_name() {
        Some(name) if !settings.uplinks.is_empty() => Ok(Plan {
            name,
            settings,
            source,
            confirm_secs: args.confirm,
            force: args.force,
            notes: warnings,
            memory_bytes,
            seed: !args.no_seed,
        }),
        Some(_) | None => Err(Failure::usage(
            "there is no uplink to protect; name one with --uplink IF, or list 'uplinks' in \
             [gateway] of a configuration file and give it with -c FILE",
        )),
    }
}

/// What a policy remembers of the file it comes from, which was just read.
pub(super) fn source_of(file: Option<&Path>) -> Result<PolicySource> {
    let file =
        file.map(std::path::absolute).transpose().context("cannot tell where the file is")?;
    // A clock before 1970 is wrong in any case.
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(PolicySource { file, loaded_unix_secs: since_1970.as_secs(), ..PolicySource::default() })
}

/// What a unique local address on an uplink means.
pub(super) fn ula_note(uplink: &str) -> String {
    format!("uplink {uplink} has a unique local address, so {ULA} is no martian")
}

/// What `delayed_reject` lacks, if the gateway has no daemon.
pub(super) fn reject_note(
    context: &Context,
    name: &GatewayName,
    settings: &Settings,
) -> Option<String> {
    let is_alone = settings.rfc6092.delayed_reject && !datapath::has_daemon(&context.bpffs, name);
    is_alone.then(|| {
        format!(
            "'delayed_reject' needs a process that sends the errors: until `eigw run` looks after \
             gateway {name}, what is refused is dropped silently"
        )
    })
}

/// How to keep a gateway that has to be confirmed.
fn confirm_note(context: &Context, name: &GatewayName, secs: u32) -> String {
    let bpffs = if context.bpffs == Path::new(DEFAULT_BPFFS) {
        String::new()
    } else {
        format!(" --bpffs {}", context.bpffs.display())
    };
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = utc(since_1970 + Duration::from_secs(secs.into()));
    format!(
        "run 'eigw confirm --name {name}{bpffs}' within {secs} s, by {until}; otherwise the \
         gateway is detached and everything passes"
    )
}

/// The time of day.
fn utc(since_1970: Duration) -> String {
    let secs = since_1970.as_secs();
    format!("{:02}:{:02}:{:02} UTC", secs / 3600 % 24, secs / 60 % 60, secs % 60)
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

fn view(
    name: &GatewayName,
    outcome: AttachOutcome,
    confirm_secs: Option<u32>,
    mut notes: Vec<String>,
) -> AttachView {
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
        seeded: outcome.seeded.map(|seeded| SeededView {
            sockets: seeded.sockets,
            conntrack: seeded.conntrack,
            skipped: seeded.skipped,
        }),
        confirm_secs,
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

        let Plan { name, settings, notes, .. } = plan(file(), MEMORY_BYTES).expect("complete file");
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
    fn a_policy_remembers_its_file_and_what_stood_above_it() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("wan.toml");
        std::fs::write(&path, "[gateway]\nuplinks = ['eth0']\nhook = 'tc'\n").expect("write");
        let file = || AttachArgs { config: Some(path.clone()), ..no_arguments() };
        let source = plan(file(), MEMORY_BYTES).expect("complete file").source;
        assert_eq!((source.file.as_ref(), source.hook.as_str()), (Some(&path), "tc"));
        assert!(!source.uplinks_given && !source.hook_given && source.loaded_unix_secs > 0);
        let above =
            AttachArgs { uplinks: vec!["wan0".to_owned()], hook: Some(HookChoice::Xdp), ..file() };
        let source = plan(above, MEMORY_BYTES).expect("complete file").source;
        assert!(source.uplinks_given && source.hook_given && source.hook == "xdp");
        let relative = source_of(Some(Path::new("wan.toml"))).expect("a current directory");
        assert!(relative.file.expect("a file").is_absolute());
        assert_eq!(source_of(None).expect("no file").file, None);
    }

    #[test]
    fn times_of_day_are_two_digits_each() {
        assert_eq!(utc(Duration::ZERO), "00:00:00 UTC");
        assert_eq!(utc(Duration::from_secs(1_700_000_000)), "22:13:20 UTC");
    }

    fn no_arguments() -> AttachArgs {
        AttachArgs {
            config: None,
            uplinks: Vec::new(),
            name: None,
            hook: None,
            no_seed: false,
            confirm: None,
            force: false,
        }
    }
}
