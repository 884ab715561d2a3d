//! Every benchmark that needs packets on links runs to its end, with little of everything: whether
//! it works, not what it measures. They check themselves that packets went where they should.

use std::{fs, process::Command};

/// Runs one, and returns the document that it writes.
fn document(command: &str, arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("make a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg(command)
        .args(arguments)
        .arg("--markdown")
        .arg(directory.path())
        .output()
        .expect("start the benchmark");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bench {command} failed:\n{stderr}");
    let file = directory.path().join(format!("{command}.md"));
    let text = fs::read_to_string(&file).expect("it writes a document");
    for picture in text.lines().filter_map(|line| line.strip_prefix("![")?.split_once("](")) {
        let file = directory.path().join(picture.1.trim_end_matches(')'));
        let svg = fs::read_to_string(&file).expect("pictures lie beside the document");
        assert!(svg.ends_with("</svg>\n"), "{}:\n{svg}", file.display());
    }
    text
}

#[test]
fn a_flood_is_measured_with_every_firewall() {
    let text = document("flood", &["--rounds=1", "--turn-ms=20", "--flows=1000"]);
    for row in ["XDP_DROP", "nftables, netdev ingress", "nftables, stateful", "eigw --hook xdp"] {
        assert!(text.contains(&format!("| {row}")), "no row {row} in\n{text}");
    }
}

#[test]
fn packets_of_live_flows_are_measured_both_ways() {
    let text = document("forward", &["--rounds=1", "--turn-ms=20", "--flows=1000"]);
    for row in ["| in ", "| out "] {
        assert!(text.contains(row), "no row {row} in\n{text}");
    }
    // Measured, or said not to be there.
    assert!(text.contains("nftables, flowtable"), "{text}");
}

#[test]
fn goodput_is_measured_of_flows_and_of_a_connection() {
    let text = document("goodput", &["--rounds=1", "--turn-ms=50", "--rates=100000"]);
    assert!(text.contains("100,000 packets per second"), "{text}");
    assert!(text.contains("## A TCP connection during a flood"), "{text}");
}

#[test]
fn small_exchanges_are_measured() {
    let text = document("transactions", &["--rounds=1", "--round-trips=100", "--connections=20"]);
    assert!(text.contains("## New TCP connections"), "{text}");
}

#[test]
fn packets_and_attaching_are_measured_by_number_of_flows() {
    let text = document("scaling", &["--rounds=1", "--runs=1000", "--flows=0,1000"]);
    assert!(text.contains("| reply of any flow"), "{text}");
    assert!(text.contains("## Time to attach"), "{text}");
}
