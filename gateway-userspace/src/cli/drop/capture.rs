//! Packets in a file that Wireshark opens.

use std::{fmt::Write as _, io, path::Path};

use gateway_common::{
    observe::{PacketRecord, Watch, WatchCount},
    tuple::Direction,
};

use super::filter::PacketFilter;
use crate::{
    cli::{
        Failure, Result,
        observe::{Scene, Watcher, tell_people},
    },
    datapath::Observation,
    output::pcapng::{CaptureFile, CapturedPacket},
    view::PacketView,
};

/// Writes packets to a file.
pub(super) struct Capture<'a> {
    filter: &'a PacketFilter,
    path: &'a Path,
    /// There from the moment when the watch begins: what fails before that overwrites nothing.
    file: Option<CaptureFile>,
    written: u64,
}

impl<'a> Capture<'a> {
    /// Will write to the file at `path`; `-` is standard output.
    pub(super) fn new(filter: &'a PacketFilter, path: &'a Path) -> Result<Self> {
        if CaptureFile::is_terminal(path) {
            return Err(Failure::usage(
                "a capture is nothing to read on a terminal; write it to a file or a pipe",
            ));
        }
        Ok(Self { filter, path, file: None, written: 0 })
    }

    /// Tells which file it is, and what of it remains.
    fn failed(&self, action: &str) -> impl FnOnce(io::Error) -> Failure + use<> {
        let message = format!("cannot {action} capture file {}", self.path.display());
        let whole = if self.file.is_some() { "; what it has can be read" } else { "" };
        move |error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Failure::ReaderGone;
            }
            Failure::operation(format!("{message}: {error}{whole}"))
        }
    }

    fn file(&mut self) -> &mut CaptureFile {
        self.file.as_mut().expect("a watch begins before anything is seen")
    }
}

impl Watcher for Capture<'_> {
    fn watch(&mut self, scene: &Scene) -> Result<Watch> {
        Ok(self.filter.watch(scene))
    }

    fn begin(&mut self, scene: &Scene) -> Result<bool> {
        let mut file = CaptureFile::create(self.path).map_err(self.failed("create"))?;
        let mut uplinks: Vec<_> = scene.uplinks().collect();
        uplinks.sort_unstable();
        for (ifindex, name) in uplinks {
            file.add_interface(ifindex, name).map_err(self.failed("write"))?;
        }
        self.file = Some(file);
        Ok(true)
    }

    fn take(&mut self, seen: &Observation, scene: &mut Scene) -> Result<bool> {
        let Observation::Packet(record) = seen else { return Ok(true) };
        if !self.filter.matches(record, scene.policy()) {
            return Ok(true);
        }
        let time = scene.time(record.at);
        let (Some(reason), Some(direction)) = (record.reason(), record.direction()) else {
            return Ok(true);
        };
        let names = scene.names(record.ifindex)?;
        let Some(view) = PacketView::new(record, time, &names) else { return Ok(true) };
        let uplink = names.uplink.to_owned();
        let packet = CapturedPacket {
            ifindex: record.ifindex,
            uplink: &uplink,
            time,
            is_inbound: direction == Direction::Inbound,
            frame: &record.snap[..record.snap.len().min(record.snap_bytes as usize)],
            frame_bytes: record.frame_bytes,
            offloaded_vlan: tag(record),
            comment: &comment(&view, reason.explanation()),
        };
        self.file().write(&packet).map_err(self.failed("write"))?;
        self.written += 1;
        Ok(!self.filter.is_enough(self.written))
    }

    fn flush(&mut self) -> Result<()> {
        self.file().flush().map_err(self.failed("write"))
    }

    fn tell(&mut self, count: &WatchCount, is_last: bool) -> Result<()> {
        tell_people("packets written", count, self.written, is_last);
        if is_last {
            let WatchCount { reported, limited, lost, .. } = *count;
            let (packets, missing) = (reported + limited + lost, limited + lost);
            self.file().finish(packets, missing).map_err(self.failed("write"))?;
        }
        Ok(())
    }
}

/// The VLAN tag that is not among the frame's bytes.
fn tag(record: &PacketRecord) -> Option<u16> {
    let [_, present, tag @ ..] = record.offloaded_vlan.to_be_bytes();
    (present != 0).then_some(u16::from_be_bytes(tag))
}

/// What became of a packet, and why.
fn comment(view: &PacketView, explanation: &str) -> String {
    let mut comment = format!("{} {}: {explanation}", view.verdict, view.reason);
    if let Some(rule) = &view.rule {
        // Writing to a string cannot fail.
        _ = write!(comment, "; rule {}", rule.number);
        if let Some(name) = &rule.name {
            _ = write!(comment, " '{name}'");
        }
    }
    if let Some(subnet) = &view.subnet {
        _ = write!(comment, "; subnet '{subnet}'");
    }
    comment
}

#[cfg(test)]
mod tests {
    use gateway_common::verdict::Reason;

    use super::*;
    use crate::view::packet_tests::{syn, view};

    #[test]
    fn comments_tell_the_reason_and_who_decided() {
        let text = |reason| comment(&view(&syn(reason)), "Because.");
        assert_eq!(
            text(Reason::RuleDenied),
            "drop rule-denied: Because.; rule 2 'ssh'; subnet 'lan'"
        );
        assert_eq!(text(Reason::NoFlow), "drop no-flow: Because.");
    }
}
