//! Dumps and questions by netlink, one message at a time: a dump of a million entries is never in
//! memory as a whole.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// More than the kernel puts into one datagram of a dump.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// How often a dump is repeated that changed while it was read.
const ATTEMPTS: usize = 4;
/// The kernel's `NLMSG_*`.
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// The kernel's `NLM_F_DUMP_INTR`: what was listed has changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;

/// A conversation with the kernel.
pub(super) struct Channel {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What a message of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A message of the kernel's subsystem.
    Payload(&'a [u8]),
    /// The end of a dump, with an error number if it failed.
    Done(i32),
    /// The request failed with this error number, or succeeded with 0.
    Error(i32),
    /// What was listed has changed while it was.
    Interrupted(&'a [u8]),
    /// The kernel lost messages.
    Overrun,
}

impl Channel {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM_BYTES_MAX), sequence: 0 })
    }

    /// Calls `each` with every message of a dump, and with some of them again if the dump changes
    /// while it is read.
    ///
    /// # Errors
    /// The kernel's, or what `each` fails with.
    pub(super) fn dump<T: NetlinkSerializable + Clone, E: From<io::Error>>(
        &mut self,
        request: &T,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for _ in 0..ATTEMPTS {
            self.send(request, NLM_F_DUMP)?;
            if self.read_dump(&mut each)? {
                return Ok(());
            }
        }
        // It never stands still; every entry that stayed has been listed by now.
        Ok(())
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn ask<T: NetlinkSerializable + Clone>(
        &mut self,
        request: &T,
    ) -> io::Result<Vec<u8>> {
        self.send(request, 0)?;
        loop {
            self.receive()?;
            // Any other datagram answers an earlier question.
            let Some(part) = parts(&self.buffer, self.sequence).next() else { continue };
            return match part? {
                Part::Payload(payload) | Part::Interrupted(payload) => Ok(payload.to_vec()),
                Part::Error(code) | Part::Done(code) => Err(error(code)),
                Part::Overrun => Err(overrun()),
            };
        }
    }

    fn send<T: NetlinkSerializable + Clone>(&mut self, request: &T, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message =
            NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request.clone()));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        uninterrupted(|| self.socket.send(&bytes, 0)).map(drop)
    }

    /// Reads a dump to its end; whether it is consistent.
    fn read_dump<E: From<io::Error>>(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut is_consistent = true;
        loop {
            self.receive()?;
            for part in parts(&self.buffer, self.sequence) {
                match part? {
                    Part::Payload(payload) => each(payload)?,
                    Part::Interrupted(payload) => {
                        is_consistent = false;
                        each(payload)?;
                    }
                    Part::Done(0) => return Ok(is_consistent),
                    Part::Done(code) | Part::Error(code) => return Err(error(code).into()),
                    Part::Overrun => return Err(overrun().into()),
                }
            }
        }
    }

    /// Reads one datagram of the kernel's into the buffer.
    fn receive(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let (_, from) = uninterrupted(|| self.socket.recv_from(&mut self.buffer, 0))?;
            // Other processes may write to the socket, too.
            if from.port_number() == 0 {
                return Ok(());
            }
        }
    }
}

/// The messages of a datagram that answer the request of this number.
pub(super) fn parts(
    mut datagram: &[u8],
    sequence: u32,
) -> impl Iterator<Item = io::Result<Part<'_>>> {
    std::iter::from_fn(move || {
        loop {
            if datagram.is_empty() {
                return None;
            }
            let Ok(message) = NetlinkBuffer::new_checked(datagram) else {
                datagram = &[];
                return Some(Err(malformed("a message is cut off")));
            };
            let length = message.length() as usize;
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
            if message.sequence_number() == sequence && message.message_type() != NOOP {
                let (kind, flags) = (message.message_type(), message.flags());
                return Some(part(kind, flags, message.payload()));
            }
        }
    })
}

fn part(kind: u16, flags: u16, payload: &[u8]) -> io::Result<Part<'_>> {
    let code = || payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    match kind {
        ERROR if payload.len() < size_of::<i32>() => Err(malformed("an error has no number")),
        ERROR => Ok(Part::Error(code())),
        DONE => Ok(Part::Done(code())),
        OVERRUN => Ok(Part::Overrun),
        _ if flags & DUMP_INTERRUPTED != 0 => Ok(Part::Interrupted(payload)),
        _ => Ok(Part::Payload(payload)),
    }
}

/// Tries again as long as signals interfere.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The kernel gives error numbers as negative ones.
fn error(code: i32) -> io::Error {
    match code {
        0 => malformed("there is no answer"),
        code => io::Error::from_raw_os_error(code.saturating_neg()),
    }
}

fn overrun() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOBUFS)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's answer is malformed: {what}"))
}
