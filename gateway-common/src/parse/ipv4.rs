//! The IPv4 header (RFC 791).

use network_types::ip::Ipv4Hdr;

use super::network::{Fragment, Network, Scope, packet_end};
use crate::{
    bytes::PacketBytes,
    limits::{HEADER_OFFSET_MAX, IPV4_OPTIONS_BYTES_MAX},
    tuple::Address,
    verdict::Reason,
};

const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

#[inline(always)]
pub(super) fn parse<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    scope: Scope,
    network: &mut Network,
) -> Result<(), Reason> {
    let header = bytes.read_words::<{ Ipv4Hdr::LEN / 4 }>(offset).ok_or(Reason::Ipv4Malformed)?;
    let [[version, _, len_high, len_low], identification, [ttl, protocol, ..], source, destination] =
        header.map(u32::to_ne_bytes);
    let header_len = usize::from(version & 0x0f) * 4;
    // The ethertype may say what it will (E10), and a header has its least length (E17).
    if version >> 4 != 4 || header_len < Ipv4Hdr::LEN {
        return Err(Reason::Ipv4Malformed);
    }
    let announced = match u16::from_be_bytes([len_high, len_low]) {
        // A packet under segmentation offload may be larger than the field can say.
        0 if bytes.segments() > 1 => bytes.len().saturating_sub(offset),
        total_len => usize::from(total_len),
    };
    // A packet is no shorter than its header (E16).
    if announced < header_len {
        return Err(Reason::Ipv4Malformed);
    }
    network.end = packet_end(bytes, offset, announced, scope).ok_or(Reason::Ipv4Malformed)?;
    network.protocol = protocol;
    network.hop_limit = ttl;
    network.source = Address::from_ipv4(source);
    network.destination = Address::from_ipv4(destination);
    network.fragment = fragment(identification, protocol, announced - header_len)?;
    let transport_offset = offset + header_len;
    // Only behind an ICMP error with a very long chain of headers.
    if transport_offset > HEADER_OFFSET_MAX {
        return Err(Reason::Ipv4Malformed);
    }
    network.transport_offset = bytes.forget(transport_offset);

    let mut sum = Sum::of(header);
    if header_len > Ipv4Hdr::LEN {
        options(bytes, offset + Ipv4Hdr::LEN, header_len - Ipv4Hdr::LEN, &mut sum)?;
    }
    // The host would discard it, so it must not keep a flow alive either (E21).
    if scope == Scope::Whole && !sum.is_valid() {
        return Err(Reason::Ipv4Checksum);
    }
    Ok(())
}

/// Places the packet in its datagram. The reserved flag means nothing (E32).
#[inline(always)]
fn fragment(word: [u8; 4], protocol: u8, payload_len: usize) -> Result<Fragment, Reason> {
    let [id_high, id_low, flags, offset] = word;
    let field = u16::from_be_bytes([flags, offset]);
    let more = field & MORE_FRAGMENTS != 0;
    let first_byte = usize::from(field & OFFSET_MASK) * 8;
    if first_byte == 0 && !more {
        return Ok(Fragment::default());
    }
    let id = u32::from(u16::from_be_bytes([id_high, id_low]));
    Fragment::place(first_byte, payload_len, more, protocol, id)
}

/// Walks the options, up to the longest header's (E18), adds them to the checksum and refuses what
/// RFC 7126 wants dropped. Padding does no harm (RFC7126-NOP/EOL).
#[inline(always)]
fn options<B: PacketBytes>(
    bytes: &B,
    start: usize,
    len: usize,
    sum: &mut Sum,
) -> Result<(), Reason> {
    let mut walk = OPTION_KIND;
    for index in 0..IPV4_OPTIONS_BYTES_MAX / 4 {
        if index * 4 >= len {
            break;
        }
        let word = bytes.read::<4>(start + index * 4).ok_or(Reason::Ipv4Malformed)?;
        sum.add(u32::from_ne_bytes(word));
        for byte in word {
            walk = bytes.forget(walk_options(walk, byte)?);
        }
    }
    // An option that runs past the header contradicts it.
    if matches!(walk, OPTION_KIND | OPTIONS_ENDED) { Ok(()) } else { Err(Reason::Ipv4Malformed) }
}

/// What the walk along the options expects next; any other value counts the bytes of the current
/// option that are still to come. The walk goes byte by byte, because the kernel's verifier would
/// have to try every way to jump from option to option.
const OPTION_KIND: usize = 0;
/// The next byte is an option's length.
const OPTION_LEN: usize = 0x200;
/// The end of the list has come; padding follows.
const OPTIONS_ENDED: usize = 0x400;

/// Takes one byte of the options and says what to expect next.
#[inline(always)]
fn walk_options(expected: usize, byte: u8) -> Result<usize, Reason> {
    match expected {
        OPTIONS_ENDED => Ok(OPTIONS_ENDED),
        // The length counts the kind and itself.
        OPTION_LEN => byte.checked_sub(2).map(usize::from).ok_or(Reason::Ipv4Malformed),
        OPTION_KIND => begin_option(byte),
        rest => Ok(rest - 1),
    }
}

#[inline(always)]
fn begin_option(kind: u8) -> Result<usize, Reason> {
    if REFUSED_OPTIONS[usize::from(kind >> 6)] & (1 << (kind & 63)) != 0 {
        let is_source_route = SOURCE_ROUTE_OPTIONS.contains(&kind);
        return Err(if is_source_route { Reason::SourceRoute } else { Reason::Ipv4Option });
    }
    Ok(match kind {
        0 => OPTIONS_ENDED,
        1 => OPTION_KIND,
        _ => OPTION_LEN,
    })
}

/// Loose and strict source routing (RFC7126-LSRR/SSRR, E19).
const SOURCE_ROUTE_OPTIONS: [u8; 2] = [131, 137];

/// A bit for every option that RFC 7126 wants dropped: besides source routing, record route
/// (RFC7126-RR), timestamps and obsolete ones (RFC7126-TS/SID/…), and experimental ones
/// (RFC7126-EXP). Router alert (RFC7126-RA, E20), security labels (RFC7126-SEC) and unknown options
/// (RFC7126-UNK) are the host's business.
static REFUSED_OPTIONS: [u64; 4] = {
    let refused = [
        7,
        10,
        11,
        12,
        15,
        30,
        68,
        82,
        94,
        136,
        142,
        144,
        145,
        147,
        149,
        151,
        152,
        158,
        222,
        SOURCE_ROUTE_OPTIONS[0],
        SOURCE_ROUTE_OPTIONS[1],
    ];
    let mut bits = [0; 4];
    let mut index = 0;
    while index < refused.len() {
        bits[(refused[index] >> 6) as usize] |= 1 << (refused[index] & 63);
        index += 1;
    }
    bits
};

/// The Internet checksum (RFC 1071) over a header. It takes four bytes at a time, in any byte order
/// (section 2).
struct Sum(u64);

impl Sum {
    #[inline(always)]
    fn of(header: [u32; Ipv4Hdr::LEN / 4]) -> Self {
        let mut sum = Self(0);
        for word in header {
            sum.add(word);
        }
        sum
    }

    /// A header has at most 15 words, so 64 bits cannot overflow.
    #[inline(always)]
    fn add(&mut self, word: u32) {
        self.0 += u64::from(word);
    }

    #[inline(always)]
    fn is_valid(&self) -> bool {
        // Of 36 bits this leaves 33, and the next two 17; the last leaves 16.
        let mut sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        for _ in 0..3 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum == 0xffff
    }
}
