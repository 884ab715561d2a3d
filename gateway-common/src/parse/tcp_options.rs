//! TCP options (RFC 9293 section 3.1): read only for flows that need them. Unknown ones are stepped
//! over; a list that contradicts itself ends the walk, not the segment (RFC9293-OPT, E138).

use network_types::tcp::TcpHdr;

use crate::{
    bytes::PacketBytes,
    limits::{HEADER_OFFSET_MAX, TCP_OPTIONS_MAX, WINDOW_SCALE_MAX},
    packet::{Packet, TcpHeader, TcpOptions},
    wire::tcp::{flag, option},
};

/// The options of a segment that carries a timestamp and nothing else, as most do.
const TIMESTAMP_ONLY: [u8; 4] = [option::NO_OPERATION, option::NO_OPERATION, option::TIMESTAMP, 10];
const TIMESTAMP_ONLY_LEN: usize = 12;

/// The most blocks of selective acknowledgements that a header has room for (RFC 2018 section 3).
const SACK_BLOCKS_MAX: usize = 4;
const SACK_BLOCK_LEN: usize = 8;

/// Looks for the options of a TCP segment that a flow has use for.
#[inline(always)]
pub fn tcp_options<B: PacketBytes>(bytes: &B, packet: &mut Packet) {
    let TcpHeader { header_len, flags, .. } = packet.transport.tcp;
    let len = usize::from(header_len) - TcpHdr::LEN;
    let offset = packet.network.transport_offset + TcpHdr::LEN;
    let is_opening = flags & flag::SYN != 0;
    if len == 0 || (!is_opening && len == TIMESTAMP_ONLY_LEN && is_timestamp(bytes, offset)) {
        return;
    }
    walk(bytes, offset, offset + len, &mut packet.transport.tcp.options);
}

#[inline(always)]
fn is_timestamp<B: PacketBytes>(bytes: &B, offset: usize) -> bool {
    bytes.read::<4>(offset) == Some(TIMESTAMP_ONLY)
}

/// Walks the options between two offsets.
// Not inlined: only openings and selective acknowledgements need it.
#[inline(never)]
fn walk<B: PacketBytes>(bytes: &B, offset: usize, end: usize, options: &mut TcpOptions) {
    let mut offset = offset;
    for _ in 0..TCP_OPTIONS_MAX {
        if offset >= end {
            return;
        }
        match step(bytes, offset, end, options) {
            Some(0) => return,
            Some(len) if offset + len <= HEADER_OFFSET_MAX => offset = bytes.forget(offset + len),
            Some(_) | None => break,
        }
    }
    options.found |= TcpOptions::UNREADABLE;
}

/// Takes in the option at `offset`: its length, 0 when the list ends here, or `None` when it
/// contradicts the header.
#[inline(always)]
fn step<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    end: usize,
    options: &mut TcpOptions,
) -> Option<usize> {
    let [kind] = bytes.read::<1>(offset)?;
    match kind {
        option::END => return Some(0),
        option::NO_OPERATION => return Some(1),
        _ => {}
    }
    let len = usize::from(bytes.read::<1>(offset + 1)?[0]);
    if len < 2 || offset + len > end {
        return None;
    }
    match (kind, len) {
        (option::WINDOW_SCALE, 3) => {
            let [scale] = bytes.read::<1>(offset + 2)?;
            // A larger one counts as the largest (RFC 7323 section 2.3, E137).
            options.window_scale = scale.min(WINDOW_SCALE_MAX);
            options.found |= TcpOptions::WINDOW_SCALE;
        }
        (option::SACK_PERMITTED, 2) => options.found |= TcpOptions::SACK_PERMITTED,
        (option::SACK, _) => sack(bytes, offset + 2, len - 2, options)?,
        _ => {}
    }
    Some(len)
}

/// Takes in the right edges of `len` bytes of selective acknowledgements.
#[inline(always)]
fn sack<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    len: usize,
    options: &mut TcpOptions,
) -> Option<()> {
    for index in 0..SACK_BLOCKS_MAX {
        let start = index * SACK_BLOCK_LEN;
        if start + SACK_BLOCK_LEN > len {
            return Some(());
        }
        let edge = u32::from_be_bytes(bytes.read::<4>(offset + start + 4)?);
        options.include_sack(edge);
    }
    Some(())
}
