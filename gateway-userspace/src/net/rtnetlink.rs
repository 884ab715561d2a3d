//! Synchronous requests to rtnetlink.

use std::{io, panic, thread};

use rtnetlink::{Error, Handle, new_connection};
use tokio::runtime::Builder;

use super::NetError;

/// Runs one conversation with rtnetlink in the calling thread's network namespace.
///
/// It gets a thread and a runtime of its own, so that callers may be synchronous or run on a
/// runtime themselves; a new thread is in the network namespace of the one that started it.
///
/// # Errors
/// [`NetError::Netlink`], with `action` naming what was asked.
pub(super) fn ask<T, F>(action: impl Into<String>, conversation: F) -> Result<T, NetError>
where
    T: Send,
    F: AsyncFnOnce(Handle) -> Result<T, Error> + Send,
{
    let answer = apart(async || {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        conversation(handle).await.map_err(into_io)
    });
    answer.map_err(|source| NetError::Netlink { action: action.into(), source })
}

/// Runs a conversation on a thread and a runtime of its own.
///
/// # Errors
/// The conversation's.
pub(super) fn apart<T, F>(conversation: F) -> io::Result<T>
where
    T: Send,
    F: AsyncFnOnce() -> io::Result<T> + Send,
{
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(conversation())
        });
        worker.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}

/// The kernel's error number where there is one, so that callers can tell errors apart.
fn into_io(error: Error) -> io::Error {
    match &error {
        Error::NetlinkError(message) => match message.code {
            Some(code) => io::Error::from_raw_os_error(code.get().saturating_neg()),
            None => io::Error::other(error),
        },
        Error::UnexpectedMessage(_)
        | Error::RequestFailed
        | Error::NamespaceError(_)
        | Error::InvalidHardwareAddress(_)
        | Error::InvalidIp(_)
        | Error::InvalidAddress(..)
        | Error::InvalidNla(_) => io::Error::other(error),
    }
}
