//! A machine that asks why before it does.

use gateway_common::{
    config::Config, flow::FlowEntry, tables::Table, timeouts::Ticks, tuple::FlowKey,
    verdict::Verdict,
};
use gateway_userspace::{policy::CompiledPolicy, why};
use tests::{
    rows::{Step, check::Machine, errand::Task},
    state::State,
};

use super::Kernel;

/// The kernel, of which `why` is asked before every packet.
pub(super) struct Asking {
    pub(super) kernel: Kernel,
    /// How many packets were asked about.
    pub(super) asked: usize,
    /// Where the answer was not what came.
    pub(super) differences: Vec<String>,
}

impl Asking {
    pub(super) const fn new(kernel: Kernel) -> Self {
        Self { kernel, asked: 0, differences: Vec::new() }
    }
}

impl Machine for Asking {
    fn reset(&mut self, config: &Config) {
        self.kernel.reset(config);
    }

    fn govern(&mut self, config: &Config, policy: Option<&CompiledPolicy>) {
        Machine::govern(&mut self.kernel, config, policy);
    }

    fn advance(&mut self, span: Ticks) {
        self.kernel.advance(span);
    }

    fn now(&self) -> Ticks {
        self.kernel.now()
    }

    fn run(&mut self, step: &Step) -> Verdict {
        let before = self.kernel.state();
        let tables = self.kernel.programs.tables();
        let explanation =
            why::explain(&step.frame, step.direction, &tables).expect("the maps can be read");
        let after = self.kernel.state();
        assert!(after == before, "asking changed {:?}", after.since(&before));
        let verdict = self.kernel.run(step);
        let counted = self.kernel.state().since(&before).verdicts;
        let found = counted.iter().map(|&(direction, reason, _)| (direction, reason));
        let found: Vec<_> = found.collect();
        let reason = explanation.outcome.reason;
        if found != [(step.direction, reason)] || verdict != reason.verdict() {
            let frame = &step.frame.bytes;
            self.differences.push(format!(
                "why says {reason:?}, the kernel {verdict:?} {found:?} for {frame:02x?}"
            ));
        }
        self.asked += 1;
        verdict
    }

    fn perform(&mut self, task: &Task) -> usize {
        self.kernel.perform(task)
    }

    fn state(&self) -> State {
        self.kernel.state()
    }

    fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) {
        self.kernel.insert(table, key, entry);
    }

    fn settle(&mut self, period: Ticks) {
        self.kernel.settle(period);
    }

    fn can_run(&self, step: &Step) -> bool {
        self.kernel.can_run(step)
    }
}
