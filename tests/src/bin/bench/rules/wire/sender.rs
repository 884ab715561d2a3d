//! Frames put on a link as fast as one CPU can.

use std::{
    io::{self, IoSlice},
    iter,
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg},
};
use socket2::{Domain, Protocol, Socket, Type};
use tests::{netns::Netns, sys};

use crate::cpu;

/// Frames of one system call.
const BURST: usize = 64;

/// A packet socket on one interface, and frames for it.
pub(super) struct Sender {
    socket: Socket,
}

impl Sender {
    /// Sends on an interface of `host`.
    ///
    /// # Errors
    /// If there is no such interface.
    pub(super) fn open(host: &Netns, interface: &str) -> Result<Self> {
        let open = || -> io::Result<Socket> {
            // Protocol 0 hears nothing.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            socket.bind(&sys::packet_address(if_nametoindex(interface)?))?;
            Ok(socket)
        };
        let socket = host.run(open).with_context(|| format!("a packet socket on {interface}"))?;
        Ok(Self { socket })
    }

    /// Sends so many frames, those that are given over and over: the mean time of one, in
    /// nanoseconds of CPU time. The other end of a veth is worked off by the CPU that sends, before
    /// the next frame.
    ///
    /// # Errors
    /// If the kernel does not take them all.
    pub(super) fn send(&self, frames: &[Vec<u8>], count: u32) -> Result<f64> {
        let mut messages = frames.iter().map(|frame| [IoSlice::new(frame)]).collect::<Vec<_>>();
        // As many as make a burst, for which one frame may have to be there several times.
        while messages.len() < BURST {
            messages.extend_from_within(..);
        }
        let bursts: Vec<_> = messages.chunks_exact(BURST).collect();
        let mut headers = MultiHeaders::<()>::preallocate(BURST, None);
        let addresses = [None; BURST];
        let none: [ControlMessage<'_>; 0] = [];
        let (fd, mut done) = (self.socket.as_raw_fd(), 0);
        let before = cpu::time()?;
        for burst in iter::repeat(bursts).flatten() {
            let room = usize::try_from(count - done)?.min(BURST);
            let flags = MsgFlags::empty();
            let taken = sendmmsg(fd, &mut headers, &burst[..room], addresses, none, flags)?.count();
            ensure!(taken == room, "the kernel took {taken} frames of {room}");
            done += u32::try_from(taken)?;
            if done == count {
                break;
            }
        }
        let spent = cpu::time()?.saturating_sub(before);
        Ok(cpu::mean_ns(spent.as_nanos(), count))
    }
}
