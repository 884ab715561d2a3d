//! What a run found, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::{
    compare::Comparison,
    difference,
    evidence::Witnessed,
    print,
    step::{Origin, Sequence},
};

/// The totals of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    seed: u64,
    sequences: u64,
    packets: u64,
    compared: u64,
    agreed: u64,
    not_compared: u64,
    elapsed_ms: u64,
    documented: BTreeMap<&'static str, Documented>,
    shown: Vec<Shown>,
    unexplained_sequences: u64,
}

/// How often a documented difference showed.
#[derive(Debug, Serialize)]
struct Documented {
    packets: u64,
    example: String,
}

/// A sequence with what became of each step.
#[derive(Debug, Serialize)]
struct Shown {
    replay: String,
    family: &'static str,
    steps: Vec<Line>,
}

/// A step and what became of it.
#[derive(Debug, Serialize)]
struct Line {
    step: String,
    differs: bool,
    eigw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    reference: String,
}

impl Report {
    /// Of a run with this seed that has not begun.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds what comparing one sequence gave.
    pub(crate) fn add(&mut self, sequence: &Sequence, comparison: &Comparison) {
        self.sequences += 1;
        self.packets += sequence.steps.len() as u64;
        self.compared += comparison.compared as u64;
        self.not_compared += comparison.not_compared as u64;
        let unexplained = u64::from(comparison.unexplained.is_some());
        self.unexplained_sequences += unexplained;
        self.agreed +=
            comparison.compared as u64 - comparison.documented.len() as u64 - unexplained;
        for (_, difference) in &comparison.documented {
            let row = self
                .documented
                .entry(difference.name)
                .or_insert_with(|| Documented { packets: 0, example: replay(sequence.origin) });
            row.packets += 1;
        }
    }

    /// Adds a sequence for people to look at.
    pub(crate) fn show(&mut self, sequence: &Sequence, witnessed: Vec<Witnessed>) {
        let steps = witnessed.into_iter().map(|witnessed| Line {
            step: witnessed.text,
            differs: !witnessed.observation.agrees(),
            eigw: witnessed.eigw,
            expected: witnessed.expected,
            reference: witnessed.reference,
        });
        self.shown.push(Shown {
            replay: replay(sequence.origin),
            family: print::family(sequence.family),
            steps: steps.collect(),
        });
    }

    /// Notes how long it took.
    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    }

    /// Whether every difference is documented.
    pub(crate) const fn is_good(&self) -> bool {
        self.unexplained_sequences == 0
    }

    /// For a terminal.
    pub(crate) fn plain(&self) -> String {
        let mut text = String::new();
        for case in &self.shown {
            text += &case.plain();
        }
        let secs = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        let mut put = |line: String| {
            text += &line;
            text.push('\n');
        };
        put(format!("{} sequences of seed {} in {secs:.1} s", self.sequences, self.seed));
        put(format!(
            "{} packets: {} compared, of which {} treated alike; {} behind a difference",
            self.packets, self.compared, self.agreed, self.not_compared
        ));
        for difference in difference::all() {
            if let Some(row) = self.documented.get(difference.name) {
                let Documented { packets, example } = row;
                put(format!("{packets:8}  {}, as in {example}", difference.name));
            }
        }
        put(format!("{:8}  sequences with unexplained differences", self.unexplained_sequences));
        text
    }
}

impl Shown {
    fn plain(&self) -> String {
        let mut text = format!("{} ({}):\n", self.replay, self.family);
        for Line { step, differs, eigw, expected, reference } in &self.steps {
            let sign = if *differs { '≠' } else { ' ' };
            let expected = expected.as_ref().map(|it| format!(", but expected {it}"));
            let expected = expected.unwrap_or_default();
            writeln!(text, "{sign} {step}\n      eigw: {eigw}{expected}\n       nft: {reference}")
                .expect("writing to a string");
        }
        text.push('\n');
        text
    }
}

/// What `--replay` takes.
fn replay(origin: Origin) -> String {
    format!("--replay {}:{}", origin.seed, origin.number)
}
