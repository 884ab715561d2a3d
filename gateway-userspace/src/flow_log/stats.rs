//! What became of lines.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a flow log did since this process began it, for whoever shows that.
#[derive(Debug, Default)]
pub struct FlowLogStats {
    lines: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    rejects_missed: AtomicU64,
    windows: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowLogCounts {
    /// Lines that were written.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines that could not be written and are lost.
    pub lost: u64,
    /// Dropped packets that are in no line, since there were more than the log takes.
    pub rejects_missed: u64,
    /// Windows that are complete.
    pub windows: u64,
}

impl FlowLogStats {
    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> FlowLogCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FlowLogCounts {
            lines: read(&self.lines),
            bytes: read(&self.bytes),
            lost: read(&self.lost),
            rejects_missed: read(&self.rejects_missed),
            windows: read(&self.windows),
        }
    }

    pub(super) fn written(&self, lines: u64, bytes: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn rejects_missed(&self, packets: u64) {
        self.rejects_missed.fetch_add(packets, Ordering::Relaxed);
    }

    pub(super) fn window(&self) {
        self.windows.fetch_add(1, Ordering::Relaxed);
    }
}
