//! Policies in the kernel: putting one in force, and reading back what it is and what it counted.
//!
//! ```text
//!             slot 0            slot 1
//! CONFIG ──►  in force          spare: the policy before it, or one that was never finished
//!             tables, hits      tables, hits
//!             text              text
//! ```
//!
//! A new policy takes the spare place and is in force from the write that makes its configuration
//! the active one. Whatever ends the work before that leaves the one in force as it is.

mod document;
#[doc(hidden)]
pub(super) mod fuzzing;
mod hits;
mod readback;
mod tables;

use std::thread;

use gateway_common::{
    abi::name,
    config::{Config, Mode},
    counter::Hits,
};

pub use document::PolicySource;
pub use tables::BuiltTables;

use document::{Counted, Document};
pub(super) use readback::StoredTables;
pub(super) use tables::PolicyMaps;

use super::{DatapathError, GatewayName, maps::ConfigMaps, pin::GatewayDir};
use crate::{policy::CompiledPolicy, settings::Policy};

/// A policy to put in force.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    policy: Policy,
    source: PolicySource,
    compiled: CompiledPolicy,
}

impl NewPolicy {
    /// Compiles a valid policy.
    #[must_use]
    pub fn new(policy: &Policy, source: PolicySource) -> Self {
        Self { policy: policy.clone(), source, compiled: CompiledPolicy::new(policy) }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy as tables.
    #[must_use]
    pub fn compiled(&self) -> &CompiledPolicy {
        &self.compiled
    }
}

impl Default for NewPolicy {
    fn default() -> Self {
        Self::new(&Policy::default(), PolicySource::default())
    }
}

/// The policy in force and what it counted, over all CPUs and all reloads since a rule or a subnet
/// was first there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInForce {
    /// Its generation.
    pub generation: u32,
    /// Where it came from.
    pub source: PolicySource,
    /// The policy, without the prefixes of its lists.
    pub policy: Policy,
    /// How many prefixes each list has.
    pub list_sizes: Vec<usize>,
    /// What each rule decided; of a shadow rule what it would have decided.
    pub rules: Vec<Hits>,
    /// What was refused to or from the addresses of each subnet.
    pub subnets: Vec<Hits>,
    /// What was refused where no subnet covers the inside address.
    pub uncovered: Hits,
}

/// A policy on its way into the kernel.
pub(super) struct PolicySwap<'a> {
    new: &'a NewPolicy,
    built: BuiltTables,
    config_maps: ConfigMaps,
    policy_maps: PolicyMaps,
    notes: Vec<String>,
}

impl<'a> PolicySwap<'a> {
    /// Makes the tables of a policy for the gateway in `directory`, which is locked until they are
    /// committed. Nothing of it is in force yet.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`], [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn prepare(
        gateway: &GatewayName,
        directory: &GatewayDir,
        new: &'a NewPolicy,
    ) -> Result<Self, DatapathError> {
        let config_maps = ConfigMaps::open(gateway, directory)?;
        let policy_maps = PolicyMaps::open(gateway, directory)?;
        // So that nobody looks any more at the place which the policy will take.
        let (waited, built) = thread::scope(|scope| {
            let waiting = scope.spawn(|| config_maps.wait());
            let built = BuiltTables::new(&new.compiled);
            (waiting.join().expect("waiting ends"), built)
        });
        waited?;
        Ok(Self { new, built: built?, config_maps, policy_maps, notes: Vec::new() })
    }

    /// The generation that the policy will have.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub(super) fn generation(&self) -> Result<u32, DatapathError> {
        Ok(after(self.config_maps.in_force()?.generation))
    }

    /// Puts the policy in force, and a configuration with it, which is returned as it is then.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn commit(&mut self, config: &Config, mode: Mode) -> Result<Config, DatapathError> {
        let before = self.config_maps.in_force()?;
        let (slot, spare) = tables::slots(&before);
        let in_force = self.policy_maps.document(slot, Some(&before.policy));
        let in_force =
            unless_damaged(in_force)?.filter(|document| document.generation == before.generation);
        let other = unless_damaged(self.policy_maps.counted(spare, None))?;
        if before.is_valid() && in_force.is_none() {
            self.notes.push(
                "what rules and subnets counted before is damaged, so counting begins anew"
                    .to_owned(),
            );
        }
        let NewPolicy { policy, source, compiled } = self.new;
        let generation = self.generation()?;
        let document = Document::new(policy, source, generation, in_force.as_ref(), other.as_ref());
        self.policy_maps.install(spare, &self.built, &document)?;
        let (policy, mode_code) = (compiled.summary, mode as u32);
        let config = Config { mode: mode_code, generation, policy, policy_slot: spare, ..*config };
        self.config_maps.put(&config, mode)?;
        Ok(config)
    }

    /// What the operator should know, in whole sentences.
    pub(super) fn notes(self) -> Vec<String> {
        self.notes
    }

    /// Enforces what [`Self::commit`] put in force.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn arm(&mut self, committed: &Config) -> Result<(), DatapathError> {
        self.config_maps.commit(committed, Mode::Armed)
    }
}

/// What can be read. That something is damaged is no reason to refuse the policy that takes its
/// place.
fn unless_damaged<T>(read: Result<T, DatapathError>) -> Result<Option<T>, DatapathError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(DatapathError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the policy in force.
///
/// # Errors
/// [`DatapathError::Damaged`] or [`DatapathError::Map`].
pub(super) fn read(
    config_maps: &ConfigMaps,
    policy_maps: &PolicyMaps,
) -> Result<PolicyInForce, DatapathError> {
    /// A reload takes longer than reading, so two of them rarely come between.
    const ATTEMPTS: usize = 8;
    let damaged = |reason: &str| policy_maps.damaged(name::POLICY_TEXT, reason);
    for _ in 0..ATTEMPTS {
        let config = config_maps.in_force()?;
        let (slot, spare) = tables::slots(&config);
        let ours = policy_maps.counted(slot, Some(&config.policy));
        let other = policy_maps.counted(spare, None).ok();
        // Until then what was read stayed in its place.
        if config_maps.in_force()?.generation != config.generation {
            continue;
        }
        let ours = ours?;
        let (found, generation) = (ours.document.generation, config.generation);
        if found != generation {
            return Err(damaged(&format!(
                "tells of generation {found}, where {generation} is in force"
            )));
        }
        return Ok(in_force(&ours, other.as_ref()));
    }
    Err(damaged("changes faster than it can be read"))
}

fn in_force(ours: &Counted, other: Option<&Counted>) -> PolicyInForce {
    let document = &ours.document;
    let policy = document.policy();
    let mut rules = hits::added(&document.settled(other), &ours.hits);
    let mut subnets = rules.split_off(policy.rules.len());
    let uncovered = subnets.pop().unwrap_or_default();
    PolicyInForce {
        generation: document.generation,
        source: document.source.clone(),
        list_sizes: document.list_sizes(),
        policy,
        rules,
        subnets,
        uncovered,
    }
}

/// The generation that follows; 0 stands for none.
const fn after(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_go_on_and_are_never_none() {
        assert_eq!((after(0), after(1), after(u32::MAX)), (1, 2, 1));
    }

    #[test]
    fn a_policy_takes_the_place_that_is_not_in_force() {
        let slots = |policy_slot| tables::slots(&Config { policy_slot, ..Config::new(250) });
        assert_eq!((slots(0), slots(1), slots(u32::MAX)), ((0, 1), (1, 0), (1, 0)));
    }

    #[test]
    fn only_damage_is_passed_over() {
        let damaged = DatapathError::Damaged {
            name: "wan".to_owned(),
            path: "/sys/fs/bpf".into(),
            reason: "is empty".to_owned(),
        };
        assert!(matches!(unless_damaged::<()>(Err(damaged)), Ok(None)));
        assert!(matches!(unless_damaged(Ok(7)), Ok(Some(7))));
        assert!(matches!(
            unless_damaged::<()>(Err(DatapathError::NoObject)),
            Err(DatapathError::NoObject)
        ));
    }
}
