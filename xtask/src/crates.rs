//! The crates that eigw is made of, as cargo tells them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{
    bpf_cargo::BPF_TARGET,
    process::{capture, cargo, workspace},
};

/// Where every crate that is not ours comes from.
pub(crate) const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Name and version, of which a build has each pair once.
type Identity = (String, String);

/// A crate of the workspace's graph.
#[derive(Deserialize)]
pub(crate) struct Crate {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: String,
    /// Absent for our own.
    pub(crate) source: Option<String>,
    /// SHA-256 of the crate's archive, from `Cargo.lock`.
    #[serde(skip)]
    pub(crate) checksum: Option<String>,
    /// What it uses, by name and version.
    #[serde(skip)]
    pub(crate) uses: BTreeSet<Identity>,
    /// Whether its code is in the BPF programs; set by [`linked`] alone.
    #[serde(skip)]
    pub(crate) in_object: bool,
}

impl Crate {
    pub(crate) fn identity(&self) -> Identity {
        (self.name.clone(), self.version.clone())
    }
}

/// What `cargo metadata` prints, as far as it is used.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Every crate that building or testing on this machine compiles, our own too.
///
/// # Errors
/// When cargo cannot tell, or `Cargo.lock` cannot be read.
pub(crate) fn all() -> Result<Vec<Crate>> {
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--filter-platform"]);
    let printed = capture(command.arg(host_target()))?;
    let Metadata { packages, resolve } =
        serde_json::from_str(&printed).context("reading cargo's metadata")?;
    let identities: BTreeMap<String, Identity> =
        packages.iter().map(|package| (package.id.clone(), package.identity())).collect();
    let mut used_by: BTreeMap<String, BTreeSet<Identity>> = BTreeMap::new();
    for Node { id, deps } in resolve.nodes {
        let used = deps.iter().filter_map(|it| identities.get(&it.pkg).cloned());
        used_by.insert(id, used.collect());
    }
    let checksums = checksums()?;
    Ok(packages
        .into_iter()
        .map(|package| Crate {
            checksum: checksums.get(&package.identity()).cloned(),
            uses: used_by.remove(&package.id).unwrap_or_default(),
            ..package
        })
        .collect())
}

/// The crates whose code is in the binary or in the programs inside it, but for our own, by name.
/// What only builds, tests or generates code is not among them.
///
/// # Errors
/// As [`all`].
pub(crate) fn linked() -> Result<Vec<Crate>> {
    let in_binary = tree("gateway-userspace", &host_target())?;
    let in_object = tree("gateway-ebpf", BPF_TARGET)?;
    let mut linked = all()?;
    linked.retain_mut(|it| {
        it.in_object = in_object.contains(&it.identity());
        it.source.is_some() && (it.in_object || in_binary.contains(&it.identity()))
    });
    linked.sort_by_key(Crate::identity);
    Ok(linked)
}

/// Cargo's metadata has the features of the whole workspace at once; its tree those of one package.
fn tree(package: &str, target: &str) -> Result<BTreeSet<Identity>> {
    let mut command = cargo();
    command.args(["tree", "--locked", "--edges=normal,no-proc-macro", "--prefix=none"]).args([
        "--format={p}",
        "--package",
        package,
        "--target",
        target,
    ]);
    let identity = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next()?.strip_prefix('v')?.to_owned()))
    };
    let found: BTreeSet<Identity> = capture(&mut command)?.lines().filter_map(identity).collect();
    ensure!(found.iter().any(|(name, _)| name == package), "`cargo tree` does not list {package}");
    Ok(found)
}

fn checksums() -> Result<BTreeMap<Identity, String>> {
    let text = fs::read_to_string(workspace().join("Cargo.lock")).context("reading Cargo.lock")?;
    let Lock { package } = toml::from_str(&text).context("reading Cargo.lock")?;
    let checksum = |it: Locked| Some(((it.name, it.version), it.checksum?));
    Ok(package.into_iter().filter_map(checksum).collect())
}

/// The machine's target; that with musl has the same crates.
fn host_target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_has_a_checksum_and_what_only_builds_or_tests_is_not_linked() {
        let linked = linked().expect("cargo knows the crates");
        let has = |name: &str| linked.iter().any(|it| it.name == name);
        for name in ["aya", "aya-ebpf", "clap", "tokio"] {
            assert!(has(name), "{name} is linked");
        }
        for name in ["proptest", "anstyle-wincon", "gateway-common", "serde_derive", "syn", "xtask"]
        {
            assert!(!has(name), "{name} is not linked");
        }
        for it in &linked {
            let Crate { name, version, checksum, .. } = it;
            assert_eq!(checksum.as_deref().map(str::len), Some(64), "{name} {version}");
        }
    }
}
