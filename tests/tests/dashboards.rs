//! The dashboard and the alerts that are shipped ask for metrics that there are.

use std::{collections::BTreeSet, fs, path::PathBuf};

use gateway_userspace::daemon::METRICS;
use serde_json::Value;
use tests::{metrics_page, prometheus::promtool};

/// Grafana 10 and later read it, and migrate it to what they have.
const SCHEMA_VERSION: u64 = 39;
/// Columns of a dashboard.
const COLUMNS: u64 = 24;

#[test]
fn the_dashboard_is_well_formed() {
    let dashboard = dashboard();
    assert_eq!(dashboard["schemaVersion"], SCHEMA_VERSION);
    assert!(dashboard["title"].is_string() && dashboard["uid"].is_string());
    let variables: Vec<_> =
        array(&dashboard["templating"]["list"]).iter().map(|it| it["name"].as_str()).collect();
    assert_eq!(variables, [Some("datasource"), Some("gateway")]);
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in array(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "twice: {panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(place("x") + place("w") <= COLUMNS, "{panel}");
        for y in place("y")..place("y") + place("h") {
            for x in place("x")..place("x") + place("w") {
                assert!(cells.insert((x, y)), "panels overlap: {panel}");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        let targets = array(&panel["targets"]);
        let names: BTreeSet<_> = targets.iter().filter_map(|it| it["refId"].as_str()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{panel}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let mut queries = Vec::new();
    collect(&dashboard(), &["expr", "definition"], &mut queries);
    assert!(queries.len() > 20, "{queries:?}");
    for query in &queries {
        expect_known(query);
    }
    for part in ["eigw_flows", "eigw_verdict_packets_total", "eigw_flow_table_capacity"] {
        assert!(queries.iter().any(|query| query.contains(part)), "no panel shows {part}");
    }
}

#[test]
fn alerts_ask_for_metrics_that_there_are_and_have_tests() {
    let rules = read("prometheus/eigw.rules.yml");
    let tests = read("prometheus/eigw.rules.test.yml");
    rules.lines().for_each(expect_known);
    tests.lines().for_each(expect_known);
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        for case in ["fires", "quiet"] {
            assert!(tests.contains(&format!("- name: {alert} {case}\n")), "{alert} {case}");
        }
    }
}

#[test]
fn promtool_is_content_with_the_alerts() {
    let path = |name: &str| dist(name).to_str().expect("a plain path").to_owned();
    promtool(
        &["check", "rules", "--lint=all", "--lint-fatal", &path("prometheus/eigw.rules.yml")],
        "",
    );
    promtool(&["test", "rules", &path("prometheus/eigw.rules.test.yml")], "");
}

/// What the page says beside its table is about metrics that there are, too.
#[test]
fn the_documentation_names_metrics_that_there_are() {
    metrics_page::page().lines().for_each(expect_known);
}

/// Checks whatever looks like the name of a metric.
#[track_caller]
fn expect_known(text: &str) {
    let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
    for word in text.split(|it| !is_part(it)) {
        let is_metric = word.starts_with("eigw_") || word.starts_with("process_");
        // A prefix of names, as people write it.
        if is_metric && !word.ends_with('_') {
            assert!(METRICS.iter().any(|metric| metric.name == word), "no metric {word}: {text}");
        }
    }
}

fn collect(value: &Value, keys: &[&str], found: &mut Vec<String>) {
    if let Some(members) = value.as_object() {
        for (key, member) in members {
            match member.as_str() {
                Some(text) if keys.contains(&key.as_str()) => found.push(text.to_owned()),
                _ => collect(member, keys, found),
            }
        }
    }
    value.as_array().into_iter().flatten().for_each(|element| collect(element, keys, found));
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/eigw.json")).expect("JSON")
}

#[track_caller]
fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no array: {value}"))
}

fn read(name: &str) -> String {
    fs::read_to_string(dist(name)).unwrap_or_else(|error| panic!("read dist/{name}: {error}"))
}

fn dist(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist").join(name)
}
