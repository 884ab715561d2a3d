//! The programs that tests, the benchmark and packaging call, and the packages that bring them.

use anyhow::Result;

use crate::{apt::Apt, process::find_program};

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

const fn tool(program: &'static str, package: &'static str, reason: &'static str) -> Tool {
    Tool { program, package, reason }
}

/// Installs the missing test tools; no package manager is called when none is missing.
///
/// # Errors
/// When some are missing and cannot be installed; one line for each says what for.
pub(crate) fn ensure(apt: &mut Apt) -> Result<()> {
    let missing: Vec<&Tool> = missing().collect();
    if missing.is_empty() {
        return Ok(());
    }
    for Tool { program, reason, .. } in &missing {
        println!("    missing test tool {program}: {reason}");
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    apt.install(&packages)
}

/// The names of the programs that are missing.
pub(crate) fn missing_programs() -> Vec<&'static str> {
    missing().map(|tool| tool.program).collect()
}

/// How many programs tests call.
pub(crate) const fn count() -> usize {
    TEST_TOOLS.len()
}

fn missing() -> impl Iterator<Item = &'static Tool> {
    TEST_TOOLS.iter().filter(|tool| find_program(tool.program).is_none())
}
