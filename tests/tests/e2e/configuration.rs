//! What the configuration file changes.

use std::{fs, io::Write as _};

use tempfile::NamedTempFile;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::{Hook, NAME},
    icmp,
    packet::Packet,
    socket,
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait::{self, PATIENCE},
};

/// RFC4890-4.3.1-ECHO: ping from outside passes when the operator wants it, and nothing else.
#[test]
fn ping_may_be_allowed_and_forbidden_again() {
    let lab = Lab::new();
    let allowed = file("[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n[allow]\nping = true\n");
    lab.eigw(&["attach", "-c", path(&allowed)]).success();
    for family in FAMILIES {
        icmp::ping(&lab.outside, INSIDE.ip(family)).expect("ping is allowed");
        icmp::ping(&lab.outside, GATEWAY.ip(family)).expect("ping is allowed");
        let briefly = icmp::ANSWER_WITHIN;
        lab.expect_drops("no-flow", 1, || {
            socket::connect(&lab.outside, INSIDE.port(family, 22), briefly).expect_err("no more");
        });
    }
    lab.attach(Hook::Xdp);
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.v6.into()).expect_err("the default is back");
    });
}

/// RFC6092-REC-14: a flow past its deadline counts as absent at once, with nobody sweeping.
#[test]
fn a_flow_that_was_idle_for_too_long_is_over() {
    let lab = Lab::new();
    let short = file(
        "[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n[timeouts]\nudp = 1\nudp_unreplied = 1\n",
    );
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.eigw(&["attach", "-c", path(&short)]).success();
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let client = socket::udp_client(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
        let client = client.expect("a socket");
        client.send(b"question").expect("sent");
        client.recv(&mut [0; 64]).expect("an answer");
        let port = client.local_addr().expect("bound").port();
        assert_eq!(lab.flows().len(), 1);
        wait::until_true("the flow to expire", || lab.flows().is_empty());
        let late = Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC);
        lab.expect_drops("flow-expired", 1, || link.send(&late.udp(7, port).frame()));
        client.send(b"again").expect("sent");
        client.recv(&mut [0; 64]).expect("a new flow");
        wait::until_true("that flow to expire", || lab.flows().is_empty());
    }
}

/// RFC6092-REC-3 (the list is configurable): excepted prefixes are ordinary addresses.
#[test]
fn excepted_prefixes_are_no_martians() {
    let lab = Lab::new();
    lab.outside.ip("address add 2001:db8::2/128 dev router nodad\n");
    lab.router.ip("route add 2001:db8::2/128 via 2a00:2:0:b::2\n");
    lab.attach(Hook::Xdp);
    let documentation = "2001:db8::2".parse().expect("an address");
    icmp::ping(&lab.inside, documentation).expect_err("documentation is refused");
    assert!(lab.packets("out", "martian-destination") > 0);
    let excepted = file(
        "[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n[martians]\nexcept = [\"2001:db8::/64\"]\n",
    );
    lab.eigw(&["attach", "-c", path(&excepted)]).success();
    icmp::ping(&lab.inside, documentation).expect("documentation is excepted");
}

/// E4, `[link] pass_ethertypes`.
#[test]
fn further_ethertypes_may_pass() {
    let lab = Lab::new();
    let passing = file(
        "[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n[link]\npass_ethertypes = [0x8847]\n",
    );
    lab.eigw(&["attach", "-c", path(&passing)]).success();
    let link = Link::open(&lab.router, "gateway");
    link.send(&Packet::ethertype(0x8847, &[0; 46]).frame());
    wait::until_true("the frame", || lab.packets("in", "ethertype-allowed") == 1);
    lab.expect_drops("ethertype-refused", 1, || {
        link.send(&Packet::ethertype(0x8864, &[0; 46]).frame());
    });
}

/// A file that is wrong changes
/// nothing at all.
#[test]
fn a_wrong_file_leaves_the_old_policy_in_force() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    icmp::ping(&lab.inside, OUTSIDE.v6.into()).expect("an echo reply");
    let (pins, flows) = (lab.bpffs.entries(), lab.flows().len());
    let wrong =
        file("[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n[allow]\nping = \"yes\"\n");
    let complaint = lab.eigw(&["attach", "-c", path(&wrong)]).failure(2);
    assert!(complaint.contains("ping"), "{complaint}");
    assert_eq!((lab.bpffs.entries(), lab.flows().len()), (pins, flows));
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.v6.into()).expect_err("still refused");
    });
    fs::remove_file(wrong.path()).expect("the file is ours");
    let complaint = lab.eigw(&["attach", "-c", path(&wrong), "--name", NAME]).failure(2);
    assert!(complaint.contains(path(&wrong)), "{complaint}");
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path of ASCII")
}
