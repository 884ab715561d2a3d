//! What both policies allow does not notice that they are swapped.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tests::{
    address::{Dual, FAMILIES},
    config::Prepared,
    eigw::Hook,
    netns::Netns,
    socket,
    topology::{INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::{Durations, swaps};
use crate::{in_every_hook, traffic::drops};

in_every_hook!(allowed_flows_lose_no_packet);

/// Datagrams that are under way together.
const WINDOW: u64 = 8;
/// Bytes that travel together on a connection.
const BLOCK: usize = 16 << 10;
/// Time between two exchanges: the pace of the traffic.
const PACE: Duration = Duration::from_micros(500);

const POLICY_A: &str = "[[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"tcp\"\n\
    ports = 443\n\
    [[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"udp\"\nports = 53\n";
/// The same for the traffic at hand, by other means: rules, places, subnets and routes.
const POLICY_B: &str = "[[rule]]\ndirection = \"out\"\naction = \"allow\"\nports = [7, 9]\n\
    proto = [\"tcp\", \"udp\"]\n\
    [[rule]]\ndirection = \"out\"\naction = \"deny\"\n\
    [[rule]]\ndirection = \"in\"\naction = \"deny\"\nproto = \"tcp\"\nports = \"1-442\"\n\
    [[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"udp\"\nports = \"50-60\"\n\
    [[subnet]]\nname = \"v4\"\nprefix = \"10.77.1.0/24\"\nroute = \"internet\"\n\
    [[subnet]]\nname = \"v6\"\nprefix = \"2a00:1:0:a::/64\"\nroute = \"internet\"\n";

/// Connections and sequences of datagrams, opened by either side, in both families: every byte
/// and every datagram arrives, and the gateway drops nothing whatsoever.
fn allowed_flows_lose_no_packet(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, POLICY_A);
    let (a, b) = (Prepared::of_lab(POLICY_A), Prepared::of_lab(POLICY_B));
    let (mut services, mut exchanges) = (Vec::new(), Vec::new());
    for family in FAMILIES {
        for (client, server, at, [tcp, udp]) in [
            (&lab.inside, &lab.outside, OUTSIDE, [7, 9]),
            (&lab.outside, &lab.inside, INSIDE, [443, 53]),
        ] {
            services.push(socket::tcp_echo(server, Dual::port(at, family, tcp)));
            services.push(socket::udp_echo(server, at.port(family, udp)));
            exchanges.push(Exchanges::tcp(client, at.port(family, tcp)));
            exchanges.push(Exchanges::udp(client, at.port(family, udp)));
        }
    }
    exchanges.iter().for_each(Exchanges::progress);
    let mut durations = Durations::default();
    for swap in 0..swaps(hook) / 2 {
        durations.time(|| lab.reload(&b));
        durations.time(|| lab.reload(&a));
        // From time to time each has to have gone on, so that none sleeps through the swaps.
        if swap % 10 == 0 {
            exchanges.iter().for_each(Exchanges::progress);
        }
    }
    exchanges.into_iter().for_each(Exchanges::finish);
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    println!("allowed: {durations}");
}

/// Questions and answers, one after the other, none of which may be lost.
struct Exchanges {
    name: String,
    done: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Exchanges {
    /// Blocks of bytes on one connection.
    fn tcp(client: &Netns, server: SocketAddr) -> Self {
        let stream = socket::connect(client, server, PATIENCE).expect("a connection");
        let name = format!("connection of {} to {server}", client.name());
        Self::start(name, move |number| exchange_block(&stream, number))
    }

    /// Numbered datagrams.
    fn udp(client: &Netns, server: SocketAddr) -> Self {
        let socket = socket::udp_client(client, server, PATIENCE).expect("a socket");
        let name = format!("datagrams of {} to {server}", client.name());
        Self::start(name, move |number| exchange_datagrams(&socket, number))
    }

    fn start(
        name: String,
        mut exchange: impl FnMut(u64) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (done, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (done, is_over) = (Arc::clone(&done), Arc::clone(&is_over));
            move || {
                while !is_over.load(Ordering::Acquire) {
                    exchange(done.load(Ordering::Acquire))?;
                    done.fetch_add(1, Ordering::AcqRel);
                    thread::park_timeout(PACE);
                }
                Ok(())
            }
        });
        Self { name, done, is_over, thread }
    }

    /// Waits until a few more have been completed.
    fn progress(&self) {
        let goal = self.done.load(Ordering::Acquire) + 2;
        wait::until_true(&format!("the {} to go on", self.name), || {
            assert!(!self.thread.is_finished(), "the {} broke", self.name);
            self.done.load(Ordering::Acquire) >= goal
        });
    }

    /// Ends, and makes sure that nothing was lost.
    fn finish(self) {
        self.is_over.store(true, Ordering::Release);
        let done = self.done.load(Ordering::Acquire);
        let result = self.thread.join().expect("the exchange does not panic");
        result.unwrap_or_else(|error| panic!("the {} broke after {done}: {error}", self.name));
        println!("allowed: {}: {done} exchanges, 0 lost", self.name);
    }
}

/// Sends a block whose bytes depend on its number, and wants the same back.
fn exchange_block(mut stream: &TcpStream, number: u64) -> io::Result<()> {
    let first = number.to_le_bytes()[0];
    let block: Vec<u8> = (0..=250).cycle().skip(usize::from(first) % 251).take(BLOCK).collect();
    stream.write_all(&block)?;
    let mut echoed = vec![0; BLOCK];
    stream.read_exact(&mut echoed)?;
    if echoed == block { Ok(()) } else { Err(io::Error::other("the bytes changed")) }
}

/// Sends a window of numbered datagrams, and wants each back exactly once.
fn exchange_datagrams(socket: &UdpSocket, number: u64) -> io::Result<()> {
    let numbers = number * WINDOW..(number + 1) * WINDOW;
    for number in numbers.clone() {
        socket.send(&number.to_be_bytes())?;
    }
    let mut missing: BTreeSet<u64> = numbers.collect();
    while !missing.is_empty() {
        let mut number = [0; 8];
        socket.recv(&mut number).map_err(|error| {
            io::Error::new(error.kind(), format!("{missing:?} did not come back: {error}"))
        })?;
        let number = u64::from_be_bytes(number);
        if !missing.remove(&number) {
            return Err(io::Error::other(format!("{number} came back twice")));
        }
    }
    Ok(())
}
