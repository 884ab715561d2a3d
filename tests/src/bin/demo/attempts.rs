//! What outside tries, and how each attempt is shown to have failed: the gateway counted the
//! drop, and whoever waited for an answer waited in vain.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Result, bail, ensure};
use gateway_common::tuple::Family;
use tests::{
    address::FAMILIES,
    capture::Link,
    icmp,
    packet::{Packet, flag},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, STRANGER, UPLINK_MAC},
};

use crate::{ECHO, WEB, open_socket, story::Story};

/// How long outside waits for an answer that must not come.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(300);

/// All attempts, in both families.
pub(crate) fn all(story: &mut Story, lab: &Lab) {
    for family in FAMILIES {
        let inside = INSIDE.ip(family);
        story.check(format!("outside connects to inside's web server at {inside}"), || {
            let server = INSIDE.port(family, WEB);
            dropped(lab, "no-flow", || socket::connect(&lab.outside, server, BRIEFLY).map(drop))
        });
        story.check(format!("outside sends UDP to {inside}"), || {
            let server = INSIDE.port(family, ECHO);
            dropped(lab, "no-flow", || {
                socket::udp_exchange(&lab.outside, server, b"hello?", BRIEFLY).map(drop)
            })
        });
        story.check(format!("outside pings {inside}"), || {
            dropped(lab, "ping-refused", || icmp::ping(&lab.outside, inside))
        });
        story.check("outside forges the second half of a TCP handshake", || {
            forged_handshake(lab, family)
        });
        story.check("a stranger forges a reply to inside's live UDP flow", || {
            forged_reply(lab, family)
        });
    }
}

/// Makes an attempt that must stay without an answer while the gateway counts its drop.
fn dropped(lab: &Lab, reason: &str, attempt: impl FnOnce() -> io::Result<()>) -> Result<String> {
    match lab.expect_drops(reason, 1, attempt) {
        Ok(()) => bail!("it was answered"),
        Err(error) if is_silence(&error) => Ok(format!("silence; dropped as {reason}")),
        Err(error) => bail!("it was refused instead of dropped: {error}"),
    }
}

fn forged_handshake(lab: &Lab, family: Family) -> Result<String> {
    let forged = Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family))
        .macs(ROUTER_MAC, UPLINK_MAC)
        .tcp(443, 40_000, flag::SYN | flag::ACK)
        .frame();
    // Inside would answer a segment that it does not expect with a reset.
    let reset = |frame: &[u8]| is_tcp_from_inside(frame, family);
    let link = Link::open(&lab.router, "gateway");
    lab.expect_drops("no-flow", 1, || link.send(&forged));
    let resets = link.heard(reset);
    ensure!(resets.is_empty(), "inside answered {resets:02x?}");
    Ok("silence; dropped as no-flow".into())
}

fn forged_reply(lab: &Lab, family: Family) -> Result<String> {
    let client = open_socket(lab, INSIDE.port(family, 0))?;
    let server = OUTSIDE.port(family, ECHO);
    client.send_to(b"question", server)?;
    let mut answer = [0; 64];
    let (_, from) = client.recv_from(&mut answer)?;
    ensure!(from == server, "the answer came from {from}");
    let forged = Packet::ip(STRANGER.ip(family), INSIDE.ip(family))
        .macs(ROUTER_MAC, UPLINK_MAC)
        .udp(ECHO, client.local_addr()?.port())
        .payload(b"lie")
        .frame();
    lab.expect_drops("no-flow", 1, || Link::open(&lab.router, "gateway").send(&forged));
    match client.recv_from(&mut answer) {
        Ok((_, liar)) => bail!("inside believed {liar}"),
        Err(error) if is_silence(&error) => {}
        Err(error) => bail!(error),
    }
    let still: (usize, SocketAddr) = {
        client.send_to(b"question", server)?;
        client.recv_from(&mut answer)?
    };
    ensure!(still.1 == server, "the answer came from {}", still.1);
    Ok("dropped as no-flow; the flow itself lives on".into())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Whether the frame is TCP whose source is the inside host.
fn is_tcp_from_inside(frame: &[u8], family: Family) -> bool {
    let (source, protocol) = match family {
        Family::Ipv4 => (26..30, 23),
        Family::Ipv6 => (22..38, 20),
    };
    let inside: &[u8] = match family {
        Family::Ipv4 => &INSIDE.v4.octets(),
        Family::Ipv6 => &INSIDE.v6.octets(),
    };
    frame.get(source) == Some(inside) && frame.get(protocol) == Some(&6)
}
