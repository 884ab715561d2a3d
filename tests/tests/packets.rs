//! Short runs of `cargo xtask fuzz packets`: the kernel and the host build do the same with every
//! packet. Its full length finds more.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tests::fuzz::Target;

/// Enough to meet every kind of world.
const PACKETS: u64 = 100_000;

#[test]
fn the_same_packets_do_the_same() {
    let fixed = report(&packets(&["--packets", &PACKETS.to_string(), "--seed", "6092"]));
    assert!(fixed["packets"].as_u64() >= Some(PACKETS), "{fixed:#}");
    assert!(fixed["packets_from_outside"].as_u64() > Some(PACKETS / 10), "{fixed:#}");
    let fresh = report(&packets(&["--packets", &PACKETS.to_string()]));
    println!("the random seed was {}", fresh["seed"]);
}

/// What another fuzzer begins with, and what was once found, in the kernel.
#[test]
fn kept_sequences_do_the_same() {
    let flows = Target::named("flows");
    for directory in [flows.seeds_dir(), flows.regressions_dir()] {
        if directory.is_dir() {
            let path = directory.to_str().expect("a path of the repository");
            let replayed = report(&packets(&["--replay", path]));
            assert!(replayed["packets"].as_u64() > Some(0), "{replayed:#}");
        }
    }
}

fn packets(arguments: &[&str]) -> Output {
    let findings = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packets");
    let mut command = Command::new(env!("CARGO_BIN_EXE_packets"));
    command.args(arguments).arg("--json").arg("--findings").arg(findings);
    command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
}

/// The report of a run without differences.
fn report(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in the report; {stderr}"));
    assert!(output.status.success(), "{stderr}\n{report:#}");
    assert_eq!(report["given_up"], 0, "{report:#}");
    report
}
