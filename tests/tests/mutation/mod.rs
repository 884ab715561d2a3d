//! Frames near the edge: those of the conformance table with a few bytes changed.

use std::sync::LazyLock;

use gateway_common::tuple::Direction;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use tests::{model::Frame, rows};

/// A frame on its way.
#[derive(Clone, Debug)]
pub(crate) struct Travelling {
    pub(crate) direction: Direction,
    pub(crate) frame: Frame,
}

/// Every frame of the conformance table.
static CORPUS: LazyLock<Vec<Travelling>> = LazyLock::new(|| {
    let steps = rows::all().into_iter().flat_map(|row| row.steps);
    steps.map(|step| Travelling { direction: step.direction, frame: step.frame }).collect()
});

/// A frame of the table, usually with some bytes changed or its end cut off.
pub(crate) fn travelling() -> impl Strategy<Value = Travelling> {
    let edits = vec((any::<Index>(), any::<u8>()), 0..4);
    let cut = option::weighted(0.1, any::<Index>());
    (any::<Index>(), edits, cut, any::<bool>()).prop_map(|(base, edits, cut, repairs)| {
        let mut travelling = base.get(&CORPUS).clone();
        let bytes = &mut travelling.frame.bytes;
        // Payload matters little; headers are where the edges are.
        let header_len = bytes.len().min(120);
        for (at, byte) in edits {
            if header_len > 0 {
                bytes[at.index(header_len)] = byte;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if repairs {
            repair_checksum(bytes);
        }
        travelling
    })
}

/// Makes the checksum of an untagged IPv4 header right, which would otherwise be where nearly
/// every changed packet ends.
fn repair_checksum(frame: &mut [u8]) {
    if frame.len() < 34 || frame[12..14] != [0x08, 0x00] {
        return;
    }
    let header_len = usize::from(frame[14] & 0xf) * 4;
    let Some(header) = frame.get_mut(14..14 + header_len.max(20)) else { return };
    header[10..12].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(header).ones_complement();
    header[10..12].copy_from_slice(&sum.to_ne_bytes());
}
