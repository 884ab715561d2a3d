//! Attaching, updating and detaching while traffic flows, and being killed meanwhile.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp,
    socket::{self, Server},
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::PATIENCE,
};

use crate::{in_every_hook, stream::Stream};

in_every_hook!(no_packet_is_lost_while_attaching_and_detaching);
in_every_hook!(attaching_again_keeps_flows);
in_every_hook!(detaching_leaves_plain_networking);

/// E153: a live flow of a host behind the gateway and one of its own lose no
/// packet while the gateway is attached, attached again, and detached.
fn no_packet_is_lost_while_attaching_and_detaching(hook: Hook) {
    let lab = Lab::new();
    let _services = echoes(&lab);
    let streams: Vec<_> = FAMILIES
        .into_iter()
        .zip([&lab.inside, &lab.gateway])
        .map(|(family, host)| Stream::start(host, OUTSIDE.port(family, 7)))
        .collect();
    let all_go_on = || streams.iter().for_each(Stream::progress);
    for _ in 0..2 {
        for _ in 0..4 {
            lab.attach(hook);
            all_go_on();
        }
        lab.detach();
        all_go_on();
    }
    streams.into_iter().for_each(Stream::finish);
}

/// E153: a second attach updates the programs in place; connections, their counters and their
/// age stay.
fn attaching_again_keeps_flows(hook: Hook) {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(hook);
    let streams = FAMILIES.map(|family| {
        let stream = socket::connect(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
        let stream = stream.expect("a connection");
        assert_eq!(socket::exchange(&stream, b"before").expect("an answer"), b"before");
        stream
    });
    let before = lab.flows();
    let programs = programs(&lab);
    for _ in 0..3 {
        lab.attach(hook);
        let after = lab.flows();
        assert_eq!(after.len(), 2, "{after:#?}");
        for flow in &before {
            let same = after.iter().find(|other| other["remote"] == flow["remote"]);
            let same = same.unwrap_or_else(|| panic!("{flow} is not among {after:#?}"));
            for field in ["local_port", "state", "packets_out", "bytes_out", "packets_in"] {
                assert_eq!(same[field], flow[field], "{field}");
            }
            let ms = |flow: &Value| flow["age_ms"].as_u64().expect("ages are numbers");
            assert!(ms(same) >= ms(flow), "the flow became younger: {same}");
        }
    }
    assert_ne!(self::programs(&lab), programs, "the programs were not replaced");
    for stream in &streams {
        assert_eq!(socket::exchange(stream, b"after").expect("an answer"), b"after");
    }
}

/// RFC6092-REC-49: without the gateway everything is as it was before.
fn detaching_leaves_plain_networking(hook: Hook) {
    let lab = Lab::new();
    let link = || {
        let details = lab.gateway.ip_output(&format!("-details link show dev {UPLINK}"));
        let qdiscs = lab.gateway.ip_output("-oneline link show");
        (details, qdiscs)
    };
    let before = link();
    let _service = socket::tcp_echo(&lab.inside, INSIDE.port(FAMILIES[1], 7));
    lab.attach(hook);
    assert!(!lab.bpffs.entries().is_empty());
    lab.detach();
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
    assert_eq!(link(), before);
    icmp::ping(&lab.outside, INSIDE.ip(FAMILIES[0])).expect("outside reaches inside");
    let server = INSIDE.port(FAMILIES[1], 7);
    let echoed = socket::tcp_exchange(&lab.outside, server, b"hello", PATIENCE);
    assert_eq!(echoed.expect("outside reaches inside"), b"hello");
}

/// E153: an update that is killed at any point leaves the uplink
/// protected and its live flow alive; the next one succeeds.
#[test]
fn an_update_killed_at_any_point_leaves_the_uplink_protected() {
    let lab = Lab::new();
    let _services = echoes(&lab);
    let private = socket::udp_echo(&lab.inside, INSIDE.port(FAMILIES[1], 9));
    let stream = Stream::start(&lab.inside, OUTSIDE.port(FAMILIES[1], 7));
    for delay in kill_delays(|| lab.attach(Hook::Xdp)) {
        kill_attach_after(&lab, &["--hook", "xdp"], delay);
        lab.expect_drops("no-flow", 1, || {
            let intruder = socket::udp_client(&lab.outside, INSIDE.port(FAMILIES[1], 9), PATIENCE);
            intruder.expect("a socket").send(b"now?").expect("sent");
        });
        assert!(!stream.is_broken(), "killed after {delay:?}");
    }
    assert_eq!(private.served(), 0, "an intruder got in");
    lab.attach(Hook::Xdp);
    stream.progress();
    stream.finish();
}

/// E153: a first attach that is killed at any point leaves the uplink either as it
/// was or protected, never dead; the next one succeeds, and detaching cleans everything up.
#[test]
fn a_first_attach_killed_at_any_point_can_be_repeated() {
    let lab = Lab::new();
    let _services = echoes(&lab);
    let stream = Stream::start(&lab.inside, OUTSIDE.port(FAMILIES[0], 7));
    let delays = kill_delays(|| lab.attach(Hook::Xdp));
    lab.detach();
    for delay in delays {
        kill_attach_after(&lab, &["--hook", "xdp"], delay);
        stream.progress();
        lab.attach(Hook::Xdp);
        stream.progress();
        lab.eigw(&["detach", "--all"]).success();
        assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new(), "after {delay:?}");
    }
    stream.finish();
}

/// Moments spread over an attach, most of them in its second half: the first half is spent on
/// checks and in the verifier.
fn kill_delays(attach: impl FnOnce()) -> Vec<Duration> {
    let start = Instant::now();
    attach();
    let whole = start.elapsed();
    let percents = (5..50).step_by(15).chain((50..=104).step_by(3));
    percents.map(|percent| whole * percent / 100).collect()
}

/// Attaches with these arguments more, and kills that after a while.
pub(crate) fn kill_attach_after(lab: &Lab, more: &[&str], delay: Duration) {
    let mut command =
        lab.eigw_command(&["attach", "--uplink", UPLINK, "--name", tests::eigw::NAME]);
    command.args(more);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut attach = command.spawn().expect("eigw starts");
    // The time is the input here: what is tested is being killed at this moment.
    thread::sleep(delay);
    attach.kill().expect("it is our child");
    attach.wait().expect("it is our child");
}

/// An echo service on the outside host, for either family.
pub(crate) fn echoes(lab: &Lab) -> [Server; 2] {
    FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)))
}

/// The kernel's identifiers of the programs on the uplink.
fn programs(lab: &Lab) -> [Value; 2] {
    let status = lab.eigw_json(&["status"]);
    let uplink = &status[0]["uplinks"][0];
    ["ingress", "egress"].map(|hook| uplink[hook]["program_id"].clone())
}
