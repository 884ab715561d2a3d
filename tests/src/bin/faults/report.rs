//! Runs the sweeps and prints what came of them.

use std::{collections::BTreeMap, env, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use nix::unistd::geteuid;
use tests::{
    faults::{self, Disturbance, Job, Loss, Row, Sample, Site, Way},
    interrupt,
};

/// Kills, refuses and robs the commands that change a gateway, at each of their system calls, and
/// looks at what that leaves.
#[derive(Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
struct Cli {
    /// Only these disturbances
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// Only these commands, by the beginning of their names
    #[arg(long, value_name = "COMMAND")]
    job: Vec<String>,
    /// Only these hooks
    #[arg(long, value_name = "HOOK")]
    way: Vec<String>,
    /// Try one system call in so many
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Which one of so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// Refuse each call for each reason, instead of one reason after the other
    #[arg(long)]
    thorough: bool,
    /// Print every different complaint
    #[arg(long)]
    complaints: bool,
    /// Print tables as Markdown
    #[arg(long)]
    markdown: bool,
    #[command(subcommand)]
    command: Option<HiddenCommand>,
}

#[derive(Subcommand)]
enum HiddenCommand {
    /// Repairs a gateway as its daemon would; the sweep disturbs this process.
    #[command(hide = true)]
    Repair {
        /// The network namespace.
        netns: String,
        /// The hook.
        hook: String,
        /// The BPF file system.
        bpffs: PathBuf,
    },
}

/// What befalls a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Its process is killed, before and after the call.
    Kill,
    /// The call fails with ENOMEM, EPERM, EBUSY or ENOSPC.
    Refuse,
    /// Its interface is removed, renamed, moved or replaced.
    Loss,
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if !geteuid().is_root() {
        eprintln!("faults: network namespaces and BPF need root: run this as root, or with sudo");
        return ExitCode::FAILURE;
    }
    let outcome = match &cli.command {
        Some(HiddenCommand::Repair { netns, hook, bpffs }) => {
            faults::repair(netns, hook, bpffs).map(|()| true)
        }
        None => cli.sweep(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Sweeps; whether nothing was wrong.
    fn sweep(&self) -> Result<bool> {
        interrupt::clean_up_when_interrupted()?;
        let this = env::current_exe().context("cannot tell where this program is")?;
        let sample = Sample { every: self.every.max(1), offset: self.offset };
        let mut sound = true;
        for kind in [Kind::Kill, Kind::Refuse].into_iter().filter(|&kind| self.wants(kind)) {
            let disturbances = match kind {
                Kind::Kill => &Disturbance::KILLS[..],
                Kind::Refuse | Kind::Loss => &Disturbance::REFUSALS[..],
            };
            let mut rows = Vec::new();
            for way in Way::ALL.into_iter().filter(|way| named(&self.way, &way.to_string())) {
                let site = Site::new(way, &this);
                for job in self.jobs().filter(|it| way == Way::Xdp || !it.leaves_hooks_alone()) {
                    let all = kind == Kind::Kill || self.thorough;
                    let row = faults::sweep(&site, job, disturbances, sample, all);
                    sound &= self.tell(&format!("{job} by {way}"), &row);
                    rows.push((vec![job.to_string(), way.to_string()], row));
                }
            }
            self.print(&format!("{kind:?}"), &["command", "hooks"], &rows);
        }
        if self.wants(Kind::Loss) {
            sound &= self.lose(sample);
        }
        Ok(sound)
    }

    fn lose(&self, sample: Sample) -> bool {
        let mut sound = true;
        let mut rows = Vec::new();
        for job in self.jobs().filter(|it| [Job::Attach, Job::Again, Job::Reload].contains(it)) {
            let ways = Way::ALL.into_iter().filter(|way| named(&self.way, &way.to_string()));
            for way in ways.filter(|&it| it == Way::Xdp || !job.leaves_hooks_alone()) {
                for loss in Loss::ALL {
                    let row = faults::lose(job, way, loss, sample);
                    sound &= self.tell(&format!("{job} by {way}, {loss}"), &row);
                    rows.push((vec![job.to_string(), way.to_string(), loss.to_string()], row));
                }
            }
        }
        self.print("Loss", &["command", "hooks", "interface"], &rows);
        sound
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kind.is_empty() || self.kind.contains(&kind)
    }

    fn jobs(&self) -> impl Iterator<Item = Job> {
        Job::ALL.into_iter().filter(|job| named(&self.job, &job.to_string()))
    }

    /// Tells what was found; whether that was nothing.
    fn tell(&self, what: &str, row: &Row) -> bool {
        eprintln!("{what}: {} of {} boundaries, {:.0?}", row.tried, row.boundaries, row.took);
        for finding in &row.findings {
            eprintln!("  FINDING {finding}");
        }
        if self.complaints {
            for (complaint, times) in &row.complaints {
                eprintln!("  {times} × {complaint}");
            }
        }
        row.findings.is_empty()
    }

    fn print(&self, title: &str, heading: &[&str], rows: &[(Vec<String>, Row)]) {
        let mut table = Table::new();
        let style = if self.markdown { presets::ASCII_MARKDOWN } else { presets::NOTHING };
        let numbers = ["calls", "tried", "outcome", "wrong", "seconds"];
        table
            .load_style(style)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header([heading, &numbers].concat());
        for (names, row) in rows {
            let figures = [
                row.boundaries.to_string(),
                row.tried.to_string(),
                outcomes(&row.outcomes),
                row.findings.len().to_string(),
                row.took.as_secs().to_string(),
            ];
            table.add_row(names.iter().cloned().chain(figures));
        }
        for column in [0, 1, 3, 4] {
            let column = table.column_mut(heading.len() + column).expect("it has a heading");
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{title}\n\n{table}\n");
    }
}

fn named(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted.as_str()))
}

fn outcomes(outcomes: &BTreeMap<String, usize>) -> String {
    let outcomes: Vec<_> =
        outcomes.iter().map(|(outcome, times)| format!("{times} {outcome}")).collect();
    outcomes.join(", ")
}
