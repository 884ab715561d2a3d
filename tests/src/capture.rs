//! Frames as they are on a link: sent raw, and heard.

use std::{
    io::{self, Read as _},
    time::{Duration, Instant},
};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    netns::Netns,
    sys,
    wait::{PATIENCE, patient},
};

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    interface: String,
}

impl Link {
    /// Hears what passes the interface from now on, in either direction.
    ///
    /// # Panics
    /// If there is no such interface.
    #[must_use]
    pub fn open(host: &Netns, interface: &str) -> Self {
        let open = || -> io::Result<Socket> {
            // Protocol 0 hears nothing until the socket is bound to its interface.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            socket.set_recv_buffer_size(4 << 20)?;
            socket.bind(&sys::packet_address(if_nametoindex(interface)?))?;
            Ok(socket)
        };
        let socket =
            host.run(open).unwrap_or_else(|error| panic!("packet socket on {interface}: {error}"));
        Self { socket, interface: interface.to_owned() }
    }

    /// Puts a frame on the link.
    ///
    /// # Panics
    /// If the kernel refuses it.
    pub fn send(&self, frame: &[u8]) {
        let sent = self.socket.send(frame);
        assert!(
            matches!(sent, Ok(len) if len == frame.len()),
            "send {} bytes on {}: {sent:?}",
            frame.len(),
            self.interface
        );
    }

    /// Waits for the first frame that `wanted` accepts; skips others.
    ///
    /// # Panics
    /// If none comes while patience lasts.
    pub fn expect(&self, what: &str, wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        self.wait(PATIENCE, wanted)
            .unwrap_or_else(|| panic!("waited in vain for {what} on {}", self.interface))
    }

    /// Waits for the first frame that `wanted` accepts, for so long at most; skips others.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn wait(
        &self,
        at_most: Duration,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patient(at_most);
        let mut frame = vec![0; 1 << 17];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("a timeout can be set");
            match (&self.socket).read(&mut frame) {
                Ok(len) if wanted(&frame[..len]) => {
                    frame.truncate(len);
                    return Some(frame);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("listen on {}: {error}", self.interface),
            }
        }
    }

    /// The frames heard so far that `wanted` accepts, without waiting for more.
    ///
    /// # Panics
    /// If the socket fails.
    #[must_use]
    pub fn heard(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.socket.set_nonblocking(true).expect("sockets can be non-blocking");
        let mut frames = Vec::new();
        let mut frame = vec![0; 1 << 17];
        loop {
            match (&self.socket).read(&mut frame) {
                Ok(len) if wanted(&frame[..len]) => frames.push(frame[..len].to_vec()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("listen on {}: {error}", self.interface),
            }
        }
        self.socket.set_nonblocking(false).expect("sockets can be blocking");
        frames
    }
}
