//! What a flow log has to know after the process was killed: a file to which one entry is appended
//! at a time, and which is written anew when it has become long.
//!
//! An entry counts when it is complete: each has its length and a checksum before it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tracing::warn;

use super::baseline::FlowId;

/// Length and checksum.
const HEAD_BYTES: usize = 12;

/// What happened to a flow log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// Nothing; what cannot be read is none.
    #[default]
    Nothing,
    /// The beginning: the boot whose ticks count, and the key of flow ids.
    Start { boot_id: String, secret: [u8; 16] },
    /// What was reported, with lines that were written to wait for the file.
    Lines(Batch),
    /// The waiting lines are about to be written.
    Append(Append),
    /// So many bytes of these were, of which the header is none; the rest waits on.
    Settled { written: u64, header: String },
    /// So many bytes of the waiting lines are lost.
    Dropped { bytes: u64 },
    /// What else is to be known.
    Mark(Mark),
}

/// Lines, and what is reported with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// What is reported of flows by now.
    pub(super) set: Vec<(FlowId, [u64; 4])>,
    /// Flows that ended.
    pub(super) ended: Vec<FlowId>,
    /// The last record of an end.
    pub(super) last: Option<(u64, FlowId)>,
    /// The lines.
    pub(super) text: String,
}

/// An attempt to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Append {
    /// The file; `None` for standard output.
    pub(super) path: Option<PathBuf>,
    /// Its device and inode.
    pub(super) identity: (u64, u64),
    /// Where the first byte goes.
    pub(super) offset: u64,
    /// What comes before the waiting lines.
    pub(super) header: String,
}

/// The little that belongs to no flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// When the window began, in seconds since 1970.
    pub(super) window_start: u64,
    /// The beginning of the first window with something missing that no line has told yet.
    pub(super) skip_since: Option<u64>,
    /// Whether there were lines in the window.
    pub(super) has_lines: bool,
    /// Flows that were recycled without a record before the window.
    pub(super) recycled: u64,
    /// Records that were lost before the window.
    pub(super) records_lost: u64,
}

/// The file.
pub(super) struct Journal {
    path: PathBuf,
    /// `None` while it cannot be written: then a killed process makes the log inexact.
    file: Option<File>,
    bytes: u64,
    /// Whether the operator knows that it cannot be written.
    is_told: bool,
}

impl Journal {
    /// One at `path`, to be written with [`replace`](Self::replace) first.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0, is_told: false }
    }

    /// How long it is.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether entries are kept.
    pub(super) const fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Appends an entry with one write.
    pub(super) fn append(&mut self, entry: &Entry) {
        let Some(file) = &mut self.file else { return };
        let bytes = encode(entry);
        match file.write_all(&bytes) {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(error) => {
                // What is half-written hides what would come behind it.
                self.file = None;
                self.tell(&error);
            }
        }
    }

    /// Tells the operator once that it cannot be written.
    fn tell(&mut self, error: &io::Error) {
        if !mem::replace(&mut self.is_told, true) {
            warn!(
                path = %self.path.display(),
                "cannot remember what the flow log reported, so that it would be inexact if this \
                 process were killed: {error}"
            );
        }
    }

    /// Writes the whole file anew if that is possible.
    pub(super) fn rewrite(&mut self, entries: impl Iterator<Item = Entry>) {
        match self.replace(entries) {
            Ok(()) => self.is_told = false,
            Err(error) => self.tell(&error),
        }
    }

    /// Writes the whole file anew; whoever is killed meanwhile leaves the old one.
    fn replace(&mut self, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
        self.file = None;
        let new = self.path.with_extension("new");
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = BufWriter::new(options.open(&new)?);
        let mut bytes = 0;
        for entry in entries {
            let encoded = encode(&entry);
            bytes += encoded.len() as u64;
            file.write_all(&encoded)?;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&new, &self.path)?;
        (self.file, self.bytes) = (Some(file), bytes);
        Ok(())
    }
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes = postcard::to_extend(entry, bytes).expect("entries are plain data");
    let body = &bytes[HEAD_BYTES..];
    let length = u32::try_from(body.len()).expect("entries are shorter than 4 GiB");
    let checksum = checksum(body);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn checksum(body: &[u8]) -> u64 {
    SipHasher13::new().hash(body)
}

/// The complete entries of a file; none if there is no file.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    Ok(entries_in(&bytes))
}

/// The complete entries at the beginning of bytes that anybody may have written.
pub(super) fn entries_in(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((entry, behind)) = decode(bytes) {
        entries.push(entry);
        bytes = behind;
    }
    entries
}

fn decode(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    if checksum(body) != u64::from_le_bytes(*sum) {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_anywhere_has_the_entries_before() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("below").join("journal");
        assert_eq!(read(&path).expect("there is none"), []);
        let mut journal = Journal::new(path.clone());
        let entries = [
            Entry::Start { boot_id: "boot".to_owned(), secret: [3; 16] },
            Entry::Lines(Batch {
                set: vec![(7, [1, 2, 3, u64::MAX])],
                ended: vec![9],
                last: Some((5, 9)),
                text: "a line\n".to_owned(),
            }),
            Entry::Dropped { bytes: 7 },
        ];
        journal.replace(entries[..1].iter().cloned()).expect("it is writable");
        let mut ends = vec![journal.bytes()];
        for entry in &entries[1..] {
            journal.append(entry);
            ends.push(journal.bytes());
        }
        let whole = fs::read(&path).expect("it was written");
        assert_eq!(whole.len() as u64, journal.bytes());
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("it is writable");
            let complete = ends.iter().filter(|end| **end <= cut as u64).count();
            assert_eq!(read(&path).expect("it is readable"), entries[..complete], "cut at {cut}");
        }
        let mut spoilt = whole;
        *spoilt.last_mut().expect("it has bytes") ^= 1;
        fs::write(&path, &spoilt).expect("it is writable");
        assert_eq!(read(&path).expect("it is readable"), entries[..2]);
    }
}
