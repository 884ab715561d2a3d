//! As many rules and prefixes as there may be.

use std::{fmt::Write as _, net::Ipv4Addr, time::Instant};

use tests::{
    address::FAMILIES,
    config::ConfigFile,
    eigw::Hook,
    socket,
    topology::{INSIDE, Lab, OUTSIDE, STRANGER},
};

use super::assert_unreachable;

/// How many rules there are.
const RULES: usize = 10_000;
/// How many prefixes the list has.
const PREFIXES: u32 = 100_000;

/// The last of ten thousand rules decides as the first would, and a list of a hundred thousand
/// prefixes, half of them of either family, is asked; attached and reloaded, with the hits kept.
#[test]
fn ten_thousand_rules_and_a_hundred_thousand_prefixes() {
    let lab = Lab::new();
    let file = ConfigFile::of_lab(&rules());
    file.write_beside("friends.txt", &prefixes(&[OUTSIDE.v4.to_string(), OUTSIDE.v6.to_string()]));
    let begun = Instant::now();
    lab.attach_file(Hook::Xdp, &file);
    let attached = begun.elapsed();
    let talks = FAMILIES.map(|family| {
        let server = socket::udp_echo(&lab.inside, INSIDE.port(family, 443));
        let from = OUTSIDE.port(family, 0);
        let client = socket::udp_client_from(&lab.outside, from, server.address());
        (server, client.expect("a socket"))
    });
    let ask = || {
        for (_, client) in &talks {
            client.send(b"?").expect("sent");
            client.recv(&mut [0; 64]).expect("an answer");
        }
    };
    ask();
    for family in FAMILIES {
        let stranger = lab.outside.run(|| std::net::UdpSocket::bind(STRANGER.port(family, 0)));
        lab.expect_drops("no-flow", 1, || {
            let sent = stranger.expect("a socket").send_to(b"?", INSIDE.port(family, 443));
            sent.expect("sent");
        });
        assert_unreachable(&lab.outside, INSIDE.port(family, 443));
    }
    assert_eq!(lab.hits("the-last"), 2);

    let begun = Instant::now();
    let answer = lab.eigw_json(&["reload"]);
    let reloaded = begun.elapsed();
    assert_eq!(answer["rules"], RULES);
    assert!(answer["prefixes"].as_u64() >= Some(PREFIXES.into()), "{answer}");
    ask();
    assert_eq!(lab.hits("the-last"), 4);
    println!(
        "{RULES} rules and {PREFIXES} prefixes: attached in {attached:.1?}, reloaded in \
         {reloaded:.1?} ({answer})"
    );

    // The list is read again; who is no longer in it is refused.
    file.write_beside("friends.txt", &prefixes(&[]));
    lab.eigw(&["reload"]).success();
    for (_, client) in &talks {
        lab.expect_drops("no-flow", 1, || client.send(b"?").expect("sent"));
    }
}

fn rules() -> String {
    let mut text = "[prefix_list.friends]\nfile = \"friends.txt\"\n".to_owned();
    for index in 0..RULES - 1 {
        let (high, low) = (index / 250, index % 250);
        let port = 1_000 + index;
        write!(
            text,
            "[[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"tcp\"\nports = {port}\n\
             from = \"11.{high}.{low}.0/24\"\n"
        )
        .expect("a string grows");
    }
    text.push_str(
        "[[rule]]\nname = \"the-last\"\ndirection = \"in\"\naction = \"allow\"\nproto = \"udp\"\n\
         ports = 443\nfrom = \"@friends\"\n",
    );
    text
}

/// A file of so many prefixes, the last of which are `friends`.
fn prefixes(friends: &[String]) -> String {
    let mut text = String::from("# Whom we trust\n");
    for number in 0..PREFIXES / 2 {
        let [_, a, b, c] = number.to_be_bytes();
        let v4 = Ipv4Addr::new(12, a, b, c);
        writeln!(text, "{v4}/32\n2a01:{b:x}:{c:x}:{a:x}::/64").expect("a string grows");
    }
    for friend in friends {
        writeln!(text, "{friend} # a friend").expect("a string grows");
    }
    text
}
