//! TCP connections at full speed.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gateway_common::tuple::Family;
use tests::{
    topology::{Lab, OUTSIDE},
    wait::PATIENCE,
};

use crate::cpu;

const PORT: u16 = 5201;
/// How much one system call hands over.
const CHUNK_BYTES: usize = 128 * 1024;
/// Congestion control finds its speed before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// Which way the data goes. Inside opens the connection either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From outside to inside, through the ingress hook.
    Download,
    /// From inside to outside, through the egress hook.
    Upload,
}

impl Direction {
    pub(super) const ALL: [Self; 2] = [Self::Download, Self::Upload];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// Sends over so many connections for `secs` seconds after the warm-up and returns what arrived on
/// all of them, in gigabits per second.
///
/// # Errors
/// If there is no connection, or nothing arrives.
pub(super) fn gigabits_per_sec(
    lab: &Lab,
    direction: Direction,
    streams: u32,
    secs: u64,
) -> Result<f64> {
    let address = OUTSIDE.port(Family::Ipv6, PORT);
    let listener = lab.outside.run(|| TcpListener::bind(address)).context("listening outside")?;
    let ends = (0..streams).map(|_| connect(lab, &listener)).collect::<Result<Vec<_>>>()?;
    // Senders and receivers on CPUs of their own, always the same ones: moving about would be
    // most of the spread.
    let (first, last) = (cpu::first()?, cpu::last()?);
    thread::scope(|scope| {
        let mut transfers = Vec::new();
        for (inside, outside) in ends {
            let (source, sink) = match direction {
                Direction::Download => (outside, inside),
                Direction::Upload => (inside, outside),
            };
            let sender = scope.spawn(move || -> Result<()> {
                cpu::stay_on(first)?;
                send(source);
                Ok(())
            });
            let receiver = scope.spawn(move || -> Result<f64> {
                cpu::stay_on(last)?;
                let rate = receive(&sink, Duration::from_secs(secs));
                // Ends the sender too.
                _ = sink.shutdown(Shutdown::Both);
                rate
            });
            transfers.push((sender, receiver));
        }
        let mut total = 0.0;
        for (sender, receiver) in transfers {
            total += receiver.join().expect("the receiver returns errors")?;
            sender.join().expect("the sender returns errors")?;
        }
        Ok(total)
    })
}

/// The two ends of a connection that inside opened.
fn connect(lab: &Lab, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let address = OUTSIDE.port(Family::Ipv6, PORT);
    let inside = lab
        .inside
        .run(|| TcpStream::connect_timeout(&address, PATIENCE))
        .context("connecting from inside")?;
    let (outside, _) = listener.accept().context("accepting outside")?;
    for stream in [&inside, &outside] {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((inside, outside))
}

/// Sends until the other side has had enough; whether all went well is seen there.
fn send(mut source: TcpStream) {
    let chunk = vec![0x5a; CHUNK_BYTES];
    while source.write_all(&chunk).is_ok() {}
}

fn receive(mut sink: &TcpStream, measured: Duration) -> Result<f64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let opened = Instant::now();
    while opened.elapsed() < WARM_UP {
        ensure!(sink.read(&mut chunk).context("receiving")? > 0, "the sender gave up");
    }
    let started = Instant::now();
    let mut bytes = 0_u64;
    loop {
        let len = sink.read(&mut chunk).context("receiving")?;
        ensure!(len > 0, "the sender gave up");
        bytes += len as u64;
        let elapsed = started.elapsed();
        if elapsed >= measured {
            let gigabits = Duration::from_nanos(bytes * 8).as_secs_f64();
            return Ok(gigabits / elapsed.as_secs_f64());
        }
    }
}
