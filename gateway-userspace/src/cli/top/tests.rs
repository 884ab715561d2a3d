//! Screens, drawn into memory.

use gateway_common::{counter::Counter, tuple::Direction, verdict::Reason};
use ratatui::{Terminal, backend::TestBackend};

use super::{render::draw, screen::Pane, *};
use crate::view::{
    CostView, CountView, FlowRateView, FlowTablesView, FlowView, LineView, RateView, RatesBothView,
    RuleRateView, TopUplinkView, TopView, VerdictRateView, VerdictView,
};

#[test]
fn talkers_fit_the_smallest_terminal() {
    let expected = "\
gateway wan  eth0 up xdp  policy 7  every 1s
in 1.5k/s 12.0 Mbit/s  out 800/s 1.2 Mbit/s  flows 3  cost 1.23 USD
half-open [#---------] 6%  established [##--------] 12%
drops 9.5/s  in no-flow 9.5
[1 talkers] 2 flows  3 destinations  4 drops  5 rules   by rate
HOST OR NETWORK     FLOWS         OUT          IN    PKT/S    BYTES         COST
10.77.1.2               2  1.0 Mbit/s 12.0 Mbit/s     2.2k     5.0M     1.20 USD
2a00:1:0:a::2           1   200 bit/s     0 bit/s      1.0      300            -
";
    assert_eq!(drawn(&screen(Pane::Talkers), 80, 24), with_footer(expected, 24));
}

#[test]
fn every_pane_has_its_columns() {
    for (pane, heading, row) in [
        (
            Pane::Flows,
            "PROTO LOCAL REMOTE STATE OUT B/S IN B/S BYTES AGE",
            "tcp 10.77.1.2:40000 192.0.2.7:443 established 125.0k 1.5M 5.2M 1m1s",
        ),
        (
            Pane::Destinations,
            "HOST OR NETWORK FLOWS OUT IN PKT/S BYTES COST",
            "192.0.2.0/24 2 1.0 Mbit/s 12.0 Mbit/s 2.2k 5.0M -",
        ),
        (Pane::Drops, "DIRECTION REASON PKT/S PACKETS BYTES", "in no-flow 9.5 12 1234"),
        (
            Pane::Rules,
            "RULE DIRECTION ACTION HITS/S HITS BYTES COST",
            "1 web out allow 0.5 12 5.0M 1.20 USD",
        ),
    ] {
        let text = drawn(&screen(pane), 80, 24);
        let words = |line: usize| -> Vec<_> {
            text.lines().nth(line).expect("there are 24").split_whitespace().collect()
        };
        assert_eq!(words(5).join(" "), heading, "{text}");
        assert_eq!(words(6).join(" "), row, "{text}");
    }
}

#[test]
fn what_is_shown_says_why_it_is_late_or_still() {
    let mut screen = screen(Pane::Talkers);
    screen.view.read_ms = 960;
    let text = drawn(&screen, 100, 10);
    assert!(text.contains("every 9.6s instead of 1s: reading takes 960ms"), "{text}");
    screen.is_paused = true;
    assert!(drawn(&screen, 80, 10).contains("  paused"));
    screen.has_help = true;
    let text = drawn(&screen, 80, 24);
    assert!(text.contains("sort by the next column") && text.contains("┌ keys "), "{text}");
    screen.has_help = false;
    screen.editing = Some("proto tc".to_owned());
    assert!(drawn(&screen, 80, 24).ends_with("filter: proto tc_\n"));
}

#[test]
fn any_size_of_terminal_is_survived() {
    for pane in Pane::ALL {
        for (width, height) in [(1, 1), (10, 3), (80, 5), (300, 100)] {
            let mut screen = screen(pane);
            screen.has_help = true;
            screen.offset = usize::MAX;
            drawn(&screen, width, height);
        }
    }
}

#[test]
fn without_colour_nothing_has_any() {
    let backend = |has_colour| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("memory");
        let screen = screen(Pane::Talkers);
        terminal.draw(|frame| draw(frame, &screen, Look { has_colour })).expect("memory");
        let buffer = terminal.backend().buffer().clone();
        buffer.content.iter().any(|cell| cell.fg != ratatui::style::Color::Reset)
    };
    assert!(backend(true));
    assert!(!backend(false));
}

fn screen(pane: Pane) -> Screen {
    let mut screen = Screen::new(Order::default(), Filter::default(), Duration::from_secs(1));
    screen.pane = pane;
    screen.view = view();
    screen
}

fn view() -> TopView {
    let rates = RatesBothView {
        packets_out_per_sec: 700.0,
        bits_out_per_sec: 1_000_000.0,
        packets_in_per_sec: 1_500.0,
        bits_in_per_sec: 12_000_000.0,
    };
    let line = |name: &str, flows, bytes_out, rates, cost| LineView {
        name: name.to_owned(),
        flows,
        bytes_out,
        rates,
        cost,
        ..LineView::default()
    };
    let slow = RatesBothView {
        packets_out_per_sec: 1.0,
        bits_out_per_sec: 200.0,
        ..RatesBothView::default()
    };
    let drop =
        VerdictView::new(Direction::Inbound, Reason::NoFlow, Counter { packets: 12, bytes: 1_234 });
    TopView {
        name: "wan".to_owned(),
        uplinks: vec![TopUplinkView { name: "eth0".to_owned(), state: "up", hook: Some("xdp") }],
        generation: 7,
        interval_ms: 1_000,
        read_ms: 3,
        tables: FlowTablesView {
            half_open: 1,
            established: 2,
            half_open_max: 16,
            established_max: 16,
            ..FlowTablesView::default()
        },
        inbound: RateView { packets_per_sec: 1_509.5, bits_per_sec: 12_000_000.0 },
        outbound: RateView { packets_per_sec: 800.0, bits_per_sec: 1_200_000.0 },
        drops_per_sec: 9.5,
        total: line("total", 3, 5_000_300, rates, Some(1.23)),
        talkers: vec![
            line("10.77.1.2", 2, 5_000_000, rates, Some(1.2)),
            line("2a00:1:0:a::2", 1, 300, slow, None),
        ],
        destinations: vec![line("192.0.2.0/24", 2, 5_000_000, rates, None)],
        flows: vec![FlowRateView { flow: flow(), rates }],
        drops: vec![VerdictRateView { total: drop, packets_per_sec: 9.5, bytes_per_sec: 900.0 }],
        rules: vec![RuleRateView {
            number: 1,
            name: Some("web".to_owned()),
            direction: "out",
            action: "allow",
            hits: 12,
            hits_per_sec: 0.5,
            flow_bytes: Some(5_000_000),
            cost: Some(1.2),
        }],
        cost: Some(CostView {
            since: "2026-01-02T03:04:05Z".to_owned(),
            updated: "2026-01-02T03:05:00Z".to_owned(),
            currency: "USD".to_owned(),
            total: CountView { cost: Some(1.23), ..CountView::default() },
        }),
    }
}

fn flow() -> FlowView {
    FlowView {
        proto: "tcp".to_owned(),
        family: "ipv4",
        local: "10.77.1.2".parse().expect("valid"),
        local_port: 40_000,
        remote: "192.0.2.7".parse().expect("valid"),
        remote_port: 443,
        vlan: None,
        vlan_inner: None,
        state: "established",
        packets_out: 5_000,
        bytes_out: 5_000_000,
        packets_in: 4_000,
        bytes_in: 200_000,
        age_ms: 61_000,
        idle_ms: 10,
        expires_in_ms: 7_000_000,
    }
}

/// What is on the screen, without blanks at the ends of lines.
fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| draw(frame, screen, Look { has_colour: false })).expect("memory");
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(usize::from(width)).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// The screen that begins like this and has nothing more but the line with the keys.
fn with_footer(text: &str, height: usize) -> String {
    let empty = "\n".repeat(height - 1 - text.lines().count());
    format!("{text}{empty}q quit  ? help  s sort  r reverse  / filter  p pause\n")
}
