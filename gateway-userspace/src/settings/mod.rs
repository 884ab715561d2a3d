//! What the operator wants: from the configuration file to the packet path's configuration.
//!
//! ```text
//! file ─► raw (typed, with lines) ─► Settings (validated) ─► Config (packet path)
//!                                         ▲ command line
//! ```

pub mod cost;
mod flow_log;
mod hook;
mod kernel;
mod metrics;
mod name;
mod packet_path;
pub mod policy;
pub mod prefix;
mod problem;
mod profile;
mod raw;
mod reader;
mod sizes;
mod suggest;
#[cfg(test)]
mod tests;
mod validate;

use std::path::Path;

use gateway_common::limits::UPLINKS_MAX;
use ipnet::IpNet;

pub use cost::Cost;
pub use flow_log::{Constants, FlowLogFormat, FlowLogSettings, LogPath};
pub use hook::hook_name;
pub use kernel::{memory_bytes, ticks_per_sec};
pub use metrics::{LISTEN_MAX, Metrics};
pub use name::{INTERFACE_NAME_LEN_MAX, check_interface_name};
pub use packet_path::{ULA, is_ula};
pub use policy::{Policy, Rfc6092};
pub use problem::{Problem, SettingsError};
pub use profile::{Profile, TimeoutsSecs, rfc_floor};
pub use sizes::{TABLE_ENTRIES_MAX, TABLE_ENTRIES_MIN, TableSize};

use crate::{
    datapath::{GatewayName, HookChoice, HostLimits, TableSizes},
    policy::doubts,
};

/// What may come in without a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Echo requests.
    pub ping: bool,
    /// Replies to this host's DHCP client.
    pub dhcp_client: bool,
    /// `ICMPv6` redirects from the link.
    pub redirects: bool,
}

impl Default for Allow {
    fn default() -> Self {
        Self { ping: false, dhcp_client: true, redirects: false }
    }
}

/// How addresses are treated that cannot exist on the other side of an uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Martians {
    /// Whether they are refused.
    pub enabled: bool,
    /// Prefixes that are no martians here; they do not overlap.
    pub except: Vec<IpNet>,
}

impl Default for Martians {
    fn default() -> Self {
        Self { enabled: true, except: Vec::new() }
    }
}

/// Settings that are valid together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The gateway's name, if it was given one.
    pub name: Option<GatewayName>,
    /// The interfaces to protect, without duplicates; may be empty in a file.
    pub uplinks: Vec<String>,
    /// The ingress hook.
    pub hook: HookChoice,
    /// Where unset timeouts come from.
    pub profile: Profile,
    /// The size of the table of new flows.
    pub half_open_max: TableSize,
    /// The size of the table of established flows.
    pub established_max: TableSize,
    /// How much of both tables one inside host may take.
    pub hosts: HostLimits,
    /// Every idle timeout.
    pub timeouts_secs: TimeoutsSecs,
    /// What may come in without a flow.
    pub allow: Allow,
    /// Ethertypes that pass besides IP, ARP and link control.
    pub pass_ethertypes: Vec<u16>,
    /// The martian rules.
    pub martians: Martians,
    /// Subnets, rules and lists.
    pub policy: Policy,
    /// Flow logs, if they are wanted.
    pub flow_log: Option<FlowLogSettings>,
    /// Switches of which [`Settings::policy`] has the effect already.
    pub rfc6092: Rfc6092,
    /// Where metrics are to be had.
    pub metrics: Metrics,
    /// What bytes that leave cost.
    pub cost: Cost,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            uplinks: Vec::new(),
            hook: HookChoice::default(),
            profile: Profile::default(),
            half_open_max: TableSize::default(),
            established_max: TableSize::default(),
            hosts: HostLimits::default(),
            timeouts_secs: TimeoutsSecs::of(Profile::default()),
            allow: Allow::default(),
            pass_ethertypes: Vec::new(),
            martians: Martians::default(),
            policy: Policy::default(),
            flow_log: None,
            rfc6092: Rfc6092::default(),
            metrics: Metrics::default(),
            cost: Cost::default(),
        }
    }
}

impl Settings {
    /// Reads the file at `path` for a machine with `memory_bytes` of memory. Valid settings come
    /// with what is doubtful about them.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or everything that is wrong with it.
    pub fn load(path: &Path, memory_bytes: u64) -> Result<(Self, Vec<Problem>), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse_in(directory, &text, memory_bytes)
            .map_err(|problems| SettingsError::Invalid { path: path.to_owned(), problems })
    }

    /// Reads the text of a file, as [`Settings::load`] does; files that it names are looked for in
    /// the current directory.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of lines.
    pub fn parse(text: &str, memory_bytes: u64) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::parse_in(Path::new(""), text, memory_bytes)
    }

    /// Reads the text of a file that stands in `directory`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of lines.
    pub fn parse_in(
        directory: &Path,
        text: &str,
        memory_bytes: u64,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Vec::new();
        let raw = raw::read(text, &mut problems);
        let mut warnings = validate::warnings(&raw);
        let settings = validate::validate(raw, directory, memory_bytes, &mut problems);
        if !problems.is_empty() {
            problems.sort();
            return Err(problems);
        }
        warnings.extend(doubts::of(&settings.policy));
        warnings.sort();
        Ok((settings, warnings))
    }

    /// Replaces the uplinks, as the command line does.
    ///
    /// # Errors
    ///
    /// The list has a duplicate or is too long; the text is for people.
    pub fn override_uplinks(&mut self, uplinks: Vec<String>) -> Result<(), String> {
        for (index, uplink) in uplinks.iter().enumerate() {
            if uplinks[..index].contains(uplink) {
                return Err(format!("the uplink '{uplink}' is given twice"));
            }
        }
        if uplinks.len() > UPLINKS_MAX {
            return Err(format!(
                "{} uplinks are given; a gateway has at most {UPLINKS_MAX}",
                uplinks.len()
            ));
        }
        self.uplinks = uplinks;
        Ok(())
    }

    /// The gateway's name: the given one, else the first uplink's; `None` without either.
    #[must_use]
    pub fn gateway_name(&self) -> Option<GatewayName> {
        let of_uplink = || self.uplinks.first().map(|uplink| GatewayName::of_uplink(uplink));
        self.name.clone().or_else(of_uplink)
    }

    /// The sizes of the flow tables on a machine with `memory_bytes` of memory.
    #[must_use]
    pub fn table_sizes(&self, memory_bytes: u64) -> TableSizes {
        TableSizes::resolve(self.half_open_max, self.established_max, memory_bytes)
    }
}
