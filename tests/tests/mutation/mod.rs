//! Traffic near the edge: stories of the conformance table, and its frames with a few bytes changed.

use std::sync::LazyLock;

use gateway_common::tuple::Direction;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use tests::{
    model::Frame,
    rows::{self, Row, Step},
};

/// A frame on its way.
#[derive(Clone, Debug)]
pub(crate) struct Travelling {
    pub(crate) direction: Direction,
    pub(crate) frame: Frame,
}

/// The frames of the conformance table, row by row.
static STORIES: LazyLock<Vec<Vec<Travelling>>> = LazyLock::new(|| {
    let travelling = |step: Step| Travelling { direction: step.direction, frame: step.frame };
    let story = |row: Row| row.steps.into_iter().map(travelling).collect();
    rows::all().into_iter().map(story).collect()
});

/// The same in one list.
static CORPUS: LazyLock<Vec<Travelling>> = LazyLock::new(|| STORIES.concat());

/// Some frames: whole rows, in which everything follows from what went before, and single ones.
pub(crate) fn traffic(pieces_max: usize) -> impl Strategy<Value = Vec<Travelling>> {
    let story = any::<Index>().prop_map(|which| which.get(&STORIES).clone());
    let single = travelling().prop_map(|travelling| vec![travelling]);
    vec(prop_oneof![1 => story, 3 => single], 1..pieces_max).prop_map(|pieces| pieces.concat())
}

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
