//! The flows, ends and packets of a window, and its end.

use std::{mem, time::SystemTime};

use gateway_common::{
    counter::FlowEvent, flow::FlowEntry, record::FlowRecord, timeouts::Ticks, tuple::FlowKey,
    verdict::Reason,
};

use super::{Accounts, BATCH_BYTES, unix_secs};
use crate::{
    daemon::{FlowSight, Ledger, PassStart, PassSummary},
    flow_log::{
        baseline::Delta,
        journal::{Entry, Mark},
        line::{Clock, FlowReport, Silence, Writer},
        reject::Rejected,
    },
};

impl Accounts {
    /// Adds lines that are about no flow.
    fn add(&mut self, write: impl FnOnce(&Writer, &mut String) -> u64) {
        write(&self.writer, &mut self.batch.text);
        if self.batch.text.len() >= BATCH_BYTES {
            self.commit();
        }
    }

    fn report(
        &mut self,
        (key, entry, at): (&FlowKey, &FlowEntry, Ticks),
        deltas: [Delta; 2],
        end: Option<FlowEvent>,
    ) {
        self.writer.flow(
            &mut self.batch.text,
            &FlowReport {
                interface: &self.interface,
                key,
                entry,
                at,
                config: &self.config,
                deltas,
                end,
                clock: &self.clock,
                window_start: self.mark.window_start,
            },
        );
    }

    /// Ends the window.
    fn close(&mut self, summary: &PassSummary) {
        self.commit();
        self.baselines.forget_absent();
        let lost = count_of(&summary.events, FlowEvent::RecordLost);
        // A gateway that was attached anew counts from zero.
        let is_missing = lost > self.mark.records_lost || summary.recycled > self.mark.recycled;
        (self.mark.records_lost, self.mark.recycled) = (lost, summary.recycled);
        self.close_rejects();
        if is_missing || mem::take(&mut self.is_blind) {
            self.skip();
        }
        self.commit();
        let (interface, times) =
            (self.interface.clone(), (self.mark.window_start, self.window_end));
        if let Some(since) = self.mark.skip_since {
            let times = (since, self.window_end);
            self.add(|writer, text| writer.silence(text, &interface, Silence::SkipData, times));
        } else if !self.mark.has_lines {
            self.add(|writer, text| writer.silence(text, &interface, Silence::NoData, times));
        }
        self.mark.skip_since = None;
        self.commit();
        let now = self.clock.unix_secs(summary.at);
        let window_start = self.end_after(now).saturating_sub(self.interval()).max(self.window_end);
        self.window_end = self.end_after(now);
        self.mark = Mark { window_start, has_lines: false, ..self.mark.clone() };
        self.journal.append(&Entry::Mark(self.mark.clone()));
        self.stats.window();
    }

    pub(super) fn close_rejects(&mut self) {
        let (sums, missed) = self.rejects.take();
        for (rejected, sum) in sums {
            let interface = interface_name(rejected.ifindex);
            let rule = self.rule_of(&rejected).map(str::to_owned);
            self.add(|writer, text| {
                writer.reject(text, &interface, &rejected, &sum, rule.as_deref())
            });
        }
        if missed != 0 {
            self.stats.rejects_missed(missed);
            self.skip();
        }
    }

    fn rule_of(&self, rejected: &Rejected) -> Option<&str> {
        let (_, rule) = rejected.why?;
        let is_of_rule = rejected.reason().is_some_and(Reason::is_of_rule);
        self.rules.get(rule as usize).filter(|_| is_of_rule).map(String::as_str)
    }
}

impl Ledger for Accounts {
    fn begin(&mut self, start: &PassStart) {
        self.begin_at(start, SystemTime::now());
    }

    fn flow(&mut self, flow: &FlowSight<'_>) {
        if !self.is_reporting {
            return;
        }
        let id = self.baselines.id(flow.key, flow.entry.created);
        let (baseline, deltas) = self.baselines.advance(id, flow.entry);
        if deltas.iter().all(|delta| delta.packets == 0) {
            return;
        }
        self.batch.set.push((id, baseline.0));
        self.report((flow.key, flow.entry, flow.at), deltas, None);
        if self.batch.text.len() >= BATCH_BYTES {
            self.commit();
        }
    }

    fn ended(&mut self, record: &FlowRecord) {
        let id = self.baselines.id(&record.key, record.entry.created);
        // The process that took this record before was killed before it was out of the ring.
        if self.last == Some((record.serial, id)) {
            return;
        }
        let deltas = self.baselines.end(id, &record.entry);
        self.report((&record.key, &record.entry, record.at), deltas, record.event());
        self.batch.ended.push(id);
        self.last = Some((record.serial, id));
        self.batch.last = self.last;
        self.commit();
    }

    fn finish(&mut self, summary: &PassSummary) {
        if mem::take(&mut self.is_reporting) {
            self.close(summary);
        }
    }
}

impl Accounts {
    /// A pass begins at this time.
    pub(in crate::flow_log) fn begin_at(&mut self, start: &PassStart, now: SystemTime) {
        self.config = start.config;
        self.clock = Clock::new(start.at, now, &start.config);
        if self.is_clock_set_back(now) {
            // The window ends here, so that no line ends before it begins.
            self.window_end = unix_secs(now);
            self.mark.window_start = self.mark.window_start.min(self.window_end);
        }
        self.is_reporting = unix_secs(now) >= self.window_end;
    }
}

/// The name of an interface; its number if it is gone.
fn interface_name(ifindex: u32) -> String {
    let name = nix::net::if_::if_indextoname(ifindex).ok();
    name.and_then(|name| name.into_string().ok()).unwrap_or_else(|| ifindex.to_string())
}

fn count_of(events: &[(FlowEvent, u64)], event: FlowEvent) -> u64 {
    events.iter().find(|(of, _)| *of == event).map_or(0, |(_, count)| *count)
}
