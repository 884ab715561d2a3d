//! What the packet path reports for `delayed_reject`, on the host.

use gateway_common::{
    config::Config, limits::QUOTED_BYTES_MAX, tuple::Direction, verdict::Verdict,
};
use tests::{
    address::FAMILIES,
    model::Model,
    packet::{Packet, flag},
    rows::{check::TICKS_PER_SEC, prelude::tcp_flow},
    topology::{INSIDE, OUTSIDE},
};

/// An SCTP chunk that opens an association.
const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 7];

/// RFC6092-REC-34, RFC6092-REC-39: openings that nothing but the lack of a flow is against are
/// reported with the packet that they are, and only if that is wanted.
#[test]
fn openings_are_reported_with_the_packet() {
    for family in FAMILIES {
        let packet = || Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family));
        let syn = || packet().tcp(7, 9, flag::SYN);
        let init = || packet().sctp(7, 9, 0, &INIT);
        for (opening, quoted_len) in [
            (syn(), ip_packet(&syn()).len()),
            // What a short frame is filled up with is none of the packet.
            (syn().trailer(&[0xff; 6]), ip_packet(&syn()).len()),
            (syn().payload(&[0; 500]), QUOTED_BYTES_MAX),
            (init(), ip_packet(&init()).len()),
        ] {
            let mut model = model(1);
            let outcome = model.run(Direction::Inbound, &opening.frame().as_slice());
            assert_eq!(outcome.reason.verdict(), Verdict::Drop, "{opening:?}");
            let [report] = model.reports()[..] else { panic!("{:?}", model.reports()) };
            assert_eq!((report.key.inside_port, report.key.outside_port), (9, 7));
            assert_eq!(report.quoted_len as usize, quoted_len, "{opening:?}");
            assert_eq!(report.quoted[..quoted_len], ip_packet(&opening)[..quoted_len]);

            let mut silent = self::model(0);
            assert_eq!(silent.run(Direction::Inbound, &opening.frame().as_slice()), outcome);
            assert_eq!(silent.reports(), []);
        }
    }
}

/// RFC6092-REC-34: nothing else is reported.
#[test]
fn what_opens_nothing_or_belongs_to_a_flow_is_not_reported() {
    for family in FAMILIES {
        let packet = || Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family));
        let mut model = model(1);
        for other in [
            packet().tcp(7, 9, flag::ACK),
            packet().tcp(7, 9, flag::SYN | flag::ACK),
            packet().tcp(7, 9, flag::RST),
            packet().tcp(7, 9, flag::SYN | flag::FIN),
            packet().udp(7, 9),
            packet().sctp(7, 9, 1, &INIT),
            packet().echo_request(1, 1),
        ] {
            let outcome = model.run(Direction::Inbound, &other.frame().as_slice());
            assert_eq!(outcome.reason.verdict(), Verdict::Drop, "{other:?}");
        }
        let flow = tcp_flow(family);
        let opened =
            model.run(Direction::Outbound, &flow.segment_out(flag::SYN).frame().as_slice());
        assert_eq!(opened.reason.verdict(), Verdict::Pass);
        let mutual = flow.segment_back(flag::SYN).frame();
        let answered = model.run(Direction::Inbound, &mutual.as_slice());
        assert_eq!(answered.reason.verdict(), Verdict::Pass, "a simultaneous opening");
        assert_eq!(model.reports(), []);
    }
}

fn model(delayed_reject: u32) -> Model {
    Model::new(&Config { delayed_reject, ..Config::new(TICKS_PER_SEC) }, 1, 1)
}

/// The packet without its Ethernet header.
fn ip_packet(packet: &Packet) -> Vec<u8> {
    packet.frame()[14..].to_vec()
}
