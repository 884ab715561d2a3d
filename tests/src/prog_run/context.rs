//! What a driver and the stack keep beside a frame.

use gateway_common::verdict::Verdict;

use super::{Program, Programs};
use crate::model::Frame;

impl Programs {
    /// Puts a frame through a TC program as a segmentation-offload packet that will become
    /// `segments` packets of at most `segment_bytes` of payload each.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_gso(
        &self,
        program: Program,
        frame: &[u8],
        segments: u32,
        segment_bytes: u32,
    ) -> Verdict {
        self.run_with(program, frame, Some(&gso_context(segments, segment_bytes)))
    }

    /// Puts a frame through a program together with what the driver keeps beside it, but for VLAN
    /// tags. Under segmentation offload, the segments have at most `segment_bytes` of payload.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_frame(&self, program: Program, frame: &Frame, segment_bytes: u32) -> Verdict {
        let mut context = [0; CONTEXT_BYTES];
        if frame.segments > 1 {
            context = gso_context(frame.segments, segment_bytes);
        }
        if frame.is_forwarded {
            const INGRESS_IFINDEX: usize = 36;
            // Any interface will do.
            context[INGRESS_IFINDEX..INGRESS_IFINDEX + 4].copy_from_slice(&1_u32.to_ne_bytes());
        }
        let is_plain = context == [0; CONTEXT_BYTES];
        self.run_with(program, &frame.bytes, if is_plain { None } else { Some(&context) })
    }
}

/// The size of `struct __sk_buff`.
const CONTEXT_BYTES: usize = 192;

/// `struct __sk_buff` with nothing but the segmentation fields set, which a test may choose.
fn gso_context(segments: u32, segment_bytes: u32) -> [u8; CONTEXT_BYTES] {
    const GSO_SEGS: usize = 164;
    const GSO_SIZE: usize = 176;
    let mut context = [0; CONTEXT_BYTES];
    context[GSO_SEGS..GSO_SEGS + 4].copy_from_slice(&segments.to_ne_bytes());
    context[GSO_SIZE..GSO_SIZE + 4].copy_from_slice(&segment_bytes.to_ne_bytes());
    context
}
