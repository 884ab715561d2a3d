//! A flow that never pauses, and misses every packet that gets lost.

use std::{
    collections::BTreeSet,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tests::{netns::Netns, socket, wait};

/// Datagrams under way at a time: enough that some are in any gap, too few for queues to drop.
const WINDOW: usize = 32;
/// A datagram that is not back by now is lost: on these links it takes microseconds.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// How many datagrams make sure that traffic flowed after a change.
const ENOUGH: u64 = 300;

/// Numbered datagrams to an echo service, each of which must come back exactly once.
pub(crate) struct Stream {
    name: String,
    returned: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<u64>>,
}

impl Stream {
    /// Starts a stream from `host` to an echo service, and waits until it flows.
    pub(crate) fn start(host: &Netns, server: SocketAddr) -> Self {
        let socket = socket::udp_client(host, server, LOST_AFTER).expect("a socket");
        let returned = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (returned, stop) = (Arc::clone(&returned), Arc::clone(&stop));
            move || run(&socket, &returned, &stop)
        });
        let stream = Self { name: format!("{} to {server}", host.name()), returned, stop, thread };
        stream.progress();
        stream
    }

    /// Whether datagrams were lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until many more datagrams have come back.
    #[track_caller]
    pub(crate) fn progress(&self) {
        let goal = self.returned.load(Ordering::Acquire) + ENOUGH;
        wait::until_true(&format!("the stream {} to go on", self.name), || {
            assert!(!self.is_broken(), "the stream {} lost datagrams", self.name);
            self.returned.load(Ordering::Acquire) >= goal
        });
    }

    /// Ends the stream and makes sure that no datagram was lost.
    #[track_caller]
    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Release);
        let lost = self.thread.join().expect("the stream's thread does not panic");
        let returned = self.returned.load(Ordering::Acquire);
        assert!(lost.is_empty(), "{}: lost {lost:?} after {returned} that came back", self.name);
    }
}

/// Keeps the window full until it is time to stop, or until something got lost; then collects
/// what is still under way. Returns the numbers that never came back.
fn run(socket: &UdpSocket, returned: &AtomicU64, stop: &AtomicBool) -> BTreeSet<u64> {
    let mut under_way = BTreeSet::new();
    let mut next = 0_u64;
    loop {
        while under_way.len() < WINDOW && !stop.load(Ordering::Acquire) {
            socket.send(&next.to_be_bytes()).expect("the stream can send");
            under_way.insert(next);
            next += 1;
        }
        if under_way.is_empty() {
            return under_way;
        }
        let mut number = [0; 8];
        match socket.recv(&mut number) {
            Ok(_) => {
                let number = u64::from_be_bytes(number);
                assert!(under_way.remove(&number), "{number} came back twice");
                returned.fetch_add(1, Ordering::Release);
                // Whatever is a whole window behind its successors will not come any more.
                let oldest = under_way.first().copied().unwrap_or(next);
                if next - oldest > 64 * WINDOW as u64 {
                    return under_way;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return under_way,
            Err(error) => panic!("the stream broke: {error}"),
        }
    }
}
