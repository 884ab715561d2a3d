//! How long it takes to attach a gateway, and to detach it, by the size of its tables.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tests::{bpffs::Bpffs, eigw, netns::Netns, unique};

use super::Options;
use crate::{
    report::{Column, Table, thousands},
    statistics::Spread,
};

/// The smallest tables that `auto` chooses.
const ENTRIES_MIN: u32 = 16_384;

/// What each round measured, in milliseconds.
#[derive(Default)]
struct Series {
    attach: Vec<f64>,
    detach: Vec<f64>,
}

/// Measures with tables for as many flows as were live.
pub(super) fn run(options: &Options) -> Result<Table> {
    let binary = eigw::binary();
    let host = Netns::new(&format!("{}-attach", unique::stem()));
    host.ip("link add up0 type veth peer name pe0\nlink set up0 up\nlink set pe0 up");
    let bpffs = Bpffs::new();
    let call = |arguments: &[&str]| -> Result<Duration> {
        let mut command = Command::new(binary);
        command.args(["--netns", host.name(), "--bpffs"]).arg(bpffs.path()).args(arguments);
        let started = Instant::now();
        let output = command.output().with_context(|| format!("starting {command:?}"))?;
        let elapsed = started.elapsed();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?} failed: {complaint}");
        Ok(elapsed)
    };
    let mut sizes: Vec<u32> = options.flows.iter().map(|flows| ENTRIES_MIN.max(*flows)).collect();
    sizes.dedup();
    let mut all: Vec<_> = sizes.iter().map(|size| (*size, Series::default())).collect();
    for _ in 0..options.rounds {
        for (size, series) in &mut all {
            let file = tempfile::NamedTempFile::new().context("making a file")?;
            let text =
                format!("[flows]\nestablished_max = {size}\nhalf_open_max = {}\n", *size / 4);
            std::fs::write(&file, text).context("writing a configuration")?;
            let path = file.path().to_str().context("a path without words")?;
            let attached = call(&["attach", "--uplink", "up0", "--config", path])?;
            let detached = call(&["detach", "--name", "up0"])?;
            series.attach.push(attached.as_secs_f64() * 1e3);
            series.detach.push(detached.as_secs_f64() * 1e3);
        }
    }
    Ok(table(&all, options))
}

fn table(all: &[(u32, Series)], options: &Options) -> Table {
    let row = |(size, series): &(u32, Series)| {
        vec![
            thousands((*size).into()),
            thousands((size / 4).into()),
            format!("{:.0}", Spread::of(series.attach.iter().copied())),
            format!("{:.0}", Spread::of(series.detach.iter().copied())),
        ]
    };
    Table {
        title: "Time to attach and to detach",
        notes: vec![format!(
            "`eigw attach` and `eigw detach` from beginning to end, in a network namespace: \
             milliseconds, median [min – max] of {} interleaved rounds. The verifier reads the \
             programs meanwhile, and the kernel allocates the tables.",
            options.rounds
        )],
        columns: vec![
            Column::Numbers("established flows"),
            Column::Numbers("half-open flows"),
            Column::Numbers("ms to attach"),
            Column::Numbers("ms to detach"),
        ],
        rows: all.iter().map(row).collect(),
        pictures: Vec::new(),
    }
}
