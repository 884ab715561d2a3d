//! Packets line by line.

use std::io::Write;

use gateway_common::observe::{Watch, WatchCount};

use super::filter::PacketFilter;
use crate::{
    cli::{
        Result,
        observe::{Scene, Watcher, tell_people},
    },
    datapath::Observation,
    output::{GrowingList, Output},
    view::{MissingView, PacketView, View},
};

/// Shows packets.
pub(super) struct Show<'a, W> {
    filter: &'a PacketFilter,
    output: &'a mut Output<W>,
    shown: u64,
}

impl<'a, W: Write> Show<'a, W> {
    pub(super) fn new(filter: &'a PacketFilter, output: &'a mut Output<W>) -> Self {
        Self { filter, output, shown: 0 }
    }
}

impl<W: Write> Watcher for Show<'_, W> {
    fn watch(&mut self, scene: &Scene) -> Result<Watch> {
        Ok(self.filter.watch(scene))
    }

    fn begin(&mut self, _: &Scene) -> Result<bool> {
        self.output.head(GrowingList::Packets)?;
        Ok(true)
    }

    fn take(&mut self, seen: &Observation, scene: &mut Scene) -> Result<bool> {
        let Observation::Packet(record) = seen else { return Ok(true) };
        if !self.filter.matches(record, scene.policy()) {
            return Ok(true);
        }
        let time = scene.time(record.at);
        if let Some(view) = PacketView::new(record, time, &scene.names(record.ifindex)?) {
            self.output.print(&View::Packet(Box::new(view)))?;
            self.shown += 1;
        }
        Ok(!self.filter.is_enough(self.shown))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, count: &WatchCount, is_last: bool) -> Result<()> {
        if self.output.is_plain() {
            tell_people("packets shown", count, self.shown, is_last);
            return Ok(());
        }
        Ok(self.output.print(&View::Missing(MissingView::from(count)))?)
    }
}
