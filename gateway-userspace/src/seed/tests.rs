//! What the kernel says, and what it never should: messages that are cut off or make no sense.

use std::net::IpAddr;

use gateway_common::{seed::Stage, tuple::Address};
use proptest::prelude::*;

use super::{
    End, flow_key,
    netlink::{Part, parts},
    sockets::{Connected, connected, is_missing},
};

const SEQUENCE: u32 = 7;

/// A message: length, type, flags, number, port, payload.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).expect("a short message");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A listed socket, as `struct inet_diag_msg` has it.
fn socket(family: u8, state: u8, ends: [(&str, u16); 2], interface: u32) -> Vec<u8> {
    let octets = |text: &str| {
        let mut octets = [0; 16];
        match text.parse().expect("an address") {
            IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => octets = v6.octets(),
        }
        octets
    };
    let mut bytes = vec![family, state, 0, 0];
    bytes.extend(ends.iter().flat_map(|(_, port)| port.to_be_bytes()));
    bytes.extend(ends.iter().flat_map(|(address, _)| octets(address)));
    bytes.extend(interface.to_ne_bytes());
    // Cookie, expiry, queues, owner and inode.
    bytes.extend([0; 8 + 5 * 4]);
    bytes
}

const V4: u8 = 2;
const V6: u8 = 10;

#[test]
fn a_datagram_is_read_message_by_message() {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    let datagram = [
        message(1, 0, SEQUENCE, b""),
        message(20, 2, SEQUENCE, b"one"),
        message(20, 2, SEQUENCE + 1, b"another's"),
        message(20, 2 | 0x10, SEQUENCE, b"four"),
        message(4, 0, SEQUENCE, b""),
        message(ERROR, 0, SEQUENCE, &(-1_i32).to_ne_bytes()),
        message(DONE, 2, SEQUENCE, b""),
    ]
    .concat();
    let found: Result<Vec<_>, _> = parts(&datagram, SEQUENCE).collect();
    let expected = [
        Part::Payload(b"one"),
        Part::Interrupted(b"four"),
        Part::Overrun,
        Part::Error(-1),
        Part::Done(0),
    ];
    assert_eq!(found.expect("all are whole"), expected);
}

#[test]
fn a_message_that_is_cut_off_is_an_error() {
    let whole = message(20, 0, SEQUENCE, &[1; 40]);
    for length in 1..whole.len() {
        let found: Vec<_> = parts(&whole[..length], SEQUENCE).collect();
        assert!(matches!(found[..], [Err(_)]), "{length}: {found:?}");
    }
    // Lengths that lie, and an error without its number.
    for lie in [0_u32, 15, 1 << 20, u32::MAX] {
        let mut message = whole.clone();
        message[..4].copy_from_slice(&lie.to_ne_bytes());
        let found: Vec<_> = parts(&message, SEQUENCE).collect();
        assert!(matches!(found[..], [Err(_)]), "{lie}: {found:?}");
    }
    let error = message(2, 0, SEQUENCE, &[1, 2]);
    parts(&error, SEQUENCE).next().expect("a message").unwrap_err();
}

#[test]
fn sockets_are_read_in_both_families() {
    let end = |address: &str, port| End { address: address.parse().expect("an address"), port };
    let ends = [("192.0.2.1", 22), ("198.51.100.7", 50_000)];
    let expected = Connected {
        local: end("192.0.2.1", 22),
        remote: end("198.51.100.7", 50_000),
        interface: 3,
        stage: Stage::Open,
    };
    assert_eq!(connected(&socket(V4, 1, ends, 3)), Ok(Some(expected)));
    let mapped = [("::ffff:192.0.2.1", 22), ("::ffff:198.51.100.7", 50_000)];
    assert_eq!(connected(&socket(V6, 1, mapped, 3)), Ok(Some(expected)));
    let native = [("2001:db8::1", 22), ("2001:db8::2", 50_000)];
    let native = connected(&socket(V6, 1, native, 0)).expect("readable").expect("connected");
    assert_eq!(native.remote, end("2001:db8::2", 50_000));
}

#[test]
fn states_of_sockets_are_stages() {
    use Stage::{BothClosed, InsideClosed, Open, Opening, OutsideClosed};
    let stage = |state| {
        let ends = [("192.0.2.1", 22), ("198.51.100.7", 50_000)];
        connected(&socket(V4, state, ends, 0)).expect("readable").map(|socket| socket.stage)
    };
    let expected = [
        None,
        Some(Open),
        Some(Opening),
        Some(Opening),
        Some(InsideClosed),
        Some(InsideClosed),
        None,
        None,
        Some(OutsideClosed),
        Some(BothClosed),
        None,
        Some(BothClosed),
        Some(Opening),
        None,
    ];
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map(stage), expected);
}

#[test]
fn sockets_without_a_peer_are_passed_over() {
    for ends in [[("0.0.0.0", 22), ("0.0.0.0", 0)], [("192.0.2.1", 22), ("198.51.100.7", 0)]] {
        assert_eq!(connected(&socket(V4, 1, ends, 0)), Ok(None), "{ends:?}");
    }
    assert_eq!(connected(&socket(V6, 1, [("::", 1), ("::", 2)], 0)), Ok(None));
}

#[test]
fn a_socket_that_is_cut_off_is_unreadable() {
    let whole = socket(V4, 1, [("192.0.2.1", 22), ("198.51.100.7", 50_000)], 0);
    for length in 0..whole.len() {
        assert_eq!(connected(&whole[..length]), Err(()), "{length}");
    }
    assert_eq!(connected(&socket(1, 1, [("192.0.2.1", 22), ("192.0.2.2", 1)], 0)), Err(()));
}

#[test]
fn keys_have_the_family_of_the_packets() {
    let end = |address: &str| End { address: address.parse().expect("an address"), port: 1 };
    let mapped = flow_key(end("::ffff:192.0.2.1"), end("198.51.100.7"), 6).expect("IPv4");
    assert_eq!((mapped.family, mapped.inside), (4, Address::from_ipv4([192, 0, 2, 1])));
    assert_eq!(flow_key(end("2001:db8::1"), end("2001:db8::2"), 6).expect("IPv6").family, 6);
    assert_eq!(flow_key(end("192.0.2.1"), end("2001:db8::2"), 6), None);
}

#[test]
fn only_what_the_kernel_lacks_is_missing() {
    let error = std::io::Error::from_raw_os_error;
    assert!(is_missing(&error(libc::ENOENT)) && is_missing(&error(libc::EPROTONOSUPPORT)));
    assert!(!is_missing(&error(libc::EPERM)) && !is_missing(&error(libc::ENOBUFS)));
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
        // Reading ends, whatever the lengths say.
        prop_assert!(parts(&datagram, SEQUENCE).count() <= 1 + datagram.len() / 16);
        let _ = connected(&datagram);
    }
}
