//! One exchange after the other, client and server on one CPU.

use std::{
    io::Read as _,
    net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use gateway_common::tuple::Family;
use tests::{
    topology::{Lab, OUTSIDE},
    wait::PATIENCE,
};

use crate::cpu;

const UDP_PORT: u16 = 7;
const TCP_PORT: u16 = 5202;
/// An empty datagram tells the server to stop.
const QUESTION: [u8; 32] = [0x5a; 32];

/// Percentiles of a turn, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrips {
    pub(super) p10: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Asks and awaits an answer, so many times.
pub(super) fn round_trips(lab: &Lab, number: u32) -> Result<RoundTrips> {
    let address = OUTSIDE.port(Family::Ipv6, UDP_PORT);
    let server = lab.outside.run(|| UdpSocket::bind(address)).context("listening outside")?;
    let client = lab.inside.run(|| -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        socket.connect(address)?;
        Ok(socket)
    });
    let client = client.context("a socket inside")?;
    server.set_read_timeout(Some(PATIENCE))?;
    client.set_read_timeout(Some(PATIENCE))?;
    let cpu = cpu::last()?;
    let mut micros = thread::scope(|scope| {
        let server = scope.spawn(|| answer(&server, cpu));
        let client = scope.spawn(|| ask(&client, cpu, number));
        let micros = client.join().expect("the client returns errors")?;
        server.join().expect("the server returns errors")?;
        anyhow::Ok(micros)
    })?;
    micros.sort_by(f64::total_cmp);
    let percentile = |percent: usize| micros[(micros.len() - 1) * percent / 100];
    Ok(RoundTrips { p10: percentile(10), p50: percentile(50), p99: percentile(99) })
}

fn answer(socket: &UdpSocket, cpu: usize) -> Result<()> {
    cpu::stay_on(cpu)?;
    let mut question = QUESTION;
    loop {
        let (len, from) = socket.recv_from(&mut question).context("awaiting a question")?;
        if len == 0 {
            return Ok(());
        }
        socket.send_to(&question[..len], from).context("answering")?;
    }
}

fn ask(socket: &UdpSocket, cpu: usize, number: u32) -> Result<Vec<f64>> {
    cpu::stay_on(cpu)?;
    let mut answer = QUESTION;
    let mut micros = Vec::new();
    for _ in 0..number {
        let asked = Instant::now();
        socket.send(&QUESTION).context("asking")?;
        let len = socket.recv(&mut answer).context("awaiting an answer")?;
        micros.push(asked.elapsed().as_secs_f64() * 1e6);
        ensure!(len == QUESTION.len(), "an answer of {len} bytes");
    }
    socket.send(&[]).context("ending")?;
    Ok(micros)
}

/// Opens and closes so many connections: how many in a second.
pub(super) fn connections_per_sec(lab: &Lab, number: u32) -> Result<f64> {
    let address = OUTSIDE.port(Family::Ipv6, TCP_PORT);
    let listener = lab.outside.run(|| TcpListener::bind(address)).context("listening outside")?;
    let cpu = cpu::last()?;
    let server = || -> Result<()> {
        cpu::stay_on(cpu)?;
        for _ in 0..number {
            drop(listener.accept().context("accepting")?);
        }
        Ok(())
    };
    let client = || -> Result<f64> {
        cpu::stay_on(cpu)?;
        let started = Instant::now();
        for _ in 0..number {
            let mut stream = TcpStream::connect(address).context("connecting")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let len = stream.read(&mut [0]).context("awaiting the end")?;
            ensure!(len == 0, "the server said something");
        }
        Ok(f64::from(number) / started.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let server = scope.spawn(server);
        let rate = lab.inside.run(client);
        server.join().expect("the server returns errors")?;
        rate
    })
}
