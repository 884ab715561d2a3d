//! What is measured, and the figures of all rounds.

use gateway_common::{abi::name, verdict::Reason};
use tests::prog_run::Program;

use crate::{empty::Hook, report::Column, statistics::Spread};

/// What judges a packet, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The empty program of a hook: the floor.
    Empty(Hook),
    /// A program of the gateway.
    Gateway(Program, Reason),
    /// The program that deletes the flow whose key it gets.
    Forget,
}

impl Subject {
    /// The hook whose empty program is the floor.
    pub(super) const fn hook(self) -> Hook {
        match self {
            Self::Empty(hook) => hook,
            Self::Gateway(Program::IngressXdp, _) => Hook::Xdp,
            Self::Gateway(Program::IngressTc | Program::EgressTc, _) | Self::Forget => Hook::Tc,
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Empty(hook) => hook.program(),
            Self::Gateway(program, _) => program.name(),
            Self::Forget => name::FORGET,
        }
    }

    fn verdict(self) -> String {
        match self {
            Self::Empty(_) => "pass".into(),
            Self::Gateway(_, reason) => format!("{}: {}", reason.verdict().name(), reason.name()),
            Self::Forget => "removed".into(),
        }
    }
}

/// A row: a packet, what judges it, and how long that took.
pub(super) struct Series {
    pub(super) packet: String,
    pub(super) subject: Subject,
    /// Nanoseconds per packet, in each round.
    pub(super) ns: Vec<f64>,
}

impl Series {
    /// A row without figures yet.
    pub(super) fn new(packet: impl Into<String>, subject: Subject) -> Self {
        Self { packet: packet.into(), subject, ns: Vec::new() }
    }
}

/// The columns of tables whose rows are series.
pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::Words("packet"),
        Column::Words("verdict"),
        Column::Words("program"),
        Column::Numbers("ns per packet"),
        Column::Numbers("over the empty program"),
    ]
}

/// The rows, with so many decimal places.
///
/// # Panics
/// If the floor of a row is not among them.
pub(super) fn rows(all: &[&Series], places: usize) -> Vec<Vec<String>> {
    let floor = |hook| {
        let found = all.iter().find(|series| series.subject == Subject::Empty(hook));
        &found.expect("every floor is measured").ns
    };
    let row = |series: &&Series| {
        let subject = series.subject;
        let over = match subject {
            Subject::Empty(_) => String::new(),
            Subject::Gateway(..) | Subject::Forget => {
                format!("{:+.places$}", Spread::of_differences(&series.ns, floor(subject.hook())))
            }
        };
        let ns = Spread::of(series.ns.iter().copied());
        vec![
            series.packet.clone(),
            subject.verdict(),
            subject.program().into(),
            format!("{ns:.places$}"),
            over,
        ]
    };
    all.iter().map(row).collect()
}
