//! One direction between two sockets, on which numbered datagrams say what they may expect.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use tests::netns::Netns;

/// How much a socket may hold until its station looks, in bytes: far more than can be under way.
const BUFFER_BYTES: usize = 16 << 20;

/// Which of two policies is in force, as far as a sender can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    A,
    B,
    /// One is being replaced by the other.
    Either,
}

impl Belief {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::Either => b'?',
        }
    }

    pub(super) fn decode(code: u8) -> Self {
        let all = [Self::A, Self::B, Self::Either].into_iter();
        all.clone().find(|belief| belief.code() == code).expect("only our datagrams arrive")
    }
}

/// Which of the two policies allow what a lane carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    pub(super) by_a: bool,
    pub(super) by_b: bool,
}

impl Allowed {
    pub(super) const BOTH: Self = Self { by_a: true, by_b: true };
    pub(super) const ONLY_A: Self = Self { by_a: true, by_b: false };
    pub(super) const ONLY_B: Self = Self { by_a: false, by_b: true };
    pub(super) const NEITHER: Self = Self { by_a: false, by_b: false };

    /// Whether a datagram that was sent in this belief may arrive.
    pub(super) const fn may_arrive(self, belief: Belief) -> bool {
        match belief {
            Belief::A => self.by_a,
            Belief::B => self.by_b,
            Belief::Either => self.by_a || self.by_b,
        }
    }

    /// Whether a datagram that was sent in this belief must arrive.
    pub(super) const fn must_arrive(self, belief: Belief) -> bool {
        match belief {
            Belief::A => self.by_a,
            Belief::B => self.by_b,
            Belief::Either => self.by_a && self.by_b,
        }
    }
}

/// A lane's plan.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) from: Arc<UdpSocket>,
    pub(super) to: SocketAddr,
    pub(super) allowed: Allowed,
    /// Whether each datagram that a policy allows must arrive. Not so where an allowed lane is
    /// closed until the other end of its flow has spoken again.
    pub(super) is_strict: bool,
    /// In which belief the sender speaks; in any without this.
    pub(super) only_in: Option<Belief>,
}

impl Lane {
    pub(super) fn new(
        name: impl Into<String>,
        from: &Arc<UdpSocket>,
        to: &UdpSocket,
        allowed: Allowed,
    ) -> Self {
        let to = to.local_addr().expect("bound");
        let from = Arc::clone(from);
        Self { name: name.into(), from, to, allowed, is_strict: true, only_in: None }
    }

    /// A lane that may be closed although a policy allows it.
    pub(super) fn lenient(self) -> Self {
        Self { is_strict: false, ..self }
    }

    /// A lane that is used in one belief only.
    pub(super) fn only_in(self, belief: Belief) -> Self {
        Self { only_in: Some(belief), ..self }
    }
}

/// What happened on a lane.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) arrived: AtomicU64,
    /// Sent, and had to arrive.
    pub(super) owed: AtomicU64,
    /// Arrived, and had to.
    pub(super) kept: AtomicU64,
    /// Arrived although what was in force forbade it.
    pub(super) trespassed: AtomicU64,
}

impl Counters {
    pub(super) fn note_sent(&self, lane: &Lane, belief: Belief) {
        if lane.allowed.must_arrive(belief) {
            self.owed.fetch_add(1, Ordering::AcqRel);
        }
        self.sent.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn note_arrived(&self, lane: &Lane, belief: Belief) {
        if lane.allowed.must_arrive(belief) {
            self.kept.fetch_add(1, Ordering::AcqRel);
        }
        if !lane.allowed.may_arrive(belief) {
            self.trespassed.fetch_add(1, Ordering::AcqRel);
        }
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }
}

/// A socket of `host` that loses nothing for want of room.
pub(super) fn socket(host: &Netns, at: SocketAddr) -> Arc<UdpSocket> {
    let socket = host.run(|| UdpSocket::bind(at));
    let socket = socket.unwrap_or_else(|error| panic!("bind {at}: {error}"));
    setsockopt(&socket, RcvBufForce, &BUFFER_BYTES).expect("root may have large buffers");
    socket.set_nonblocking(true).expect("sockets can be non-blocking");
    Arc::new(socket)
}
