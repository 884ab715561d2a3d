//! What user space has the programs do, between packets.

use gateway_common::{counter::FlowEvent, tuple::FlowKey};

use super::{Row, hosts::Flow};

/// A run of one of the programs that no packet goes through, and what comes of it.
#[derive(Clone, Debug)]
pub struct Errand {
    /// How many seconds pass before it.
    pub wait_secs: u32,
    /// What is asked for.
    pub task: Task,
    /// The flows that it ends and how, in order. That is all it does.
    pub ends: Vec<(FlowKey, FlowEvent)>,
}

/// What user space may ask for.
#[derive(Clone, Debug)]
pub enum Task {
    /// To delete a flow, live or not.
    Forget(FlowKey),
    /// To remove those of these flows that expired a while ago.
    Reclaim(Vec<FlowKey>),
}

impl Row {
    /// An operator deletes a flow.
    pub fn deleting(self, flow: &Flow) -> Self {
        self.run(Task::Forget(flow.key), &[(flow, FlowEvent::Deleted)])
    }

    /// An operator asks for a flow to be deleted that is not there.
    pub fn deleting_nothing(self, flow: &Flow) -> Self {
        self.run(Task::Forget(flow.key), &[])
    }

    /// The sweeper names these flows, of which those end that come after them, in order.
    pub fn sweeping(self, flows: &[&Flow], ends: &[(&Flow, FlowEvent)]) -> Self {
        self.run(Task::Reclaim(flows.iter().map(|flow| flow.key).collect()), ends)
    }

    fn run(mut self, task: Task, ends: &[(&Flow, FlowEvent)]) -> Self {
        let ends = ends.iter().map(|&(flow, end)| (flow.key, end)).collect();
        self.errands.push(Errand { wait_secs: self.wait_secs, task, ends });
        Self { wait_secs: 1, ..self }
    }
}
