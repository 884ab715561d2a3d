//! Large packets in every shape: jumbo frames, and segmentation offload, where the kernel hands
//! the programs packets that are yet to become many.

use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    socket,
    topology::{Lab, OUTSIDE, Options},
    wait::PATIENCE,
};

use crate::{in_every_hook, traffic::drops};

in_every_hook!(offloads_and_ordinary_frames);
in_every_hook!(offloads_and_jumbo_frames);
in_every_hook!(ordinary_frames);
in_every_hook!(jumbo_frames);

/// How much each direction carries, in bytes.
const PAYLOAD: usize = 4 << 20;

/// E14, E47, RFC2979-3: with offloads as on real cards.
fn offloads_and_ordinary_frames(hook: Hook) {
    bulk_transfer(hook, Options { mtu_bytes: 1500, offloads: true });
}

/// E14, E47: with offloads and frames that span several pages.
fn offloads_and_jumbo_frames(hook: Hook) {
    bulk_transfer(hook, Options { mtu_bytes: 9000, offloads: true });
}

/// RFC2979-3: every segment and checksum made by the stack.
fn ordinary_frames(hook: Hook) {
    bulk_transfer(hook, Options { mtu_bytes: 1500, offloads: false });
}

/// E14: every segment made by the stack, in frames that span several pages.
fn jumbo_frames(hook: Hook) {
    bulk_transfer(hook, Options { mtu_bytes: 9000, offloads: false });
}

/// Sends much both ways, and checks that the flow counted packets as they are on the wire.
fn bulk_transfer(hook: Hook, options: Options) {
    let lab = Lab::with(options);
    let _services = FAMILIES.map(|family| socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(hook);
    let payload: Vec<u8> = (0..=250).cycle().take(PAYLOAD).collect();
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 7);
        let echoed = socket::tcp_exchange(&lab.inside, server, &payload, PATIENCE).expect("TCP");
        assert!(echoed == payload, "the gateway changed what TCP carries");
        let flow = flow_to(&lab, &server.ip().to_string());
        assert_wire_counts(&flow, "out", options.mtu_bytes);
        // Generic XDP sees what receive offload has merged already, and cannot tell of how many.
        if hook != Hook::XdpGeneric {
            assert_wire_counts(&flow, "in", options.mtu_bytes);
        }
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
}

fn flow_to(lab: &Lab, remote: &str) -> Value {
    let flows = lab.flows();
    let mut matching = flows.iter().filter(|flow| flow["remote"] == remote);
    match (matching.next(), matching.next()) {
        (Some(flow), None) => flow.clone(),
        _ => panic!("expected one flow to {remote} among {flows:#?}"),
    }
}

/// The payload fits no fewer packets than this, and each has headers of its own.
fn assert_wire_counts(flow: &Value, direction: &str, mtu: u16) {
    let number = |field: &str| {
        let value = &flow[format!("{field}_{direction}")];
        value.as_u64().unwrap_or_else(|| panic!("{field}_{direction} in {flow}"))
    };
    let (packets, bytes) = (number("packets"), number("bytes"));
    let headers_min = if flow["family"] == "ipv4" { 40 } else { 60 };
    let payload = PAYLOAD as u64;
    let packets_min = payload.div_ceil(u64::from(mtu) - headers_min);
    assert!(
        packets >= packets_min,
        "{packets} packets {direction}, at least {packets_min}: {flow}"
    );
    let bytes_min = payload + packets_min * headers_min;
    // Options, acknowledgments of the other direction and a few retransmissions.
    let bytes_max = payload + packets * (headers_min + 40) + payload / 10;
    assert!((bytes_min..=bytes_max).contains(&bytes), "{bytes} bytes {direction}: {flow}");
}
