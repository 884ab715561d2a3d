//! Frames with something wrong about them.

use fastrand::Rng;

use super::stories::repair_checksum;
use crate::{packet::Packet, rows::prelude::*};

/// Frames do not grow beyond this.
const BYTES_MAX: usize = 1_800;
/// Of a frame that nobody tagged.
const IP: usize = 14;
/// Header bytes are where the edges are.
const HEADER_BYTES: usize = 120;

/// Changes a frame in one or a few ways; `other` is one to take parts from.
pub fn mutate(rng: &mut Rng, frame: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=rng.u8(..3) {
        change(rng, frame, other);
    }
    frame.truncate(BYTES_MAX);
    // Nearly every changed packet would end at its checksum otherwise.
    if rng.u8(..8) != 0 {
        repair_checksum(frame);
    }
}

fn change(rng: &mut Rng, frame: &mut Vec<u8>, other: &[u8]) {
    match rng.u8(..16) {
        0 => frame.truncate(rng.usize(..=frame.len())),
        1 => flip(rng, frame),
        2 | 3 => set_byte(rng, frame),
        4 => set_number(rng, frame),
        5 => splice(rng, frame, other),
        6 => lengths(rng, frame),
        7 => tag(rng, frame),
        8 | 9 => extend_headers(rng, frame),
        10 => fragment(rng, frame),
        11 => quote(rng, frame, other),
        12 => mirror(frame),
        13 | 14 => segment(rng, frame),
        _ => address(rng, frame),
    }
}

/// A position among the headers, if there are any.
fn position(rng: &mut Rng, frame: &[u8]) -> Option<usize> {
    let len = frame.len().min(HEADER_BYTES);
    (len > 12).then(|| rng.usize(12..len))
}

fn flip(rng: &mut Rng, frame: &mut [u8]) {
    for _ in 0..=rng.u8(..4) {
        let Some(at) = position(rng, frame) else { return };
        frame[at] ^= 1 << rng.u8(..8);
    }
}

fn set_byte(rng: &mut Rng, frame: &mut [u8]) {
    const EDGES: [u8; 10] = [0, 1, 4, 5, 6, 0x0f, 0x7f, 0x80, 0xfe, 0xff];
    let Some(at) = position(rng, frame) else { return };
    frame[at] = if rng.bool() { rng.u8(..) } else { EDGES[rng.usize(..EDGES.len())] };
}

fn set_number(rng: &mut Rng, frame: &mut [u8]) {
    const EDGES: [u16; 8] = [0, 1, 7, 8, 20, 0x1fff, 0x7fff, 0xffff];
    let Some(at) = position(rng, frame) else { return };
    let number = EDGES[rng.usize(..EDGES.len())].to_be_bytes();
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&number);
    }
}

/// The beginning of one frame with the end of another, cut where headers tend to end.
fn splice(rng: &mut Rng, frame: &mut Vec<u8>, other: &[u8]) {
    let cuts = [IP, IP + 20, IP + 40, IP + 48, IP + 60, rng.usize(..HEADER_BYTES)];
    let (head, tail) = (cuts[rng.usize(..cuts.len())], cuts[rng.usize(..cuts.len())]);
    frame.truncate(head);
    frame.extend(other.iter().skip(tail));
}

/// Lengths that headers announce.
fn lengths(rng: &mut Rng, frame: &mut [u8]) {
    let delta = [1_u8, 4, 8, 20, 0xff, 0xf8, 0xfc, 0xec][rng.usize(..8)];
    let transport = transport(frame);
    let places = [IP, IP + 2, IP + 3, IP + 4, IP + 5, transport + 4, transport + 5, transport + 12];
    let at = places[rng.usize(..places.len())];
    if let Some(byte) = frame.get_mut(at) {
        *byte = byte.wrapping_add(delta);
    }
}

/// A VLAN tag more.
fn tag(rng: &mut Rng, frame: &mut Vec<u8>) {
    if frame.len() < IP {
        return;
    }
    let protocol = if rng.bool() { [0x81, 0x00] } else { [0x88, 0xa8] };
    let id = [0, 1, 2, 100, 0xfff, 0x1000 | 5][rng.usize(..6)];
    let tag = [protocol, u16::to_be_bytes(id)].concat();
    frame.splice(12..12, tag);
}

/// Extension headers in front of what an IPv6 packet carries.
fn extend_headers(rng: &mut Rng, frame: &mut Vec<u8>) {
    if !is_ipv6(frame) {
        return;
    }
    for _ in 0..=[0, 0, 0, 1, 2, 8][rng.usize(..6)] {
        let mut header = vec![frame[IP + 6], 0, 1, 4, 0, 0, 0, 0];
        let kind = [0, 43, 44, 51, 60, 60, 135, 139, 140, 59][rng.usize(..10)];
        match kind {
            // A routing header of any type with segments left or not.
            43 => (header[2], header[3]) = (rng.u8(..5), rng.u8(..2)),
            44 => {
                let offset: u16 = [0, 0, 1, 8, 16, 0xfff8][rng.usize(..6)];
                header[2..4].copy_from_slice(&(offset | u16::from(rng.bool())).to_be_bytes());
                header[7] = rng.u8(..4);
            }
            51 => {
                header[1] = 2;
                header.extend([0; 8]);
            }
            _ if rng.u8(..4) == 0 => header[1] = rng.u8(..3),
            _ => {}
        }
        frame[IP + 6] = kind;
        let more = u16::try_from(header.len()).unwrap_or(0);
        let len = u16::from_be_bytes([frame[IP + 4], frame[IP + 5]]).wrapping_add(more);
        frame[IP + 4..IP + 6].copy_from_slice(&len.to_be_bytes());
        frame.splice(IP + 40..IP + 40, header);
    }
}

/// The flags, offset and identification of an IPv4 fragment.
fn fragment(rng: &mut Rng, frame: &mut [u8]) {
    if !is_ipv4(frame) {
        return;
    }
    let offset: u16 = [0, 0, 1, 2, 3, 185, 0x1fff][rng.usize(..7)];
    let flags: u16 = [0, 0x2000, 0x2000, 0x4000, 0x8000][rng.usize(..5)];
    frame[IP + 6..IP + 8].copy_from_slice(&(offset | flags).to_be_bytes());
    frame[IP + 5] = rng.u8(..3);
}

/// An ICMP error about another packet, from anybody.
fn quote(rng: &mut Rng, frame: &mut Vec<u8>, other: &[u8]) {
    let Some(quoted) = other.get(IP..) else { return };
    let (family, kinds) = match (is_ipv4(other), is_ipv6(other)) {
        (true, _) => (Family::Ipv4, [3, 3, 4, 5, 11, 12]),
        (_, true) => (Family::Ipv6, [1, 2, 3, 4, 100, 137]),
        _ => return,
    };
    let kind = kinds[rng.usize(..6)];
    let value = [0, 1279, 1280, 1500][rng.usize(..4)];
    let len = [quoted.len(), 20, 27, 28, 40, 43, 44, 48][rng.usize(..8)].min(quoted.len());
    let to = if rng.u8(..8) == 0 { INSIDE_OTHER } else { INSIDE };
    let error: Packet =
        from(ROUTER, to, family).icmp_error(kind, rng.u8(..3), value, &quoted[..len]);
    *frame = error.frame();
    // To whom it concerns, more often than not.
    let (to, of) = match family {
        Family::Ipv4 => (IP + 16..IP + 20, 12..16),
        Family::Ipv6 => (IP + 24..IP + 40, 8..24),
    };
    if rng.u8(..4) != 0
        && let Some(sender) = quoted.get(of)
        && let Some(place) = frame.get_mut(to)
    {
        place.copy_from_slice(sender);
    }
}

/// An answer: addresses and ports change places.
fn mirror(frame: &mut [u8]) {
    let len = match (is_ipv4(frame), is_ipv6(frame)) {
        (true, _) => 4,
        (_, true) => 16,
        _ => return,
    };
    let start = if len == 4 { IP + 12 } else { IP + 8 };
    let (sources, rest) = frame[start..].split_at_mut(len);
    sources.swap_with_slice(&mut rest[..len]);
    let transport = transport(frame);
    if frame.len() >= transport + 4 {
        frame.swap(transport, transport + 2);
        frame.swap(transport + 1, transport + 3);
    }
}

/// Numbers, flags, window and options of a TCP segment.
fn segment(rng: &mut Rng, frame: &mut Vec<u8>) {
    let at = transport(frame);
    let is_tcp = frame.get(IP + 9) == Some(&6) || frame.get(IP + 6) == Some(&6);
    if !is_tcp || frame.len() < at + 20 {
        return;
    }
    match rng.u8(..5) {
        0 => frame[at + 13] = [2, 0x12, 0x10, 0x11, 4, 0x14, 0, 3, 0x3f, 0x18][rng.usize(..10)],
        1 => {
            let field = if rng.bool() { at + 4 } else { at + 8 };
            let number = [frame[field], frame[field + 1], frame[field + 2], frame[field + 3]];
            let distance = [1, 100, 65_535, 66_000, 1 << 24, 1 << 31][rng.usize(..6)];
            let number = u32::from_be_bytes(number);
            let number = if rng.bool() {
                number.wrapping_add(distance)
            } else {
                number.wrapping_sub(distance)
            };
            frame[field..field + 4].copy_from_slice(&number.to_be_bytes());
        }
        2 => {
            let window: u16 = [0, 1, 1_000, 65_535][rng.usize(..4)];
            frame[at + 14..at + 16].copy_from_slice(&window.to_be_bytes());
        }
        3 => frame[at + 12] = rng.u8(..16) << 4,
        _ => add_options(rng, frame, at),
    }
}

/// Twelve bytes of options more, right or wrong.
fn add_options(rng: &mut Rng, frame: &mut Vec<u8>, at: usize) {
    let near = [frame[at + 8], frame[at + 9], frame[at + 10], frame[at + 11]];
    let sack = [&[1, 1, 5, 10][..], &near, &rng.u32(..).to_be_bytes()].concat();
    let options = match rng.u8(..4) {
        0 => sack,
        1 => vec![3, 3, rng.u8(..17), 4, 2, 1, 2, 4, 5, 180, 1, 0],
        2 => vec![200, rng.u8(..44), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        _ => vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
    };
    let words = frame[at + 12] >> 4;
    frame[at + 12] = (words + 3).min(15) << 4 | frame[at + 12] & 15;
    frame.splice(at + 20..at + 20, options);
    let (length, is_ipv4) = if is_ipv4(frame) { (IP + 2, true) } else { (IP + 4, false) };
    if is_ipv4 || is_ipv6(frame) {
        let total = u16::from_be_bytes([frame[length], frame[length + 1]]).wrapping_add(12);
        frame[length..length + 2].copy_from_slice(&total.to_be_bytes());
    }
}

/// Somebody else, or nobody.
fn address(rng: &mut Rng, frame: &mut [u8]) {
    let v4: [[u8; 4]; 8] = [
        [10, 1, 0, 5],
        [10, 1, 0, 6],
        [10, 2, 0, 1],
        [10, 9, 9, 9],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
    ];
    let v6 = [
        "2a00:1::5",
        "2a00:1::6",
        "2a00:2::1",
        "fe80::1",
        "ff02::1",
        "ff02::1:ff00:5",
        "::1",
        "::",
    ];
    let which = rng.usize(..8);
    let is_destination = rng.bool();
    if is_ipv4(frame) {
        let at = if is_destination { IP + 16 } else { IP + 12 };
        frame[at..at + 4].copy_from_slice(&v4[which]);
    } else if is_ipv6(frame) {
        let at = if is_destination { IP + 24 } else { IP + 8 };
        let address: std::net::Ipv6Addr = v6[which].parse().expect("valid addresses");
        frame[at..at + 16].copy_from_slice(&address.octets());
    }
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.len() >= IP + 20 && frame[12..14] == [0x08, 0x00]
}

fn is_ipv6(frame: &[u8]) -> bool {
    frame.len() >= IP + 40 && frame[12..14] == [0x86, 0xdd]
}

/// Where the upper layer begins if nothing is in front of it.
fn transport(frame: &[u8]) -> usize {
    if is_ipv4(frame) { IP + usize::from(frame[IP] & 15) * 4 } else { IP + 40 }
}
