//! What an earlier process left behind.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use tracing::warn;

use super::{
    baseline::{Baseline, Baselines, FlowId},
    journal::{Append, Entry, Mark},
    sink::{rotated, whole_lines},
};

/// Rotated files that are looked through for the one that was written to.
const ROTATED_MAX: u32 = 3;

/// What a flow log knows of what it did.
pub(super) struct Known {
    pub(super) baselines: Baselines,
    /// The last record of an end.
    pub(super) last: Option<(u64, FlowId)>,
    /// Lines that wait to be written.
    pub(super) pending: String,
    /// The last header that was written.
    pub(super) header: String,
    pub(super) mark: Mark,
    /// Lines of which nobody knows whether they were written.
    pub(super) unknown_lines: u64,
    /// Whether there was anything.
    pub(super) is_continued: bool,
}

/// Puts together what entries say, for a process of this boot.
pub(super) fn recover(entries: Vec<Entry>, boot_id: &str, fresh_secret: [u8; 16]) -> Known {
    let mut known = Known {
        baselines: Baselines::new(fresh_secret),
        last: None,
        pending: String::new(),
        header: String::new(),
        mark: Mark::default(),
        unknown_lines: 0,
        is_continued: !entries.is_empty(),
    };
    let (mut is_same_boot, mut under_way) = (true, None);
    for entry in entries {
        match entry {
            Entry::Nothing => {}
            Entry::Start { boot_id: of, secret } => {
                is_same_boot = of == boot_id;
                known.baselines = Baselines::new(secret);
            }
            Entry::Lines(batch) => {
                for (id, baseline) in batch.set {
                    known.baselines.set(id, Baseline(baseline));
                }
                batch.ended.into_iter().for_each(|id| known.baselines.remove(id));
                known.last = batch.last.or(known.last);
                known.mark.has_lines |= !batch.text.is_empty();
                known.pending.push_str(&batch.text);
            }
            Entry::Append(append) => under_way = Some((append, known.pending.len())),
            Entry::Settled { written, header } => {
                take(&mut known.pending, written);
                known.header = header;
                under_way = None;
            }
            Entry::Dropped { bytes } => take(&mut known.pending, bytes),
            Entry::Mark(mark) => known.mark = mark,
        }
    }
    if !is_same_boot {
        // The flows are gone, and with them what their ticks mean.
        known.baselines.clear();
        known.last = None;
        (known.mark.recycled, known.mark.records_lost) = (0, 0);
    }
    if let Some((append, length)) = under_way {
        complete(&mut known, &append, length);
    }
    known
}

fn take(pending: &mut String, bytes: u64) {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    // Whatever an entry says, half a letter does not stay.
    pending.drain(..pending.ceil_char_boundary(bytes));
}

/// Finds out how much was written of the first `length` bytes that wait.
fn complete(known: &mut Known, append: &Append, length: usize) {
    // Lines may have been dropped since.
    let length = length.min(known.pending.len());
    let text = [append.header.as_bytes(), &known.pending.as_bytes()[..length]].concat();
    let written = written_of(append, &text).unwrap_or_else(|| {
        known.unknown_lines += String::from_utf8_lossy(&text).lines().count() as u64;
        text.len()
    });
    if written >= append.header.len() {
        take(&mut known.pending, (written - append.header.len()) as u64);
        if !append.header.is_empty() {
            known.header.clone_from(&append.header);
        }
    }
}

/// How many bytes of a text are in the file, up to the end of a line; what is there of the next line
/// is taken away. `None` if the file cannot tell.
fn written_of(append: &Append, text: &[u8]) -> Option<usize> {
    let path = find(append)?;
    let file = OpenOptions::new().write(true).open(&path).ok()?;
    let size = file.metadata().ok()?.len();
    let there = usize::try_from(size.checked_sub(append.offset)?).ok()?;
    if there >= text.len() {
        return Some(text.len());
    }
    let whole = whole_lines(&text[..there]);
    if let Err(error) = file.set_len(append.offset + whole as u64) {
        warn!(path = %path.display(), "cannot take back half a line: {error}");
    }
    Some(whole)
}

/// Where the file is by now.
fn find(append: &Append) -> Option<PathBuf> {
    let path = append.path.as_ref()?;
    let is_it = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == append.identity)
    };
    let earlier = (1..=ROTATED_MAX).map(|times| rotated(path, times));
    std::iter::once(path.clone()).chain(earlier).find(is_it)
}
