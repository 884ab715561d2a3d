//! Gateways that an earlier version attached. Attaching takes them over as they are: the same kernel
//! maps with every flow, counter and record, and new programs in the places of the old ones.
//!
//! A version says here which maps its predecessor did not have; all others must mean the same in
//! both. One whose layout changes gets another name, so that the old programs keep theirs, and is
//! filled from its predecessor here. `META` names the earlier version until everything is done:
//! whatever interrupts an upgrade, attaching again completes it, and until then old and new programs
//! enforce the same policy with the same tables.

use gateway_common::abi::{ABI_OLDEST, ABI_VERSION, name};

use super::{
    DatapathError, GatewayName, gateway, maps,
    pin::{self, GatewayDir},
    presence::Presence,
    undo::Undo,
    work::Work,
};

/// What a version changed in the pinned maps.
struct Version {
    /// The [`ABI_VERSION`] that it brought.
    number: u32,
    /// The maps that its predecessor did not have.
    made: &'static [&'static str],
}

/// Every version after [`ABI_OLDEST`].
const VERSIONS: [Version; (ABI_VERSION - ABI_OLDEST) as usize] =
    [Version { number: 5, made: &[name::PRESENCE, name::PRESENCE_CONTROL] }];

/// Whether a gateway with maps of that layout can be taken over, or needs not be.
pub(super) const fn is_understood(pinned: u32) -> bool {
    pinned >= ABI_OLDEST && pinned <= ABI_VERSION
}

/// The maps that a gateway of that version lacks.
fn made_since(pinned: u32) -> impl Iterator<Item = &'static str> {
    let later = VERSIONS.iter().filter(move |version| version.number > pinned);
    later.flat_map(|version| version.made.iter().copied())
}

/// What to do with a gateway of a version that is not ours.
pub(super) fn advice(gateway: &str, pinned: u32, ours: u32) -> String {
    let again =
        format!("`eigw detach --name {gateway}`, which ends its flows, and attach it again");
    if pinned > ours {
        format!(
            "gateway {gateway} was attached by a newer version of eigw: its maps have layout \
             {pinned}, this binary reads layout {ours}; use that version, or run {again}"
        )
    } else if pinned < ABI_OLDEST {
        format!(
            "gateway {gateway} was attached by a version of eigw that is too old to be upgraded: \
             its maps have layout {pinned}, this binary upgrades from layout {ABI_OLDEST} on; run \
             {again}"
        )
    } else {
        format!(
            "gateway {gateway} was attached by an earlier version of eigw, or upgrading it was \
             interrupted: its maps have layout {pinned}, this binary reads layout {ours}; run \
             `eigw attach`, or restart `eigw run`, to upgrade it in place, which keeps its flows"
        )
    }
}

/// A gateway on its way from an earlier version to this one.
pub(super) struct Upgrade {
    gateway: GatewayName,
    directory: GatewayDir,
    from: u32,
}

impl Upgrade {
    /// Makes sure that a gateway's maps have the layout of its version, and begins an upgrade if
    /// that is an earlier one.
    ///
    /// # Errors
    /// [`DatapathError::StalePins`] or [`DatapathError::Damaged`].
    pub(super) fn of(
        gateway: &GatewayName,
        directory: &GatewayDir,
        pinned: u32,
    ) -> Result<Option<Self>, DatapathError> {
        if !is_understood(pinned) {
            return Err(gateway::stale(gateway, pinned));
        }
        maps::check_all_but(gateway, directory, &made_since(pinned).collect::<Vec<_>>())?;
        let upgrade = Self { gateway: gateway.clone(), directory: directory.clone(), from: pinned };
        Ok((pinned != ABI_VERSION).then_some(upgrade))
    }

    /// Makes way for the maps that loading the programs makes. What an interrupted upgrade left
    /// goes; programs that it attached keep their own until they are replaced.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn make_way(&self, undo: &mut Undo) -> Result<(), DatapathError> {
        self.remove_made()?;
        let again =
            Self { gateway: self.gateway.clone(), directory: self.directory.clone(), ..*self };
        undo.push(move || again.remove_made());
        Ok(())
    }

    /// Fills the maps that loading the programs made, before any program of ours sees a packet. The
    /// presence filter lets everything through to the tables at first: it cannot know the flows that
    /// old programs open meanwhile.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`], [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn fill(&self) -> Result<(), DatapathError> {
        let mut presence = Presence::in_directory(&self.gateway, &self.directory)?;
        presence.choose_secret()?;
        presence.admit_all();
        Ok(())
    }

    /// Completes the upgrade when the new programs are attached and pinned, and returns what to say
    /// about it.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`], [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn finish(&self, work: &mut Work<'_>) -> Result<String, DatapathError> {
        let mut presence = Presence::in_directory(&self.gateway, &self.directory)?;
        // From here on, because now all programs note the flows that they open.
        let rebuilding = presence.begin()?;
        for key in gateway::flow_keys(&self.gateway, &self.directory)? {
            presence.note_in(&rebuilding, &key);
        }
        presence.finish(rebuilding)?;
        work.meta.abi_version = ABI_VERSION;
        work.meta_map.write(&work.meta)?;
        Ok(format!(
            "gateway {} was attached by an earlier version (map layout {}); it was upgraded in \
             place and keeps its flows and counters",
            self.gateway, self.from
        ))
    }

    fn remove_made(&self) -> Result<(), DatapathError> {
        let maps = self.directory.maps();
        made_since(self.from).try_for_each(|map| pin::remove_file(&maps.join(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_row() {
        let numbers = VERSIONS.iter().map(|version| version.number);
        assert!(numbers.eq(ABI_OLDEST + 1..=ABI_VERSION));
        assert_eq!(made_since(ABI_VERSION).count(), 0);
        assert!(made_since(ABI_OLDEST).eq([name::PRESENCE, name::PRESENCE_CONTROL]));
    }

    #[test]
    fn advice_says_which_version_made_it_and_what_to_do() {
        for (pinned, parts) in [
            (ABI_OLDEST - 1, ["too old", "`eigw detach --name wan`, which ends its flows"]),
            (ABI_OLDEST, ["earlier version", "`eigw attach`"]),
            (ABI_VERSION + 1, ["newer version", "use that version"]),
        ] {
            let advice = advice("wan", pinned, ABI_VERSION);
            let layout = format!("layout {pinned}");
            for part in parts.into_iter().chain([layout.as_str()]) {
                assert!(advice.contains(part), "{part:?} is missing in: {advice}");
            }
        }
    }
}
