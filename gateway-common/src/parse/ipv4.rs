//! The IPv4 header (RFC 791).

use network_types::ip::{IpProto, Ipv4Hdr};

use super::network::{Fragment, Network, Place, Scope, packet_end};
use crate::{bytes::PacketBytes, limits::IPV4_OPTIONS_BYTES_MAX, tuple::Address, verdict::Reason};

const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;
const DATAGRAM_BYTES_MAX: usize = 65_535;

#[inline(always)]
pub(super) fn parse<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    scope: Scope,
    network: &mut Network,
) -> Result<(), Reason> {
    let header = bytes.read::<{ Ipv4Hdr::LEN }>(offset).ok_or(Reason::Ipv4Malformed)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < Ipv4Hdr::LEN {
        return Err(Reason::Ipv4Malformed);
    }
    let announced = match u16::from_be_bytes([header[2], header[3]]) {
        // A packet under segmentation offload may be larger than the field can say.
        0 if bytes.segments() > 1 => bytes.len().saturating_sub(offset),
        total_len => usize::from(total_len),
    };
    if announced < header_len {
        return Err(Reason::Ipv4Malformed);
    }
    network.end = packet_end(bytes, offset, announced, scope).ok_or(Reason::Ipv4Malformed)?;
    network.protocol = header[9];
    network.hop_limit = header[8];
    network.source = Address::from_ipv4([header[12], header[13], header[14], header[15]]);
    network.destination = Address::from_ipv4([header[16], header[17], header[18], header[19]]);
    network.fragment = fragment(&header, announced - header_len)?;
    network.transport_offset = bytes.forget(offset + header_len);

    let mut sum = Sum::of(&header);
    if header_len > Ipv4Hdr::LEN {
        options(bytes, offset + Ipv4Hdr::LEN, header_len - Ipv4Hdr::LEN, &mut sum)?;
    }
    if scope == Scope::Whole && !sum.is_valid() {
        return Err(Reason::Ipv4Checksum);
    }
    Ok(())
}

/// Places the packet in its datagram and refuses the tricks of RFC 1858 and RFC 3128.
#[inline(always)]
fn fragment(header: &[u8; Ipv4Hdr::LEN], payload_len: usize) -> Result<Fragment, Reason> {
    let field = u16::from_be_bytes([header[6], header[7]]);
    let more = field & MORE_FRAGMENTS != 0;
    let first_byte = usize::from(field & OFFSET_MASK) * 8;
    if first_byte == 0 && !more {
        return Ok(Fragment::default());
    }
    // All but the last fragment hold whole units of eight bytes, and none is empty.
    let partial_unit = more && !payload_len.is_multiple_of(8);
    if partial_unit || payload_len == 0 || first_byte + payload_len > DATAGRAM_BYTES_MAX {
        return Err(Reason::FragmentMalformed);
    }
    // At offset 8 a fragment would replace the flags of the TCP header that was judged.
    if first_byte == 8 && header[9] == IpProto::Tcp as u8 {
        return Err(Reason::FragmentTiny);
    }
    let id = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let place = if first_byte == 0 { Place::First } else { Place::Later };
    Ok(Fragment { place, id })
}

/// Walks the options, adds them to the checksum and refuses what RFC 7126 wants dropped.
#[inline(always)]
fn options<B: PacketBytes>(
    bytes: &B,
    start: usize,
    len: usize,
    sum: &mut Sum,
) -> Result<(), Reason> {
    let mut walk = OptionWalk::default();
    for index in 0..IPV4_OPTIONS_BYTES_MAX / 4 {
        if index * 4 >= len {
            break;
        }
        let word = bytes.read::<4>(start + index * 4).ok_or(Reason::Ipv4Malformed)?;
        sum.add(u16::from_be_bytes([word[0], word[1]]));
        sum.add(u16::from_be_bytes([word[2], word[3]]));
        for byte in word {
            walk.take(byte)?;
        }
    }
    walk.finish()
}

/// Follows the options byte by byte. A walk that jumped from option to option would cost the
/// kernel's verifier a hundred times as much, for it would have to try every way to jump.
#[derive(Default)]
struct OptionWalk {
    /// Bytes of the current option still to come.
    rest: u8,
    /// The next byte is the current option's length.
    expects_len: bool,
    /// The end of the list has come; padding follows.
    ended: bool,
}

impl OptionWalk {
    #[inline(always)]
    fn take(&mut self, byte: u8) -> Result<(), Reason> {
        if self.ended {
            return Ok(());
        }
        if self.expects_len {
            // The length counts the kind and itself.
            self.rest = byte.checked_sub(2).ok_or(Reason::Ipv4Malformed)?;
            self.expects_len = false;
        } else if self.rest > 0 {
            self.rest -= 1;
        } else {
            self.begin(byte)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn begin(&mut self, kind: u8) -> Result<(), Reason> {
        match kind {
            0 => self.ended = true,
            1 => {}
            // Loose and strict source routing (RFC 7126 sections 4.3 and 4.4).
            131 | 137 => return Err(Reason::SourceRoute),
            // Record route, timestamps, obsolete and experimental options (RFC 7126 sections 4.5
            // to 4.23); router alert, security labels and unknown ones are the host's business.
            7 | 10 | 11 | 12 | 15 | 30 | 68 | 82 | 94 | 136 | 142 | 144 | 145 | 147 | 149 | 151
            | 152 | 158 | 222 => return Err(Reason::Ipv4Option),
            _ => self.expects_len = true,
        }
        Ok(())
    }

    /// An option that runs past the header contradicts it.
    #[inline(always)]
    fn finish(self) -> Result<(), Reason> {
        if self.rest > 0 || self.expects_len { Err(Reason::Ipv4Malformed) } else { Ok(()) }
    }
}

/// The Internet checksum (RFC 1071) over a header.
struct Sum(u32);

impl Sum {
    #[inline(always)]
    fn of(header: &[u8; Ipv4Hdr::LEN]) -> Self {
        let mut sum = Self(0);
        for word in header.chunks_exact(2) {
            sum.add(u16::from_be_bytes([word[0], word[1]]));
        }
        sum
    }

    /// A header has at most 30 words, so 32 bits cannot overflow.
    #[inline(always)]
    fn add(&mut self, word: u16) {
        self.0 += u32::from(word);
    }

    #[inline(always)]
    fn is_valid(&self) -> bool {
        let folded = (self.0 & 0xffff) + (self.0 >> 16);
        (folded & 0xffff) + (folded >> 16) == 0xffff
    }
}
