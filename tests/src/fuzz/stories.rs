//! The frames of the conformance table, from which generated traffic starts.

use std::sync::LazyLock;

use gateway_common::tuple::Direction;

use crate::{
    model::Frame,
    rows::{self, Row, Step},
};

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Travelling {
    /// Which way it travels.
    pub direction: Direction,
    /// The frame.
    pub frame: Frame,
}

/// The frames of the conformance table, row by row.
pub static STORIES: LazyLock<Vec<Vec<Travelling>>> = LazyLock::new(|| {
    let travelling = |step: Step| Travelling { direction: step.direction, frame: step.frame };
    let story = |row: Row| row.steps.into_iter().map(travelling).collect();
    rows::all().into_iter().map(story).collect()
});

/// The same in one list.
pub static FRAMES: LazyLock<Vec<Travelling>> = LazyLock::new(|| STORIES.concat());

/// Makes the checksum of an untagged IPv4 header right, which would otherwise be where nearly
/// every changed packet ends.
pub fn repair_checksum(frame: &mut [u8]) {
    if frame.len() < 34 || frame[12..14] != [0x08, 0x00] {
        return;
    }
    let header_len = usize::from(frame[14] & 0xf) * 4;
    let Some(header) = frame.get_mut(14..14 + header_len.max(20)) else { return };
    header[10..12].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(header).ones_complement();
    header[10..12].copy_from_slice(&sum.to_ne_bytes());
}
