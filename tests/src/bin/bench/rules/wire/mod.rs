//! Real frames over a veth, decided by each firewall: what a policy costs there.
//!
//! A frame costs the way to the firewall, the decision, and the way to the end for those that are
//! let in, where all of them are dropped. The sender's CPU does all of it, so its time is what a
//! frame costs.

mod outcome;
mod sender;
mod site;

use anyhow::{Context as _, Result};
use gateway_common::verdict::Verdict;

use self::site::{Fate, Firewall, Site};
use super::{
    Options,
    columns::{PREFIXES, RULES, Sizes},
    nft::Style,
    policy::{Generated, Shape},
};
use crate::report::Table;

/// Different frames of a case that has many.
const MANY: usize = 8_192;
/// Frames that tell how long one takes.
const TRIAL: u32 = 64;

/// Which frames are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// The one that the last rule is about.
    Last,
    /// Those of any rule, or any prefix of the list.
    Any,
    /// Those of strangers whom nothing is about, to what rules are about.
    Stranger,
}

/// What is compared.
#[derive(Clone, Copy)]
struct Study {
    shape: Shape,
    sizes: Sizes,
    cases: &'static [Case],
}

const RULE_STUDY: Study =
    Study { shape: Shape::Services, sizes: RULES, cases: &[Case::Last, Case::Any, Case::Stranger] };
const LIST_STUDY: Study =
    Study { shape: Shape::List, sizes: PREFIXES, cases: &[Case::Any, Case::Stranger] };

/// A site and what was measured there, by case.
struct Subject {
    site: Site,
    cases: Vec<Measured>,
}

struct Measured {
    case: Case,
    frames: Vec<Vec<u8>>,
    admits: bool,
    /// How many frames a turn takes.
    turn: u32,
    /// In each round, nanoseconds per frame.
    ns: Vec<f64>,
}

/// Runs both studies.
pub(super) fn run(options: &Options, cpu: usize) -> Result<[Table; 2]> {
    let rules = measure(RULE_STUDY, options)?;
    let lists = measure(LIST_STUDY, options)?;
    Ok([
        outcome::of_rules(RULE_STUDY, &rules, options, cpu),
        outcome::of_lists(LIST_STUDY, &lists, options, cpu),
    ])
}

fn measure(study: Study, options: &Options) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for &size in study.sizes.all {
        eprintln!("rules: firewalls with {size} of {:?}", study.shape);
        let policy = Generated { shape: study.shape, size };
        let floors = if size == study.sizes.all[0] { &Firewall::FLOORS[..] } else { &[] };
        for firewall in floors.iter().chain(&Firewall::GOVERNED) {
            if is_measured(*firewall, policy, options) {
                subjects.push(Subject::new(*firewall, policy, study, options)?);
            }
        }
    }
    for round in 0..options.rounds as usize {
        eprintln!("rules: round {} of {} over veths", round + 1, options.rounds);
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..subjects.len() {
            let index = (round + place) % subjects.len();
            subjects[index].turn()?;
        }
    }
    for subject in &subjects {
        let policy = subject.site.policy;
        subject.site.check().with_context(|| format!("checking {policy:?}"))?;
    }
    Ok(subjects)
}

/// A hundred thousand rules in a row would take nftables milliseconds for each packet.
fn is_measured(firewall: Firewall, policy: Generated, options: &Options) -> bool {
    const LINEAR_MAX: u32 = 10_000;
    let is_linear = firewall == Firewall::Nftables(Style::Linear);
    policy.size <= options.size_max && (!is_linear || policy.size <= LINEAR_MAX)
}

impl Subject {
    fn new(firewall: Firewall, policy: Generated, study: Study, options: &Options) -> Result<Self> {
        let mut site = Site::new(firewall, policy)?;
        let mut cases = Vec::new();
        for &case in study.cases {
            let mut measured = Measured::new(case, firewall, policy);
            measured.send(&mut site, TRIAL)?;
            let trial_ns = measured.send(&mut site, TRIAL)?;
            measured.turn = frames_of_turn(trial_ns, options.turn_ms);
            cases.push(measured);
        }
        site.check().with_context(|| format!("checking {policy:?} at first"))?;
        Ok(Self { site, cases })
    }

    fn turn(&mut self) -> Result<()> {
        for measured in &mut self.cases {
            let ns = measured.send(&mut self.site, measured.turn)?;
            measured.ns.push(ns);
        }
        Ok(())
    }
}

impl Measured {
    fn new(case: Case, firewall: Firewall, policy: Generated) -> Self {
        let mut random = fastrand::Rng::with_seed(u64::from(policy.size));
        let packets = match case {
            Case::Last => vec![policy.opening(policy.size - 1)],
            Case::Any => (0..MANY).map(|_| policy.opening(random.u32(..policy.size))).collect(),
            Case::Stranger => {
                let stranger = |_| policy.stranger(random.u32(..policy.size), random.u32(..));
                (0..MANY).map(stranger).collect()
            }
        };
        let reason = match case {
            Case::Last | Case::Any => policy.opening_reason(),
            Case::Stranger => policy.stranger_reason(),
        };
        let is_open = matches!(firewall, Firewall::None | Firewall::EmptyXdp);
        Self {
            case,
            frames: packets.into_iter().map(Site::frame).collect(),
            admits: is_open || reason.verdict() == Verdict::Pass,
            turn: TRIAL,
            ns: Vec::new(),
        }
    }

    fn send(&self, site: &mut Site, count: u32) -> Result<f64> {
        let ns = site.sender.send(&self.frames, count)?;
        let Fate { admitted, refused } = &mut site.expected;
        *(if self.admits { admitted } else { refused }) += u64::from(count);
        Ok(ns)
    }
}

/// As many as take that long, within reason.
fn frames_of_turn(frame_ns: f64, turn_ms: u32) -> u32 {
    let frames = f64::from(turn_ms) * 1e6 / frame_ns;
    // Counts that small are exact.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
    let frames = frames.clamp(f64::from(TRIAL), 1e6) as u32;
    frames
}
