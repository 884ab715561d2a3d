//! Attaching from an SSH session whose client could not log in again.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Command,
};

use gateway_common::tuple::Family;
use tests::{
    address::{Dual, FAMILIES},
    eigw::{Answer, Hook, NAME},
    socket,
    topology::{GATEWAY, GATEWAY_INSIDE, INSIDE, Lab, OUTSIDE, ROUTER, STRANGER, UPLINK},
    wait::PATIENCE,
};

const SSH: u16 = 22;
const ATTACH: [&str; 5] = ["attach", "--uplink", UPLINK, "--name", NAME];

/// Nothing happens but that the operator learns what to do; the rule that is shown does it.
#[test]
fn who_would_be_locked_out_is_told_how_to_stay() {
    for family in FAMILIES {
        let lab = Lab::new();
        let (client, server) = (OUTSIDE.ip(family), GATEWAY.ip(family));
        let complaint = in_session(&lab, client, server, &ATTACH).failure(1);
        for part in [
            &format!("from {client} to {server} port 22 over uplink {UPLINK}"),
            "no rule lets it in (no-flow)",
            "nobody can log in again from there; nothing was changed",
            "--confirm 60",
            "--force",
        ] {
            assert!(complaint.contains(part), "{part} is missing in: {complaint}");
        }
        assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new());

        let directory = tempfile::tempdir().expect("temporary directory");
        let file = directory.path().join("wan.toml");
        let lines = complaint.lines().map(|line| line.trim_start_matches("eigw: "));
        let rule = lines.skip_while(|line| !line.contains("[[rule]]"));
        let rule: Vec<_> = rule.take_while(|line| !line.is_empty()).collect();
        fs::write(&file, rule.join("\n")).expect("write the configuration");
        let file = file.to_str().expect("a plain path");
        let said = in_session(&lab, client, server, &[&ATTACH[..], &["-c", file]].concat());
        assert!(!said.success().contains("SSH session"), "nobody is locked out");
        let _service = socket::tcp_echo(&lab.gateway, SocketAddr::new(server, SSH));
        let (local, remote) = (SocketAddr::new(client, 50_001), SocketAddr::new(server, SSH));
        let stream = socket::connect_from(&lab.outside, local, remote, PATIENCE);
        let stream = stream.expect("the client logs in");
        assert_eq!(socket::exchange(&stream, b"login").expect("an answer"), b"login");
        let complaint = in_session(&lab, STRANGER.ip(family), server, &ATTACH).failure(1);
        assert!(complaint.contains("no rule lets it in"), "{complaint}");
    }
}

/// Whoever insists is warned.
#[test]
fn confirm_and_force_attach_with_a_warning() {
    for insisting in [&["--confirm", "600"][..], &["--force"]] {
        let lab = Lab::new();
        let arguments = [&ATTACH[..], insisting].concat();
        let said = in_session(&lab, OUTSIDE.v6.into(), GATEWAY.v6.into(), &arguments).success();
        assert!(said.contains("note: this is an SSH session from "), "{said}");
        assert!(!said.contains("nothing was changed"), "{said}");
        assert!(!lab.bpffs.entries().is_empty());
    }
}

/// A session that does not run over the uplink is none of the gateway's business.
#[test]
fn sessions_over_other_interfaces_are_left_alone() {
    let lab = Lab::new();
    let local = Dual { v4: [127, 0, 0, 1].into(), v6: std::net::Ipv6Addr::LOCALHOST };
    let elsewhere = Dual { v4: [9, 9, 9, 9].into(), v6: [0x2600, 0, 0, 0, 0, 0, 0, 1].into() };
    for family in FAMILIES {
        for (client, server) in [
            (INSIDE, GATEWAY_INSIDE),
            (INSIDE, GATEWAY),
            (local, local),
            (GATEWAY, GATEWAY),
            // Not even through this namespace.
            (OUTSIDE, elsewhere),
        ] {
            let (client, server) = (client.ip(family), server.ip(family));
            let said = in_session(&lab, client, server, &ATTACH).success();
            assert!(!said.contains("SSH"), "{client} to {server}: {said}");
        }
    }
    lab.detach();
    let complaint = in_session(&lab, OUTSIDE.v4.into(), INSIDE.v4.into(), &ATTACH).failure(1);
    assert!(complaint.contains("to 10.77.1.2 port 22 over"), "through the gateway: {complaint}");
}

/// `sudo` takes the variable away; those who called it still have it.
#[test]
fn the_session_is_found_behind_sudo() {
    let lab = Lab::new();
    let mut sudo = Command::new("sh");
    sudo.args(["-c", "env -u SSH_CONNECTION \"$@\"; exit $?", "sh"]);
    let eigw = lab.eigw_command(&ATTACH);
    sudo.arg(eigw.get_program()).args(eigw.get_args());
    sudo.env("SSH_CONNECTION", connection(OUTSIDE.v4.into(), GATEWAY.v4.into()));
    let answer: Answer = sudo.output().expect("sh starts").into();
    assert!(answer.failure(1).contains("over uplink"));
}

/// The daemon refuses as well, before it is ready.
#[test]
fn a_daemon_started_by_hand_refuses_too() {
    let lab = Lab::new();
    let run = ["run", "--uplink", UPLINK, "--name", NAME];
    let complaint = in_session(&lab, OUTSIDE.v6.into(), GATEWAY.v6.into(), &run).failure(1);
    assert!(complaint.contains("nothing was changed"), "{complaint}");
    assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new());
}

/// The address may be on a bridge that has the uplink as a port.
#[test]
fn the_uplink_is_found_below_a_bridge() {
    let lab = Lab::new();
    lab.gateway.ip(&format!(
        "link add br0 type bridge\naddress flush dev {UPLINK}\nlink set {UPLINK} master br0\n\
         link set br0 up\naddress add {}/24 dev br0\nroute add default via {}\n",
        GATEWAY.v4, ROUTER.v4
    ));
    let (client, server) = (OUTSIDE.ip(Family::Ipv4), GATEWAY.ip(Family::Ipv4));
    let complaint = in_session(&lab, client, server, &ATTACH).failure(1);
    assert!(complaint.contains(&format!("over uplink {UPLINK}")), "{complaint}");
    lab.attach_with(Hook::Tc, &["--force"]);
}

/// Runs `eigw` as from an SSH session.
fn in_session(lab: &Lab, client: IpAddr, server: IpAddr, arguments: &[&str]) -> Answer {
    let mut command = lab.eigw_command(arguments);
    command.env("SSH_CONNECTION", connection(client, server));
    command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}")).into()
}

fn connection(client: IpAddr, server: IpAddr) -> String {
    format!("{client} 50000 {server} {SSH}")
}
