//! The programs that tests, the benchmark and packaging call, and the packages that bring them.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;

use crate::{
    apt::Apt,
    process::{find_program, workspace},
};

/// A program that tests, the benchmark or packaging call.
struct Tool {
    program: &'static str,
    package: &'static str,
    reason: &'static str,
}

const TEST_TOOLS: [Tool; 7] = [
    tool("ip", "iproute2", "makes the network namespaces, links and routes of every topology"),
    tool("tc", "iproute2", "shows what is attached beside the gateway"),
    tool("ethtool", "ethtool", "switches offloads of test links on and off"),
    tool("tshark", "tshark", "reads captures of dropped packets back"),
    tool("nft", "nftables", "is what the benchmark compares the gateway with"),
    tool("dpkg-shlibdeps", "dpkg-dev", "finds what the Debian package depends on"),
    tool("mmdebstrap", "mmdebstrap", "makes the clean Debian that packages are tried in"),
];

/// Programs of a package that would start a service if it were installed: it is only unpacked.
const UNPACKED: [Tool; 2] = [
    tool("prometheus", "prometheus", "scrapes a real run and evaluates the alerts"),
    tool("promtool", "prometheus", "checks pages of metrics, and the alerts"),
];

const fn tool(program: &'static str, package: &'static str, reason: &'static str) -> Tool {
    Tool { program, package, reason }
}

/// Installs or unpacks the missing test tools; no package manager is called when none is missing.
///
/// # Errors
/// When some are missing and cannot be had; one line for each says what for.
pub(crate) fn ensure(apt: &mut Apt) -> Result<()> {
    for Tool { program, reason, .. } in missing().chain(missing_unpacked()) {
        println!("    missing test tool {program}: {reason}");
    }
    let packages: Vec<&str> = missing().map(|tool| tool.package).collect();
    if !packages.is_empty() {
        apt.install(&packages)?;
    }
    let packages: BTreeSet<&str> = missing_unpacked().map(|tool| tool.package).collect();
    packages.into_iter().try_for_each(|package| apt.unpack(package, &directory_of(package)))
}

/// The names of the programs that are missing.
pub(crate) fn missing_programs() -> Vec<&'static str> {
    missing().chain(missing_unpacked()).map(|tool| tool.program).collect()
}

/// How many programs tests call.
pub(crate) const fn count() -> usize {
    TEST_TOOLS.len() + UNPACKED.len()
}

fn missing() -> impl Iterator<Item = &'static Tool> {
    TEST_TOOLS.iter().filter(|tool| find_program(tool.program).is_none())
}

fn missing_unpacked() -> impl Iterator<Item = &'static Tool> {
    let is_unpacked =
        |tool: &Tool| directory_of(tool.package).join("usr/bin").join(tool.program).is_file();
    UNPACKED.iter().filter(move |tool| find_program(tool.program).is_none() && !is_unpacked(tool))
}

/// Where a package is unpacked. Tests look there for what is not on PATH.
fn directory_of(package: &str) -> PathBuf {
    workspace().join("target/tools").join(package)
}
