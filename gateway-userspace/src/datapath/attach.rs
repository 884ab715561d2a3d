//! Attaching a gateway, for the first time or again.

use std::{collections::HashMap, path::Path};

use gateway_common::{
    abi::ABI_VERSION,
    config::{Config, Mode},
    limits::UPLINKS_MAX,
    timeouts::Ticks,
};

use super::{
    DatapathError, GatewayName, HookChoice, HostLimits, IngressHook, TableSizes, TcChoice, TcMeans,
    attachment::Attachment,
    bpffs::LockedRoot,
    confirm, detach, gateway,
    maps::ConfigMaps,
    meta::{Meta, MetaMap},
    pin::GatewayDir,
    policy::{NewPolicy, PolicySwap},
    presence::Presence,
    programs::Programs,
    repair, requirements,
    seeding::{Seeded, Seeding},
    undo::Undo,
    upgrade::Upgrade,
    uplinks,
    work::Work,
};
use crate::net::{interface::Interface, netns::NetnsId};

/// What to attach, and where.
#[derive(Clone, Debug)]
pub struct AttachRequest<'a> {
    /// The BPF file system's directory.
    pub bpffs: &'a Path,
    /// The gateway's name.
    pub name: &'a GatewayName,
    /// The names of the interfaces to protect, in this thread's network namespace.
    pub uplinks: &'a [String],
    /// Whether uplinks of an attached gateway that are not among these stay, as far as they exist.
    pub keep_others: bool,
    /// Which ingress hook to use.
    pub hook: HookChoice,
    /// How to attach TC programs.
    pub tc: TcChoice,
    /// How large to make the flow tables of a new gateway.
    pub tables: TableSizes,
    /// How much of them one inside host may take.
    pub hosts: HostLimits,
    /// The configuration to put in force; its mode, its limits of hosts, what it says of the
    /// policy and until when it has to be confirmed are ignored.
    pub config: &'a Config,
    /// Within how many seconds the gateway has to be confirmed, if it has to; see
    /// [`confirm`](super::confirm()).
    pub confirm_secs: Option<u32>,
    /// The policy to put in force with it.
    pub policy: &'a NewPolicy,
    /// Whether the connections that are there get their flows, so that nothing is cut.
    pub seed: bool,
}

/// How attaching went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachOutcome {
    /// Whether the gateway is new; otherwise it was updated, and its flows and counters stay.
    pub created: bool,
    /// From when on everything passes unless the gateway is confirmed, if it has to be.
    pub confirm_by: Option<Ticks>,
    /// What was done to each uplink, in the order of the request.
    pub uplinks: Vec<UplinkOutcome>,
    /// The connections that were there and got their flows; `None` if none of the uplinks is new,
    /// or if that was not wanted.
    pub seeded: Option<Seeded>,
    /// What else the operator should know, in whole sentences.
    pub notes: Vec<String>,
}

/// What was done to one uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkOutcome {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name.
    pub name: String,
    /// The hook that judges inbound packets.
    pub ingress: IngressHook,
    /// How the program that records outbound packets is attached.
    pub egress: TcMeans,
    /// Whether the uplink is new; otherwise its programs were replaced in place.
    pub created: bool,
}

/// Attaches a gateway, or brings an attached one up to date.
///
/// Packets are judged as before until the last step, and by the new programs and configuration
/// from then on; on an uplink that was protected before there is no moment without a filter and
/// no flow is lost (E153).
/// When this fails, everything it did is undone. When the process is killed, packets go on as
/// before, and the next command that changes something cleans up or completes the work.
///
/// # Errors
/// Any [`DatapathError`] but those of detaching.
pub fn attach(request: &AttachRequest<'_>) -> Result<AttachOutcome, DatapathError> {
    requirements::check()?;
    let root = LockedRoot::create(request.bpffs)?;
    let mut notes = detach::notes(&detach::clean_up(&root)?);
    let uplinks = uplinks::resolve(request.uplinks)?;
    uplinks::ensure_free(root.root(), request.name, &uplinks)?;
    notes.extend(
        uplinks
            .iter()
            .filter(|uplink| !uplink.up)
            .map(|uplink| format!("interface {} is down; bring it up to use it", uplink.name)),
    );
    let directory = root.root().gateway(request.name);
    let created = !directory.exists();
    let mut attempt =
        Attempt { request, uplinks, confirm_by: None, notes, seeded: None, undo: Undo::default() };
    let result = if created {
        attempt.create(&root.attaching(request.name), &directory)
    } else {
        attempt.update(&directory)
    };
    match result {
        Ok(uplinks) => {
            let Attempt { confirm_by, seeded, notes, .. } = attempt;
            Ok(AttachOutcome { created, confirm_by, uplinks, seeded, notes })
        }
        Err(cause) => Err(attempt.undo.roll_back(request.name, cause)),
    }
}

struct Attempt<'a> {
    request: &'a AttachRequest<'a>,
    uplinks: Vec<Interface>,
    confirm_by: Option<Ticks>,
    notes: Vec<String>,
    seeded: Option<Seeded>,
    /// Empty from the moment when the new state is in force.
    undo: Undo,
}

impl Attempt<'_> {
    /// Attaches a new gateway in `staging`, which becomes `directory` when all is in place.
    fn create(
        &mut self,
        staging: &GatewayDir,
        directory: &GatewayDir,
    ) -> Result<Vec<UplinkOutcome>, DatapathError> {
        let to_remove = staging.clone();
        self.undo.push(move || to_remove.remove());
        staging.create()?;
        let AttachRequest { tables, hosts, config, .. } = *self.request;
        let shares = hosts.within(tables);
        let config = shares.apply(config, shares.half_open);
        let mut programs = Programs::load(staging, tables, shares.half_open)?;
        programs.pin(staging)?;
        Presence::in_directory(self.request.name, staging)?.choose_secret()?;
        let mut meta =
            Meta { abi_version: ABI_VERSION, netns: NetnsId::current()?, uplinks: Vec::new() };
        note_wanted(self.request.name, &mut meta, &self.uplinks)?;
        let meta_map = MetaMap::create(&staging.maps(), &meta)?;
        let mut swap = PolicySwap::prepare(self.request.name, staging, self.request.policy)?;
        let config = swap.commit(&config, Mode::Standby)?;

        let mut work = Work {
            directory: staging.clone(),
            programs,
            meta,
            meta_map,
            tc: self.request.tc,
            notes: &mut self.notes,
            undo: &mut self.undo,
            attached: HashMap::new(),
        };
        let placing = place_egress(&mut work, &self.uplinks)?;
        let placed = place_ingress(&mut work, placing, self.request.hook)?;
        let neighbours = neighbours(&work, &self.uplinks);
        staging.rename(directory)?;
        let (from, to) = (directory.clone(), staging.clone());
        work.undo.push(move || from.rename(&to));
        // As late as possible: what begins later is learned from what inside sends.
        if self.request.seed {
            let all: Vec<&Interface> = self.uplinks.iter().collect();
            let seeding = seeding(self.request, &all, config.generation, tables);
            self.seeded = Some(seeding.run(&mut work.programs, work.notes)?);
        }
        let config = to_confirm(self.request, directory, &config)?;
        self.confirm_by = config.is_unconfirmed().then_some(config.confirm_by);
        swap.arm(&config)?;
        self.undo.clear();
        self.notes.extend(neighbours);
        Ok(placed.into_iter().map(|placed| placed.outcome).collect())
    }

    /// Brings the gateway in `directory` up to date.
    fn update(&mut self, directory: &GatewayDir) -> Result<Vec<UplinkOutcome>, DatapathError> {
        let (mut meta_map, old_meta) = gateway::open_any_meta(self.request.name, directory)?;
        if old_meta.netns != NetnsId::current()? {
            return Err(DatapathError::OtherNetns { name: self.request.name.to_string() });
        }
        let upgrade = Upgrade::of(self.request.name, directory, old_meta.abi_version)?;
        if upgrade.is_some() {
            self.add_staying(&old_meta)?;
        }
        let config_maps = ConfigMaps::open(self.request.name, directory)?;
        let tables = gateway::table_sizes(self.request.name, directory)?;
        let overflow_slots = gateway::overflow_slots(self.request.name, directory)?;
        let shares = self.request.hosts.within(tables);
        let is_enforced = match confirm::ensure_enforced(
            self.request.name,
            directory,
            &config_maps.in_force()?,
        ) {
            Err(DatapathError::NotArmed { name }) => {
                self.notes.push(format!(
                    "an earlier attach of gateway {name} did not finish; this one did"
                ));
                false
            }
            Err(DatapathError::Overdue { name }) => {
                self.notes.push(format!(
                    "gateway {name} let everything pass, because nobody had confirmed it in time; \
                     it protects its uplinks again"
                ));
                false
            }
            other => other.map(|()| true)?,
        };
        self.notes.extend(self.request.hosts.kept(
            self.request.name,
            self.request.tables,
            tables,
            overflow_slots,
        ));
        let config = shares.apply(self.request.config, overflow_slots);
        let mut swap = PolicySwap::prepare(self.request.name, directory, self.request.policy)?;
        if let Some(upgrade) = &upgrade {
            upgrade.make_way(&mut self.undo)?;
        }
        let programs = Programs::load(directory, tables, overflow_slots)?;
        if let Some(upgrade) = &upgrade {
            upgrade.fill()?;
        }

        let mut meta = old_meta.clone();
        note_wanted(self.request.name, &mut meta, &self.uplinks)?;
        let maps = directory.maps();
        self.undo.push(move || match MetaMap::open(&maps) {
            Ok(mut map) => map.write(&old_meta),
            // Then there is nothing to restore.
            Err(_) => Ok(()),
        });
        meta_map.write(&meta)?;
        let mut work = Work {
            directory: directory.clone(),
            programs,
            meta,
            meta_map,
            tc: self.request.tc,
            notes: &mut self.notes,
            undo: &mut self.undo,
            attached: HashMap::new(),
        };
        let placing = place_egress(&mut work, &self.uplinks)?;
        // Before the ingress programs, which enforce the policy as soon as they are there.
        let open: Vec<&Interface> =
            placing.iter().filter(|it| it.created || !is_enforced).map(|it| it.uplink).collect();
        if self.request.seed && !open.is_empty() {
            let seeding = seeding(self.request, &open, swap.generation()?, tables);
            self.seeded = Some(seeding.run(&mut work.programs, work.notes)?);
        }
        let placed = place_ingress(&mut work, placing, self.request.hook)?;
        let config = to_confirm(self.request, directory, &config)?;
        self.confirm_by = config.is_unconfirmed().then_some(config.confirm_by);
        swap.commit(&config, Mode::Armed)?;
        work.undo.clear();
        work.notes.extend(swap.notes());

        // The new state is in force; what is left is to remove the old one's remains.
        let tidied = tidy_up(&mut work, self.request, &self.uplinks, &placed);
        let upgraded = tidied.and_then(|()| upgrade.map(|it| it.finish(&mut work)).transpose());
        if let Err(error) = upgraded.map(|note| work.notes.extend(note)) {
            work.notes.push(format!(
                "the gateway is up to date, but parts of its earlier state remain: {error}; \
                 attaching again removes them"
            ));
        }
        let neighbours = neighbours(&work, &self.uplinks);
        self.notes.extend(neighbours);
        let wanted = placed.into_iter().take(self.request.uplinks.len());
        Ok(wanted.map(|placed| placed.outcome).collect())
    }

    /// An upgrade is about all uplinks that stay, behind those of the request: where the old program
    /// stayed, flows would be opened unnoted.
    fn add_staying(&mut self, meta: &Meta) -> Result<(), DatapathError> {
        if !self.request.keep_others {
            return Ok(());
        }
        for record in &meta.uplinks {
            if self.uplinks.iter().all(|uplink| uplink.index != record.ifindex) {
                self.uplinks.extend(repair::find(record.ifindex)?);
            }
        }
        Ok(())
    }
}

/// Puts the wanted uplinks on record before anything is attached to them.
///
/// # Errors
/// [`DatapathError::Uplinks`].
pub(super) fn note_wanted(
    name: &GatewayName,
    meta: &mut Meta,
    uplinks: &[Interface],
) -> Result<(), DatapathError> {
    for uplink in uplinks {
        meta.uplink_mut(uplink.index, &uplink.name).name.clone_from(&uplink.name);
    }
    if meta.uplinks.len() > UPLINKS_MAX {
        return Err(DatapathError::Uplinks {
            reason: format!(
                "the old and the new uplinks of gateway {name} are together more than \
                 {UPLINKS_MAX}; change them in two steps"
            ),
        });
    }
    Ok(())
}

/// The configuration, to be confirmed in time if that is asked for. The time begins now.
fn to_confirm(
    request: &AttachRequest<'_>,
    directory: &GatewayDir,
    config: &Config,
) -> Result<Config, DatapathError> {
    let secs = request.confirm_secs;
    let confirm_by = secs.map(|secs| confirm::deadline(request.name, directory, config, secs));
    Ok(Config { confirm_by: confirm_by.transpose()?.unwrap_or_default(), ..*config })
}

/// What is on an uplink once everything is in place.
pub(super) struct Placed {
    pub(super) outcome: UplinkOutcome,
    egress: Attachment,
    ingress: Attachment,
}

/// What is on an uplink once its egress is in place.
struct Placing<'a> {
    uplink: &'a Interface,
    /// Whether nothing of the gateway was on the uplink before.
    created: bool,
    egress: Attachment,
}

/// Egress goes first on all uplinks, so that every flow is on record before a reply is judged.
///
/// # Errors
/// What the last possible way of attaching a program fails with.
pub(super) fn place_all(
    work: &mut Work<'_>,
    uplinks: &[Interface],
    hook: HookChoice,
) -> Result<Vec<Placed>, DatapathError> {
    let placing = place_egress(work, uplinks)?;
    place_ingress(work, placing, hook)
}

fn place_egress<'a>(
    work: &mut Work<'_>,
    uplinks: &'a [Interface],
) -> Result<Vec<Placing<'a>>, DatapathError> {
    for uplink in uplinks {
        work.survey(uplink)?;
    }
    let place = |uplink: &'a Interface| {
        let created = work.attached.get(&uplink.index).is_none_or(Vec::is_empty);
        Ok(Placing { uplink, created, egress: work.place_egress(uplink)? })
    };
    uplinks.iter().map(place).collect()
}

fn place_ingress(
    work: &mut Work<'_>,
    placing: Vec<Placing<'_>>,
    hook: HookChoice,
) -> Result<Vec<Placed>, DatapathError> {
    let place = |Placing { uplink, created, egress }| {
        let ingress = work.place_ingress(uplink, hook)?;
        let outcome = UplinkOutcome {
            ifindex: uplink.index,
            name: uplink.name.clone(),
            ingress: ingress.ingress_hook(),
            egress: egress.tc_means(),
            created,
        };
        Ok(Placed { outcome, egress, ingress })
    };
    placing.into_iter().map(place).collect()
}

const fn seeding<'a>(
    request: &AttachRequest<'a>,
    uplinks: &'a [&'a Interface],
    generation: u32,
    tables: TableSizes,
) -> Seeding<'a> {
    Seeding { uplinks, policy: request.policy, generation, tables }
}

/// Removes what an update made obsolete.
fn tidy_up(
    work: &mut Work<'_>,
    request: &AttachRequest<'_>,
    uplinks: &[Interface],
    placed: &[Placed],
) -> Result<(), DatapathError> {
    keep_placed(work, uplinks, placed)?;
    let mut staying: Vec<u32> = uplinks.iter().map(|uplink| uplink.index).collect();
    if request.keep_others {
        for record in &work.meta.uplinks {
            staying.extend(repair::find(record.ifindex)?.map(|uplink| uplink.index));
        }
    }
    work.leave_all_but(&staying)
}

/// Pins the programs that were placed, and removes what else of the gateway is on their uplinks.
///
/// # Errors
/// [`DatapathError::Pin`], [`DatapathError::Bpffs`], [`DatapathError::Net`] or
/// [`DatapathError::Map`].
pub(super) fn keep_placed(
    work: &mut Work<'_>,
    uplinks: &[Interface],
    placed: &[Placed],
) -> Result<(), DatapathError> {
    work.programs.pin(&work.directory)?;
    for (uplink, placed) in uplinks.iter().zip(placed) {
        work.retire(uplink, &[placed.egress, placed.ingress])?;
    }
    Ok(())
}

fn neighbours(work: &Work<'_>, uplinks: &[Interface]) -> Vec<String> {
    uplinks.iter().flat_map(|uplink| uplinks::neighbours(uplink, &work.programs)).collect()
}
