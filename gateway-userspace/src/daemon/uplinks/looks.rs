//! Looks at the uplinks and attaches what is not attached.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use tracing::{error, info, warn};

use super::{
    addresses::Addresses,
    wanted::{Changes, WantedList},
};
use crate::{
    daemon::{Commands, InForce, event::Event},
    datapath::{
        self, DatapathError, Gateway, GatewayName, HookChoice, RepairRequest, UplinkOutcome,
    },
    net::{
        NetError,
        interface::{self, Interface},
        netns,
    },
    view::AttachView,
};

/// What fails when a gateway cannot be attached for the first time.
const ATTACHING: &str = "attaching the gateway";
/// What fails when uplinks cannot be examined.
const LOOKING: &str = "looking after the uplinks";
/// How long attaching rests after it failed; the next rest is twice as long.
const REST_MIN: Duration = Duration::from_secs(2);
/// The longest rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// Where the daemon's gateway is.
pub(in crate::daemon) struct Place {
    /// The BPF file system's directory.
    pub(in crate::daemon) bpffs: PathBuf,
    /// The network namespace that this process entered, as it was called then.
    pub(in crate::daemon) netns: Option<String>,
    /// The gateway.
    pub(in crate::daemon) name: GatewayName,
}

/// The uplinks of the daemon's gateway.
pub(in crate::daemon) struct Uplinks<C> {
    bpffs: PathBuf,
    /// Not set any more once it is gone.
    netns: Option<String>,
    name: GatewayName,
    commands: Arc<C>,
    wanted: WantedList,
    /// Which gateway was there at the last look.
    gateway: Option<u32>,
    /// Whether the daemon attached the gateway. It does so once, and never again against somebody
    /// who detaches it.
    is_attached: bool,
    addresses: Addresses,
    /// What failed, by the name of the uplink or by what else it was about.
    failures: BTreeMap<String, Failure>,
    status: String,
}

struct Failure {
    text: String,
    rest: Duration,
    retry: Instant,
}

impl<C: Commands> Uplinks<C> {
    pub(in crate::daemon) fn new(place: Place, commands: Arc<C>, names: &[String]) -> Self {
        let Place { bpffs, netns, name } = place;
        Self {
            bpffs,
            netns,
            name,
            commands,
            wanted: WantedList::of(names),
            gateway: None,
            is_attached: false,
            addresses: Addresses::default(),
            failures: BTreeMap::new(),
            status: String::new(),
        }
    }

    /// Attaches the gateway to the uplinks that are there.
    ///
    /// # Errors
    /// Whatever keeps those that are there from being protected.
    pub(in crate::daemon) fn start(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        if !self.attach(&mut events)?
            && let Some(gateway) = self.open()?
        {
            self.take_over(&gateway, &mut events)?;
        }
        for missing in self.wanted.0.iter().filter(|wanted| wanted.ifindex.is_none()) {
            let (gateway, uplink) = (&self.name, &missing.configured);
            warn!(%gateway, %uplink, "the uplink does not exist; it is protected once it does");
        }
        self.tell_status(&mut events);
        Ok(events)
    }

    /// Compares the uplinks with what they should be, and does what is necessary.
    pub(in crate::daemon) fn look(&mut self, in_force: &InForce) -> Vec<Event> {
        let mut events = Vec::new();
        match self.examine(in_force, &mut events) {
            Ok(()) => drop(self.failures.remove(LOOKING)),
            Err(error) => self.fail(LOOKING, format!("{error:#}")),
        }
        self.tell_status(&mut events);
        events
    }

    fn examine(&mut self, in_force: &InForce, events: &mut Vec<Event>) -> anyhow::Result<()> {
        if let Some(netns) = &self.netns
            && !netns::is_current(netns)?
        {
            events.extend(self.netns.take().map(Event::NetnsGone));
        }
        let Some(gateway) = self.open()? else {
            if self.gateway.take().is_some() {
                warn!(gateway = %self.name, "somebody detached the gateway");
                events.push(Event::Detached);
            } else if !self.is_attached {
                self.wanted = WantedList::of(&in_force.settings.uplinks);
                self.attempt(ATTACHING, |this| this.attach(events).map(drop));
            }
            return Ok(());
        };
        self.take_over(&gateway, events)?;
        let changes = self.wanted.compare(&self.name, &gateway.uplinks()?);
        self.follow(&changes)?;
        self.complete(&gateway, changes, events)?;
        Ok(self.addresses.look(&self.bpffs, &gateway, in_force)?)
    }

    fn open(&self) -> Result<Option<Gateway>, DatapathError> {
        match Gateway::open(&self.bpffs, &self.name) {
            Ok(gateway) => Ok(Some(gateway)),
            Err(DatapathError::NotAttached { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Recognises a gateway that is not the one of the last look.
    fn take_over(&mut self, gateway: &Gateway, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let id = gateway.id()?;
        if self.gateway.replace(id) == Some(id) {
            return Ok(());
        }
        if self.is_attached {
            // Whoever attached it decided about its uplinks.
            self.wanted.0.clear();
        }
        self.addresses = Addresses::default();
        let generation = gateway.config()?.generation;
        let how = if self.is_attached { "was attached anew" } else { "goes on as it was attached" };
        info!(gateway = %self.name, generation, "the gateway {how}");
        events.push(Event::Appeared(generation));
        Ok(())
    }

    /// Attaches the gateway with the daemon's file; false when none of its uplinks is there.
    fn attach(&mut self, events: &mut Vec<Event>) -> anyhow::Result<bool> {
        let mut present = Vec::new();
        for wanted in &self.wanted.0 {
            present.extend(find_any(wanted.names())?.map(|uplink| uplink.name));
        }
        if present.is_empty() {
            return Ok(false);
        }
        let view = self.commands.attach(&present)?;
        self.is_attached = true;
        self.wanted.bind(&view.uplinks);
        self.log(&view);
        let gateway = Gateway::open(&self.bpffs, &self.name)?;
        self.gateway = Some(gateway.id()?);
        events.push(Event::Attached(view, gateway.config()?.generation));
        Ok(true)
    }

    fn log(&self, view: &AttachView) {
        for uplink in &view.uplinks {
            let (ifindex, hook, egress) = (uplink.ifindex, uplink.hook, uplink.egress);
            info!(gateway = %self.name, uplink = %uplink.name, ifindex, hook, egress, "attached");
        }
        for note in &view.notes {
            warn!(gateway = %self.name, "{note}");
        }
    }

    /// Has the gateway's records follow what happened to interfaces.
    fn follow(&self, changes: &Changes) -> Result<(), DatapathError> {
        if changes.gone.is_empty() && !changes.are_renamed {
            return Ok(());
        }
        let followed = datapath::follow(&self.bpffs, &self.name)?;
        for uplink in &changes.gone {
            let gateway = &self.name;
            let how = if followed.moved.contains(uplink) {
                "was moved to another network namespace, where nothing filters it"
            } else {
                "is gone"
            };
            warn!(%gateway, %uplink, "the uplink {how}");
        }
        Ok(())
    }

    /// Attaches what lacks programs, be it back or robbed of them.
    fn complete(
        &mut self,
        gateway: &Gateway,
        changes: Changes,
        events: &mut Vec<Event>,
    ) -> anyhow::Result<()> {
        let mut back = Vec::new();
        for wanted in self.wanted.0.iter().filter(|wanted| wanted.ifindex.is_none()) {
            back.extend(find_any(wanted.names())?.map(|uplink| uplink.name));
        }
        if !back.is_empty() && !self.is_attached {
            // The first of the uplinks that the file has is there.
            self.attempt(ATTACHING, |this| this.attach(events).map(drop));
            return Ok(());
        }
        for uplink in &changes.robbed {
            if !self.failures.contains_key(uplink) {
                warn!(gateway = %self.name, %uplink, "somebody removed a program from the uplink");
            }
        }
        // One by one, so that one that refuses programs does not keep others from having them.
        for uplink in changes.robbed.into_iter().chain(back) {
            self.attempt(&uplink, |this| this.repair(gateway, &uplink));
        }
        Ok(())
    }

    fn repair(&mut self, gateway: &Gateway, uplink: &str) -> anyhow::Result<()> {
        let outcome = datapath::repair(&RepairRequest {
            bpffs: &self.bpffs,
            name: &self.name,
            uplinks: &[uplink.to_owned()],
            hook: hook_of(gateway)?,
        })?;
        for uplink in &outcome.uplinks {
            let UplinkOutcome { ifindex, name, ingress, egress, .. } = uplink;
            let (hook, egress) = (ingress.name(), egress.name());
            info!(gateway = %self.name, uplink = %name, ifindex, hook, egress, "attached again");
            self.wanted.bind_one(name, *ifindex);
        }
        for note in &outcome.notes {
            warn!(gateway = %self.name, "{note}");
        }
        Ok(())
    }

    /// Attempts something that rests for a while after it failed.
    fn attempt(&mut self, what: &str, attempt: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        if self.failures.get(what).is_some_and(|failure| failure.retry > Instant::now()) {
            return;
        }
        match attempt(self) {
            Ok(()) => drop(self.failures.remove(what)),
            Err(error) => self.fail(what, format!("{error:#}")),
        }
    }

    /// Logs why something failed, once.
    fn fail(&mut self, what: &str, text: String) {
        let rest = match self.failures.get(what) {
            Some(failure) if failure.text == text => (failure.rest * 2).min(REST_MAX),
            Some(_) | None => {
                error!(gateway = %self.name, "{what} failed, and is tried again: {text}");
                REST_MIN
            }
        };
        let failure = Failure { text, rest, retry: Instant::now() + rest };
        self.failures.insert(what.to_owned(), failure);
    }

    fn tell_status(&mut self, events: &mut Vec<Event>) {
        let mut status = self.wanted.status(&self.name);
        if self.gateway.is_none() && self.is_attached {
            status = format!("gateway {} was detached", self.name);
        }
        for failure in self.failures.values() {
            status = format!("{status}; {}", failure.text);
        }
        if status != self.status {
            self.status.clone_from(&status);
            events.push(Event::Status(status));
        }
    }
}

/// The first interface of these names that there is.
fn find_any<'a>(names: impl Iterator<Item = &'a str>) -> Result<Option<Interface>, NetError> {
    for name in names {
        match interface::find(name) {
            Ok(uplink) => return Ok(Some(uplink)),
            Err(NetError::InterfaceMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The hook with which the gateway was attached.
fn hook_of(gateway: &Gateway) -> anyhow::Result<HookChoice> {
    let hook = gateway.policy()?.source.hook;
    HookChoice::from_str(&hook, false)
        .map_err(|_| anyhow::anyhow!("the gateway was attached with the unknown hook '{hook}'"))
}
