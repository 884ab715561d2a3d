use etherparse::{PacketBuilder, VlanId};
use gateway_common::{
    limits::SNAP_BYTES_MAX,
    policy::{NO_RULE, NO_SUBNET},
    timeouts::Ticks,
    tuple::{Address, Family, VlanPath},
};
use serde_json::{Value, json, to_value};

use super::*;
use crate::settings::Settings;

#[test]
fn a_dropped_segment_has_all_its_fields() {
    let record = syn(Reason::RuleDenied);
    let expected = concat!(
        r#"{"time":"2026-11-22T12:00:00.004Z","direction":"in","uplink":"eth0","ifindex":3,"#,
        r#""verdict":"drop","reason":"rule-denied","proto":"tcp","family":"ipv4","#,
        r#""source":"198.51.100.7","source_port":40000,"#,
        r#""destination":"192.0.2.1","destination_port":22,"vlan":null,"tcp_flags":["syn"],"#,
        r#""packets":1,"bytes":40,"rule":{"number":2,"name":"ssh"},"subnet":"lan"}"#
    );
    assert_eq!(serde_json::to_string(&view(&record)).expect("plain data"), expected);
}

#[test]
fn rules_and_subnets_count_only_where_the_policy_was_asked() {
    let fields = |reason| {
        let json = to_value(view(&syn(reason))).expect("plain data");
        (json["rule"]["number"].clone(), json["subnet"].clone())
    };
    assert_eq!(fields(Reason::RuleDenied), (json!(2), json!("lan")));
    assert_eq!(fields(Reason::FlowCreated), (json!(2), Value::Null));
    assert_eq!(fields(Reason::RouteBlocked), (Value::Null, json!("lan")));
    assert_eq!(fields(Reason::NoFlow), (Value::Null, Value::Null));
    let nobody = PacketRecord { rule: NO_RULE, subnet: NO_SUBNET.into(), ..syn(Reason::Published) };
    let json = to_value(view(&nobody)).expect("plain data");
    assert_eq!((&json["rule"], &json["subnet"]), (&Value::Null, &Value::Null));
}

/// The packet path has no key for what it could not read; the frame may say something all the same.
#[test]
fn what_was_refused_by_the_parser_is_read_as_far_as_that_goes() {
    let unparsed = |record: PacketRecord| PacketRecord { key: FlowKey::default(), ..record };
    let json_of = |record| to_value(view(&record)).expect("plain data");
    let json = json_of(unparsed(syn(Reason::TcpFlags)));
    assert_eq!((&json["source"], &json["destination_port"]), (&json!("198.51.100.7"), &json!(22)));
    let noise = PacketRecord { snap: [0xff; SNAP_BYTES_MAX], ..unparsed(syn(Reason::TcpFlags)) };
    let json = json_of(noise);
    assert_eq!((&json["proto"], &json["source"]), (&Value::Null, &Value::Null));
    let short = PacketRecord { snap_bytes: 3, ..unparsed(syn(Reason::TcpFlags)) };
    assert_eq!(json_of(short)["family"], Value::Null);
    let overlong = PacketRecord { snap_bytes: u32::MAX, ..syn(Reason::TcpFlags) };
    assert_eq!(json_of(overlong)["proto"], json!("tcp"));
}

#[test]
fn icmp_has_types_and_tags_are_told() {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .single_vlan(VlanId::try_new(7).expect("valid"))
        .ipv4([198, 51, 100, 7], [192, 0, 2, 1], 64)
        .icmpv4_echo_request(77, 1);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"ping").expect("memory takes everything");
    let record = of_frame(&frame, Reason::PingRefused);
    let key = FlowKey { inside_port: 77, outside_port: 0, protocol: 1, ..record.key };
    let record = PacketRecord { key, ..record };
    let json = to_value(view(&record)).expect("plain data");
    assert_eq!((&json["icmp_type"], &json["icmp_code"]), (&json!(8), &json!(0)));
    assert_eq!((&json["vlan"], &json["proto"]), (&json!(7), &json!("icmp")));
    assert_eq!(json.get("tcp_flags"), None);
    let offloaded = PacketRecord { offloaded_vlan: 1 << 16 | 0x6064, ..syn(Reason::NoFlow) };
    assert_eq!(to_value(view(&offloaded)).expect("plain data")["vlan"], json!(100));
}

#[test]
fn what_no_packet_path_wrote_is_nothing() {
    let strange = PacketRecord { reason: 10_000, ..syn(Reason::NoFlow) };
    assert_eq!(PacketView::new(&strange, time(), &names(&policy())), None);
    let strange = PacketRecord { direction: 2, ..syn(Reason::NoFlow) };
    assert_eq!(PacketView::new(&strange, time(), &names(&policy())), None);
}

/// A SYN from 198.51.100.7 to SSH on 192.0.2.1 which rule 2 decided.
pub(crate) fn syn(reason: Reason) -> PacketRecord {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([198, 51, 100, 7], [192, 0, 2, 1], 64)
        .tcp(40_000, 22, 1, 1_000)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, b"").expect("memory takes everything");
    of_frame(&frame, reason)
}

/// The view of a record in the test's gateway.
pub(crate) fn view(record: &PacketRecord) -> PacketView {
    PacketView::new(record, time(), &names(&policy())).expect("a valid record")
}

pub(crate) fn policy() -> Policy {
    let text = "[gateway]\nuplinks = ['eth0']\n\
                [[subnet]]\nname = 'lan'\nprefix = '192.0.2.0/24'\nroute = 'internet'\n\
                [[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'udp'\n\
                [[rule]]\nname = 'ssh'\ndirection = 'in'\naction = 'deny'\nproto = 'tcp'\n";
    Settings::parse(text, 1 << 30).expect("valid settings").0.policy
}

fn names(policy: &Policy) -> Names<'_> {
    Names { uplink: "eth0", policy }
}

fn time() -> Timestamp {
    "2026-11-22T12:00:00.004Z".parse().expect("a time")
}

fn of_frame(frame: &[u8], reason: Reason) -> PacketRecord {
    let mut snap = [0; SNAP_BYTES_MAX];
    snap[..frame.len()].copy_from_slice(frame);
    let bytes = u32::try_from(frame.len()).expect("short");
    PacketRecord {
        at: Ticks(1),
        counted_bytes: u64::from(bytes) - 14,
        key: FlowKey {
            inside: Address::from_ipv4([192, 0, 2, 1]),
            outside: Address::from_ipv4([198, 51, 100, 7]),
            inside_port: 22,
            outside_port: 40_000,
            vlan: VlanPath::default(),
            protocol: 6,
            family: Family::Ipv4.version(),
            zero: 0,
        },
        reason: reason as u32,
        direction: Direction::Inbound as u32,
        ifindex: 3,
        rule: 1,
        subnet: 0,
        counted_packets: 1,
        frame_bytes: bytes,
        offloaded_vlan: 0,
        snap_bytes: bytes,
        snap,
    }
}
