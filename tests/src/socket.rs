//! Servers and clients that use the network as ordinary programs do.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::EventFd,
};
use socket2::{Domain, Socket, Type};

use crate::{
    netns::Netns,
    wait::{PATIENCE, patient},
};

/// A service on a host; it ends when this value goes away.
pub struct Server {
    address: SocketAddr,
    served: Arc<AtomicU64>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Accepts TCP connections and hands each to `handler` on a thread of its own.
    ///
    /// # Panics
    /// If the address cannot be listened on.
    #[must_use]
    pub fn tcp(
        host: &Netns,
        address: SocketAddr,
        handler: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
    ) -> Self {
        let listener = host
            .run(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("listen on {address}: {error}"));
        Self::start(address, listener, move |listener| {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(patient(PATIENCE)))?;
            stream.set_write_timeout(Some(patient(PATIENCE)))?;
            let handler = handler.clone();
            // A connection that breaks is the client's to notice.
            thread::spawn(move || _ = handler(stream));
            Ok(())
        })
    }

    /// Answers each UDP datagram with what `handler` makes of it, if anything.
    ///
    /// # Panics
    /// If the address cannot be bound.
    #[must_use]
    pub fn udp(
        host: &Netns,
        address: SocketAddr,
        handler: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = host
            .run(|| UdpSocket::bind(address))
            .unwrap_or_else(|error| panic!("bind {address}: {error}"));
        Self::start(address, socket, move |socket| {
            let mut request = vec![0; 65_536];
            let (len, from) = socket.recv_from(&mut request)?;
            if let Some(answer) = handler(&request[..len]) {
                // An answer that cannot be sent is the client's to notice.
                _ = socket.send_to(&answer, from);
            }
            Ok(())
        })
    }

    /// How many connections or datagrams have reached the service.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Acquire)
    }

    /// Where the service listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn start<S: AsFd + Send + 'static>(
        address: SocketAddr,
        socket: S,
        mut serve: impl FnMut(&S) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(EventFd::new().expect("an eventfd can be had"));
        let served = Arc::new(AtomicU64::new(0));
        let thread = thread::spawn({
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            move || {
                while wait_for_work(&socket, &stop) {
                    // A connection may be gone before it is accepted: that is no work.
                    if serve(&socket).is_ok() {
                        served.fetch_add(1, Ordering::Release);
                    }
                }
            }
        });
        Self { address, served, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.write(1).expect("the eventfd is open");
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}, served {})", self.address, self.served())
    }
}

/// A TCP service that returns every byte.
///
/// # Panics
/// If the address cannot be listened on.
#[must_use]
pub fn tcp_echo(host: &Netns, address: SocketAddr) -> Server {
    Server::tcp(host, address, |stream| io::copy(&mut &stream, &mut &stream).map(drop))
}

/// A UDP service that returns every datagram.
///
/// # Panics
/// If the address cannot be bound.
#[must_use]
pub fn udp_echo(host: &Netns, address: SocketAddr) -> Server {
    Server::udp(host, address, |request| Some(request.to_vec()))
}

/// A web server with one page.
///
/// # Panics
/// If the address cannot be listened on.
#[must_use]
pub fn http(host: &Netns, address: SocketAddr, page: &'static str) -> Server {
    Server::tcp(host, address, move |mut stream| {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{page}",
            page.len()
        )
    })
}

/// Fetches `/` and returns the page.
///
/// # Errors
/// If the server cannot be reached within `patience`, or answers with anything but a page.
pub fn http_get(host: &Netns, server: SocketAddr, patience: Duration) -> io::Result<String> {
    let mut stream = connect(host, server, patience)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, page)) if head.starts_with("HTTP/1.1 200") => Ok(page.to_owned()),
        _ => Err(io::Error::other(format!("the server answered {answer:?}"))),
    }
}

/// Opens a TCP connection; reads and writes on it give up after `patience`, too.
///
/// # Errors
/// If it is not established within `patience`.
pub fn connect(host: &Netns, server: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let patience = patient(patience);
    let stream = host.run(|| TcpStream::connect_timeout(&server, patience))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a TCP connection from a given address and port.
///
/// # Errors
/// If the address cannot be used, or the connection is not established within `patience`.
pub fn connect_from(
    host: &Netns,
    local: SocketAddr,
    server: SocketAddr,
    patience: Duration,
) -> io::Result<TcpStream> {
    let socket = host.run(|| Socket::new(Domain::for_address(local), Type::STREAM, None))?;
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    let patience = patient(patience);
    socket.connect_timeout(&server.into(), patience)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends `payload` to a TCP echo service on a new connection and returns what comes back.
///
/// # Errors
/// If the connection fails or is idle for longer than `patience`.
pub fn tcp_exchange(
    host: &Netns,
    server: SocketAddr,
    payload: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let stream = connect(host, server, patience)?;
    exchange(&stream, payload)
}

/// Sends `payload` on an open connection, whose peer echoes, and returns as many bytes.
///
/// # Errors
/// If the connection fails or is idle for longer than its timeouts.
///
/// # Panics
/// Never: the thread that writes does not.
pub fn exchange(stream: &TcpStream, payload: &[u8]) -> io::Result<Vec<u8>> {
    // Both directions at once: neither side's buffers hold a large payload.
    thread::scope(|scope| {
        let writer = scope.spawn(|| (&mut &*stream).write_all(payload));
        let mut echoed = vec![0; payload.len()];
        (&mut &*stream).read_exact(&mut echoed)?;
        writer.join().expect("the writer does not panic")?;
        Ok(echoed)
    })
}

/// A UDP socket of `host` that talks to one peer and gives up waiting after `patience`.
///
/// # Errors
/// If the kernel has no route.
pub fn udp_client(host: &Netns, peer: SocketAddr, patience: Duration) -> io::Result<UdpSocket> {
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = host.run(|| UdpSocket::bind(any))?;
    socket.set_read_timeout(Some(patient(patience)))?;
    socket.connect(peer)?;
    Ok(socket)
}

/// A UDP socket of `host` at a given address, which talks to one peer and gives up waiting after
/// [`PATIENCE`]. A host with several addresses chooses one by itself otherwise.
///
/// # Errors
/// If the address cannot be used, or the kernel has no route.
pub fn udp_client_from(host: &Netns, local: SocketAddr, peer: SocketAddr) -> io::Result<UdpSocket> {
    let socket = host.run(|| UdpSocket::bind(local))?;
    socket.set_read_timeout(Some(patient(PATIENCE)))?;
    socket.connect(peer)?;
    Ok(socket)
}

/// Sends one datagram to a UDP service and returns its answer.
///
/// # Errors
/// If no answer comes within `patience`, or an ICMP error does.
pub fn udp_exchange(
    host: &Netns,
    server: SocketAddr,
    payload: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let socket = udp_client(host, server, patience)?;
    socket.send(payload)?;
    let mut answer = vec![0; 65_536];
    let len = socket.recv(&mut answer)?;
    answer.truncate(len);
    Ok(answer)
}

/// Waits until there is something to serve. False when it is time to stop.
fn wait_for_work(socket: &impl AsFd, stop: &EventFd) -> bool {
    let mut waiting = [
        PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => return !waiting[1].any().unwrap_or(true),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::FAMILIES,
        topology::{Lab, OUTSIDE},
    };

    #[test]
    fn services_answer_in_both_families() {
        let lab = Lab::new();
        for family in FAMILIES {
            let (echo, web) = (OUTSIDE.port(family, 7), OUTSIDE.port(family, 80));
            let servers = [
                tcp_echo(&lab.outside, echo),
                udp_echo(&lab.outside, echo),
                http(&lab.outside, web, "hello"),
            ];
            let payload = vec![7; 300_000];
            let echoed = tcp_exchange(&lab.inside, echo, &payload, PATIENCE).expect("TCP echo");
            assert!(echoed == payload, "TCP echo changed the payload");
            let echoed = udp_exchange(&lab.inside, echo, b"ping", PATIENCE).expect("UDP echo");
            assert_eq!(echoed, b"ping");
            assert_eq!(http_get(&lab.inside, web, PATIENCE).expect("HTTP"), "hello");
            assert_eq!(servers.map(|server| server.served()), [1, 1, 1]);
        }
    }
}

/// What an HTTP server answered.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status line and the headers.
    pub head: String,
    /// What follows.
    pub body: String,
}

/// Asks an HTTP server for `path`, in one of the formats of `accept`.
///
/// # Errors
/// It cannot be reached, breaks off, or does not speak HTTP.
pub fn http_request(
    host: &Netns,
    server: SocketAddr,
    path: &str,
    accept: &str,
) -> io::Result<HttpAnswer> {
    let mut stream = connect(host, server, PATIENCE)?;
    // Without connections that are kept, the answer ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\nAccept: {accept}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP answer"))?;
    Ok(HttpAnswer { head: head.to_owned(), body: body.to_owned() })
}
