//! The part of `deny.toml` that is worth checking with every change, and quick without cargo-deny:
//! where libraries come from and under which licences. Compiling cargo-deny takes longer than all
//! that CI does otherwise.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::{
    crates::{self, CRATES_IO, Crate},
    process::workspace,
};

/// The configuration, as far as it is used here.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// What one library may be licensed under besides.
#[derive(Deserialize)]
struct Exception {
    allow: Vec<String>,
    #[serde(rename = "crate")]
    library: String,
}

impl Licenses {
    fn allows(&self, license: &str, library: &str) -> bool {
        let its = self.exceptions.iter().filter(|it| it.library == library);
        self.allow.iter().chain(its.flat_map(|it| &it.allow)).any(|allowed| allowed == license)
    }
}

/// Checks every library that is compiled on this machine, also for tests.
///
/// # Errors
/// With a line for each that is not as it should be.
pub(super) fn run() -> Result<()> {
    let text = fs::read_to_string(workspace().join("deny.toml")).context("reading deny.toml")?;
    let deny: Deny = toml::from_str(&text).context("reading deny.toml")?;
    let mut libraries = crates::all()?;
    libraries.retain(|it| it.source.is_some());
    let faults: Vec<String> = libraries.iter().filter_map(|it| fault(it, &deny.licenses)).collect();
    if !faults.is_empty() {
        bail!("libraries that deny.toml does not allow:\n- {}", faults.join("\n- "));
    }
    println!("licences and sources of {} libraries are as deny.toml has them", libraries.len());
    Ok(())
}

/// What is wrong with a library, if anything is.
fn fault(library: &Crate, licenses: &Licenses) -> Option<String> {
    let Crate { name, version, license, source, checksum, .. } = library;
    if source.as_deref() != Some(CRATES_IO) {
        return Some(format!("{name} {version} comes from {source:?}"));
    }
    if checksum.is_none() {
        return Some(format!("{name} {version} has no checksum in Cargo.lock"));
    }
    let Some(license) = license else {
        return Some(format!("{name} {version} names no licence"));
    };
    let expression = match Expression::parse_mode(license, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{name} {version}: {license:?}: {error}")),
    };
    let is_allowed = expression.evaluate(|wanted| licenses.allows(&wanted.to_string(), name));
    (!is_allowed).then(|| format!("{name} {version} is licensed {license}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(license: &str) -> Crate {
        let mut linked = crates::linked().expect("cargo knows the crates");
        let mut library = linked.remove(0);
        library.license = Some(license.to_owned());
        library
    }

    fn licenses(allow: &[&str]) -> Licenses {
        let allow = allow.iter().map(ToString::to_string).collect();
        Licenses { allow, exceptions: Vec::new() }
    }

    #[test]
    fn a_choice_with_an_allowed_licence_is_allowed_and_a_demand_for_another_is_not() {
        let allowed = licenses(&["MIT", "Apache-2.0"]);
        for license in ["MIT", "GPL-3.0-only OR MIT", "MIT/Apache-2.0", "MIT AND Apache-2.0"] {
            assert_eq!(fault(&library(license), &allowed), None);
        }
        for license in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH LLVM-exception"] {
            assert!(fault(&library(license), &allowed).is_some(), "{license}");
        }
    }

    #[test]
    fn an_exception_is_about_one_library() {
        let (mut ours, mut other) = (library("MIT AND NCSA"), library("MIT AND NCSA"));
        ours.name = "ours".into();
        other.name = "other".into();
        let exception = Exception { allow: vec!["NCSA".to_owned()], library: "ours".to_owned() };
        let allowed = Licenses { exceptions: vec![exception], ..licenses(&["MIT"]) };
        assert_eq!(fault(&ours, &allowed), None);
        assert!(fault(&other, &allowed).is_some());
    }

    #[test]
    fn a_library_from_elsewhere_or_without_checksum_is_a_fault() {
        let allowed = licenses(&["MIT"]);
        let mut foreign = library("MIT");
        foreign.source = Some("git+https://example.com/a".to_owned());
        assert!(fault(&foreign, &allowed).is_some());
        let mut unchecked = library("MIT");
        unchecked.checksum = None;
        assert!(fault(&unchecked, &allowed).is_some());
    }
}
