//! What signals ask of a daemon.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wants the daemon to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Take the configuration file as it is now.
    Reload,
    /// End.
    Stop,
}

/// The signals that a daemon listens to. From its making on, none of them ends the process.
#[derive(Debug)]
pub struct Requests {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Requests {
    /// Listens from now on, on the current tokio runtime.
    ///
    /// # Errors
    /// What the kernel says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for a request. Any number of requests to reload that came meanwhile are one, and a
    /// request to stop goes before them. Nothing is lost when this is cancelled.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
