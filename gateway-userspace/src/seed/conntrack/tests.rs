use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Emitable as _};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute as Attribute, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Status,
    Tuple as TupleAttribute,
};
use proptest::prelude::*;

use super::{entry::Tuple, *};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A tuple as attributes.
fn parts(protocol: u8, source: (&str, u16), destination: (&str, u16)) -> Vec<TupleAttribute> {
    vec![
        TupleAttribute::Ip(vec![
            IPTuple::SourceAddress(ip(source.0)),
            IPTuple::DestinationAddress(ip(destination.0)),
        ]),
        TupleAttribute::Proto(vec![
            ProtoTuple::Protocol(protocol.into()),
            ProtoTuple::SourcePort(source.1),
            ProtoTuple::DestinationPort(destination.1),
        ]),
    ]
}

const INSIDE: (&str, u16) = ("10.0.0.2", 5_000);
const TRANSLATED: (&str, u16) = ("203.0.113.1", 6_000);
const OUTSIDE: (&str, u16) = ("192.0.2.1", 443);

/// A TCP connection that inside opened behind a masquerade.
fn masqueraded() -> Vec<Attribute> {
    vec![
        Attribute::CtaTupleOrig(parts(TCP, INSIDE, OUTSIDE)),
        Attribute::CtaTupleReply(parts(TCP, OUTSIDE, TRANSLATED)),
        Attribute::CtaStatus(Status::SeenReply | Status::Assured | Status::Confirmed),
        Attribute::CtaTimeout(300),
        Attribute::CtaProtoInfo(vec![ProtoInfo::TCP(vec![ProtoInfoTCP::State(3)])]),
    ]
}

fn payload(attributes: Vec<Attribute>) -> Vec<u8> {
    let message = ConntrackMessage::New(attributes);
    let mut bytes = vec![0; 4 + message.buffer_len()];
    message.emit(&mut bytes[4..]);
    bytes
}

fn parse(attributes: Vec<Attribute>) -> Entry {
    Entry::parse(&payload(attributes)).expect("an entry")
}

#[test]
fn an_entry_is_read_with_all_that_matters() {
    let end = |(address, port): (&str, u16)| (ip(address), port);
    let tuple = |source, destination| {
        let ((source, source_port), (destination, destination_port)) =
            (end(source), end(destination));
        Tuple { source, destination, source_port, destination_port, icmp_type: None, icmp_id: None }
    };
    let expected = Entry {
        original: tuple(INSIDE, OUTSIDE),
        reply: tuple(OUTSIDE, TRANSLATED),
        protocol: TCP,
        has_reply: true,
        is_over: false,
        tcp_state: Some(3),
        opener_closed: false,
        zone: 0,
    };
    assert_eq!(parse(masqueraded()), expected);
}

#[test]
fn zones_are_found_in_the_entry_and_in_its_tuples() {
    let zone = |kind| DefaultNla::new(kind, 5_u16.to_be_bytes().to_vec());
    let mut whole = masqueraded();
    whole.push(Attribute::Other(zone(18)));
    assert_eq!(parse(whole).zone, 5);
    let mut one = masqueraded();
    let mut reply = parts(TCP, OUTSIDE, TRANSLATED);
    reply.push(TupleAttribute::Other(zone(3)));
    one[1] = Attribute::CtaTupleReply(reply);
    assert_eq!(parse(one).zone, 5);
}

/// A ping as the kernel lays it out, byte by byte: nested attributes with their flags, an identifier
/// and a type, which the crate that reads the rest leaves alone.
#[test]
fn a_ping_is_read_from_its_bytes() {
    let attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(4 + value.len()).expect("a short value");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let nested = |kind: u16, parts: &[Vec<u8>]| attribute(kind | 0x8000, &parts.concat());
    let tuple = |kind, source: [u8; 4], destination: [u8; 4], message: u8, id: u16| {
        nested(
            kind,
            &[
                nested(1, &[attribute(1, &source), attribute(2, &destination)]),
                nested(
                    2,
                    &[
                        attribute(1, &[ICMP]),
                        attribute(4, &id.to_be_bytes()),
                        attribute(5, &[message]),
                        attribute(6, &[0]),
                    ],
                ),
            ],
        )
    };
    let bytes = [
        vec![2, 0, 0, 0],
        tuple(1, [10, 0, 0, 2], [192, 0, 2, 1], 8, 77),
        tuple(2, [192, 0, 2, 1], [203, 0, 113, 1], 0, 78),
        attribute(3, &2_u32.to_be_bytes()),
    ]
    .concat();
    let entry = Entry::parse(&bytes).expect("an entry");
    assert_eq!(stage(&entry, Direction::Outbound), Some(Stage::Open));
    let key = key(&entry, Direction::Outbound).expect("a flow");
    assert_eq!((key.inside.to_ip(), key.inside_port), (ip("203.0.113.1"), 78));
    assert_eq!((key.outside.to_ip(), key.outside_port), (ip("192.0.2.1"), 0));
    assert_eq!(super::key(&entry, Direction::Inbound), None, "only inside may ask");
}

#[test]
fn flows_have_the_addresses_of_the_uplink() {
    let outbound = key(&parse(masqueraded()), Direction::Outbound).expect("a flow");
    assert_eq!((outbound.inside.to_ip(), outbound.inside_port), (ip("203.0.113.1"), 6_000));
    assert_eq!((outbound.outside.to_ip(), outbound.outside_port), (ip("192.0.2.1"), 443));
    let forwarded = vec![
        Attribute::CtaTupleOrig(parts(TCP, OUTSIDE, TRANSLATED)),
        Attribute::CtaTupleReply(parts(TCP, INSIDE, OUTSIDE)),
    ];
    let inbound = key(&parse(forwarded), Direction::Inbound).expect("a flow");
    assert_eq!((inbound.inside.to_ip(), inbound.inside_port), (ip("203.0.113.1"), 6_000));
    assert_eq!((inbound.outside.to_ip(), inbound.outside_port), (ip("192.0.2.1"), 443));
}

#[test]
fn protocols_without_ports_have_none() {
    const GRE: u8 = 47;
    for (protocol, has_ports) in [(GRE, false), (50, false), (UDP, true), (SCTP, true)] {
        let entry = parse(vec![
            Attribute::CtaTupleOrig(parts(protocol, INSIDE, OUTSIDE)),
            Attribute::CtaTupleReply(parts(protocol, OUTSIDE, INSIDE)),
        ]);
        let key = key(&entry, Direction::Outbound).expect("a flow");
        assert_eq!((key.inside_port, key.outside_port) != (0, 0), has_ports, "{protocol}");
    }
}

#[test]
fn states_of_tcp_are_stages() {
    use Direction::{Inbound, Outbound};
    let entry = |state, opener_closed| Entry {
        tcp_state: Some(state),
        opener_closed,
        ..parse(masqueraded())
    };
    for (state, outbound, inbound) in [
        (0, None, None),
        (1, Some(Stage::Opening), None),
        (2, Some(Stage::Opening), Some(Stage::Opening)),
        (3, Some(Stage::Open), Some(Stage::Open)),
        (6, Some(Stage::BothClosed), Some(Stage::BothClosed)),
        (7, None, None),
        (8, None, None),
        (9, Some(Stage::Opening), None),
        (200, None, None),
    ] {
        let entry = entry(state, false);
        assert_eq!(
            (stage(&entry, Outbound), stage(&entry, Inbound)),
            (outbound, inbound),
            "{state}"
        );
    }
    for state in [4, 5] {
        for (opener_closed, opened, expected) in [
            (true, Outbound, Stage::InsideClosed),
            (false, Outbound, Stage::OutsideClosed),
            (true, Inbound, Stage::OutsideClosed),
            (false, Inbound, Stage::InsideClosed),
        ] {
            assert_eq!(stage(&entry(state, opener_closed), opened), Some(expected));
        }
    }
    assert_eq!(stage(&Entry { tcp_state: None, ..entry(3, false) }, Outbound), None);
    assert_eq!(stage(&Entry { is_over: true, ..entry(3, false) }, Outbound), None);
}

#[test]
fn other_protocols_are_open_once_answered() {
    use Direction::{Inbound, Outbound};
    let entry = |has_reply| Entry { protocol: UDP, has_reply, ..parse(masqueraded()) };
    assert_eq!(stage(&entry(true), Outbound), Some(Stage::Open));
    assert_eq!(stage(&entry(true), Inbound), Some(Stage::Open));
    assert_eq!(stage(&entry(false), Outbound), Some(Stage::Opening));
    assert_eq!(stage(&entry(false), Inbound), None, "outside alone opens nothing");
}

#[test]
fn an_entry_that_is_cut_off_is_none() {
    let whole = payload(masqueraded());
    // What follows the status is not in every entry; before that, nothing may be missing.
    let needed = payload(masqueraded().into_iter().take(2).collect()).len();
    for length in 0..needed {
        assert_eq!(Entry::parse(&whole[..length]), None, "{length}");
    }
    for left_out in 0..2 {
        let mut attributes = masqueraded();
        attributes.remove(left_out);
        assert_eq!(Entry::parse(&payload(attributes)), None, "without {left_out}");
    }
}

#[test]
fn a_kernel_without_entries_is_not_asked_for_them() {
    let text = |text: &str| without_entries(Ok(text.to_owned())).expect("readable");
    assert_eq!(text("0\n"), Some(Survey::default()));
    assert_eq!(text("12\n"), None);
    let error = |kind| without_entries(Err(io::Error::from(kind)));
    let missing = error(io::ErrorKind::NotFound).expect("no error").expect("nothing to list");
    assert!(missing.missing.is_some_and(|why| why.contains("does not track")));
    error(io::ErrorKind::PermissionDenied).unwrap_err();
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let _ = Entry::parse(&bytes);
        bytes = payload(masqueraded());
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(entry) = Entry::parse(&bytes) {
            for opened in Direction::ALL {
                let _ = (key(&entry, opened), stage(&entry, opened));
            }
        }
    }
}
