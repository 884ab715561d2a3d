//! Prometheus and its tools, as `cargo xtask setup` unpacks them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    netns::{Netns, Process},
    socket, wait,
};

/// Where Prometheus answers in its namespace.
const ADDRESS: &str = "127.0.0.1:9090";

/// A program of Prometheus: the machine's, or the one that was unpacked.
///
/// # Panics
/// If there is neither.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/prometheus/usr/bin").join(name);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).map(|it| it.join(name)).collect();
    places.push(unpacked);
    places
        .into_iter()
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("there is no {name}; 'cargo xtask setup' brings it"))
}

/// Runs `promtool` with this on its standard input.
///
/// # Panics
/// If it finds anything wrong.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    fs::write(file.path(), input).expect("write the temporary file");
    let input = fs::File::open(file.path()).expect("it was just written");
    let output = Command::new(program("promtool"))
        .args(arguments)
        .stdin(Stdio::from(input))
        .output()
        .expect("promtool starts");
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(output.status.success(), "promtool {arguments:?}: {}{}", said[0], said[1]);
}

/// A Prometheus that scrapes one address every second; it ends with this value.
#[derive(Debug)]
pub struct Prometheus<'a> {
    host: &'a Netns,
    _directory: TempDir,
    _process: Process,
}

impl<'a> Prometheus<'a> {
    /// Starts it on `host`, where `target` is scraped as the job `eigw`. It evaluates `rules`.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn start(host: &'a Netns, target: &str, rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("write a configuration");
        };
        write("rules.yml", rules);
        write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [rules.yml]\n\
                 scrape_configs: [{{job_name: eigw, static_configs: [{{targets: ['{target}']}}]}}]\n"
            ),
        );
        let log = fs::File::create(directory.path().join("log")).expect("create a file");
        let mut command = Command::new(program("prometheus"));
        command
            .current_dir(directory.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdout(Stdio::null())
            .stderr(log);
        let process = host.start(&mut command).expect("prometheus starts");
        let prometheus = Self { host, _directory: directory, _process: process };
        wait::until_true("Prometheus to answer", || prometheus.ask("/api/v1/alerts").is_ok());
        prometheus
    }

    /// The value of each series that a query finds.
    ///
    /// # Errors
    /// It does not answer.
    pub fn query(&self, query: &str) -> io::Result<Vec<f64>> {
        let answer = self.ask(&format!("/api/v1/query?query={query}"))?;
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        Ok(series.iter().filter_map(|it| it["value"][1].as_str()?.parse().ok()).collect())
    }

    /// The names of the alerts that fire.
    ///
    /// # Errors
    /// It does not answer.
    pub fn firing(&self) -> io::Result<Vec<String>> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|it| it["labels"]["alertname"].as_str().map(str::to_owned)).collect())
    }

    /// The health of its target, and what went wrong with the last scrape.
    ///
    /// # Errors
    /// It does not answer.
    pub fn target(&self) -> io::Result<(String, String)> {
        let answer = self.ask("/api/v1/targets")?;
        let target = &answer["data"]["activeTargets"][0];
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        Ok((text("health"), text("lastError")))
    }

    fn ask(&self, path: &str) -> io::Result<Value> {
        let address = ADDRESS.parse().expect("an address");
        let answer = socket::http_request(self.host, address, path, "application/json")?;
        serde_json::from_str(&answer.body).map_err(io::Error::other)
    }
}
