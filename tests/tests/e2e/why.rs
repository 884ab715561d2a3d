//! `eigw why` about an attached gateway, and about a file.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use gateway_common::tuple::Family;
use serde_json::{Value, json};
use tests::{
    address::FAMILIES,
    config::ConfigFile,
    eigw::{Answer, Hook, binary},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, STRANGER},
    wait::{self, PATIENCE},
};

/// Rules and subnets to ask about.
const POLICY: &str = "\
[[rule]]
name = \"no-telnet\"
direction = \"in\"
action = \"deny\"
proto = \"tcp\"
ports = 23
[[rule]]
name = \"web\"
direction = \"in\"
action = \"allow\"
proto = \"tcp\"
ports = 443
[[subnet]]
name = \"closed\"
prefix = \"10.99.0.0/16\"
route = \"blocked\"
[[subnet]]
name = \"open4\"
prefix = \"10.77.1.0/24\"
route = \"egress-only\"
[[subnet]]
name = \"open6\"
prefix = \"2a00:1:0:a::/64\"
route = \"egress-only\"
[timeouts]
udp_unreplied = 1
";

/// Rules, subnets and routes are named with their lines; asking leaves no trace.
#[test]
fn the_policy_is_named() {
    let lab = Lab::new();
    let file = ConfigFile::of_lab(POLICY);
    lab.attach_file(Hook::Xdp, &file);
    let text = fs::read_to_string(file.path()).expect("the file is ours");
    let line_of = |number: usize, header: &str| {
        let lines = text.lines().enumerate().filter(|(_, line)| *line == header);
        lines.map(|(index, _)| index + 1).nth(number).expect("it is in the file")
    };
    let before = (lab.flows(), counters(&lab));
    for (family, port_at) in [(Family::Ipv4, 36), (Family::Ipv6, 56)] {
        let source = OUTSIDE.port(family, 40_000);
        let answer = why(&lab, "--in", "tcp", source, INSIDE.port(family, 23), &[]);
        assert_verdict(&answer, "drop", "rule-denied");
        let rule = &answer["policy"]["rule"];
        assert_eq!((&rule["number"], &rule["name"]), (&json!(1), &json!("no-telnet")));
        assert_eq!(rule["line"], json!(line_of(0, "[[rule]]")));
        let port = field(&answer, "tcp.dst_port");
        assert_eq!((&port["offset"], &port["value"]), (&json!(port_at), &json!("23")));
        assert!(answer["hint"]["text"].as_str().expect("text").contains("rule 1"), "{answer}");
        let changes = answer["changes"].as_array().expect("an array");
        assert!(changes.contains(&json!({"what": "hit", "of": "rule", "number": 1})), "{answer}");

        let answer = why(&lab, "--in", "tcp", source, INSIDE.port(family, 443), &[]);
        assert_verdict(&answer, "pass", "rule-allowed");
        assert_eq!(answer["policy"]["rule"]["name"], json!("web"));
    }
    let closed = "10.99.0.1:1".parse().expect("an address");
    let answer = why(&lab, "--out", "udp", closed, OUTSIDE.port(Family::Ipv4, 9), &[]);
    assert_verdict(&answer, "drop", "route-blocked");
    let subnet = &answer["policy"]["subnet"];
    assert_eq!(
        (&subnet["name"], &subnet["line"]),
        (&json!("closed"), &json!(line_of(0, "[[subnet]]")))
    );
    let foreign = "10.98.0.1:1".parse().expect("an address");
    for (option, reason) in [(&["--forwarded"][..], "egress-spoof"), (&[], "flow-created")] {
        let answer = why(&lab, "--out", "udp", foreign, OUTSIDE.port(Family::Ipv4, 9), option);
        assert_eq!(answer["reason"], json!(reason), "{answer:#}");
    }
    assert_eq!((lab.flows(), counters(&lab)), before, "asking left a trace");
}

/// A live flow, its neighbours, and the same flow when its time is over.
#[test]
fn flows_are_found_near_and_expired() {
    let lab = Lab::new();
    lab.attach_file(Hook::Tc, &ConfigFile::of_lab(POLICY));
    for family in FAMILIES {
        let server = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7));
        let mut open = socket::connect(&lab.inside, server.address(), PATIENCE).expect("TCP");
        open.write_all(b"hello").expect("sent");
        let local = open.local_addr().expect("bound");
        let remote = server.address();
        wait::until_true("the flow to be established", || {
            lab.flows()
                .iter()
                .any(|flow| flow["state"] == "established" && flow["remote_port"] == 7)
        });
        let answer = why(&lab, "--in", "tcp", remote, local, &["--flags", "ack"]);
        assert_verdict(&answer, "pass", "flow");
        assert_eq!(answer["flow"]["table"], json!("established"));
        assert_eq!(answer["changes"][0]["what"], json!("flow-updated"), "{answer:#}");
        // One of two numbers on opposite sides of the number space is far ahead of the flow's.
        let with = |number: &str| {
            let options = ["--flags", "ack", "--seq", number];
            why(&lab, "--in", "tcp", remote, local, &options)["reason"] == "tcp-window"
        };
        assert!(with("7") || with("2147483655"), "both numbers fit");

        let other = SocketAddr::new(remote.ip(), 8);
        let answer = why(&lab, "--in", "tcp", other, local, &[]);
        assert_verdict(&answer, "drop", "no-flow");
        assert_eq!(answer["flow"], Value::Null);
        assert_eq!(answer["nearest"][0]["differs"], json!(["remote_port"]), "{answer:#}");
        assert_eq!(answer["nearest"][0]["remote_port"], json!(7));
        let stranger = STRANGER.port(family, 7);
        let answer = why(&lab, "--in", "tcp", stranger, local, &[]);
        assert_eq!(answer["nearest"][0]["differs"], json!(["remote"]), "{answer:#}");
        let plain = lab.eigw(&["why", "--in", "tcp", &stranger.to_string(), &local.to_string()]);
        let plain = plain.success();
        assert!(plain.starts_with("drop: no-flow\n"), "{plain}");
        assert!(
            plain.contains("none; the nearest ones:") && plain.contains("other remote"),
            "{plain}"
        );

        let asker = socket::udp_client(&lab.inside, OUTSIDE.port(family, 9), PATIENCE);
        let asker = asker.expect("a socket");
        asker.send(b"hello").expect("sent");
        let (local, remote) = (asker.local_addr().expect("bound"), OUTSIDE.port(family, 9));
        let expired = wait::until("the flow to expire", || {
            let answer = why(&lab, "--in", "udp", remote, local, &[]);
            (answer["reason"] == "flow-expired").then_some(answer)
        });
        assert_verdict(&expired, "drop", "flow-expired");
        let since = expired["flow"]["expired_ms"].as_u64().expect("milliseconds");
        assert!(Duration::from_millis(since) < PATIENCE, "{expired:#}");
    }
}

/// Whole packets by their bytes, with the field that is wrong.
#[test]
fn packets_are_read_as_hexadecimal_digits() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    // A version 4 header of four words; there are no such.
    let ip = "44000014000000004011000050010203 50040506";
    let frame = format!("02:00:00:00:00:01 02:00:00:00:00:02 08:00 {ip}");
    for (arguments, offset) in
        [(&["--in", "--packet", frame.as_str()][..], 14), (&["--in", "--ip", "--packet", ip], 0)]
    {
        let answer = lab.eigw_json(&[&["why"], arguments].concat());
        assert_verdict(&answer, "drop", "ipv4-malformed");
        assert_eq!(answer["fields"].as_array().map(Vec::len), Some(1), "{answer:#}");
        let field = field(&answer, "ipv4.header_len");
        assert_eq!((&field["offset"], &field["value"]), (&json!(offset), &json!("16 bytes")));
    }
    let mut child = lab
        .eigw_command(&["-j", "why", "--out", "--packet", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("eigw starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(frame.as_bytes()).expect("it reads");
    drop(input);
    let answer = Answer::from(child.wait_with_output().expect("it ends")).success();
    assert!(answer.contains("ipv4-malformed"), "{answer}");
}

/// Without a gateway a file is asked; what nobody can answer is refused.
#[test]
fn files_are_asked_and_slips_are_refused() {
    let file = ConfigFile::of_lab(POLICY);
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).arg("why").args(arguments).output();
        Answer::from(output.expect("eigw starts"))
    };
    let answer = run(&["-c", file.path(), "--in", "tcp", "80.1.2.3", "10.77.1.2:443"]).success();
    assert!(answer.starts_with("pass: rule-allowed\n") && answer.contains("web"), "{answer}");
    assert!(answer.contains("stands for any"), "{answer}");
    for (arguments, complaint) in [
        (&["tcp", "80.1.2.3:1", "80.1.2.4:2"][..], "--in"),
        (&["--in", "--out", "tcp", "80.1.2.3:1", "80.1.2.4:2"], "cannot be used with"),
        (&["--in", "tcp", "80.1.2.3:1", "80.1.2.4"], "80.1.2.4:443"),
        (&["--in", "tcp", "80.1.2.3:1", "[2a00::1]:2"], "different IP versions"),
        (&["--in", "tcp", "80.1.2.3:1"], "DST"),
        (&["--in", "tpc", "80.1.2.3:1", "80.1.2.4:2"], "none of tcp"),
        (&["--in", "--packet", "4z"], "no hexadecimal digit"),
        (&["--in", "--packet", "45", "--flags", "ack"], "cannot be used with"),
        (&["--in", "--forwarded", "udp", "80.1.2.3:1", "80.1.2.4:2"], "cannot be used with"),
        (&["--in", "tcp", "80.1.2.3:1", "80.1.2.4:2", "--flags", "sin"], "none of syn"),
    ] {
        let error = run(&[&["-c", file.path()], arguments].concat()).failure(2);
        assert!(error.contains(complaint), "{arguments:?}: {error}");
    }
    let lab = Lab::new();
    let nobody = lab.eigw(&["why", "--in", "tcp", "80.1.2.3:1", "80.1.2.4:2"]).failure(1);
    assert!(nobody.contains("no gateway is attached"), "{nobody}");
}

/// Asks about a packet.
#[track_caller]
fn why(
    lab: &Lab,
    direction: &str,
    protocol: &str,
    source: SocketAddr,
    destination: SocketAddr,
    options: &[&str],
) -> Value {
    let (source, destination) = (source.to_string(), destination.to_string());
    lab.eigw_json(&[&["why", direction, protocol, &source, &destination], options].concat())
}

#[track_caller]
fn assert_verdict(answer: &Value, verdict: &str, reason: &str) {
    let found = (&answer["verdict"], &answer["reason"]);
    assert_eq!(found, (&json!(verdict), &json!(reason)), "{answer:#}");
}

#[track_caller]
fn field<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut fields = answer["fields"].as_array().expect("an array").iter();
    fields.find(|field| field["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer:#}"))
}

/// What `why` must not count: the rules' hits.
fn counters(lab: &Lab) -> Vec<Value> {
    let rules = lab.eigw_json(&["rule", "show"]);
    rules.as_array().expect("an array").iter().map(|rule| rule["hits"].clone()).collect()
}
