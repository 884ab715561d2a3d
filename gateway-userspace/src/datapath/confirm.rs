//! Gateways that the operator has to confirm: which are, confirming one, and detaching one that
//! nobody confirmed.
//!
//! The deadline is part of the configuration, so the packet path keeps it by itself: from then on
//! everything passes. Detaching what is left is up to a process, if one lives.

use std::{path::Path, time::Duration};

use gateway_common::{
    config::{Config, Mode},
    timeouts::Ticks,
};

use super::{
    DatapathError, DetachOutcome, GatewayName,
    bpffs::{self, LockedRoot, Root},
    detach, gateway,
    maps::ConfigMaps,
    pin::GatewayDir,
    requirements,
};

/// A gateway that waits to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// From when on it lets everything pass, on the packet path's clock. It tells one wait from
    /// another: whoever attaches the gateway again or confirms it changes it.
    pub confirm_by: Ticks,
    /// How long that still is; nothing when the time has run out.
    pub left: Duration,
}

impl Unconfirmed {
    /// What a configuration says at a moment; `None` when it is confirmed.
    #[must_use]
    pub fn of(config: &Config, now: Ticks) -> Option<Self> {
        // Not nothing as long as there is a tick, however short that is.
        let left_ms = config.confirm_by.since(now).to_ms(config.ticks_per_sec.max(1));
        let left = Duration::from_millis(left_ms.max(u64::from(!config.is_overdue(now))));
        config.is_unconfirmed().then_some(Self { confirm_by: config.confirm_by, left })
    }
}

/// What became of a gateway that nobody had confirmed when it was looked at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retraction {
    /// It was detached.
    Detached(DetachOutcome),
    /// It was confirmed, attached again or detached meanwhile.
    Settled,
    /// There is still time.
    Early(Duration),
}

/// Confirms a gateway: it stays until it is detached. Returns how long there was still time.
///
/// # Errors
/// [`DatapathError::NothingToConfirm`], [`DatapathError::Overdue`],
/// [`DatapathError::NotAttached`], [`DatapathError::StalePins`], [`DatapathError::Damaged`],
/// [`DatapathError::Map`] or [`DatapathError::Syscall`], and those of a BPF file system that
/// cannot be used.
pub fn confirm(bpffs: &Path, name: &GatewayName) -> Result<Duration, DatapathError> {
    requirements::check_privileges()?;
    let not_attached = || DatapathError::NotAttached {
        name: name.to_string(),
        path: bpffs::gateway_path(bpffs, name),
    };
    let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
    let directory = root.root().gateway(name);
    if !directory.exists() {
        return Err(not_attached());
    }
    let (mut maps, config, unconfirmed) = read(name, &directory)?;
    let name = name.to_string();
    let Some(Unconfirmed { left, .. }) = unconfirmed else {
        return Err(DatapathError::NothingToConfirm { name });
    };
    if left.is_zero() {
        return Err(DatapathError::Overdue { name });
    }
    maps.commit(&Config { confirm_by: Ticks(0), ..config }, Mode::Armed)?;
    Ok(left)
}

/// Whether a gateway waits to be confirmed. Without the gateway nothing does.
///
/// # Errors
/// [`DatapathError::StalePins`], [`DatapathError::Damaged`], [`DatapathError::Map`],
/// [`DatapathError::Program`] or [`DatapathError::NotBpffs`].
pub fn unconfirmed(bpffs: &Path, name: &GatewayName) -> Result<Option<Unconfirmed>, DatapathError> {
    let directory = Root::find(bpffs)?.map(|root| root.gateway(name));
    match directory.filter(GatewayDir::exists) {
        Some(directory) => read(name, &directory).map(|(_, _, unconfirmed)| unconfirmed),
        None => Ok(None),
    }
}

/// Detaches a gateway if the time to confirm it that ends at `confirm_by` has run out.
///
/// # Errors
/// As [`detach`](super::detach()) and [`unconfirmed`].
pub fn retract(
    bpffs: &Path,
    name: &GatewayName,
    confirm_by: Ticks,
) -> Result<Retraction, DatapathError> {
    requirements::check_privileges()?;
    let Some(root) = LockedRoot::find(bpffs)? else { return Ok(Retraction::Settled) };
    let directory = root.root().gateway(name);
    if !directory.exists() {
        return Ok(Retraction::Settled);
    }
    match read(name, &directory)?.2 {
        Some(found) if found.confirm_by == confirm_by && found.left.is_zero() => {
            detach::detach_locked(bpffs, &root, name).map(Retraction::Detached)
        }
        Some(found) if found.confirm_by == confirm_by => Ok(Retraction::Early(found.left)),
        Some(_) | None => Ok(Retraction::Settled),
    }
}

/// The moment when a gateway that is to be confirmed within `secs` lets everything pass.
///
/// # Errors
/// [`DatapathError::Damaged`] or [`DatapathError::Program`].
pub(super) fn deadline(
    name: &GatewayName,
    directory: &GatewayDir,
    config: &Config,
    secs: u32,
) -> Result<Ticks, DatapathError> {
    let clock = gateway::open_clock(name, directory)?;
    Ok(gateway::read_clock(&clock)? + config.ticks(secs))
}

/// Makes sure that a configuration in force still enforces anything.
///
/// # Errors
/// [`DatapathError::NotArmed`], [`DatapathError::Overdue`], [`DatapathError::Damaged`] or
/// [`DatapathError::Program`].
pub(super) fn ensure_enforced(
    name: &GatewayName,
    directory: &GatewayDir,
    config: &Config,
) -> Result<(), DatapathError> {
    if config.mode != Mode::Armed as u32 {
        return Err(DatapathError::NotArmed { name: name.to_string() });
    }
    if config.is_unconfirmed() {
        let clock = gateway::open_clock(name, directory)?;
        if config.is_overdue(gateway::read_clock(&clock)?) {
            return Err(DatapathError::Overdue { name: name.to_string() });
        }
    }
    Ok(())
}

fn read(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<(ConfigMaps, Config, Option<Unconfirmed>), DatapathError> {
    gateway::open_meta(name, directory)?;
    let maps = ConfigMaps::open(name, directory)?;
    let config = maps.in_force()?;
    let unconfirmed = if config.is_unconfirmed() {
        let clock = gateway::open_clock(name, directory)?;
        Unconfirmed::of(&config, gateway::read_clock(&clock)?)
    } else {
        None
    };
    Ok((maps, config, unconfirmed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_counted_to_nothing() {
        let confirmed = Config::new(250);
        assert_eq!(Unconfirmed::of(&confirmed, Ticks(7)), None);
        let config = Config { confirm_by: Ticks(1_000), ..confirmed };
        for (now, left_ms) in [(0, 4_000), (500, 2_000), (999, 4), (1_000, 0), (5_000, 0)] {
            let left = Duration::from_millis(left_ms);
            let expected = Unconfirmed { confirm_by: Ticks(1_000), left };
            assert_eq!(Unconfirmed::of(&config, Ticks(now)), Some(expected), "{now}");
        }
    }
}
