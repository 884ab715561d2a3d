//! ICMP errors from anybody about flows of inside.
//!
//! The first bytes choose the flow that is quoted, the error and where it goes; what follows
//! replaces bytes of the quote: pairs of an offset and a value, or, when the choice says so, all of
//! it.

use etherparse::LaxIpSlice;
use gateway_common::{
    config::Config,
    tuple::{Address, Direction, Family},
    verdict::{Reason, Verdict},
};

use crate::{
    model::Model,
    packet::Packet,
    rows::{
        check::TICKS_PER_SEC,
        prelude::{Flow, INSIDE, INSIDE_OTHER, ROUTER, flag, from, ping_flow, tcp_flow, udp_flow},
    },
    state::State,
};

/// Headers that the other parser does not walk through as ours does.
const UNKNOWN_TO_OTHERS: [u8; 3] = [139, 140, 135];
/// The quote is made of the input alone.
const FREE: u8 = 0x80;

/// The choices.
struct Error {
    family: Family,
    quoted: Packet,
    kind: u8,
    code: u8,
    value: u32,
    quote_len: usize,
    is_free: bool,
    goes_elsewhere: bool,
}

pub(super) fn run(data: &[u8]) {
    let Some(([which, kind, code, value_high, value_low, quote_len], rest)) =
        data.split_first_chunk()
    else {
        return;
    };
    let family = if which & 1 == 0 { Family::Ipv6 } else { Family::Ipv4 };
    let flows = [tcp_flow(family), udp_flow(family), ping_flow(family)];
    let error = Error {
        family,
        quoted: packet_of(&flows, which >> 1 & 3),
        kind: *kind,
        code: *code,
        value: u32::from(u16::from_be_bytes([*value_high, *value_low])),
        quote_len: usize::from(*quote_len),
        is_free: which & FREE != 0,
        goes_elsewhere: which & 0x40 != 0,
    };
    let mut model = Model::new(&Config::new(TICKS_PER_SEC), 16, 16);
    for which in 0..3 {
        let opening = packet_of(&flows, which).frame();
        let reason = model.run(Direction::Outbound, &opening.as_slice()).reason;
        assert_eq!(reason, Reason::FlowCreated);
    }
    judge(&error, rest, &mut model);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for which in [0, 2, 4, 6, 1, 3, 5, 7, 0x40] {
        for (kind, value) in [(3, 0), (11, 0), (12, 0), (1, 0), (2, 1280_u16), (4, 0)] {
            let [high, low] = value.to_be_bytes();
            seeds.push(vec![which, kind, 0, high, low, 48]);
        }
    }
    for (family, which) in [(Family::Ipv6, FREE), (Family::Ipv4, FREE | 1)] {
        let quote = tcp_flow(family).segment_out(flag::SYN).ip_bytes();
        let kind = if family == Family::Ipv6 { 1 } else { 3 };
        seeds.push([&[which, kind, 0, 0, 0, 255][..], &quote].concat());
    }
    super::some(seeds, 30)
}

fn packet_of(flows: &[Flow; 3], which: u8) -> Packet {
    match which {
        0 => flows[0].segment_out(flag::SYN),
        1 => flows[1].out(),
        2 => flows[2].out(),
        // What nobody sent.
        _ => flows[0].segment_back(flag::SYN),
    }
}

fn judge(error: &Error, rest: &[u8], model: &mut Model) {
    let original = error.quoted.quote(error.quote_len);
    let quote = if error.is_free { rest.to_vec() } else { edited(&original, rest) };
    let receiver = if error.goes_elsewhere { INSIDE_OTHER } else { INSIDE };
    let packet = from(ROUTER, receiver, error.family).icmp_error(
        error.kind,
        error.code,
        error.value,
        &quote,
    );
    let before = model.state();
    let reason = model.run(Direction::Inbound, &packet.frame().as_slice()).reason;
    let after = model.state();
    let State { verdicts, .. } = before.clone();
    assert_eq!(State { verdicts, ..after }, before, "an error changes nothing: {reason:?}");
    if reason == Reason::Related {
        assert!(!error.goes_elsewhere, "only the sender of the quoted packet is told");
        assert!(is_about_a_flow(&quote, receiver.ip(error.family).into(), &before), "{quote:02x?}");
    } else if !error.is_free && quote == original && is_plain(error) {
        panic!("{reason:?} for an error that is as it should be");
    }
    if reason.verdict() == Verdict::Pass {
        // Other types are neighbour discovery and the like, which have no flow.
        let for_the_link = [Reason::NeighbourDiscovery, Reason::MulticastListener];
        assert!(reason == Reason::Related || for_the_link.contains(&reason), "{reason:?}");
    }
}

/// The quote with bytes replaced as pairs of an offset and a value say.
fn edited(quote: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut quote = quote.to_vec();
    for [offset, value] in edits.as_chunks().0 {
        if let Some(byte) = quote.get_mut(usize::from(*offset)) {
            *byte = *value;
        }
    }
    quote
}

/// Whether the error is of a kind that has to pass, about a packet that was sent, with enough of it.
fn is_plain(error: &Error) -> bool {
    let (header_len, kinds) = match error.family {
        Family::Ipv4 => (20, &[3, 11, 12][..]),
        Family::Ipv6 => (40, &[1, 3, 4][..]),
    };
    let was_sent = error.quoted.ip_bytes() != packet_of_stranger(error.family);
    kinds.contains(&error.kind)
        && error.quote_len >= header_len + 8
        && !error.goes_elsewhere
        && was_sent
}

fn packet_of_stranger(family: Family) -> Vec<u8> {
    tcp_flow(family).segment_back(flag::SYN).ip_bytes()
}

/// Whether another parser reads the quote as a packet of a flow that `sender` has.
fn is_about_a_flow(quote: &[u8], sender: Address, state: &State) -> bool {
    let Ok((ip, _)) = LaxIpSlice::from_slice(quote) else { return false };
    let (source, destination) = match &ip {
        LaxIpSlice::Ipv4(ip) => (
            Address::from_ipv4(ip.header().source()),
            Address::from_ipv4(ip.header().destination()),
        ),
        LaxIpSlice::Ipv6(ip) => (
            Address::from_octets(ip.header().source()),
            Address::from_octets(ip.header().destination()),
        ),
    };
    let payload = ip.payload();
    if source != sender {
        return false;
    }
    if UNKNOWN_TO_OTHERS.contains(&payload.ip_number.0) {
        return true;
    }
    let number =
        |at: usize| payload.payload.get(at..at + 2).map(|it| u16::from_be_bytes([it[0], it[1]]));
    state.flows.keys().any(|(_, key)| {
        let ports = match key.protocol {
            1 | 58 => number(4) == Some(key.inside_port),
            _ => (number(0), number(2)) == (Some(key.inside_port), Some(key.outside_port)),
        };
        (key.inside, key.outside, key.protocol) == (source, destination, payload.ip_number.0)
            && ports
    })
}
