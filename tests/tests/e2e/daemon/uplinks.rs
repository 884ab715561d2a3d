//! Interfaces that go down, go away, come back and get other names, and programs that somebody
//! removes, while the daemon lives.

use std::{fs, net::TcpStream, process::Command};

use gateway_common::tuple::Family;
use serde_json::Value;
use tests::{
    eigw::{Hook, NAME},
    icmp, socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER, UPLINK, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::{Daemon, Home, expect_protected};
use crate::{in_every_hook, stream::Stream};

/// A second uplink, which leads to the router as well.
const SECOND: &str = "second";

/// A link that goes down needs nothing but to be told.
#[test]
fn a_link_that_goes_down_and_up_is_told() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    lab.gateway.ip(&format!("link set {UPLINK} down\n"));
    daemon.expect_status(&format!("protects {UPLINK} ({UPLINK} down)"));
    daemon.expect_stderr("the uplink is down");
    let uplink = uplink(&lab);
    assert_eq!((&uplink["present"], &uplink["up"]), (&true.into(), &false.into()));
    lab.gateway.ip(&format!("link set {UPLINK} up\n"));
    daemon.expect_stderr("the uplink is up");
    assert_eq!(self::uplink(&lab)["up"], true);
}

in_every_hook!(an_uplink_that_is_made_anew_is_protected_and_its_flows_go_on);

/// A new interface of the old name gets the programs before it gets an address, and the flows of
/// the one that is gone are answered on it.
fn an_uplink_that_is_made_anew_is_protected_and_its_flows_go_on(hook: Hook) {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!("hook = \"{}\"\n", hook.name()));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let _service = socket::tcp_echo(&lab.outside, OUTSIDE.port(Family::Ipv6, 7));
    let flow = flow(&lab);
    let (before, flows) = (uplink(&lab), lab.flows());

    lab.gateway.ip(&format!("link delete {UPLINK}\n"));
    daemon.expect_status(&format!("waits for {UPLINK}"));
    daemon.expect_stderr("the uplink is gone");
    let gone = uplink(&lab);
    assert_eq!((&gone["name"], &gone["present"]), (&UPLINK.into(), &false.into()));
    add_uplink(&lab);
    daemon.expect_status(&format!("protects {UPLINK}"));
    let after = uplink(&lab);
    assert_ne!(after["ifindex"], before["ifindex"]);
    assert_eq!((&after["hook"], &after["present"]), (&hook.name().into(), &true.into()));
    configure_uplink(&lab);
    assert_eq!(lab.flows().len(), flows.len(), "the flow is there still");
    assert_eq!(socket::exchange(&flow, b"after").expect("the flow goes on"), b"after");
    expect_protected(&lab);
    let uplinks = &lab.eigw_json(&["status"])[0]["uplinks"];
    assert_eq!(uplinks.as_array().map(Vec::len), Some(1), "no records of the dead: {uplinks}");
}

/// The gateway follows the interface, not its name, and says what that means for the file.
#[test]
fn an_uplink_with_another_name_stays_protected() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let stream = stream(&lab);
    lab.gateway.ip(&format!("link set {UPLINK} name wan9\n"));
    daemon.expect_status("protects wan9");
    daemon.expect_stderr(&format!("the uplink was {UPLINK} before and stays protected"));
    assert_eq!(uplink(&lab)["name"], "wan9");
    stream.progress();
    expect_protected(&lab);
    // The next daemon does not find the name of the file, and takes nothing away for that.
    drop(daemon);
    let next = Daemon::start(&lab, &home, &["-c", home.file()]);
    let ready = next.notification();
    assert!(ready.starts_with("READY=1\n") && ready.contains(UPLINK), "{ready}");
    next.expect_status(&format!("protects wan9 and waits for {UPLINK}"));
    expect_protected(&lab);
    stream.finish();
}

/// An interface that another network namespace gets is not filtered there, and is protected again
/// when it is back.
#[test]
fn an_uplink_may_leave_for_another_namespace_and_return() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let _service = socket::tcp_echo(&lab.outside, OUTSIDE.port(Family::Ipv6, 7));
    let flow = flow(&lab);
    lab.gateway.ip(&format!("link set {UPLINK} netns {}\n", lab.inside.name()));
    daemon.expect_stderr("moved to another network namespace, where nothing filters it");
    let there = lab.inside.ip_output(&format!("-details link show {UPLINK}"));
    assert!(!there.contains("prog/xdp"), "{there}");
    lab.inside.ip(&format!("link set {UPLINK} netns {}\n", lab.gateway.name()));
    daemon.expect_status(&format!("protects {UPLINK}"));
    configure_uplink(&lab);
    assert_eq!(socket::exchange(&flow, b"after").expect("the flow goes on"), b"after");
    expect_protected(&lab);
}

in_every_hook!(programs_that_somebody_removes_are_back);

/// Whoever takes a program away by hand learns from the log that it is there again.
fn programs_that_somebody_removes_are_back(hook: Hook) {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!("hook = \"{}\"\n", hook.name()));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let links = lab.bpffs.path().join("eigw").join(NAME).join("links");
    let names = || {
        let entries = fs::read_dir(&links).expect("the gateway's links");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(before.len(), 2, "one link each way: {before:?}");
    for link in &before {
        fs::remove_file(link).expect("the link is pinned");
        wait::until_true("the link to be back", || names() == before);
        daemon.expect_stderr("somebody removed a program from the uplink");
        daemon.expect_stderr("attached again");
        let uplink = uplink(&lab);
        assert!(uplink["ingress"].is_object() && uplink["egress"].is_object(), "{uplink}");
        expect_protected(&lab);
    }
}

/// When the machine starts, uplinks may come later than the daemon. It is ready at once, and
/// protects what there is when it is there.
#[test]
fn uplinks_that_are_missing_at_the_start_are_waited_for() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    lab.gateway.ip(&format!("link delete {UPLINK}\n"));
    let complaint = lab.eigw(&["attach", "-c", home.file()]).failure(1);
    assert!(complaint.contains(UPLINK), "attach fails: {complaint}");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    let ready = daemon.notification();
    let status = format!("STATUS=gateway {NAME} waits for {UPLINK}\n");
    assert!(ready.starts_with("READY=1\n") && ready.contains(&status), "{ready}");
    daemon.expect_stderr("the uplink does not exist; it is protected once it does");
    assert_eq!(daemon.stdout(), "");

    // Meanwhile it takes a changed file for when it will need it.
    home.configure("[allow]\nping = true\n");
    daemon.send(nix::sys::signal::Signal::SIGHUP);
    let reloading = daemon.notification();
    assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
    assert!(daemon.notification().starts_with("READY=1\n"));

    add_uplink(&lab);
    daemon.expect_status(&format!("protects {UPLINK}"));
    wait::until_true("the answer of attaching", || {
        daemon.stdout().starts_with("attached gateway wan\n")
    });
    configure_uplink(&lab);
    wait::until_true("the path to inside", || {
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).is_ok()
    });
    let stranger = socket::connect(&lab.outside, GATEWAY.port(Family::Ipv6, 9), PATIENCE / 10);
    stranger.expect_err("what outside opens is dropped");
}

/// Uplinks that come and go leave the others alone: no packet is lost, and the policy stays.
#[test]
fn uplinks_come_and_go_beside_others() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let text = fs::read_to_string(home.file()).expect("the file is ours");
    let both = text.replace(&format!("[\"{UPLINK}\"]"), &format!("[\"{UPLINK}\", \"{SECOND}\"]"));
    fs::write(home.file(), both).expect("write the configuration");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    let ready = daemon.notification();
    assert!(ready.contains(&format!("protects {UPLINK} and waits for {SECOND}\n")), "{ready}");
    let stream = stream(&lab);
    let policy = || lab.eigw_json(&["status"])[0]["policy"].clone();
    let before = policy();
    for _ in 0..3 {
        let router = lab.router.name();
        lab.gateway.ip(&format!("link add {SECOND} type veth peer name peer netns {router}\n"));
        daemon.expect_status(&format!("protects {UPLINK}, {SECOND}"));
        stream.progress();
        lab.gateway.ip(&format!("link delete {SECOND}\n"));
        daemon.expect_status(&format!("protects {UPLINK} and waits for {SECOND}"));
        stream.progress();
    }
    assert_eq!(policy(), before);
    stream.finish();
}

/// A daemon would keep a network namespace alive that was removed, and interfaces in it.
#[test]
fn a_removed_network_namespace_is_left() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let mut delete = Command::new("ip");
    let deleted = delete.args(["netns", "delete", lab.gateway.name()]).status();
    assert!(deleted.expect("ip (iproute2) starts").success());
    daemon.expect_stopping();
    assert_eq!(daemon.status().code(), Some(1), "{}", daemon.stderr());
    daemon.expect_stderr(&format!("network namespace {} was removed", lab.gateway.name()));
}

/// A unique local address makes the uplink one within a site, whenever it gets or loses it.
#[test]
fn unique_local_addresses_may_come_and_go() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let exceptions = || lab.eigw_json(&["status"])[0].to_string().contains("fc00::/7");
    assert!(!exceptions());
    lab.gateway.ip(&format!("address add fd00:7::1/64 dev {UPLINK} nodad\n"));
    daemon.expect_stderr("unique local addresses are no martians from now on");
    daemon.expect_stderr("prefix=fd00:7::/64");
    assert!(exceptions());
    lab.gateway.ip(&format!("address del fd00:7::1/64 dev {UPLINK}\n"));
    daemon.expect_stderr("unique local addresses are martians from now on");
    assert!(!exceptions());
}

/// An established flow through the uplink.
fn flow(lab: &Lab) -> TcpStream {
    let flow = socket::connect(&lab.inside, OUTSIDE.port(Family::Ipv6, 7), PATIENCE);
    let flow = flow.expect("inside may open connections");
    assert_eq!(socket::exchange(&flow, b"before").expect("the service answers"), b"before");
    flow
}

/// Traffic that never pauses.
fn stream(lab: &Lab) -> Stream {
    let server = OUTSIDE.port(Family::Ipv6, 7);
    // It ends with the lab's namespaces.
    std::mem::forget(socket::udp_echo(&lab.outside, server));
    Stream::start(&lab.inside, server)
}

/// The only uplink on record.
#[track_caller]
fn uplink(lab: &Lab) -> Value {
    let status = lab.eigw_json(&["status"]);
    let uplinks = status[0]["uplinks"].as_array().expect("status has uplinks");
    assert_eq!(uplinks.len(), 1, "{status}");
    uplinks[0].clone()
}

/// Makes the lab's uplink anew, without addresses.
fn add_uplink(lab: &Lab) {
    let router = lab.router.name();
    lab.gateway.ip(&format!("link add {UPLINK} type veth peer name gateway netns {router}\n"));
}

/// Gives a new or returned uplink what the lab's has.
fn configure_uplink(lab: &Lab) {
    let mac = UPLINK_MAC.map(|byte| format!("{byte:02x}")).join(":");
    let addresses = |interface: &str, at: tests::address::Dual| {
        format!(
            "link set {interface} up\naddress replace {}/24 dev {interface}\n\
             address replace {}/64 dev {interface} nodad\n",
            at.v4, at.v6
        )
    };
    lab.gateway.ip(&format!("link set {UPLINK} address {mac}\n{}", addresses(UPLINK, GATEWAY)));
    lab.router.ip(&addresses("gateway", ROUTER));
    lab.gateway.ip(&format!(
        "route replace default via {}\nroute replace default via {}\n",
        ROUTER.v4, ROUTER.v6
    ));
    lab.router.ip(&format!(
        "route replace 10.77.1.0/24 via {}\nroute replace 2a00:1:0:a::/64 via {}\n",
        GATEWAY.v4, GATEWAY.v6
    ));
}
