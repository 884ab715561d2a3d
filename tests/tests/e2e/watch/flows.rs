//! `eigw flow watch`.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use gateway_common::tuple::Family;
use serde_json::{Value, json};
use tests::{
    address::FAMILIES,
    config::ConfigFile,
    eigw::Hook,
    socket::{self, Server},
    topology::{INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::{Watcher, observed};
use crate::in_every_hook;

in_every_hook!(the_life_of_a_connection_is_shown);

/// From the SYN to the last ACK, each state once, and the end with what the flow carried.
fn the_life_of_a_connection_is_shown(hook: Hook) {
    let lab = Lab::new();
    let patient = |mut stream: TcpStream| stream.read_to_end(&mut Vec::new()).map(drop);
    lab.attach(hook);
    for family in FAMILIES {
        let server = Server::tcp(&lab.outside, OUTSIDE.port(family, 1), patient);
        let watcher = Watcher::start(&lab, &["-j", "flow", "watch", "--proto", "tcp"]);
        let stream = socket::connect(&lab.inside, server.address(), PATIENCE).expect("connected");
        (&stream).write_all(b"hello").expect("sent");
        stream.shutdown(Shutdown::Both).expect("closed");
        expect_state(&watcher, "time-wait");
        lab.eigw(&["flow", "delete", "--proto", "tcp"]).success();
        let (shown, missing) = watcher.interrupt();
        let states: Vec<_> = shown.iter().map(|event| event["state"].clone()).collect();
        assert_eq!((&shown[0]["event"], &states[0]), (&json!("created"), &json!("syn-sent")));
        let mut before = &Value::Null;
        for state in &states[..states.len() - 1] {
            assert_ne!(state, before, "a state is shown once: {states:?}");
            before = state;
        }
        for state in ["established", "time-wait"] {
            assert!(states.contains(&json!(state)), "{state} is not in {states:?}");
        }
        let end = shown.last().expect("there are some");
        assert_eq!((&end["event"], &end["state"]), (&json!("deleted"), &json!("time-wait")));
        assert_eq!(
            (&end["local"], &end["remote"], &end["remote_port"]),
            (
                &json!(INSIDE.ip(family).to_string()),
                &json!(OUTSIDE.ip(family).to_string()),
                &json!(1)
            )
        );
        assert!(end["packets_out"].as_u64() >= Some(4), "{end}");
        assert_eq!(end["expires_in_ms"], 0);
        assert_eq!((&missing["limited"], &missing["lost"]), (&json!(0), &json!(0)));
    }
    assert_eq!(observed(&lab), 0);
}

/// How a flow ends, each way: deleted, expired and replaced, reset, closed, revoked.
#[test]
fn each_end_has_its_reason() {
    let lab = Lab::new();
    let brief = "[timeouts]\nudp_unreplied = 1\nudp = 1\ntcp_closing = 1\ntcp_time_wait = 1\n";
    let file = ConfigFile::of_lab(brief);
    lab.attach_file(Hook::Tc, &file);
    let _services = [1, 2, 7].map(|port| {
        Server::tcp(&lab.outside, OUTSIDE.port(Family::Ipv4, port), |mut stream| {
            stream.read_to_end(&mut Vec::new()).map(drop)
        })
    });
    let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(Family::Ipv4, 7));
    let watcher = Watcher::start(&lab, &["-j", "flow", "watch"]);
    let end_of = |port: u16| {
        wait::until(&format!("the end of the flow to port {port}"), || {
            let mut events = watcher.documents().into_iter();
            let end = events.find(|event| {
                event["remote_port"] == port
                    && event["event"] != "changed"
                    && event["event"] != "created"
            });
            end.map(|end| end["event"].as_str().expect("a name").to_owned())
        })
    };
    let connect = |port| {
        socket::connect(&lab.inside, OUTSIDE.port(Family::Ipv4, port), PATIENCE).expect("TCP")
    };
    let reclaim = || {
        let gateway = lab.gateway_maps();
        let keys: Vec<_> =
            gateway.flows().expect("flows").into_iter().map(|(_, key, _)| key).collect();
        gateway.reclaim(&keys).expect("the program runs")
    };

    connect(1).shutdown(Shutdown::Both).expect("closed");
    let reset = connect(2);
    socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO)).expect("set");
    drop(reset);
    let server = OUTSIDE.port(Family::Ipv4, 7);
    socket::udp_exchange(&lab.inside, server, b"?", PATIENCE).expect("an answer");
    wait::until_true("the sweeper's work to be done", || {
        reclaim();
        lab.gateway_maps().flows().expect("flows").is_empty()
    });
    assert_eq!((end_of(1), end_of(2)), ("closed".to_owned(), "reset".to_owned()));
    assert_eq!(end_of(7), "expired");

    let stream = connect(7);
    let deny = "[[rule]]\ndirection = 'out'\naction = 'deny'\nproto = 'tcp'\nports = 7\n";
    file.write_of_lab(&format!("{brief}{deny}"));
    lab.eigw(&["reload"]).success();
    _ = (&stream).write_all(b"anybody there?");
    wait::until_true("the end by the new policy", || {
        watcher.documents().iter().any(|event| event["event"] == "revoked")
    });
    watcher.interrupt();
}

/// What is there already comes first, if that is asked for; filters hold for everything.
#[test]
fn existing_flows_come_first() {
    let lab = Lab::new();
    let services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(Hook::Xdp);
    let ask = |server: &Server| {
        socket::udp_exchange(&lab.inside, server.address(), b"?", PATIENCE).expect("an answer");
    };
    services.iter().for_each(ask);
    let v6 = OUTSIDE.v6.to_string();
    let command = ["-j", "flow", "watch", "--existing", "--remote", &v6, "--state", "replied"];
    let watcher = Watcher::start(&lab, &command);
    services.iter().for_each(ask);
    wait::until_true("the new flow", || watcher.documents().len() == 2);
    let (shown, _) = watcher.interrupt();
    let events: Vec<_> = shown.iter().map(|event| event["event"].clone()).collect();
    // The new one is no more than unreplied when it is created.
    assert_eq!(events, ["existing", "changed"]);
    assert!(shown.iter().all(|event| event["remote"] == v6), "{shown:#?}");

    let mut plain = Watcher::start(&lab, &["flow", "watch", "--existing", "--count", "5"]);
    ask(&services[0]);
    assert_eq!(plain.wait().code(), Some(0));
    let text = plain.stdout();
    assert!(text.starts_with("TIME ") && text.lines().count() == 6, "{text}");
    assert_eq!(plain.stderr(), "eigw: events shown: 5\n");
}

#[track_caller]
fn expect_state(watcher: &Watcher, state: &str) {
    wait::until_true(&format!("{state} in {:#?}", watcher.documents()), || {
        watcher.documents().iter().any(|event| event["state"] == state)
    });
}
