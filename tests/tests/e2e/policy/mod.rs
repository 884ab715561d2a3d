//! What subnets, rules and switches do to real traffic, and what the commands say of it.

mod commands;
mod flood;
mod forged;
mod outbound;
mod published;
mod rfc6092;
mod routes;
mod scale;

use std::{io, time::Duration};

use tests::{netns::Netns, socket};

/// How long somebody waits for what must not come.
const BRIEFLY: Duration = Duration::from_millis(300);

/// The inside host's subnets, with this route.
fn subnets(route: &str) -> String {
    format!(
        "[[subnet]]\nname = \"v4\"\nprefix = \"10.77.1.0/24\"\nroute = \"{route}\"\n\
         [[subnet]]\nname = \"v6\"\nprefix = \"2a00:1:0:a::/64\"\nroute = \"{route}\"\n"
    )
}

/// A rule; `rest` is what else it says, a key on each line.
fn rule(direction: &str, action: &str, rest: &str) -> String {
    format!("[[rule]]\ndirection = \"{direction}\"\naction = \"{action}\"\n{rest}\n")
}

/// Makes sure that a TCP connection gets no answer.
#[track_caller]
fn assert_unreachable(from: &Netns, server: std::net::SocketAddr) {
    assert_silence(socket::connect(from, server, BRIEFLY).map(drop));
}

#[track_caller]
fn assert_silence(outcome: io::Result<()>) {
    let error = outcome.expect_err("somebody answered");
    let silent = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    assert!(silent, "refused instead of ignored: {error}");
}
