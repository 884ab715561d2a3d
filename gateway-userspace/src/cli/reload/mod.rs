//! `eigw reload`: another policy for an attached gateway.

mod ending;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use ending::EndingFlows;

use super::{Context, Failure, Result, attach, ms, select, values};
use crate::{
    datapath::{self, Gateway, GatewayName, NewPolicy, PolicyInForce, PolicySource, ReloadRequest},
    policy::PolicySizes,
    settings::{self, Problem, Settings, is_ula},
    view::{PolicySizeView, ReloadPreviewView, ReloadView, View},
};

/// Put a changed configuration file in force, as a whole or not at all
///
/// Flows that the new policy allows go on; the others end with their next packet. Uplinks, hooks
/// and the sizes of tables stay as they are until the gateway is attached again; one that waits to
/// be confirmed goes on waiting, for as long as before.
#[derive(Args, Debug)]
pub(super) struct ReloadArgs {
    /// The configuration file; without it, the one that the gateway had last
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The gateway, needed when there are several and the file does not name one
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    pub(super) name: Option<GatewayName>,
    /// Change nothing; show which live flows would end, and why
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// A file that was read, with what is doubtful about it.
struct File {
    path: PathBuf,
    settings: Settings,
    warnings: Vec<Problem>,
}

/// What to put in force, on which gateway, and what the operator should know about it.
struct Plan {
    gateway: Gateway,
    path: PathBuf,
    settings: Settings,
    has_ula: bool,
    policy: NewPolicy,
    compiling: Duration,
    ending: EndingFlows,
    notes: Vec<String>,
    memory_bytes: u64,
}

pub(super) fn run(context: &Context, args: &ReloadArgs) -> Result<View> {
    let plan = plan(context, args)?;
    if args.dry_run {
        return Ok(View::ReloadPreview(preview(plan)));
    }
    reload_as(context, plan).map(|(view, _)| View::Reload(view))
}

/// Puts the file in force, whatever `args` say of a dry run. Also returns what it says.
pub(super) fn reload(context: &Context, args: &ReloadArgs) -> Result<(ReloadView, Settings)> {
    reload_as(context, plan(context, args)?)
}

fn plan(context: &Context, args: &ReloadArgs) -> Result<Plan> {
    let memory_bytes = settings::memory_bytes().context("cannot tell the memory's size")?;
    let given = args.config.as_deref().map(|path| read(context, path, memory_bytes)).transpose()?;
    let named = given.as_ref().and_then(|file| file.settings.name.as_ref());
    let gateway = select::open(context, args.name.as_ref().or(named))?;
    let (file, before) = if let Some(file) = given {
        // Whatever is in force, it will be replaced.
        (file, gateway.policy().ok())
    } else {
        let before = gateway.policy()?;
        (read(context, &last_file(gateway.name(), &before)?, memory_bytes)?, Some(before))
    };
    let File { path, settings, warnings } = file;
    let mut notes: Vec<_> = warnings.iter().map(|warning| warning.at(&path)).collect();
    let ula_uplink = ula_uplink(&gateway)?;
    if let Some(uplink) = ula_uplink.as_ref().filter(|_| settings.martians.enabled) {
        notes.push(attach::ula_note(uplink));
    }
    notes.extend(attach::reject_note(context, gateway.name(), &settings));
    let before = before.map(|policy| policy.source);
    let uplinks = gateway.uplink_names();
    notes
        .extend(before.iter().flat_map(|source| kept(gateway.name(), &uplinks, source, &settings)));
    let source = source(&path, before)?;
    let begun = Instant::now();
    let policy = NewPolicy::new(&settings.policy, source);
    let compiling = begun.elapsed();
    let ending = EndingFlows::find(&gateway, policy.compiled())?;
    let has_ula = ula_uplink.is_some();
    Ok(Plan { gateway, path, settings, has_ula, policy, compiling, ending, notes, memory_bytes })
}

fn preview(plan: Plan) -> ReloadPreviewView {
    let Plan { gateway, path, policy, ending, notes, .. } = plan;
    ReloadPreviewView {
        name: gateway.name().to_string(),
        file: path,
        size: size(&policy),
        flows: ending.views(policy.policy()),
        notes,
    }
}

fn reload_as(context: &Context, plan: Plan) -> Result<(ReloadView, Settings)> {
    let Plan { gateway, path, settings, has_ula, policy, mut notes, .. } = plan;
    let name = gateway.name();
    context.explain(|| format!("reloading gateway {name} with {}", path.display()));
    let ticks_per_sec =
        settings::ticks_per_sec().context("cannot tell the kernel's tick length")?;
    let outcome = datapath::reload(&ReloadRequest {
        bpffs: &context.bpffs,
        name,
        tables: settings.table_sizes(plan.memory_bytes),
        hosts: settings.hosts,
        config: &settings.to_config(ticks_per_sec, has_ula),
        policy: &policy,
    })?;
    notes.extend(outcome.notes);
    let view = ReloadView {
        name: name.to_string(),
        file: path,
        generation: outcome.generation,
        size: size(&policy),
        build_ms: ms(plan.compiling + outcome.building),
        swap_ms: ms(outcome.swapping),
        flows_ended: plan.ending.len(),
        notes,
    };
    Ok((view, settings))
}

fn read(context: &Context, path: &Path, memory_bytes: u64) -> Result<File> {
    context.explain(|| format!("reading {}", path.display()));
    let (settings, warnings) = Settings::load(path, memory_bytes)?;
    Ok(File { path: path.to_owned(), settings, warnings })
}

/// The file that the gateway was attached or reloaded with last.
fn last_file(name: &GatewayName, in_force: &PolicyInForce) -> Result<PathBuf> {
    in_force.source.file.clone().ok_or_else(|| {
        Failure::usage(format!(
            "gateway {name} was attached without a configuration file; name one with -c FILE"
        ))
    })
}

/// Where the new policy comes from. What was attached stays.
fn source(path: &Path, before: Option<PolicySource>) -> Result<PolicySource> {
    let PolicySource { file, loaded_unix_secs, .. } = attach::source_of(Some(path))?;
    Ok(PolicySource { file, loaded_unix_secs, ..before.unwrap_or_default() })
}

/// What the file says of uplinks and hooks and what stays otherwise on a gateway that protects the
/// uplinks `attached`.
fn kept(
    name: &GatewayName,
    attached: &[&str],
    before: &PolicySource,
    settings: &Settings,
) -> Vec<String> {
    let hook = settings::hook_name(settings.hook);
    let mut notes = Vec::new();
    let is_same = settings.uplinks.len() == attached.len()
        && settings.uplinks.iter().all(|uplink| attached.contains(&uplink.as_str()));
    if !before.uplinks_given && !is_same {
        notes.push(format!(
            "the file has the uplinks {}, but gateway {name} protects {}; attach it again to \
             change that",
            or_none(&settings.uplinks.join(", ")),
            or_none(&attached.join(", "))
        ));
    }
    if !before.hook_given && before.hook != hook {
        notes.push(format!(
            "the file has the hook {hook}, but gateway {name} was attached with {}; attach it \
             again to change that",
            before.hook
        ));
    }
    notes
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

/// The first uplink that has a unique local address.
fn ula_uplink(gateway: &Gateway) -> Result<Option<String>> {
    let uplinks = gateway.uplink_addresses()?.into_iter();
    let mut with_ula = uplinks.filter(|(_, addresses)| addresses.iter().any(is_ula));
    Ok(with_ula.next().map(|(name, _)| name))
}

fn size(policy: &NewPolicy) -> PolicySizeView {
    let PolicySizes { inside_prefixes, outside_prefixes, .. } = policy.compiled().sizes();
    PolicySizeView {
        rules: policy.policy().rules.len(),
        subnets: policy.policy().subnets.len(),
        prefixes: inside_prefixes + outside_prefixes,
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::counter::Hits;

    use super::*;
    use crate::settings::Policy;

    #[test]
    fn what_only_attaching_changes_is_noted_unless_the_command_line_decided_it() {
        let text = "[gateway]\nuplinks = ['eth0', 'eth1']\nhook = 'tc'\n";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let wan = GatewayName::of_uplink("wan");
        let same = PolicySource { hook: "tc".to_owned(), ..PolicySource::default() };
        assert_eq!(kept(&wan, &["eth1", "eth0"], &same, &settings), [""; 0]);
        let other = PolicySource { hook: "auto".to_owned(), ..same };
        assert_eq!(
            kept(&wan, &["eth0"], &other, &settings),
            [
                "the file has the uplinks eth0, eth1, but gateway wan protects eth0; attach it \
                 again to change that",
                "the file has the hook tc, but gateway wan was attached with auto; attach it again \
                 to change that",
            ]
        );
        let given = PolicySource { uplinks_given: true, hook_given: true, ..other };
        assert_eq!(kept(&wan, &["eth0"], &given, &settings), [""; 0]);
        let (settings, _) = Settings::parse("", 1 << 30).expect("valid file");
        let source = PolicySource { hook_given: true, ..PolicySource::default() };
        let notes = kept(&wan, &["eth0"], &source, &settings);
        assert!(notes[0].contains("the uplinks (none), but"), "{notes:?}");
    }

    #[test]
    fn a_new_policy_keeps_what_was_attached() {
        let before = PolicySource {
            file: Some("/etc/eigw/old.toml".into()),
            loaded_unix_secs: 1,
            uplinks_given: true,
            hook_given: true,
            hook: "xdp".to_owned(),
        };
        let after = source(Path::new("/etc/eigw/new.toml"), Some(before.clone())).expect("a path");
        assert_eq!(after.file, Some("/etc/eigw/new.toml".into()));
        assert!(after.loaded_unix_secs > 1);
        let PolicySource { uplinks_given, hook_given, hook, .. } = after;
        assert_eq!((uplinks_given, hook_given, hook), (true, true, before.hook));
    }

    #[test]
    fn without_a_file_there_is_nothing_to_reload() {
        let wan = GatewayName::of_uplink("wan");
        let mut in_force = PolicyInForce {
            generation: 1,
            source: PolicySource::default(),
            policy: Policy::default(),
            list_sizes: Vec::new(),
            rules: Vec::new(),
            subnets: Vec::new(),
            uncovered: Hits::default(),
        };
        let Err(Failure::Usage(error)) = last_file(&wan, &in_force) else { panic!("no file") };
        assert!(error.to_string().contains("gateway wan was attached without"), "{error}");
        in_force.source.file = Some("/etc/eigw/wan.toml".into());
        assert_eq!(last_file(&wan, &in_force).expect("a file"), Path::new("/etc/eigw/wan.toml"));
    }
}
