//! The daemon removes flows whose time is over and takes the records of all that ended.

use std::ops::Range;

use aya::{TestRun as _, TestRunOptions, programs::SchedClassifier};
use gateway_common::{abi::name, counter::FlowEvent};
use gateway_userspace::datapath::{Gateway, Records};
use nix::sys::signal::Signal;
use tests::{
    eigw::NAME,
    rows::prelude::Flow,
    topology::{INSIDE, Lab, OUTSIDE},
    wait,
};

use super::{Daemon, Home};

/// Flows of a test: those that fit the ring of records.
const FLOWS: u16 = 16_000;
/// Flows that live on.
const LASTING: u16 = 100;

/// A daemon that is killed in the middle of its work loses neither a flow nor a record: what it did
/// not take waits for the next one.
#[test]
fn a_killed_daemon_loses_no_flow_and_no_record() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[timeouts]\nudp_dns = 1\n[flows]\nhalf_open_per_host = 60000\n");
    lab.eigw(&["attach", "-c", home.file()]).success();
    let gateway = lab.gateway_maps();
    open(&lab, 9, 0..LASTING);
    open(&lab, 53, 0..FLOWS);
    assert_eq!(event(&gateway, FlowEvent::Created), u64::from(FLOWS + LASTING));
    assert!(status(&lab).contains("daemon:     none; "), "{}", status(&lab));
    wait::until_true("the flows to be over", || expired(&gateway) == usize::from(FLOWS));

    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    wait::until_true("the sweeper to begin", || event(&gateway, FlowEvent::Expired) > 0);
    daemon.end(Signal::SIGKILL);
    let ended = event(&gateway, FlowEvent::Expired);
    assert!(ended < u64::from(FLOWS), "it was killed too late");
    assert_eq!(gateway.flows().expect("flows").len() as u64, u64::from(FLOWS + LASTING) - ended);

    // What is left in the ring are the latest, and none of them is missing.
    let mut records = Records::open(lab.bpffs.path(), gateway.name()).expect("records");
    let first = records.take(|record| record.serial).unwrap_or(ended);
    let rest = std::iter::from_fn(|| records.take(|record| record.serial));
    assert!(rest.eq((first + 1).min(ended)..ended), "from {first} of {ended}");
    drop(records);

    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    assert!(status(&lab).contains("daemon:     runs\n"), "{}", status(&lab));
    wait::until_true("the last of them to go", || {
        gateway.flows().expect("flows").len() == usize::from(LASTING)
    });
    assert_eq!(event(&gateway, FlowEvent::Expired), u64::from(FLOWS));
    assert_eq!(event(&gateway, FlowEvent::RecordLost), 0);
    let records = Records::open(lab.bpffs.path(), gateway.name()).expect("records");
    assert_eq!(records.written().expect("a number"), u64::from(FLOWS));
    drop(daemon);
    assert_eq!(lab.eigw_json(&["status"])[0]["daemon"], false);
    assert_eq!(lab.eigw_json(&["status"])[0]["name"], NAME);
}

/// A gateway that is detached and attached again beside the living daemon is swept as well, and with
/// the timeouts of a file that is loaded meanwhile.
#[test]
fn whatever_gateway_there_is_is_swept_by_the_file_in_force() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    lab.detach();
    daemon.expect_status("was detached");
    lab.eigw(&["attach", "-c", home.file()]).success();
    daemon.expect_status(&format!("gateway {NAME} protects"));
    let gateway = lab.gateway_maps();
    open(&lab, 53, 0..100);
    assert_eq!(gateway.flows().expect("flows").len(), 100);
    home.configure("[timeouts]\nudp_dns = 1\n");
    daemon.reload();
    wait::until_true("the flows to go", || gateway.flows().expect("flows").is_empty());
    assert_eq!(event(&gateway, FlowEvent::Expired), 100);
}

/// Opens UDP flows towards a port, from as many ports.
fn open(lab: &Lab, to: u16, ports: Range<u16>) {
    let directory = lab.bpffs.path().join("eigw").join(NAME).join("programs");
    let egress = SchedClassifier::from_pin(directory.join(name::EGRESS_TC)).expect("pinned");
    for port in ports {
        let frame = Flow::udp(INSIDE.v4, 1_000 + port, OUTSIDE.v4, to).out().frame();
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        egress.test_run(options).expect("the program runs");
    }
}

fn status(lab: &Lab) -> String {
    lab.eigw(&["status"]).success()
}

fn event(gateway: &Gateway, event: FlowEvent) -> u64 {
    gateway.flow_events().expect("events")[event as usize].1
}

/// How many flows are in a table although their time is over.
fn expired(gateway: &Gateway) -> usize {
    let (now, config) = (gateway.now().expect("a clock"), gateway.config().expect("a config"));
    let flows = gateway.flows().expect("flows");
    flows.iter().filter(|(_, key, entry)| !entry.is_live(key, now, &config)).count()
}
