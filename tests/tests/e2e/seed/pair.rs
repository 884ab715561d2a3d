//! Connections of which the test holds both ends.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use serde_json::Value;
use tests::{
    eigw::{Hook, NAME},
    netns::Netns,
    socket,
    topology::{Lab, UPLINK},
    wait::PATIENCE,
};

/// A connection: the end on this side of the uplink, and the other.
pub(super) struct Pair {
    pub(super) inside: Channel,
    pub(super) outside: Channel,
    #[expect(dead_code, reason = "a server goes on taking connections")]
    pub(super) listener: Option<TcpListener>,
}

/// One end of a connection.
pub(super) enum Channel {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Channel {
    pub(super) fn local(&self) -> SocketAddr {
        let local = match self {
            Self::Tcp(stream) => stream.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        };
        local.expect("it is connected")
    }

    pub(super) fn send(&self, payload: &[u8]) {
        let sent = match self {
            Self::Tcp(stream) => (&*stream).write_all(payload),
            Self::Udp(socket) => socket.send(payload).map(drop),
        };
        sent.unwrap_or_else(|error| panic!("send from {}: {error}", self.local()));
    }

    /// Receives as many bytes as were sent.
    pub(super) fn receive(&self, payload: &[u8], patience: Duration) -> io::Result<()> {
        let mut received = vec![0; payload.len()];
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(patience))?;
                (&*stream).read_exact(&mut received)?;
            }
            Self::Udp(socket) => {
                socket.set_read_timeout(Some(patience))?;
                socket.recv(&mut received)?;
            }
        }
        assert_eq!(received, payload, "{} received something else", self.local());
        Ok(())
    }
}

impl Pair {
    /// A TCP connection that `client` opens to `server`, where `listening` is bound; `outside` tells
    /// which of the two is outside. It has been used, and is idle now.
    pub(super) fn tcp(
        server: &Netns,
        listening: impl Into<SocketAddr>,
        client: &Netns,
        target: SocketAddr,
        outside: Side,
    ) -> Self {
        let listening = listening.into();
        let listener = server.run(|| TcpListener::bind(listening)).expect("the port is free");
        let near = socket::connect(client, target, PATIENCE).expect("a connection");
        let (far, _) = listener.accept().expect("the connection");
        let pair = Self::of(Channel::Tcp(far), Channel::Tcp(near), outside).used();
        Self { listener: Some(listener), ..pair }
    }

    /// Two UDP sockets that are connected to each other and have talked.
    pub(super) fn udp(server: &Netns, at: SocketAddr, client: &Netns, outside: Side) -> Self {
        let far = server.run(|| UdpSocket::bind(at)).expect("the port is free");
        let near = socket::udp_client(client, at, PATIENCE).expect("a socket");
        far.set_read_timeout(Some(PATIENCE)).expect("set");
        near.send(b"hello").expect("sent");
        // Where the client is behind a translation, only its datagrams tell its address.
        let (_, from) = far.recv_from(&mut [0; 16]).expect("a datagram");
        far.connect(from).expect("an address");
        Self::of(Channel::Udp(far), Channel::Udp(near), outside).used()
    }

    fn of(server: Channel, client: Channel, outside: Side) -> Self {
        match outside {
            Side::Server => Self { inside: client, outside: server, listener: None },
            Side::Client => Self { inside: server, outside: client, listener: None },
        }
    }

    fn used(self) -> Self {
        self.goes_on(b"before");
        self
    }

    /// Makes sure that both ends hear each other; outside speaks first.
    #[track_caller]
    pub(super) fn goes_on(&self, payload: &[u8]) {
        for (from, to) in [(&self.outside, &self.inside), (&self.inside, &self.outside)] {
            from.send(payload);
            if let Err(error) = to.receive(payload, PATIENCE) {
                panic!("{} did not hear {}: {error}", to.local(), from.local());
            }
        }
    }

    /// Makes sure that inside does not hear outside.
    #[track_caller]
    pub(super) fn is_cut(&self, lab: &Lab, reason: &str) {
        lab.expect_drops(reason, 1, || self.outside.send(b"lost"));
        let heard = self.inside.receive(b"lost", Duration::from_millis(100));
        let error = heard.expect_err("it should have been cut");
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    }
}

/// Which end of a connection is outside.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Server,
    Client,
}

/// Protects the uplink, and tells how many flows were seeded: of sockets, of conntrack, and those
/// that were skipped.
#[track_caller]
pub(super) fn attach(lab: &Lab, hook: Hook, arguments: &[&str]) -> [u64; 3] {
    seeded(&answer(lab, hook, arguments))
}

/// What attaching answers.
#[track_caller]
pub(super) fn answer(lab: &Lab, hook: Hook, arguments: &[&str]) -> Value {
    let usual = ["attach", "--uplink", UPLINK, "--name", NAME, "--hook", hook.name()];
    lab.eigw_json(&[&usual, arguments].concat())
}

/// The numbers of seeded flows in what attaching answered.
#[track_caller]
pub(super) fn seeded(answer: &Value) -> [u64; 3] {
    ["sockets", "conntrack", "skipped"].map(|source| {
        let number = answer["seeded"][source].as_u64();
        number.unwrap_or_else(|| panic!("no number of {source} in {answer:#}"))
    })
}
