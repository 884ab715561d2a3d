//! Sequences of frames as bytes: what fuzzers change, and what corpora and reports of differences
//! consist of.
//!
//! ```text
//! world (2)  ─► step: head (1)  length (2)  frame ─► step …
//!
//! head: 1 outbound · 2 forwarded · 4 three segments · 8 sweep before it · wait << 4
//! ```
//!
//! Numbers are little-endian. Any bytes are a tape: the last frame ends where the bytes do.

use gateway_common::tuple::Direction;

use super::stories::Travelling;
use crate::model::Frame;

/// Seconds that may pass before a step: none to speak of, and around every default timeout.
pub const WAITS_SECS: [u32; 16] = [0, 0, 0, 0, 0, 0, 1, 1, 29, 31, 61, 119, 121, 241, 301, 7_441];

/// The most payload of a segment, in bytes, where a frame is several.
pub const SEGMENT_BYTES: u32 = 1_200;

/// Steps of a tape that count; the rest is not played.
const STEPS_MAX: usize = 256;
/// Bytes of a frame: more than this no test run of a TC program takes.
const FRAME_BYTES_MAX: usize = 3_000;

const OUTBOUND: u8 = 1;
const FORWARDED: u8 = 1 << 1;
const SEGMENTED: u8 = 1 << 2;
const SWEEP: u8 = 1 << 3;

/// A sequence of frames in a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// The number of the [`World`](super::worlds::World).
    pub world: u16,
    /// The frames.
    pub steps: Vec<Step>,
}

/// A frame, and what happens before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which of [`WAITS_SECS`] passes.
    pub wait: u8,
    /// Whether the sweeper looks at every flow.
    pub sweep: bool,
    /// The frame.
    pub travelling: Travelling,
}

impl Step {
    /// How many seconds pass before it.
    #[must_use]
    pub fn wait_secs(&self) -> u32 {
        WAITS_SECS[usize::from(self.wait) % WAITS_SECS.len()]
    }
}

impl Tape {
    /// The tape that these bytes are.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Some((world, mut rest)) = bytes.split_first_chunk() else {
            return Self { world: 0, steps: Vec::new() };
        };
        let mut steps = Vec::new();
        while let Some(([head, low, high], behind)) = rest.split_first_chunk()
            && steps.len() < STEPS_MAX
        {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (frame, behind) = behind.split_at(length.min(behind.len()));
            steps.push(step(*head, frame));
            rest = behind;
        }
        Self { world: u16::from_le_bytes(*world), steps }
    }

    /// The bytes of this tape.
    ///
    /// # Panics
    /// If a frame has 64 KiB or more.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = self.world.to_le_bytes().to_vec();
        for Step { wait, sweep, travelling: Travelling { direction, frame } } in &self.steps {
            let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
            let head = flag(*direction == Direction::Outbound, OUTBOUND)
                | flag(frame.is_forwarded, FORWARDED)
                | flag(frame.segments > 1, SEGMENTED)
                | flag(*sweep, SWEEP)
                | wait << 4;
            let length = u16::try_from(frame.bytes.len()).expect("frames are short");
            bytes.push(head);
            bytes.extend(length.to_le_bytes());
            bytes.extend(&frame.bytes);
        }
        bytes
    }
}

fn step(head: u8, frame: &[u8]) -> Step {
    let has = |flag: u8| head & flag != 0;
    let bytes = frame[..frame.len().min(FRAME_BYTES_MAX)].to_vec();
    let segments = if has(SEGMENTED) { 3 } else { 1 };
    let frame = Frame { segments, is_forwarded: has(FORWARDED), ..Frame::from(bytes) };
    let direction = if has(OUTBOUND) { Direction::Outbound } else { Direction::Inbound };
    Step { wait: head >> 4, sweep: has(SWEEP), travelling: Travelling { direction, frame } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::stories::STORIES;

    #[test]
    fn what_is_written_is_read() {
        for (world, story) in (0..).zip(STORIES.iter()) {
            let step = |travelling: &Travelling| {
                let mut travelling = travelling.clone();
                travelling.frame.segments = if travelling.frame.segments > 1 { 3 } else { 1 };
                travelling.frame.offloaded_vlan = None;
                travelling.frame.bytes.truncate(FRAME_BYTES_MAX);
                Step { wait: 7, sweep: true, travelling }
            };
            let tape = Tape { world, steps: story.iter().map(step).collect() };
            assert_eq!(Tape::read(&tape.write()), tape);
        }
    }

    #[test]
    fn any_bytes_are_a_tape() {
        assert_eq!(Tape::read(&[]).steps, []);
        let tape = Tape::read(&[1, 2, OUTBOUND, 0xff, 0xff, 9, 9]);
        assert_eq!((tape.world, tape.steps.len()), (0x0201, 1));
        assert_eq!(tape.steps[0].travelling.frame.bytes, [9, 9]);
    }
}
