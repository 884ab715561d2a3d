//! Where lines go: a file that is rotated by its size, or standard output.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::settings::{FlowLogSettings, LogPath};

/// What a pipe takes at once when it says that it takes anything.
const PIPE_BYTES: usize = 4096;
/// How long standard output may take nothing before what is left is given up for the moment.
const PIPE_PATIENCE_MS: u16 = 1_000;

/// Takes lines.
#[derive(Debug)]
pub struct Sink {
    path: Option<PathBuf>,
    max_size_bytes: u64,
    keep: u32,
    file: Option<File>,
    /// Bytes that went to standard output.
    sent: u64,
}

/// Where the next byte goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; `None` for standard output.
    pub path: Option<PathBuf>,
    /// Its device and inode.
    pub identity: (u64, u64),
    /// How long it is.
    pub offset: u64,
}

/// How writing went.
#[derive(Debug)]
pub struct Written {
    /// Bytes of whole lines that were written.
    pub bytes: usize,
    /// Why it is not everything.
    pub error: Option<io::Error>,
}

impl Sink {
    /// One as the settings want it. Nothing is opened before it is needed.
    #[must_use]
    pub fn new(settings: &FlowLogSettings) -> Self {
        let path = match &settings.path {
            LogPath::Stdout => None,
            LogPath::File(path) => Some(path.clone()),
        };
        let FlowLogSettings { max_size_bytes, keep, .. } = *settings;
        Self { path, max_size_bytes, keep, file: None, sent: 0 }
    }

    /// Makes room for so many bytes, and tells where they will go. A file that somebody moved or
    /// removed is made anew.
    ///
    /// # Errors
    /// The file cannot be opened or rotated.
    pub fn prepare(&mut self, bytes: usize) -> io::Result<Place> {
        let Some(path) = self.path.clone() else {
            return Ok(Place { path: None, identity: (0, 0), offset: self.sent });
        };
        let mut metadata = self.current(&path)?.metadata()?;
        if metadata.len() != 0 && metadata.len() + bytes as u64 > self.max_size_bytes {
            self.file = None;
            rotate(&path, self.keep)?;
            metadata = self.current(&path)?.metadata()?;
        }
        let identity = (metadata.dev(), metadata.ino());
        Ok(Place { path: Some(path), identity, offset: metadata.len() })
    }

    /// The open file, which is the one at the path.
    fn current(&mut self, path: &Path) -> io::Result<&mut File> {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let open = self.file.as_ref().and_then(|file| file.metadata().ok()).map(identity);
        if open.is_none() || open != fs::metadata(path).ok().map(identity) {
            self.file = None;
        }
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                if let Some(directory) = path.parent() {
                    fs::create_dir_all(directory)?;
                }
                let mut options = OpenOptions::new();
                let file = options.create(true).append(true).mode(0o640).open(path)?;
                Ok(none.insert(file))
            }
        }
    }

    /// Writes whole lines behind a place that was prepared for them. What was written of a line that
    /// does not fit is taken back.
    pub fn write(&mut self, place: &Place, text: &[u8]) -> Written {
        let Some(file) = &mut self.file else {
            let written = write_stdout(text);
            self.sent += written.bytes as u64;
            return written;
        };
        let (mut bytes, mut failure) = (0, None);
        while bytes < text.len() {
            match file.write(&text[bytes..]) {
                Ok(0) => failure = Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => failure = Some(error),
            }
            if failure.is_some() {
                break;
            }
        }
        let whole = whole_lines(&text[..bytes]);
        if whole < bytes
            && let Err(error) = file.set_len(place.offset + whole as u64)
        {
            failure = Some(error);
        }
        Written { bytes: whole, error: failure }
    }
}

/// Bytes up to the end of the last whole line.
pub(super) fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// Writes lines without ever waiting for long: whoever reads them may have stopped.
fn write_stdout(text: &[u8]) -> Written {
    let mut stdout = io::stdout().lock();
    let mut bytes = 0;
    while bytes < text.len() {
        let mut polled = [PollFd::new(std::os::fd::AsFd::as_fd(&stdout), PollFlags::POLLOUT)];
        let error = match poll(&mut polled, PollTimeout::from(PIPE_PATIENCE_MS)) {
            Ok(0) => Some(io::ErrorKind::TimedOut.into()),
            Ok(_) => None,
            Err(error) => Some(io::Error::from(error)),
        };
        let end = text.len().min(bytes + PIPE_BYTES);
        // Whole lines if there are any, which is always so but for lines of absurd length.
        let whole = whole_lines(&text[bytes..end]);
        let end = if whole == 0 { end } else { bytes + whole };
        let result = match error {
            Some(error) => Err(error),
            None => stdout.write_all(&text[bytes..end]).and_then(|()| stdout.flush()),
        };
        if let Err(error) = result {
            return Written { bytes, error: Some(error) };
        }
        bytes = end;
    }
    Written { bytes, error: None }
}

/// The path of the file that was rotated so many times.
pub(super) fn rotated(path: &Path, times: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{times}"));
    PathBuf::from(name)
}

/// Moves a file and the earlier ones on by one, and removes the last.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if keep == 0 {
        return fs::remove_file(path);
    }
    for times in (1..keep).rev() {
        match fs::rename(rotated(path, times), rotated(path, times + 1)) {
            Err(error) if !is_absent(&error) => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, rotated(path, 1))
}
