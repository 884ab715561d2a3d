//! A TCP connection through a gateway that is being flooded.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gateway_common::tuple::Family;
use tests::{
    topology::{Lab, OUTSIDE},
    wait::PATIENCE,
};

use super::{Options, Subject, picture, rate_name};
use crate::{
    cpu,
    lab::{
        site::{Site, count},
        stream::Stream,
        traffic::Way,
    },
    report::{Column, Table},
    statistics::Spread,
};

const PORT: u16 = 5201;
const CHUNK_BYTES: usize = 64 * 1024;
/// How long the connection has to come to terms with the flood before anything is counted.
const WARM_UP: Duration = Duration::from_millis(200);
/// How often the receiver looks at the time when nothing comes.
const POLL: Duration = Duration::from_millis(20);

/// What a download gets through beside the flood. All but the generator is on one CPU: the gateway,
/// the router, and both ends.
pub(super) fn megabits_per_sec(site: &mut Site, flood: &Stream, measured: Duration) -> Result<f64> {
    let (inside, outside) = connect(&site.lab)?;
    let last = cpu::last()?;
    thread::scope(|scope| {
        scope.spawn(move || send(outside, last));
        let received = scope.spawn(move || {
            cpu::stay_on(last)?;
            let received = receive(&inside, measured);
            _ = inside.shutdown(Shutdown::Both);
            received
        });
        // Lasts longer than what is measured.
        let flooded = site.send_for(Way::In, flood, 2 * WARM_UP + measured * 3 / 2);
        let bytes = received.join().expect("the receiver returns errors")?;
        flooded?;
        Ok(count(bytes) * 8.0 / 1e6 / measured.as_secs_f64())
    })
}

/// The two ends of a connection that inside opened, before the flood begins.
fn connect(lab: &Lab) -> Result<(TcpStream, TcpStream)> {
    let address = OUTSIDE.port(Family::Ipv6, PORT);
    let listener = lab.outside.run(|| TcpListener::bind(address)).context("listening outside")?;
    let inside = lab
        .inside
        .run(|| TcpStream::connect_timeout(&address, PATIENCE))
        .context("connecting from inside")?;
    let (outside, _) = listener.accept().context("accepting outside")?;
    inside.set_read_timeout(Some(POLL))?;
    outside.set_write_timeout(Some(PATIENCE))?;
    Ok((inside, outside))
}

/// Sends until the other side has had enough; what arrives is counted there.
fn send(mut source: TcpStream, cpu: usize) {
    if cpu::stay_on(cpu).is_ok() {
        let chunk = vec![0x5a; CHUNK_BYTES];
        while source.write_all(&chunk).is_ok() {}
    }
}

/// Bytes that arrive while it is measured.
fn receive(mut sink: &TcpStream, measured: Duration) -> Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (opened, mut bytes) = (Instant::now(), 0);
    loop {
        let elapsed = opened.elapsed();
        if elapsed >= WARM_UP + measured {
            return Ok(bytes);
        }
        match sink.read(&mut chunk) {
            Ok(len) if elapsed >= WARM_UP => bytes += len as u64,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("receiving"),
        }
    }
}

pub(super) fn table(subjects: &[Subject], options: &Options) -> Table {
    let mut rows = Vec::new();
    for (index, &rate) in options.rates.iter().enumerate() {
        for Subject { site, series } in subjects {
            rows.push(vec![
                rate_name(rate),
                site.firewall.name().to_owned(),
                format!("{:.0}", Spread::of(series[index].tcp_megabits.iter().copied())),
            ]);
        }
    }
    let title = "A TCP connection during a flood";
    Table {
        title,
        notes: vec![format!(
            "A download over IPv6 with offloads off while strangers send so many unsolicited UDP \
             datagrams: megabits per second that arrive, median [min – max] of {} interleaved \
             rounds of {} ms. The generator has one CPU; gateway, router, sender and receiver share \
             the other one, so what the flood costs the gateway is taken from the connection. \
             Data comes in through the same ring as the flood.",
            options.rounds, options.turn_ms
        )],
        columns: vec![Column::Words("flood"), Column::Words("firewall"), Column::Numbers("Mbit/s")],
        rows,
        pictures: vec![picture(
            subjects,
            options,
            ("goodput-tcp.svg", title),
            "megabits per second; longer is better",
            |series| &series.tcp_megabits,
        )],
    }
}
