//! The policy as people know it, kept beside its tables in the kernel: the packet path has no use
//! for names, and no process holds them.

use std::path::PathBuf;

use gateway_common::{
    counter::{Counter, Hits},
    limits::POLICY_TEXT_BLOCK_BYTES,
    policy::{Route, Summary},
    timeouts::Ticks,
};
use serde::{Deserialize, Serialize};

use super::hits::{self, Identity};
use crate::settings::policy::{Addresses, Policy, PrefixList, Rule, Subnet, check_name, stored};

/// A part of the text that is one value of its map.
pub(super) type Block = [u8; POLICY_TEXT_BLOCK_BYTES];

/// The text begins with its length, so that what is behind it does not matter.
const LENGTH_BYTES: usize = size_of::<u64>();

/// Where a policy came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct PolicySource {
    /// The configuration file's absolute path; `None` when the gateway was attached without one.
    pub file: Option<PathBuf>,
    /// When it was read, in seconds since 1970.
    pub loaded_unix_secs: u64,
    /// Whether the uplinks are those of the command line and not those of the file.
    pub uplinks_given: bool,
    /// Whether the hook is that of the command line and not that of the file.
    pub hook_given: bool,
    /// The name of the hook that was asked for.
    pub hook: String,
}

/// A list of prefixes without its prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct StoredList {
    line: usize,
    name: String,
    prefixes: usize,
    file: Option<String>,
}

/// Packets, bytes, and the moment of the last hit in ticks.
type StoredHits = (u64, u64, u64);

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Document {
    /// The generation of the policy.
    pub(super) generation: u32,
    /// That of the policy before it; 0 for none.
    predecessor: u32,
    /// Where the policy came from.
    pub(super) source: PolicySource,
    #[serde(with = "stored::RouteName")]
    default_route: Route,
    subnets: Vec<Subnet>,
    rules: Vec<Rule>,
    lists: Vec<StoredList>,
    /// Hits of each place from policies before the predecessor.
    base: Vec<StoredHits>,
    /// Hits of each place of the predecessor, all but its own.
    settled: Vec<StoredHits>,
}

/// A policy whose document and own hits are known.
pub(super) struct Counted {
    /// The document.
    pub(super) document: Document,
    /// The hits that were counted while it was in force, by place.
    pub(super) hits: Vec<Hits>,
}

impl Document {
    /// The document of a policy that follows `in_force`; `other` is in the place that it takes.
    pub(super) fn new(
        policy: &Policy,
        source: &PolicySource,
        generation: u32,
        in_force: Option<&Document>,
        other: Option<&Counted>,
    ) -> Self {
        let mut document = Self {
            generation,
            predecessor: 0,
            // As text, which not every path is; such a one is not found again.
            source: PolicySource {
                file: source.file.as_ref().map(|file| file.to_string_lossy().as_ref().into()),
                ..source.clone()
            },
            default_route: policy.default_route,
            subnets: policy.subnets.clone(),
            rules: policy.rules.clone(),
            lists: policy.lists.iter().map(StoredList::from).collect(),
            base: Vec::new(),
            settled: Vec::new(),
        };
        let places = hits::identities(policy);
        let mut base = vec![Hits::default(); places.len()];
        if let Some(in_force) = in_force {
            let settled = in_force.settled(other);
            base = hits::carried(&in_force.identities(), &settled, &places);
            document.predecessor = in_force.generation;
            document.settled = stored_hits(&settled);
        }
        document.base = stored_hits(&base);
        document
    }

    /// All hits of this policy's places but those counted in its own; `other` is the policy in the
    /// other place, whichever that is.
    pub(super) fn settled(&self, other: Option<&Counted>) -> Vec<Hits> {
        let base: Vec<Hits> = self.base.iter().map(read_hits).collect();
        match other {
            Some(other) if other.document.generation == self.predecessor => {
                let places = self.identities();
                let carried = hits::carried(&other.document.identities(), &other.hits, &places);
                hits::added(&base, &carried)
            }
            // A successor that is not in force yet, and perhaps never will be.
            Some(Counted { document, .. })
                if document.predecessor == self.generation
                    && document.settled.len() == base.len() =>
            {
                document.settled.iter().map(read_hits).collect()
            }
            Some(_) | None => base,
        }
    }

    /// The policy, without the prefixes of its lists.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            default_route: self.default_route,
            subnets: self.subnets.clone(),
            rules: self.rules.clone(),
            lists: self.lists.iter().map(PrefixList::from).collect(),
        }
    }

    /// How many prefixes each list has.
    pub(super) fn list_sizes(&self) -> Vec<usize> {
        self.lists.iter().map(|list| list.prefixes).collect()
    }

    fn identities(&self) -> Vec<Identity> {
        hits::identities(&self.policy())
    }

    /// The text in blocks.
    pub(super) fn encode(&self) -> Vec<Block> {
        let json = serde_json::to_vec(self).expect("the document is made of plain data");
        let length = json.len() as u64;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.resize(bytes.len().next_multiple_of(POLICY_TEXT_BLOCK_BYTES), 0);
        bytes.as_chunks().0.to_vec()
    }

    /// Reads a text that anybody may have written, of a policy that the packet path knows as
    /// `summary`; `None` when it is not known there.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn decode(blocks: &[Block], summary: Option<&Summary>) -> Result<Self, String> {
        let bytes = blocks.as_flattened();
        let (length, text) =
            bytes.split_first_chunk::<LENGTH_BYTES>().ok_or("has no text".to_owned())?;
        let length = u64::from_le_bytes(*length);
        let text = usize::try_from(length)
            .ok()
            .and_then(|length| text.get(..length))
            .ok_or_else(|| format!("claims a text of {length} bytes, which it has not"))?;
        let document: Self = serde_json::from_slice(text)
            .map_err(|error| format!("has a text that is no policy: {error}"))?;
        document.check(summary)?;
        Ok(document)
    }

    fn check(&self, summary: Option<&Summary>) -> Result<(), String> {
        let names = self.rules.iter().filter_map(|rule| rule.name.as_ref());
        let names = names.chain(self.subnets.iter().map(|subnet| &subnet.name));
        for name in names.chain(self.lists.iter().map(|list| &list.name)) {
            check_name(name)?;
        }
        let addresses = self.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
        for addresses in addresses {
            if let Addresses::List(list) = addresses
                && *list >= self.lists.len()
            {
                return Err(format!("names the list #{list}, of {}", self.lists.len()));
            }
        }
        let places = self.rules.len() + self.subnets.len() + 1;
        if self.base.len() != places {
            return Err(format!("has {} hits of {places} places", self.base.len()));
        }
        let (rules, subnets) = (self.rules.len() as u64, self.subnets.len() as u64);
        match summary {
            Some(summary)
                if (summary.rules.into(), summary.subnets.into(), summary.default_route)
                    != (rules, subnets, self.default_route as u8) =>
            {
                Err(format!(
                    "has {rules} rules and {subnets} subnets, where the packet path has {} and {}",
                    summary.rules, summary.subnets
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many places there are among the hits.
    pub(super) fn places(&self) -> usize {
        self.base.len()
    }

    /// Whether the packet path needs no tables for this policy, and so counts nothing.
    pub(super) fn is_egress_only(&self) -> bool {
        self.places() == 1 && self.default_route == Route::EgressOnly
    }
}

impl From<&PrefixList> for StoredList {
    fn from(list: &PrefixList) -> Self {
        Self {
            line: list.line,
            name: list.name.clone(),
            prefixes: list.prefixes.len(),
            file: list.file.as_ref().map(|file| file.display().to_string()),
        }
    }
}

impl From<&StoredList> for PrefixList {
    fn from(list: &StoredList) -> Self {
        Self {
            line: list.line,
            name: list.name.clone(),
            prefixes: Vec::new(),
            file: list.file.as_ref().map(PathBuf::from),
        }
    }
}

fn stored_hits(hits: &[Hits]) -> Vec<StoredHits> {
    hits.iter().map(|hits| (hits.count.packets, hits.count.bytes, hits.last.0)).collect()
}

fn read_hits(&(packets, bytes, last): &StoredHits) -> Hits {
    Hits { count: Counter { packets, bytes }, last: Ticks(last) }
}

#[cfg(test)]
mod tests;
