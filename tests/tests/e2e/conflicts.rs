//! Bad surroundings: each gets one clear error, and the network stays as it was.

use std::{fs, process::Command};

use tests::{
    bpffs::Bpffs,
    eigw::{Hook, NAME},
    icmp,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
};

/// A program that others put on the hook is not replaced.
#[test]
fn another_program_on_the_hook_is_left_alone() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let elsewhere = Bpffs::new();
    let mut command = Command::new(tests::eigw::binary());
    command.args(["--netns", lab.gateway.name(), "--bpffs"]).arg(elsewhere.path());
    command.args(["attach", "--uplink", UPLINK, "--name", "other", "--hook", "xdp"]);
    let answer: tests::eigw::Answer = command.output().expect("eigw starts").into();
    let complaint = answer.failure(1);
    assert!(complaint.contains(UPLINK), "{complaint}");
    assert_eq!(elsewhere.entries(), Vec::<std::path::PathBuf>::new());
    icmp::ping(&lab.inside, OUTSIDE.v6.into()).expect("the first gateway works");
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.v6.into()).expect_err("the first gateway protects");
    });
}

/// The interface goes away later.
#[test]
fn an_uplink_that_is_gone_is_shown_and_can_be_detached() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    lab.gateway.ip(&format!("link delete {UPLINK}\n"));
    let status = lab.eigw_json(&["status"]);
    assert_eq!(status[0]["uplinks"][0]["present"], false, "{status}");
    lab.detach();
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
}

/// The interface is missing.
#[test]
fn a_missing_interface_is_named() {
    let lab = Lab::new();
    let complaint = lab.eigw(&["attach", "--uplink", "wan7", "--name", NAME]).failure(1);
    assert!(complaint.contains("wan7"), "{complaint}");
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
}

/// A second uplink that is missing takes the first one back.
#[test]
fn an_attach_that_fails_half_way_leaves_nothing() {
    let lab = Lab::new();
    let arguments = ["attach", "--uplink", UPLINK, "--uplink", "wan7", "--name", NAME];
    let complaint = lab.eigw(&arguments).failure(1);
    assert!(complaint.contains("wan7"), "{complaint}");
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
    icmp::ping(&lab.outside, INSIDE.v4.into()).expect("nothing is filtered");
}

/// A directory that is no BPF file system and cannot become one.
#[test]
fn a_useless_bpffs_is_named() {
    let lab = Lab::new();
    for directory in ["/proc/self", "/dev/null"] {
        let mut command = Command::new(tests::eigw::binary());
        command.args(["--netns", lab.gateway.name(), "--bpffs", directory]);
        command.args(["attach", "--uplink", UPLINK]);
        let answer: tests::eigw::Answer = command.output().expect("eigw starts").into();
        let complaint = answer.failure(1);
        assert!(complaint.contains(directory), "{complaint}");
    }
    icmp::ping(&lab.outside, INSIDE.v4.into()).expect("nothing is filtered");
}

/// Pins that are not this version's are not overwritten.
#[test]
fn foreign_pins_are_not_overwritten() {
    let lab = Lab::new();
    let foreign = lab.bpffs.path().join("eigw").join(NAME).join("foreign");
    fs::create_dir_all(&foreign).expect("bpffs takes directories");
    let complaint = lab.eigw(&["attach", "--uplink", UPLINK, "--name", NAME]).failure(1);
    assert!(complaint.contains(NAME), "{complaint}");
    assert!(foreign.exists(), "the foreign pin is gone");
    icmp::ping(&lab.outside, INSIDE.v4.into()).expect("nothing is filtered");
}
