//! A gateway's directory and the pins in it. Whatever is found there may have been put there by
//! anybody, so nothing is taken for what its name says.

use std::{
    fs,
    io::ErrorKind,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::maps::MapData;

use super::{
    DatapathError,
    attachment::Attachment,
    sys::{self, LinkState, PinKind},
};

/// The directory of one gateway.
#[derive(Clone, Debug)]
pub(super) struct GatewayDir(PathBuf);

impl GatewayDir {
    const MAPS: &str = "maps";
    const PROGRAMS: &str = "programs";
    const LINKS: &str = "links";

    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether there is a directory.
    pub(super) fn exists(&self) -> bool {
        self.0.is_dir()
    }

    pub(super) fn maps(&self) -> PathBuf {
        self.0.join(Self::MAPS)
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.0.join(Self::PROGRAMS).join(name)
    }

    /// Where a link is pinned; `None` for attachments that are no links.
    pub(super) fn link(&self, ifindex: u32, attachment: Attachment) -> Option<PathBuf> {
        let role = attachment.link_role()?;
        Some(self.0.join(Self::LINKS).join(format!("{ifindex}_{role}")))
    }

    /// Makes the directory and those in it.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn create(&self) -> Result<(), DatapathError> {
        let below = [Self::MAPS, Self::PROGRAMS, Self::LINKS].map(|name| self.0.join(name));
        for path in std::iter::once(self.0.clone()).chain(below) {
            fs::create_dir(&path).map_err(|source| DatapathError::Bpffs {
                action: "creating directory",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// Gives the directory another name, in one step.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn rename(&self, to: &Self) -> Result<(), DatapathError> {
        fs::rename(&self.0, &to.0).map_err(|source| DatapathError::Bpffs {
            action: "renaming directory",
            path: self.0.clone(),
            source,
        })
    }

    /// Removes the directory with everything in it, or whatever is in its place. That there is none
    /// is no error.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn remove(&self) -> Result<(), DatapathError> {
        let removed = match fs::remove_dir_all(&self.0) {
            // A pin of others, which must not be in the way for ever.
            Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(&self.0),
            removed => removed,
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(DatapathError::Bpffs {
                action: "removing directory",
                path: self.0.clone(),
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Every file below the directory, those of ingress hooks first: while a gateway is taken
    /// apart, replies must not be judged by flows that are no longer recorded.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.0.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        files.sort_by_key(|path| {
            !path.file_name().is_some_and(|name| name.to_string_lossy().contains("ingress"))
        });
        files
    }
}

/// Opens a pinned map.
///
/// # Errors
/// What is wrong with the pin, for people.
pub(super) fn open_map(path: &Path) -> Result<MapData, String> {
    let fd = open(path, PinKind::Map)?;
    MapData::from_fd(fd).map_err(|error| format!("cannot be examined: {error}"))
}

/// Opens a pinned program far enough to know that it is one.
///
/// # Errors
/// What is wrong with the pin, for people.
pub(super) fn check_program(path: &Path) -> Result<(), String> {
    open(path, PinKind::Program).map(drop)
}

/// What the kernel knows about a pinned link; `None` when there is no such pin or it is
/// something else.
pub(super) fn link_state(path: &Path) -> Option<LinkState> {
    let fd = open(path, PinKind::Link).ok()?;
    sys::link_state(fd.as_fd()).ok()
}

/// Detaches a pinned link at once and removes the pin. That there is no such pin is no error.
///
/// # Errors
/// [`DatapathError::Bpffs`].
pub(super) fn remove_link(path: &Path) -> Result<(), DatapathError> {
    if let Ok(link) = open(path, PinKind::Link) {
        // Without the pin the link goes as well, only later; so this error is none.
        drop(sys::detach_link(link.as_fd()));
    }
    remove_file(path)
}

/// Removes a pin. That there is none is no error.
///
/// # Errors
/// [`DatapathError::Bpffs`].
pub(super) fn remove_file(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(DatapathError::Bpffs {
            action: "removing pin",
            path: path.to_owned(),
            source: error,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open(path: &Path, expected: PinKind) -> Result<OwnedFd, String> {
    let fd = sys::open_pin(path).map_err(|error| format!("cannot be opened: {error}"))?;
    match sys::kind(fd.as_fd()) {
        Some(found) if found == expected => Ok(fd),
        found => Err(format!("is not what it should be: {expected:?} expected, {found:?} found")),
    }
}
