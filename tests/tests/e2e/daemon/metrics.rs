//! Metrics, as Prometheus and its tools see them.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
};

use gateway_common::tuple::Family;
use gateway_userspace::daemon::METRICS;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp,
    prometheus::{Prometheus, promtool},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::{self, PATIENCE},
};

use super::{Daemon, Home};
use crate::stream::Stream;

const LISTEN: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
const RULE: &str =
    "[[rule]]\nname = \"echo\"\ndirection = \"out\"\naction = \"allow\"\nproto = \"udp\"\n";
const PRICE: &str = "[cost]\nper_gb = 0.09\ncurrency = \"USD\"\n";
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

/// What depends on something that this test does not have.
const ABSENT: [&str; 3] =
    ["eigw_observer_reports", "eigw_program_run_seconds_total", "eigw_program_runs_total"];

/// RFC6888-REQ-10: the page and `eigw stats show` say the same, and every packet is counted once.
#[test]
fn the_page_says_what_stats_show() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!("{LISTEN}{RULE}{PRICE}"));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let address = daemon.metrics_address(0);
    traffic(&lab);
    daemon.reload();

    let page = wait::until("the page to say what stats show", || {
        let (page, stats) = (scrape(&lab, address), lab.eigw_json(&["stats", "show"]));
        says_the_same(&page, &stats).then_some(page)
    });
    let packets = |labels: &[&str]| sum(&page, "eigw_verdict_packets_total", labels);
    assert!(packets(&["direction=\"out\""]) > 0.0 && packets(&["verdict=\"drop\""]) > 0.0);
    let aws = |name: &str| sum(&page, &format!("eigw_aws_packets_{name}_total"), &[]);
    let arrived = aws("in_from_source") + aws("in_from_destination");
    let passed = aws("out_to_destination") + aws("out_to_source");
    assert_eq!(arrived.to_bits(), packets(&[]).to_bits(), "every packet is counted once");
    assert_eq!((arrived - passed).to_bits(), packets(&["verdict=\"drop\""]).to_bits());
    assert_eq!((arrived - passed).to_bits(), aws("drop_count").to_bits());
    assert!(sum(&page, "eigw_rule_hits_total", &["rule=\"1\"", "name=\"echo\""]) > 0.0, "{page}");
    for metric in ["eigw_gateway_attached", "eigw_gateway_armed", "eigw_reload_last_success"] {
        assert_eq!(sum(&page, metric, &[]).to_bits(), 1.0_f64.to_bits(), "{metric}");
    }
    assert_eq!(sum(&page, "eigw_scrape_success", &[]).to_bits(), 7.0_f64.to_bits(), "{page}");
    promtool(&["check", "metrics"], &page);
    expect_all_metrics(&lab, address);
}

/// Every metric that is documented is there, and no other; a peak takes a while.
fn expect_all_metrics(lab: &Lab, address: SocketAddr) {
    let expected: BTreeSet<_> =
        METRICS.iter().map(|metric| metric.name).filter(|name| !ABSENT.contains(name)).collect();
    wait::until_true("peaks", || {
        scrape(lab, address).contains("\neigw_aws_peak_bytes_per_second{")
    });
    let page = scrape(lab, address);
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let found: BTreeSet<_> = series.filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert_eq!(found, expected);
    let answer =
        socket::http_request(&lab.gateway, address, "/metrics", OPEN_METRICS).expect("it listens");
    assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
    assert!(answer.body.ends_with("\n# EOF\n"), "{}", answer.body);
}

/// A reload changes the address, or switches metrics off and on. An address that somebody has is
/// tried again, and nothing else suffers.
#[test]
fn addresses_change_with_a_reload_and_are_tried_again() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    home.configure(LISTEN);
    daemon.reload();
    let first = daemon.metrics_address(0);
    scrape(&lab, first);

    let taken = lab.gateway.run(|| TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    home.configure(&format!("[metrics]\nlisten = [\"{address}\", \"[::1]:0\"]\n"));
    daemon.reload();
    daemon.expect_stderr("cannot listen for requests for metrics");
    let second = daemon.metrics_address(1);
    assert!(second.is_ipv6(), "{second}");
    scrape(&lab, second);
    drop(taken);
    assert_eq!(daemon.metrics_address(2), address);
    scrape(&lab, address);
    socket::connect(&lab.gateway, first, PATIENCE).expect_err("nobody wants it any more");

    home.configure("");
    daemon.reload();
    wait::until_true("the end of metrics", || {
        socket::connect(&lab.gateway, address, PATIENCE).is_err()
    });
}

/// A gateway that is attached anew counts from zero, and the page says that there was none.
#[test]
fn a_gateway_attached_anew_counts_from_zero() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(LISTEN);
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let address = daemon.metrics_address(0);
    for _ in 0..3 {
        traffic(&lab);
    }
    let created = |page: &str| sum(page, "eigw_flows_created_total", &[]);
    let before = created(&scrape(&lab, address));
    lab.detach();
    wait::until_true("the page to miss the gateway", || {
        let page = scrape(&lab, address);
        page.contains("eigw_gateway_attached{gateway=\"wan\"} 0\n")
            && !page.contains("eigw_verdict_packets_total{")
            && !page.contains("eigw_flows{")
    });
    lab.attach(Hook::Tc);
    let page = wait::until("the page to say what stats show", || {
        let (page, stats) = (scrape(&lab, address), lab.eigw_json(&["stats", "show"]));
        says_the_same(&page, &stats).then_some(page)
    });
    assert!(created(&page) < before, "{} flows of {before}", created(&page));
    assert!(page.contains("hook=\"tc\""), "{page}");
}

/// A real Prometheus scrapes it, and the alerts that are shipped fire.
#[test]
fn prometheus_scrapes_and_alerts() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(LISTEN);
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let address = daemon.metrics_address(0);
    // What lasts shall not have to last for minutes here.
    let shipped = include_str!("../../../../dist/prometheus/eigw.rules.yml");
    let is_patience = |line: &&str| line.trim_start().starts_with("for: ");
    let rules: Vec<_> = shipped.lines().filter(|line| !is_patience(line)).collect();
    let prometheus = Prometheus::start(&lab.gateway, &address.to_string(), &rules.join("\n"));
    traffic(&lab);
    wait::until_true("a scrape with drops", || {
        prometheus
            .query("sum(eigw_aws_packets_drop_count_total)")
            .is_ok_and(|found| matches!(found[..], [drops] if drops > 0.0))
    });
    let target = prometheus.target().expect("it answers");
    assert_eq!(target, ("up".to_owned(), String::new()));
    let fires = |alert: &str| {
        wait::until_true(alert, || {
            prometheus.firing().is_ok_and(|it| it.iter().any(|it| it == alert))
        });
    };
    let firing = prometheus.firing().expect("it answers");
    assert!(!firing.iter().any(|it| it == "EigwUplinkDown" || it == "EigwDown"), "{firing:?}");

    lab.gateway.ip(&format!("link set {UPLINK} down\n"));
    fires("EigwUplinkDown");
    lab.gateway.ip(&format!("link set {UPLINK} up\n"));
    daemon.end(Signal::SIGTERM);
    fires("EigwDown");
}

impl Daemon<'_> {
    /// The address on which metrics were to be had, the `nth` since the daemon began.
    fn metrics_address(&self, nth: usize) -> SocketAddr {
        wait::until("metrics", || {
            let log = self.stderr();
            let mut found = log.split("metrics at http://").skip(1 + nth);
            found.next()?.split("/metrics").next()?.parse().ok()
        })
    }
}

/// Some flows that are answered, and pings from outside that are dropped.
fn traffic(lab: &Lab) {
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 7);
        let _echo = socket::udp_echo(&lab.outside, server);
        let stream = Stream::start(&lab.inside, server);
        stream.progress();
        stream.finish();
    }
    let ping = || icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6));
    lab.expect_drops("ping-refused", 1, || ping().expect_err("the uplink is protected"));
}

#[track_caller]
fn scrape(lab: &Lab, address: SocketAddr) -> String {
    let answer = socket::http_request(&lab.gateway, address, "/metrics", "text/plain")
        .unwrap_or_else(|error| panic!("scrape {address}: {error}"));
    assert!(answer.head.contains(" 200 OK\r\n"), "{}", answer.head);
    answer.body
}

/// The sum of the series of a metric with all of these labels.
fn sum(page: &str, metric: &str, labels: &[&str]) -> f64 {
    let series = page.lines().filter(|line| {
        line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let value = |line: &str| line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok());
    series.map(|line| value(line).unwrap_or_else(|| panic!("no value: {line}"))).sum()
}

fn says_the_same(page: &str, stats: &Value) -> bool {
    let is = |found: f64, value: &Value| {
        value.as_f64().is_some_and(|it| it.to_bits() == found.to_bits())
    };
    let verdicts = stats["verdicts"].as_array().expect("an array");
    let total: u64 = verdicts.iter().filter_map(|it| it["packets"].as_u64()).sum();
    let rows = verdicts.iter().all(|row| {
        let label = |key: &str| format!("{key}={}", row[key]);
        let labels = ["direction", "verdict", "reason"].map(label);
        let labels = labels.each_ref().map(String::as_str);
        is(sum(page, "eigw_verdict_packets_total", &labels), &row["packets"])
            && is(sum(page, "eigw_verdict_bytes_total", &labels), &row["bytes"])
    });
    let tables = ["half_open", "established"].into_iter().all(|table| {
        let label = [&*format!("table=\"{table}\"")];
        is(sum(page, "eigw_flows", &label), &stats["flows"][table])
            && is(
                sum(page, "eigw_flow_table_capacity", &label),
                &stats["flows"][format!("{table}_max")],
            )
    });
    let events =
        [("created", "eigw_flows_created_total"), ("promoted", "eigw_flows_promoted_total")];
    rows && tables
        && is(sum(page, "eigw_verdict_packets_total", &[]), &total.into())
        && events.iter().all(|(event, metric)| is(sum(page, metric, &[]), &stats["events"][event]))
}
