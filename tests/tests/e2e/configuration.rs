//! What the configuration file changes.

use std::{
    fs,
    io::{self, Write as _},
    net::UdpSocket,
};

use gateway_common::tuple::Family;
use serde_json::json;
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

/// RFC6888-REQ-4: with limits of its own no host keeps the others from having established flows,
/// and whoever runs into a limit, or into a full table, is told by `status`. The flows work.
#[test]
fn full_tables_and_shares_are_visible_and_do_no_harm() {
    let lab = Lab::new();
    let limits = file(&format!(
        "{GATEWAY_OF_LAB}[flows]\nhalf_open_max = 1024\nestablished_max = 1024\n\
         half_open_per_host = 1000\nestablished_per_host = 700\n"
    ));
    let checked = lab.eigw_json(&["check", "-c", path(&limits)]);
    assert_eq!(checked["settings"]["half_open_per_host"], 1000);
    assert_eq!(checked["settings"]["established_per_host"], 700);
    lab.eigw(&["attach", "-c", path(&limits)]).success();
    let status = || lab.eigw_json(&["status"])[0].clone();
    let calm = status();
    assert_eq!((&calm["pressure"], &calm["half_open_per_host"]), (&json!([]), &json!(1000)));
    assert!(!lab.eigw(&["status"]).success().contains("warning"));

    // A host of either family: one takes its share, the other one what is left and a bit more.
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    for (family, flows, events) in [
        (
            Family::Ipv4,
            705,
            &[("host-share-full", json!([{"address": INSIDE.v4, "vlan": null}]))][..],
        ),
        (
            Family::Ipv6,
            330,
            &[
                ("established-full", json!([])),
                ("host-share-full", json!([{"address": INSIDE.v4, "vlan": null}])),
            ],
        ),
    ] {
        for port in 0..flows {
            talk(&lab, family, 20_000 + port, 2).expect("a flow without a place works as well");
        }
        let pressure = status()["pressure"].clone();
        let pressure = pressure.as_array().expect("an array");
        assert_eq!(pressure.len(), events.len(), "{pressure:#?}");
        let plain = lab.eigw(&["status"]).success();
        for (met, (event, hosts)) in pressure.iter().zip(events) {
            assert_eq!((&met["event"], &met["hosts"]), (&json!(event), hosts));
            assert!((1..=10).contains(&met["count"].as_u64().expect("a number")), "{met}");
            assert!(plain.contains(&format!("warning: {event} ")), "{plain}");
        }
    }
    let tables = status()["flows"].clone();
    assert_eq!((&tables["established"], &tables["half_open"]), (&json!(1024), &json!(11)));
}

/// A deleted flow no longer counts towards its host's share.
#[test]
fn deleting_a_flow_gives_its_hosts_share_back() {
    let lab = Lab::new();
    let one = file(&format!("{GATEWAY_OF_LAB}[flows]\nestablished_per_host = 1\n"));
    lab.eigw(&["attach", "-c", path(&one)]).success();
    let established = || lab.eigw_json(&["stats"])["flows"]["established"].clone();
    for family in FAMILIES {
        let _service = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
        for port in [1_001, 1_002] {
            talk(&lab, family, port, 2).expect("answers");
            assert_eq!(established(), 1, "the second one has to wait");
        }
        lab.eigw(&["flow", "delete", "--local-port", "1001"]).success();
        assert_eq!(established(), 0);
        wait::until_true("the second flow to be established", || {
            talk(&lab, family, 1_002, 1).expect("an answer");
            established() == 1
        });
        lab.eigw(&["flow", "flush"]).success();
    }
}

/// Expired flows take room, and their host's share, until all flows are flushed.
#[test]
fn expired_flows_are_counted_and_flushed() {
    let lab = Lab::new();
    let short =
        file(&format!("{GATEWAY_OF_LAB}[flows]\nestablished_per_host = 1\n[timeouts]\nudp = 1\n"));
    lab.eigw(&["attach", "-c", path(&short)]).success();
    let tables = || lab.eigw_json(&["stats"])["flows"].clone();
    for family in FAMILIES {
        let _service = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
        talk(&lab, family, 1_001, 2).expect("answers");
        wait::until_true("the flow to expire", || tables()["established"] == 0);
        assert_eq!(tables()["established_expired"], 1);
        assert!(lab.eigw(&["status"]).success().contains("established 0 and 1 expired of"));
        let flushed = lab.eigw_json(&["flow", "flush"]);
        assert_eq!((&flushed["deleted"], &tables()["established_expired"]), (&json!(0), &json!(0)));
        talk(&lab, family, 1_002, 2).expect("answers");
        lab.eigw(&["flow", "flush"]).success();
    }
    let events = lab.eigw_json(&["status"])[0]["events"].clone();
    assert_eq!((&events["promoted"], &events["host_share_full"]), (&json!(4), &json!(0)));
}

/// RFC6888-REQ-4: a host that opens more flows than it may has few of them, other hosts have all
/// of theirs, and `status` names it.
#[test]
fn a_host_beyond_its_allowance_is_named_and_harms_nobody() {
    let lab = Lab::new();
    let four = file(&format!("{GATEWAY_OF_LAB}[flows]\nhalf_open_per_host = 4\n"));
    lab.eigw(&["attach", "-c", path(&four)]).success();
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    talk(&lab, Family::Ipv6, 1_000, 1).expect("an answer");
    for port in 1_001..=1_020 {
        talk(&lab, Family::Ipv4, port, 1).expect("an answer");
    }
    // Four within the allowance, perhaps one more that time gave back, four in its places.
    let kept = lab.flows_matching(&["--local", "10.0.0.0/8"]).len();
    assert!((8..=9).contains(&kept), "{kept}");
    assert_eq!(lab.flows_matching(&["--local-port", "1000"]).len(), 1, "the other host's");
    let pressure = lab.eigw_json(&["status"])[0]["pressure"].clone();
    let events = [&pressure[0]["event"], &pressure[1]["event"], &pressure[2]["event"]];
    assert_eq!(events, [&json!("host-overflow"), &json!("host-recycled"), &json!(null)]);
    assert_eq!(pressure[0]["hosts"], json!([{"address": INSIDE.v4, "vlan": null}]));
    assert!(pressure[0]["count"].as_u64() >= Some(15), "{pressure}");
    let plain = lab.eigw(&["status"]).success();
    assert!(plain.contains(&format!("now: {}\n", INSIDE.v4)), "{plain}");
}

#[test]
fn limits_that_fit_no_table_are_refused_with_line_and_key() {
    let lab = Lab::new();
    for (limit, part) in [
        ("half_open_per_host = 0", "from 1 to"),
        ("established_per_host = \"all\"", "\"auto\" or a whole number"),
        ("half_open_per_host = 2001", "more than 'half_open_max', which is 2000"),
        ("established_per_host = 16000000", "more than 'established_max', which comes to"),
    ] {
        let wrong = file(&format!("{GATEWAY_OF_LAB}[flows]\nhalf_open_max = 2000\n{limit}\n"));
        let (key, _) = limit.split_once(' ').expect("a key and a value");
        let place = format!("{}:6: '{key}' in [flows] ", path(&wrong));
        for command in ["check", "attach"] {
            let complaint = lab.eigw(&[command, "-c", path(&wrong)]).failure(2);
            assert!(complaint.contains(&place) && complaint.contains(part), "{complaint}");
        }
    }
    assert!(lab.bpffs.entries().is_empty());
}

/// The keys for several states at once, and those for single ones that stand above them.
#[test]
fn timeouts_of_states_arrive_in_the_packet_path() {
    let lab = Lab::new();
    let finer = file(&format!(
        "{GATEWAY_OF_LAB}[timeouts]\ntcp_syn_received = 300\ntcp_half_open = 500\n\
         tcp_closing = 400\ntcp_last_ack = 250\n"
    ));
    lab.eigw(&["attach", "-c", path(&finer)]).success();
    let timeouts = lab.eigw_json(&["status"])[0]["timeouts_secs"].clone();
    for (state, secs) in [
        ("tcp_syn_sent", 500),
        ("tcp_syn_received", 300),
        ("tcp_fin_wait", 400),
        ("tcp_close_wait", 400),
        ("tcp_last_ack", 250),
        ("tcp_closed", 400),
        ("tcp_time_wait", 120),
    ] {
        assert_eq!(timeouts[state], secs, "{state} of {timeouts}");
    }
}

/// How every file here begins.
const GATEWAY_OF_LAB: &str = "[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n";

/// Asks the echo service outside from a port of the inside host, and waits for each answer.
fn talk(lab: &Lab, family: Family, port: u16, questions: usize) -> io::Result<()> {
    lab.inside.run(|| {
        let socket = UdpSocket::bind(INSIDE.port(family, port))?;
        socket.connect(OUTSIDE.port(family, 7))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        for _ in 0..questions {
            socket.send(b"question")?;
            socket.recv(&mut [0; 64])?;
        }
        Ok(())
    })
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path of ASCII")
}
