//! A short run of `cargo xtask differential`: the same packets through the gateway and through
//! nftables. It keeps that program alive; its full length finds more.

use std::process::{Command, Output};

use serde_json::Value;

/// Enough to meet every documented difference but the rarest.
const SEQUENCES: &str = "3000";

#[test]
fn differences_from_nftables_are_documented() {
    for hook in ["xdp", "tc"] {
        let output = differential(&["--hook", hook]);
        let report = report(&output);
        assert!(output.status.success(), "{hook}: {report:#}");
        assert_eq!(report["unexplained_sequences"], 0);
        assert!(report["agreed"].as_u64() > Some(30_000), "{hook}: {report:#}");
    }
}

#[test]
fn a_gateway_that_filters_nothing_differs() {
    let output = differential(&["--unprotected", "--show", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(report(&output)["unexplained_sequences"].as_u64() > Some(300));
}

fn differential(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_differential"));
    command.args(["--seed", "6092", "--sequences", SEQUENCES, "--json"]).args(arguments);
    command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error} in the report; {}", String::from_utf8_lossy(&output.stderr))
    })
}
