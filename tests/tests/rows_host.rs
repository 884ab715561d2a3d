//! The conformance table on the host: the packet logic without a kernel, no root needed.

use gateway_common::{config::Config, timeouts::Ticks, tuple::Direction, verdict::Reason};
use tests::{
    model::Model,
    rows::{
        THEMES,
        check::{TICKS_PER_SEC, check},
        prelude::{FAMILIES, flag, ping_flow, tcp_flow, udp_flow},
    },
};

/// Every packet of every row does what the row says, and nothing else.
#[test]
fn every_row_holds() {
    let mut failures = Vec::new();
    let mut count = 0;
    for (theme, rows) in THEMES {
        for row in rows() {
            let mut model = Model::new(&Config::new(TICKS_PER_SEC), 1, 1);
            if let Err(difference) = check(&row, &mut model) {
                failures.push(format!("{theme}: {difference}"));
            }
            count += 1;
        }
    }
    let failed = failures.len();
    assert!(failures.is_empty(), "{failed} of {count} rows:\n\n{}", failures.join("\n\n"));
}

/// RFC6092-REC-12, RFC6092-REC-14, RFC6092-REC-35, RFC6092-REC-40, RFC5508-REQ-2: rows count
/// seconds; this counts ticks.
#[test]
fn flows_end_at_their_deadline_to_the_tick() {
    for family in FAMILIES {
        let (l, u, p) = (tcp_flow(family), udp_flow(family), ping_flow(family));
        for (flow, question, answer, secs) in [
            (
                &l,
                l.segment_out(flag::SYN),
                l.segment_back(flag::SYN | flag::ACK).acknowledge(1),
                240,
            ),
            (&u, u.out(), u.back(), 120),
            (&p, p.out(), p.back(), 60),
        ] {
            let timeout = Ticks(secs * u64::from(TICKS_PER_SEC));
            for (ticks, expected) in
                [(timeout - Ticks(1), Reason::Flow), (timeout, Reason::FlowExpired)]
            {
                let mut model = Model::new(&Config::new(TICKS_PER_SEC), 1, 1);
                let opened = model.run(Direction::Outbound, &question.frame().as_slice());
                assert_eq!(opened.reason, Reason::FlowCreated);
                model.advance(ticks);
                let answered = model.run(Direction::Inbound, &answer.frame().as_slice());
                assert_eq!(answered.reason, expected, "{ticks:?} after {:?}", flow.key);
            }
        }
    }
}

/// What nobody confirms stands by from its tick on.
#[test]
fn the_time_to_confirm_ends_to_the_tick() {
    let syn = tcp_flow(FAMILIES[0]).segment_back(flag::SYN).frame();
    for (ticks, expected) in [(99, Reason::NoFlow), (100, Reason::Standby)] {
        let mut config = Config::new(TICKS_PER_SEC);
        config.confirm_by = Model::new(&config, 1, 1).now() + Ticks(100);
        let mut model = Model::new(&config, 1, 1);
        model.advance(Ticks(ticks));
        assert_eq!(model.run(Direction::Inbound, &syn.as_slice()).reason, expected);
    }
}
