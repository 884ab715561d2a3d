//! What happens to flows, event by event.

use std::{collections::HashMap, io::Write, mem};

use gateway_common::{
    counter::FlowEvent,
    flow::FlowState,
    observe::{Watch, WatchCount, want},
    record::FlowRecord,
    timeouts::Ticks,
    tuple::FlowKey,
};

use super::{LiveFlows, filter::Filter};
use crate::{
    cli::{
        Result,
        observe::{Scene, Watcher, tell_people},
    },
    datapath::Observation,
    output::{GrowingList, Output},
    view::{FlowEventView, FlowView, MissingView, View},
};

/// Shows what happens to flows.
pub(super) struct FlowWatcher<'a, W> {
    filter: &'a Filter,
    has_existing: bool,
    rate: u32,
    count: Option<u64>,
    output: &'a mut Output<W>,
    shown: u64,
    known: Known,
}

impl<'a, W: Write> FlowWatcher<'a, W> {
    pub(super) fn new(
        filter: &'a Filter,
        has_existing: bool,
        rate: u32,
        count: Option<u64>,
        output: &'a mut Output<W>,
    ) -> Self {
        Self { filter, has_existing, rate, count, output, shown: 0, known: Known::default() }
    }

    fn show(&mut self, view: FlowEventView) -> Result<()> {
        self.output.print(&View::FlowEvent(Box::new(view)))?;
        self.shown += 1;
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.count.is_some_and(|count| self.shown >= count)
    }
}

impl<W: Write> Watcher for FlowWatcher<'_, W> {
    fn watch(&mut self, scene: &Scene) -> Result<Watch> {
        if !self.has_existing {
            // Before the watch begins: what happens from then on is news, whatever it leads to.
            self.known.note_all(&LiveFlows::read(scene.gateway())?);
        }
        let watch = self.filter.parties.narrow(Watch::everything(want::FLOWS));
        Ok(watch.limited(self.rate, scene.config().ticks_per_sec))
    }

    fn begin(&mut self, scene: &Scene) -> Result<bool> {
        self.output.head(GrowingList::FlowEvents)?;
        if !self.has_existing {
            return Ok(true);
        }
        // After it has begun, so that no flow is in neither.
        let live = LiveFlows::read(scene.gateway())?;
        self.known.note_all(&live);
        self.known.read_at = Some(live.now);
        let time = scene.time(live.now);
        let live = live.matching(self.filter);
        for (key, entry) in &live.flows {
            let flow = FlowView::new(key, entry, live.now, &live.config);
            self.show(FlowEventView::existing(flow, time))?;
            if self.is_enough() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, seen: &Observation, scene: &mut Scene) -> Result<bool> {
        let Observation::Flow(record) = seen else { return Ok(true) };
        // Of an event that ends or changes a flow, its state is the new one.
        if !self.known.is_news(record) || !self.filter.matches(&record.key, &record.entry) {
            return Ok(!self.is_enough());
        }
        let time = scene.time(record.at);
        if let Some(view) = FlowEventView::new(record, time, scene.config()) {
            self.show(view)?;
        }
        Ok(!self.is_enough())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, count: &WatchCount, is_last: bool) -> Result<()> {
        if self.output.is_plain() {
            tell_people("events shown", count, self.shown, is_last);
            return Ok(());
        }
        Ok(self.output.print(&View::Missing(MissingView::from(count)))?)
    }
}

/// Flows whose state was noted, in either half of [`Known`].
const KNOWN_MAX: usize = 65_536;

/// The last known states of flows. There is room for so many; of flows that nothing happened to for
/// longest, the next change is shown even if the state is the same.
#[derive(Debug, Default)]
struct Known {
    recent: HashMap<FlowKey, (Ticks, FlowState)>,
    earlier: HashMap<FlowKey, (Ticks, FlowState)>,
    /// When the tables were read, if that was after the watch had begun: their flows are shown as
    /// they were then, and records may tell how they came to that.
    read_at: Option<Ticks>,
}

impl Known {
    fn note_all(&mut self, live: &LiveFlows) {
        for (key, entry) in &live.flows {
            self.note(key, entry.created, entry.state(key));
        }
    }

    /// Whether a record says anything new.
    fn is_news(&mut self, record: &FlowRecord) -> bool {
        let (key, created) = (&record.key, record.entry.created);
        let Some(event) = record.event() else { return false };
        if event.is_end() {
            self.recent.remove(key);
            self.earlier.remove(key);
            return true;
        }
        // What the tables were read with is later.
        let is_known = self.known(key).is_some_and(|(known, _)| known == created);
        if is_known && self.read_at.is_some_and(|read_at| record.at < read_at) {
            return false;
        }
        let state = record.entry.state(key);
        let before = self.note(key, created, state);
        if event == FlowEvent::Created {
            !is_known || self.read_at.is_none()
        } else {
            before != Some((created, state))
        }
    }

    fn known(&self, key: &FlowKey) -> Option<(Ticks, FlowState)> {
        self.recent.get(key).or_else(|| self.earlier.get(key)).copied()
    }

    /// Notes a flow's state, and returns what was known before.
    fn note(
        &mut self,
        key: &FlowKey,
        created: Ticks,
        state: FlowState,
    ) -> Option<(Ticks, FlowState)> {
        if self.recent.len() >= KNOWN_MAX && !self.recent.contains_key(key) {
            self.earlier = mem::take(&mut self.recent);
        }
        let earlier = self.earlier.remove(key);
        self.recent.insert(*key, (created, state)).or(earlier)
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::{
        flow::{FlowEntry, FlowHalf, mark},
        tuple::Address,
    };

    use super::*;

    #[test]
    fn changes_are_news_when_the_state_is_another_one() {
        let mut known = Known::default();
        assert!(known.is_news(&record(1, 5, FlowEvent::Created, false)));
        assert!(!known.is_news(&record(1, 5, FlowEvent::Changed, false)));
        assert!(known.is_news(&record(1, 5, FlowEvent::Changed, true)));
        assert!(!known.is_news(&record(1, 5, FlowEvent::Changed, true)));
        assert!(known.is_news(&record(2, 5, FlowEvent::Changed, true)), "another flow");
        assert!(known.is_news(&record(1, 5, FlowEvent::Expired, true)));
        assert!(known.is_news(&record(1, 9, FlowEvent::Created, false)));
        assert!(known.is_news(&record(1, 9, FlowEvent::Changed, true)));
    }

    /// Records from before the tables were read lead to what was shown from there.
    #[test]
    fn what_existing_flows_went_through_is_not_news() {
        let mut known = Known { read_at: Some(Ticks(10)), ..Known::default() };
        let replied = record(1, 5, FlowEvent::Changed, true);
        known.note(&replied.key, replied.entry.created, replied.entry.state(&replied.key));
        let early =
            |event, is_replied| FlowRecord { at: Ticks(9), ..record(1, 5, event, is_replied) };
        assert!(!known.is_news(&early(FlowEvent::Created, false)));
        assert!(!known.is_news(&early(FlowEvent::Changed, false)));
        assert!(!known.is_news(&replied));
        assert!(known.is_news(&record(1, 6, FlowEvent::Created, false)), "one in its place");
        assert!(known.is_news(&early(FlowEvent::Expired, true)));
    }

    /// Flows that were there before are not shown, but what happens to them is.
    #[test]
    fn without_existing_flows_every_creation_is_news() {
        let mut known = Known::default();
        let replied = record(1, 5, FlowEvent::Changed, true);
        known.note(&replied.key, replied.entry.created, replied.entry.state(&replied.key));
        assert!(!known.is_news(&replied));
        assert!(known.is_news(&record(1, 5, FlowEvent::Created, false)));
    }

    #[test]
    fn memory_is_bounded_and_forgets_what_is_oldest() {
        let mut known = Known::default();
        let ports = 0..3 * KNOWN_MAX;
        for port in ports.clone() {
            let record = record(port, 5, FlowEvent::Created, false);
            assert!(known.is_news(&record));
            assert!(known.recent.len() + known.earlier.len() <= 2 * KNOWN_MAX);
        }
        let last = ports.end - 1;
        assert!(!known.is_news(&record(last, 5, FlowEvent::Changed, false)));
        assert!(known.is_news(&record(0, 5, FlowEvent::Changed, false)));
    }

    fn record(flow: usize, created: u64, event: FlowEvent, is_replied: bool) -> FlowRecord {
        let inside = Address::from_bits(flow.try_into().expect("it fits"));
        let key = FlowKey { inside, protocol: 17, family: 6, ..FlowKey::default() };
        let marks = if is_replied { mark::OPENED } else { 0 };
        let inbound = FlowHalf { marks, ..FlowHalf::default() };
        let created = Ticks(created);
        FlowRecord {
            serial: 0,
            at: Ticks(10),
            entry: FlowEntry { inbound, created, ..FlowEntry::default() },
            key,
            event: event as u32,
        }
    }
}
