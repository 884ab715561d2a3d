//! What the doctor found.

use serde::Serialize;

use crate::doctor::{Finding, Severity};

/// The answer of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoctorView {
    /// About the machine.
    pub machine: Vec<Finding>,
    /// About each interface.
    pub interfaces: Vec<InterfaceFindingsView>,
    /// How many checks found that attaching fails.
    pub problems: usize,
    /// How many found that something could be better.
    pub warnings: usize,
}

/// What was found about one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceFindingsView {
    /// Its name.
    pub name: String,
    /// What was found.
    pub checks: Vec<Finding>,
}

impl DoctorView {
    /// The findings, counted.
    #[must_use]
    pub fn new(machine: Vec<Finding>, interfaces: Vec<InterfaceFindingsView>) -> Self {
        let count = |verdict: Severity| {
            let of_interfaces = interfaces.iter().flat_map(|interface| &interface.checks);
            machine.iter().chain(of_interfaces).filter(|it| it.verdict == verdict).count()
        };
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        Self { machine, interfaces, problems, warnings }
    }
}
