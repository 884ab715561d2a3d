//! Differences about packets that contradict themselves.

use gateway_common::tuple::Direction::{Inbound, Outbound};

use crate::{
    arena::CtState,
    difference::Difference,
    step::{Checksum, Content, Step},
};

/// Length of a UDP header.
const UDP_HEADER_LEN: u16 = 8;

/// Length of the shortest TCP header, in words of four bytes.
const TCP_HEADER_WORDS_MIN: u8 = 5;

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "checksum-inbound",
        what: "lets a packet of a flow pass whatever its transport checksum is; nftables drops it \
               when the checksum is wrong",
        why: "The receiving host verifies checksums and drops what fails: RFC 9293 section 3.1 \
              (MUST-3), RFC 768, RFC 4443 section 2.3. A filter in the driver would have to read \
              every byte for it.",
        parts_ways: true,
        covers: |case| {
            case.passed_eigw_only() && case.step().direction == Inbound && is_bad(case.step())
        },
    },
    Difference {
        name: "checksum-outbound",
        what: "takes account of what inside sends whatever its transport checksum is; nftables \
               lets it pass, but does not count it",
        why: "As above; the checksums of inside hosts are often left for the network card to \
              fill in, and RFC 9293 section 3.1 leaves their verification to the receiver.",
        parts_ways: true,
        covers: |case| {
            let mut before = case.before();
            let is_uncounted = before.any(|(step, seen)| {
                step.direction == Outbound
                    && is_bad(step)
                    && seen.reference == Some(CtState::Invalid)
            });
            case.step().direction == Inbound && is_uncounted
        },
    },
    Difference {
        name: "length-outbound",
        what: "drops a segment or datagram from inside whose length field contradicts the packet; \
               nftables lets it pass",
        why: "RFC 768: the length is that of the datagram, at least 8. RFC 9293 section 3.1: the \
              header has at least 20 bytes and ends before the segment does. No host sends such \
              packets and none takes them.",
        parts_ways: false,
        covers: |case| {
            case.passed_reference_only()
                && case.step().direction == Outbound
                && case.observation().reference == Some(CtState::Invalid)
                && has_bad_length(case.step())
        },
    },
];

/// Whether the transport checksum is wrong. In UDP a missing one is none of that.
fn is_bad(step: &Step) -> bool {
    match &step.content {
        Content::Tcp(segment) => segment.checksum != Checksum::Right,
        Content::Udp(datagram) => datagram.checksum == Checksum::Wrong,
        Content::Query(query) => query.checksum != Checksum::Right,
        Content::Error(_) => false,
    }
}

fn has_bad_length(step: &Step) -> bool {
    match &step.content {
        Content::Udp(datagram) => {
            let len = UDP_HEADER_LEN + datagram.payload_len;
            datagram.claimed_len.is_some_and(|claimed| claimed < UDP_HEADER_LEN || claimed > len)
        }
        Content::Tcp(segment) => segment.claimed_words.is_some_and(|words| {
            words < TCP_HEADER_WORDS_MIN || 4 * usize::from(words) > segment.bytes_len()
        }),
        Content::Query(_) | Content::Error(_) => false,
    }
}
