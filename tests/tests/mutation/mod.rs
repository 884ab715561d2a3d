//! Traffic near the edge: stories of the conformance table, and its frames with a few bytes changed.

use proptest::{collection::vec, option, prelude::*, sample::Index};
pub(crate) use tests::fuzz::stories::Travelling;
use tests::fuzz::stories::{FRAMES, STORIES, repair_checksum};

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
        let mut travelling = base.get(&FRAMES).clone();
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
