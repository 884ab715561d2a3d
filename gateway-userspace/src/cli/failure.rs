//! Whose fault a failure is.

use std::io;

use crate::{datapath::DatapathError, net::NetError, settings::SettingsError};

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong; nothing was done.
    Usage(anyhow::Error),
    /// The operation failed.
    Operation(anyhow::Error),
    /// Whoever read the answer has seen enough; nothing is wrong.
    ReaderGone,
}

impl Failure {
    /// What to tell the operator, with all causes; `None` when nothing is wrong.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Usage(error) | Self::Operation(error) => Some(format!("{error:#}")),
            Self::ReaderGone => None,
        }
    }

    /// The error alone, for those to whom it makes no difference whose fault it was.
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Usage(error) | Self::Operation(error) => error,
            Self::ReaderGone => anyhow::Error::msg("nobody reads the answer any more"),
        }
    }

    /// Bad usage, described for people.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(anyhow::Error::msg(message.into()))
    }

    /// A failed operation, described for people.
    pub(super) fn operation(message: impl Into<String>) -> Self {
        Self::Operation(anyhow::Error::msg(message.into()))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Operation(error)
    }
}

/// The text alone: it tells the causes already.
impl From<DatapathError> for Failure {
    fn from(error: DatapathError) -> Self {
        Self::operation(error.to_string())
    }
}

/// The text alone: it tells the causes already.
impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Self::operation(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.into())
    }
}

/// Errors of the output; nothing else in this module gives plain I/O errors.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Operation(anyhow::Error::new(error).context("cannot write the answer"))
    }
}
