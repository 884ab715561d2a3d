//! The lines of the examples in the AWS guide, for flows like those.

use std::{
    net::IpAddr,
    time::{Duration, UNIX_EPOCH},
};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, FlowHalf, mark},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};
use serde_json::{Value, json};

use crate::{
    flow_log::{
        Field,
        baseline::Delta,
        line::{Clock, FlowReport, Silence, Writer},
        reject::{Rejected, Sum},
    },
    settings::{FlowLogFormat, FlowLogSettings, Settings},
};

const TICKS_PER_SEC: u32 = 100;
const ENI: &str = "eni-1235b8ca123456789";

#[test]
fn accepted_traffic() {
    let key = key("172.31.16.139", "172.31.16.21", 6, 20641, 22);
    let text = flow(&settings(""), &key, (20, 4249), (1_418_530_010, 1_418_530_070));
    let expected = "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 \
                    4249 1418530010 1418530070 ACCEPT OK\n";
    assert_eq!(text, expected);
}

#[test]
fn ipv6_traffic() {
    let (inside, outside) =
        ("2001:db8:1234:a100:8d6e:3477:df66:f105", "2001:db8:1234:a102:3304:8879:34cf:4071");
    let key = key(inside, outside, 6, 34892, 22);
    let text = flow(&settings(""), &key, (54, 8855), (1_477_913_708, 1_477_913_820));
    let expected = "2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 \
                    2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 \
                    1477913820 ACCEPT OK\n";
    assert_eq!(text, expected);
}

#[test]
fn queries_have_no_ports() {
    let key = key("203.0.113.12", "172.31.16.139", 1, 77, 0);
    let text = flow(&settings(""), &key, (4, 336), (1_432_917_027, 1_432_917_142));
    let expected = "2 123456789010 eni-1235b8ca123456789 203.0.113.12 172.31.16.139 0 0 1 4 336 \
                    1432917027 1432917142 ACCEPT OK\n";
    assert_eq!(text, expected);
}

#[test]
fn rejected_traffic() {
    let rejected = rejected();
    let sum = Sum { packets: 20, bytes: 4249, start: 1_418_530_010, end: 1_418_530_070 };
    let mut text = String::new();
    writer(&settings("")).reject(&mut text, ENI, &rejected, &sum, None);
    let expected = "2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 \
                    4249 1418530010 1418530070 REJECT OK\n";
    assert_eq!(text, expected);
    let custom = settings("fields = 'version srcaddr reason rule flow-direction traffic-path'");
    let (mut text, writer) = (String::new(), writer(&custom));
    writer.reject(&mut text, ENI, &rejected, &sum, Some("no-rdp"));
    assert_eq!(text, "5 172.31.9.69 rule-denied no-rdp ingress -\n");
    let unparsed = Rejected { key: FlowKey::default(), ..rejected };
    text.clear();
    writer.reject(&mut text, ENI, &unparsed, &sum, Some("two words"));
    assert_eq!(text, "5 - rule-denied - - -\n");
}

#[test]
fn nothing_and_not_everything() {
    let writer = writer(&settings(""));
    for (silence, times, expected) in [
        (
            Silence::NoData,
            (1_431_280_876, 1_431_280_934),
            "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA\n",
        ),
        (
            Silence::SkipData,
            (1_431_280_876, 1_431_280_934),
            "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - SKIPDATA\n",
        ),
    ] {
        let mut text = String::new();
        assert_eq!(writer.silence(&mut text, ENI, silence, times), 1);
        assert_eq!(text, expected);
    }
    assert_eq!(writer.header(), "");
}

/// The guide's example of flags, with its order of fields.
#[test]
fn custom_fields() {
    let custom = settings(
        "vpc_id = 'vpc-abcdefab012345678'\nsubnet_id = 'subnet-aaaaaaaa012345678'\n\
         instance_id = 'i-01234567890123456'\nfields = 'version vpc-id subnet-id instance-id \
         interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr \
         protocol bytes packets start end action tcp-flags log-status'",
    );
    let key = key("52.213.180.42", "10.0.0.62", 6, 43416, 5001);
    let text = flow(&custom, &key, (8, 568), (1_566_848_875, 1_566_848_933));
    let expected = "3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 \
                    eni-1235b8ca123456789 123456789010 IPv4 52.213.180.42 10.0.0.62 43416 5001 \
                    52.213.180.42 10.0.0.62 6 568 8 1566848875 1566848933 ACCEPT 2 OK\n";
    assert_eq!(text, expected);
    let header = writer(&custom).header();
    assert!(header.starts_with("version vpc-id subnet-id "), "{header}");
    assert!(header.ends_with(" action tcp-flags log-status\n"), "{header}");
}

#[test]
fn either_direction_has_a_line_of_its_own() {
    let custom = settings("fields = 'srcaddr dstport bytes flow-direction traffic-path state'");
    let key = key("10.0.0.1", "192.0.2.1", 17, 5000, 53);
    let delta = |packets, bytes| Delta { packets, bytes, tcp_flags: 0, is_first: true };
    let deltas = [delta(2, 300), delta(1, 70)];
    let text = written(&custom, &key, &entry((1, 2)), deltas, Some(FlowEvent::Expired));
    assert_eq!(text, "10.0.0.1 53 70 egress 8 unreplied\n192.0.2.1 5000 300 ingress - unreplied\n");
}

#[test]
fn every_field_has_a_value_in_every_line() {
    let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
    let custom = settings(&format!("fields = '{}'", names.join(" ")));
    let key = key("10.0.0.1", "192.0.2.1", 17, 5000, 53);
    let mut text = flow(&custom, &key, (1, 2), (3, 4));
    writer(&custom).silence(&mut text, ENI, Silence::NoData, (1, 2));
    let sum = Sum { packets: 1, bytes: 2, start: 3, end: 4 };
    writer(&custom).reject(&mut text, ENI, &rejected(), &sum, None);
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        assert_eq!(line.split(' ').count(), Field::ALL.len(), "{line}");
        assert!(line.split(' ').all(|value| !value.is_empty()), "{line}");
        assert!(line.starts_with("5 123456789010 "), "{line}");
    }
}

#[test]
fn json_has_the_names_of_flow_show() {
    let json_settings = settings("format = 'json'");
    let key = key("10.0.0.1", "192.0.2.1", 17, 5000, 53);
    let delta = |packets, bytes| Delta { packets, bytes, tcp_flags: 0, is_first: true };
    let mut entry = entry((100, 160));
    (entry.outbound.packets, entry.outbound.bytes) = (9, 900);
    let deltas = [delta(0, 0), delta(4, 400)];
    let text = written(&json_settings, &key, &entry, deltas, Some(FlowEvent::Expired));
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    for (name, expected) in [
        ("event", json!("flow-end")),
        ("interface", json!(ENI)),
        ("local", json!("10.0.0.1")),
        ("remote_port", json!(53)),
        ("packets_out", json!(9)),
        ("packets_out_delta", json!(4)),
        ("bytes_out_delta", json!(400)),
        ("packets_in_delta", json!(0)),
        ("start", json!(100)),
        ("end", json!(160)),
        ("end_reason", json!("expired")),
    ] {
        assert_eq!(value[name], expected, "{name} in {text}");
    }
    let sum = Sum { packets: 1, bytes: 2, start: 3, end: 4 };
    let mut text = String::new();
    writer(&json_settings).reject(&mut text, ENI, &rejected(), &sum, Some("two words"));
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&value["reason"], &value["rule"]), (&json!("rule-denied"), &json!("two words")));
    assert_eq!((&value["direction"], &value["remote_port"]), (&json!("in"), &json!(49761)));
}

/// What a window says of a flow in which inside alone sent something.
fn flow(
    settings: &FlowLogSettings,
    key: &FlowKey,
    (packets, bytes): (u64, u64),
    times: (u64, u64),
) -> String {
    let out = Delta { packets, bytes, tcp_flags: 2, is_first: true };
    written(settings, key, &entry(times), [Delta::default(), out], None)
}

fn written(
    settings: &FlowLogSettings,
    key: &FlowKey,
    entry: &FlowEntry,
    deltas: [Delta; 2],
    end: Option<FlowEvent>,
) -> String {
    let (at, now) = (ticks(2_000_000_000), UNIX_EPOCH + Duration::from_secs(2_000_000_000));
    let config = Config::new(TICKS_PER_SEC);
    let clock = Clock::new(at, now, &config);
    let report = FlowReport {
        interface: ENI,
        key,
        entry,
        at,
        config: &config,
        deltas,
        end,
        clock: &clock,
        window_start: 0,
    };
    let mut text = String::new();
    let lines = writer(settings).flow(&mut text, &report);
    assert_eq!(lines, text.lines().count() as u64);
    text
}

fn entry((start, end): (u64, u64)) -> FlowEntry {
    let outbound = FlowHalf { seen: ticks(end), marks: mark::SYN, ..FlowHalf::default() };
    FlowEntry { outbound, created: ticks(start), ..FlowEntry::default() }
}

fn ticks(secs: u64) -> Ticks {
    Ticks(secs * u64::from(TICKS_PER_SEC))
}

fn rejected() -> Rejected {
    let key = key("172.31.9.12", "172.31.9.69", 6, 3389, 49761);
    let why = Some((Reason::RuleDenied as u32, 0));
    Rejected { key, direction: Direction::Inbound, ifindex: 1, why }
}

fn key(inside: &str, outside: &str, protocol: u8, inside_port: u16, outside_port: u16) -> FlowKey {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let family = if address(inside).is_ipv4() { 4 } else { 6 };
    let (inside, outside) = (address(inside).into(), address(outside).into());
    FlowKey { inside, outside, inside_port, outside_port, protocol, family, ..FlowKey::default() }
}

fn writer(settings: &FlowLogSettings) -> Writer {
    Writer::new(settings.clone())
}

/// Settings of the guide's account, with this.
fn settings(text: &str) -> FlowLogSettings {
    let text = format!("[flow_log]\npath = '-'\naccount_id = '123456789010'\n{text}\n");
    let (settings, _) = Settings::parse(&text, 1 << 30)
        .unwrap_or_else(|problems| panic!("{problems:#?} in {text}"));
    let log = settings.flow_log.expect("it is there");
    assert!(log.format != FlowLogFormat::Json || log.fields.is_none());
    log
}
