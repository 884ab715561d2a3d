//! The same packets through the programs in the kernel and through the host build of the packet
//! path, which have to do the same with every one of them.

mod report;
mod tapes;
mod twin;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use nix::unistd::geteuid;
use tests::{
    fuzz::{
        tape::Tape,
        worlds::{ESTABLISHED_MAX, World},
    },
    prog_run::Program,
};

use crate::{
    report::{Finding, Totals},
    twin::{Played, Rule, Twin},
};

/// Sequences that are played in one world.
const SEQUENCES_PER_WORLD: u64 = 150;
/// How often a sequence is tried during which the clock ticks.
const TRIES: u32 = 20;

/// Sends generated and changed packets through the loaded programs and through the host build of the
/// packet path, and fails when verdict, reason or tables differ after any of them, or when something
/// passes that outside began.
#[derive(Parser)]
#[command(name = "cargo xtask fuzz packets", bin_name = "cargo xtask fuzz packets")]
struct Cli {
    /// How many packets to compare, in all: 300000, 500k, 10M
    #[arg(long, value_name = "N", default_value = "10M", value_parser = number)]
    packets: u64,
    /// The seed that everything follows from; a random one otherwise
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many workers run side by side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// Play these sequences, or those in these directories, instead of generated ones
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["packets", "seed", "jobs"])]
    replay: Vec<PathBuf>,
    /// Where to leave sequences that show a difference
    #[arg(long, value_name = "DIR", default_value = "target/fuzz/packets")]
    findings: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Reads a number that may end in k or M.
fn number(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['M', 'm']) {
        Some(digits) => (digits, 1_000_000),
        None => text.strip_suffix('k').map_or((text, 1), |digits| (digits, 1_000)),
    };
    let number: Option<u64> = digits.parse().ok();
    let product = number.and_then(|number| number.checked_mul(factor)).filter(|&it| it > 0);
    product.ok_or_else(|| "a number above zero, such as 300000, 500k or 10M".to_owned())
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; whether there was no difference.
fn run(cli: &Cli) -> Result<bool> {
    ensure!(geteuid().is_root(), "running BPF programs needs root: run this as root, or with sudo");
    let started = Instant::now();
    let hunt = Hunt {
        seed: cli.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
        packets: cli.packets,
        next_world: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        totals: Mutex::default(),
    };
    if cli.replay.is_empty() {
        eprintln!("seed {}", hunt.seed);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..cli.jobs).map(|_| scope.spawn(|| hunt.work())).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().map_err(|_| anyhow!("a worker could not go on; see above"))
            })
        })?;
    } else {
        hunt.replay(&tapes_in(&cli.replay)?);
    }
    let mut totals = hunt.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.finish(hunt.seed, started.elapsed());
    totals.keep_findings(&cli.findings)?;
    print!("{}", if cli.json { totals.json()? } else { totals.plain() });
    Ok(totals.is_good())
}

/// The sequences of files and directories, with their names.
fn tapes_in(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Tape)>> {
    let mut tapes = Vec::new();
    for path in paths {
        let mut files = vec![path.clone()];
        if path.is_dir() {
            let entries =
                fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
            files = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            files.sort();
        }
        for file in files {
            let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            tapes.push((file, Tape::read(&bytes)));
        }
    }
    ensure!(!tapes.is_empty(), "there is nothing to replay");
    Ok(tapes)
}

/// What all workers share.
struct Hunt {
    seed: u64,
    packets: u64,
    next_world: AtomicU64,
    is_over: AtomicBool,
    totals: Mutex<Totals>,
}

impl Hunt {
    /// Plays worlds until there were enough packets.
    fn work(&self) {
        let mut twins = ESTABLISHED_MAX.map(Twin::new);
        while !self.is_over.load(Ordering::Relaxed) {
            let turn = self.next_world.fetch_add(1, Ordering::Relaxed);
            let totals = self.play_world(turn, &mut twins);
            let mut all = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(totals);
            if all.packets >= self.packets || !all.is_good() {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Plays the sequences of one world. In every fourth nothing leaves from inside.
    fn play_world(&self, turn: u64, twins: &mut [Twin]) -> Totals {
        let rule = if turn % 4 == 3 { Rule::FromOutside } else { Rule::Any };
        let mixed = self.seed.wrapping_add(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The first is the default configuration.
        let number = if turn < 4 { 0 } else { (mixed >> 48) as u16 };
        let ingress = Program::INGRESS[usize::from(turn / 4 % 2 == 1)];
        let twin = enter(twins, number, rule, ingress);
        let mut totals = Totals::for_world(rule);
        for index in 0..SEQUENCES_PER_WORLD {
            let sequence = turn * SEQUENCES_PER_WORLD + index;
            let tape = match rule {
                Rule::Any => tapes::tape(self.seed, sequence, number),
                Rule::FromOutside => tapes::tape_from_outside(self.seed, sequence, number),
            };
            if !play(twin, &tape, rule, ingress, &mut totals) {
                return totals;
            }
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        if let Err(what) = twin.compare_sums() {
            totals.fail(Finding::of_sums(number, ingress, what));
        }
        totals
    }

    /// Plays sequences that were kept, through both programs for packets from outside.
    fn replay(&self, tapes: &[(PathBuf, Tape)]) {
        let mut twins = ESTABLISHED_MAX.map(Twin::new);
        let mut all = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, tape) in tapes {
            for ingress in Program::INGRESS {
                let twin = enter(&mut twins, tape.world, Rule::Any, ingress);
                let mut totals = Totals::for_world(Rule::Any);
                if !play(twin, tape, Rule::Any, ingress, &mut totals) {
                    eprintln!("{}", path.display());
                }
                all.add(totals);
            }
        }
    }
}

fn enter(twins: &mut [Twin], number: u16, rule: Rule, ingress: Program) -> &mut Twin {
    let world = match rule {
        Rule::Any => World::new(number),
        Rule::FromOutside => World::closed(number),
    };
    let sizes = ESTABLISHED_MAX.iter();
    let which = sizes.take_while(|&&max| max != world.established_max).count();
    let twin = &mut twins[which];
    twin.enter(world, ingress);
    twin
}

/// Plays a sequence until the clock stands still meanwhile; whether there was no difference.
fn play(twin: &mut Twin, tape: &Tape, rule: Rule, ingress: Program, totals: &mut Totals) -> bool {
    totals.sequences += 1;
    for _ in 0..TRIES {
        match twin.play(tape, rule) {
            Played::Alike(packets) => {
                totals.packets += packets;
                return true;
            }
            Played::Ticked => totals.repeated += 1,
            // What is real happens again.
            Played::Differs(_) if !report::differs(twin, tape, rule) => totals.repeated += 1,
            Played::Differs(difference) => {
                let tape = report::shrink(twin, tape, rule, difference.at);
                totals.fail(Finding::new(twin, tape, rule, ingress, difference));
                return false;
            }
        }
    }
    totals.given_up += 1;
    true
}

/// Where findings go.
fn finding_path(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("finding-{number}.tape"))
}
