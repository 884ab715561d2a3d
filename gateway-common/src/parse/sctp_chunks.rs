//! SCTP chunks (RFC 9260 section 3.2): looked at only for flows.

use network_types::sctp::SctpHdr;

use super::{network::Network, transport::SCTP_CHUNK_HEADER_LEN};
use crate::{
    bytes::PacketBytes,
    limits::{HEADER_OFFSET_MAX, SCTP_CHUNKS_MAX},
    packet::{Packet, SctpChunks},
    wire::sctp::{REFLECTED, chunk},
};

/// Looks for the chunks of an SCTP packet that say what becomes of its association.
// Not inlined: one copy in the kernel, aside from all other protocols.
#[inline(never)]
pub fn sctp_chunks<B: PacketBytes>(bytes: &B, packet: &mut Packet) {
    let network = &packet.network;
    let chunks = &mut packet.transport.sctp.chunks;
    let start = network.transport_offset + SctpHdr::LEN;
    if start > HEADER_OFFSET_MAX {
        return;
    }
    let mut offset = bytes.forget(start);
    first(bytes, network, offset, chunks);
    for _ in 0..SCTP_CHUNKS_MAX {
        match step(bytes, network, offset, chunks) {
            Some(0) => return,
            Some(len) if offset + len <= HEADER_OFFSET_MAX => offset = bytes.forget(offset + len),
            Some(_) => return,
            None => {
                chunks.found = 0;
                return;
            }
        }
    }
}

/// Takes in what only the first chunk may say.
#[inline(always)]
fn first<B: PacketBytes>(bytes: &B, network: &Network, offset: usize, chunks: &mut SctpChunks) {
    const INITIATE_TAG_END: usize = SCTP_CHUNK_HEADER_LEN + 4;
    if let Some([kind, flags]) = bytes.read::<2>(offset) {
        let is_end = matches!(kind, chunk::ABORT | chunk::SHUTDOWN_COMPLETE);
        chunks.is_reflected = is_end && flags & REFLECTED != 0;
        let is_opening = matches!(kind, chunk::INIT | chunk::INIT_ACK);
        if is_opening
            && offset + INITIATE_TAG_END <= network.end
            && let Some(tag) = bytes.read::<4>(offset + SCTP_CHUNK_HEADER_LEN)
        {
            chunks.initiate_tag = u32::from_be_bytes(tag);
        }
    }
}

/// Takes in the chunk at `offset`: its length with padding, 0 when nothing that matters can
/// follow, or `None` when it contradicts the packet.
#[inline(always)]
fn step<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    offset: usize,
    chunks: &mut SctpChunks,
) -> Option<usize> {
    // Too few bytes for a chunk are ignored by hosts too.
    if offset + SCTP_CHUNK_HEADER_LEN > network.end {
        return Some(0);
    }
    let Some(header) = bytes.read::<SCTP_CHUNK_HEADER_LEN>(offset) else { return Some(0) };
    let [kind, _, high, low] = header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    // Only the last chunk of a first fragment may go on beyond it.
    let is_beyond = offset + len > network.end;
    if len < SCTP_CHUNK_HEADER_LEN || (is_beyond && !network.fragment.is_first()) {
        return None;
    }
    chunks.found |= SctpChunks::kind(kind);
    chunks.count += 1;
    let is_last = is_beyond || matches!(kind, chunk::DATA | chunk::I_DATA);
    Some(if is_last { 0 } else { len.next_multiple_of(4) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::network::{Fragment, Place};

    const DATA: &[u8] = &[chunk::DATA, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'?', 0, 0, 0];
    const SACK: &[u8] = &[3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    const PADDED: &[u8] = &[chunk::ERROR, 0, 0, 5, 0, 0, 0, 0];
    const SHUTDOWN: &[u8] = &[chunk::SHUTDOWN, 0, 0, 8, 0, 0, 0, 1];
    const SHUTDOWN_COMPLETE: &[u8] = &[chunk::SHUTDOWN_COMPLETE, REFLECTED, 0, 4];
    const COOKIE_ECHO: &[u8] = &[chunk::COOKIE_ECHO, 0, 0, 8, 1, 2, 3, 4];
    const INIT: &[u8] =
        &[chunk::INIT, 0, 0, 20, 1, 2, 3, 4, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1];
    const NO_LENGTH: &[u8] = &[chunk::DATA, 3, 0, 3];
    const TOO_LONG: &[u8] = &[chunk::ABORT, 0, 0, 5];
    const TAIL: &[u8] = &[chunk::ABORT, 0, 0];

    fn found(kinds: &[u8]) -> u16 {
        kinds.iter().fold(0, |found, &kind| found | SctpChunks::kind(kind))
    }

    /// RFC6092-REC-38: bundles are read up to the first data.
    #[test]
    fn chunks_are_found() {
        let single = |kind| SctpChunks { found: found(&[kind]), count: 1, ..Default::default() };
        assert_eq!(read(&[DATA]), single(chunk::DATA));
        assert_eq!(read(&[DATA, SHUTDOWN]), single(chunk::DATA));
        assert_eq!(read(&[SACK, TAIL]), single(3));
        assert_eq!(read(&[INIT]), SctpChunks { initiate_tag: 0x0102_0304, ..single(chunk::INIT) });
        assert_eq!(
            read(&[SHUTDOWN_COMPLETE]),
            SctpChunks { is_reflected: true, ..single(chunk::SHUTDOWN_COMPLETE) },
        );
        for (bundle, kinds) in [
            (&[SACK, SHUTDOWN][..], &[3, chunk::SHUTDOWN][..]),
            (&[COOKIE_ECHO, DATA], &[chunk::COOKIE_ECHO, chunk::DATA]),
            (&[PADDED, SHUTDOWN], &[chunk::ERROR, chunk::SHUTDOWN]),
            (&[SACK, INIT], &[3, chunk::INIT]),
            (&[SACK, SHUTDOWN_COMPLETE], &[3, chunk::SHUTDOWN_COMPLETE]),
        ] {
            let count = kinds.len().try_into().expect("a few");
            let expected = SctpChunks { found: found(kinds), count, ..Default::default() };
            assert_eq!(read(bundle), expected, "{kinds:?}");
        }
    }

    /// E148.
    #[test]
    fn a_chunk_that_contradicts_the_packet_spoils_all() {
        for chunks in [&[NO_LENGTH][..], &[SACK, NO_LENGTH], &[TOO_LONG], &[SACK, TOO_LONG]] {
            assert_eq!(read(chunks).found, 0, "{chunks:?}");
        }
    }

    #[test]
    fn a_first_fragment_may_end_anywhere() {
        let upper = packet(&[SACK, COOKIE_ECHO]);
        let expected = found(&[3, chunk::COOKIE_ECHO]);
        assert_eq!(read_upper(&upper[..32], Place::First).found, expected);
        assert_eq!(read_upper(&upper[..32], Place::Whole).found, 0);
        let init = read_upper(&packet(&[INIT])[..16], Place::First);
        assert_eq!((init.found, init.initiate_tag), (SctpChunks::INIT, 0));
    }

    #[test]
    fn the_walk_is_bounded() {
        assert_eq!(usize::from(read(&[SACK; 40]).count), SCTP_CHUNKS_MAX);
        assert_eq!(read(&[&[3, 0, 0x10, 0], &[0; 0xffc], SHUTDOWN]).count, 1);
    }

    fn packet(chunks: &[&[u8]]) -> Vec<u8> {
        [&[0; SctpHdr::LEN], &*chunks.concat()].concat()
    }

    fn read(chunks: &[&[u8]]) -> SctpChunks {
        read_upper(&packet(chunks), Place::Whole)
    }

    fn read_upper(upper: &[u8], place: Place) -> SctpChunks {
        let fragment = Fragment { place, ..Fragment::default() };
        let network = Network { fragment, end: upper.len(), ..Network::default() };
        let mut packet = Packet { network, ..Packet::default() };
        sctp_chunks(&upper, &mut packet);
        packet.transport.sctp.chunks
    }
}
