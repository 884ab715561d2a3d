//! What the explanations say, without a kernel.

use gateway_common::{
    limits::HEADER_OFFSET_MAX,
    tuple::Direction,
    verdict::{Reason, Verdict},
    wire::tcp::flag,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    output::{Format, Output},
    policy::CompiledPolicy,
    settings::Settings,
    view::{View, WhyView},
};

const TICKS_PER_SEC: u32 = 250;

/// Only what the packet has no part in is decided by none of its fields.
#[test]
fn every_reason_has_its_fields() {
    let without: Vec<_> =
        Reason::ALL.iter().filter(|reason| deciding(**reason).is_empty()).collect();
    assert_eq!(without, [&Reason::Standby, &Reason::NoConfiguration]);
}

#[test]
fn fields_are_where_the_frame_has_them() {
    let file = "[[rule]]\ndirection = 'in'\naction = 'deny'\nproto = 'tcp'\nports = 22\n";
    let view = ask(file, &question("tcp", "[2a00:2::1]:40000", "[2a00:1::5]:22"));
    assert_eq!((view.verdict, view.reason), ("drop", "rule-denied"));
    let fields: Vec<_> = view
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.offset, field.value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [("ipv6.next_header", Some(20), "6 (tcp)"), ("tcp.dst_port", Some(56), "22")]
    );
    let rule = view.policy.and_then(|policy| policy.rule).expect("a rule decided");
    assert_eq!((rule.number, rule.line), (1, Some(1)));
}

/// A packet is one of its protocol, whole and valid, from and to whom was asked.
#[test]
fn questions_become_the_packets_that_were_asked_about() {
    for (protocol, ports) in [
        ("tcp", true),
        ("udp", true),
        ("sctp", true),
        ("udplite", true),
        ("dccp", true),
        ("icmp", false),
        ("esp", false),
        ("gre", false),
        ("253", false),
    ] {
        for is_v4 in [true, false] {
            let name = if protocol == "icmp" && !is_v4 { "icmpv6" } else { protocol };
            let question = match (is_v4, ports) {
                (true, true) => question(name, "80.1.2.3:4000", "80.4.5.6:53"),
                (true, false) => question(name, "80.1.2.3", "80.4.5.6"),
                (false, true) => question(name, "[2a00:2::1]:4000", "[2a00:1::5]:53"),
                (false, false) => question(name, "2a00:2::1", "2a00:1::5"),
            };
            for vlan in [None, Some(7)] {
                let question = Question { vlan, ..question.clone() };
                let frame = question.frame().expect("there is such a packet");
                let packet = Dissection::new(&frame).packet.expect("a valid packet");
                assert_eq!(packet.network.protocol, question.protocol, "{name}");
                assert_eq!(packet.network.source.to_ip(), question.source.address);
                assert_eq!(packet.network.destination.to_ip(), question.destination.address);
                assert_eq!(packet.vlan.outer, vlan.unwrap_or(0));
                if ports {
                    let ports = packet.transport.ports;
                    assert_eq!((ports.source, ports.destination), (4000, 53), "{name}");
                    let key = packet.flow_key(Direction::Inbound).expect("it has ports");
                    assert_eq!(key, question.flow_key());
                }
                let view = ask("[gateway]\ndefault_route = 'internet'\n", &question);
                let passes = ["route-allowed", "ping-refused"].contains(&view.reason);
                assert!(passes, "{name}: {view:?}");
            }
        }
    }
}

#[test]
fn impossible_questions_are_refused() {
    let complaint = |question: Question| question.frame().expect_err("refused").to_string();
    let tcp = |source, destination| question("tcp", source, destination);
    assert!(complaint(tcp("80.1.2.3:1", "[2a00:1::5]:2")).contains("different IP versions"));
    assert!(complaint(tcp("80.1.2.3:1", "80.1.2.4")).contains("80.1.2.4:443"));
    assert!(complaint(question("icmp", "80.1.2.3:1", "80.1.2.4")).contains("has no ports"));
    assert!(complaint(question("icmp", "2a00:1::5", "2a00:2::1")).contains("use icmpv6"));
    assert!(complaint(question("icmpv6", "80.1.2.3", "80.1.2.4")).contains("use icmp"));
    let error = Question { icmp_type: Some(3), ..question("icmp", "80.1.2.3", "80.1.2.4") };
    assert!(complaint(error).contains("--packet"));
    let vlan = Question { vlan: Some(4095), ..tcp("80.1.2.3:1", "80.1.2.4:2") };
    assert!(complaint(vlan).contains("4095"));
}

/// Whatever a hint says to add to the file lets the packet pass.
#[test]
fn hints_do_what_they_promise() {
    let subnet = "[[subnet]]\nname = 'a'\nprefix = '2a00:1::/64'\nroute = 'egress-only'\n";
    let syn = question("tcp", "[2a00:2::1]:40000", "[2a00:1::5]:22");
    let ping = question("icmp", "80.1.2.3", "80.1.2.4");
    let out = |source, destination| Question {
        direction: Direction::Outbound,
        is_forwarded: true,
        ..question("udp", source, destination)
    };
    let spoofed = out("[2a00:7::1]:1", "[2a00:2::1]:2");
    for (file, question, reason) in [
        ("", &syn, "no-flow"),
        ("", &ping, "ping-refused"),
        ("", &question("esp", "2a00:2::1", "2a00:1::5"), "no-flow"),
        ("", &question("253", "80.1.2.3", "80.1.2.4"), "no-flow"),
        ("", &question("udp", "192.0.2.1:1", "80.1.2.4:2"), "martian-source"),
        ("", &out("80.1.2.3:1", "192.0.2.1:2"), "martian-destination"),
        (subnet, &spoofed, "egress-spoof"),
        (subnet, &syn, "no-flow"),
        ("[gateway]\ndefault_route = 'blocked'\n", &spoofed, "route-blocked"),
    ] {
        let view = ask(file, question);
        assert_eq!((view.verdict, view.reason), ("drop", reason), "{question:?}");
        let snippet = view.hint.and_then(|hint| hint.snippet).expect("something helps");
        // A rule comes in front, and a table is not there twice.
        let file = if file.starts_with("[gateway]") { "" } else { file };
        let better = ask(&format!("{snippet}{file}"), question);
        // The other address of a martian may be refused too, but not for the same reason.
        assert!(
            better.verdict == "pass" || better.reason == "no-flow" && reason == "martian-source",
            "{snippet} leads to {better:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Any bytes have an explanation, in every form.
    #[test]
    fn any_bytes_are_explained(
        mut bytes in vec(any::<u8>(), 0..120),
        start in 0_usize..6,
        inbound in any::<bool>(),
    ) {
        // Most of them begin like something.
        let starts: [&[u8]; 6] = [
            &[],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x45],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x4f],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd, 0x60],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0x00, 0, 7, 0x86, 0xdd, 0x60],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 64, 0],
        ];
        bytes.splice(0..0, starts[start].iter().copied());
        assert_explained(&Frame::ethernet(bytes), inbound);
    }

    /// So has any packet of which some bytes were changed.
    #[test]
    fn broken_packets_are_explained(
        protocol in prop::sample::select(&["tcp", "udp", "sctp", "icmpv6", "44", "0", "43"][..]),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        inbound in any::<bool>(),
    ) {
        let with_ports = ["tcp", "udp", "sctp"].contains(&protocol);
        let question = if with_ports {
            question(protocol, "[2a00:2::1]:40000", "[2a00:1::5]:22")
        } else {
            question(protocol, "2a00:2::1", "2a00:1::5")
        };
        let mut frame = question.frame().expect("there is such a packet");
        for (index, value) in changes {
            let index = index.index(frame.bytes.len());
            frame.bytes[index] = value;
        }
        if cut.index(4) == 0 {
            let len = cut.index(frame.bytes.len());
            frame.bytes.truncate(len);
        }
        assert_explained(&frame, inbound);
    }
}

/// Explains a frame in every format; every field that is named lies in it.
fn assert_explained(frame: &Frame, inbound: bool) {
    let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
    let settings = settings("");
    let compiled = CompiledPolicy::new(&settings.policy);
    let config = settings.to_config(TICKS_PER_SEC, false);
    let memory = FreshMemory::new(&config, &compiled);
    let explanation = explain(frame, direction, &memory).expect("nothing can fail");
    for field in &explanation.fields {
        let inside = field
            .offset
            .is_none_or(|offset| offset < frame.bytes.len() && offset <= HEADER_OFFSET_MAX);
        assert!(inside, "{field:?} of {frame:02x?}");
    }
    let reason = explanation.outcome.reason;
    let view = WhyView::new(&explanation, frame, &settings.policy);
    assert_eq!(view.hint.is_some(), reason.verdict() == Verdict::Drop, "{view:?}");
    let view = View::Why(Box::new(view));
    for format in [Format::Plain, Format::Json] {
        let mut output = Output::new(Vec::new(), format);
        output.print(&view).expect("memory takes everything");
        assert!(output.into_inner().len() > 100);
    }
}

fn settings(file: &str) -> Settings {
    let (settings, _) =
        Settings::parse(file, 1 << 30).unwrap_or_else(|error| panic!("{error:?} in\n{file}"));
    settings
}

fn ask(file: &str, question: &Question) -> WhyView {
    let settings = settings(file);
    let compiled = CompiledPolicy::new(&settings.policy);
    let config = settings.to_config(TICKS_PER_SEC, false);
    let memory = FreshMemory::new(&config, &compiled);
    let frame = question.frame().expect("there is such a packet");
    let explanation = explain(&frame, question.direction, &memory).expect("nothing can fail");
    WhyView::new(&explanation, &frame, &settings.policy)
}

/// An inbound packet.
fn question(protocol: &str, source: &str, destination: &str) -> Question {
    Question {
        protocol: crate::protocol::parse(protocol).expect("a protocol"),
        source: source.parse().expect("an endpoint"),
        destination: destination.parse().expect("an endpoint"),
        direction: Direction::Inbound,
        flags: flag::SYN,
        numbers: Numbers::default(),
        icmp_type: None,
        icmp_code: 0,
        icmp_id: 1,
        vlan: None,
        is_forwarded: false,
    }
}
