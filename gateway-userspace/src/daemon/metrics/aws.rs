//! The metrics of an AWS NAT gateway, as far as this gateway has what they mean.

use std::{collections::VecDeque, time::Duration};

use gateway_common::{
    counter::{Counter, FlowEvent},
    flow::FlowState,
    tuple::Direction,
    verdict::{Reason, Verdict},
};
use tokio::time::Instant;

use super::{catalogue as metric, page::Page};

/// Means that a peak is the highest of: a minute's.
const MEANS: usize = 6;
/// The time that each mean is taken over.
pub(super) const MEAN_OVER: Duration = Duration::from_secs(10);

/// Packets and bytes at the four places where AWS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    in_from_source: Counter,
    out_to_destination: Counter,
    in_from_destination: Counter,
    out_to_source: Counter,
}

impl Traffic {
    /// Sums up what was counted for every direction and reason.
    pub(super) fn of(verdicts: &[(Direction, Reason, Counter)]) -> Self {
        let mut traffic = Self::default();
        for (direction, reason, counter) in verdicts {
            let (arrived, left) = match direction {
                Direction::Outbound => {
                    (&mut traffic.in_from_source, &mut traffic.out_to_destination)
                }
                Direction::Inbound => {
                    (&mut traffic.in_from_destination, &mut traffic.out_to_source)
                }
            };
            *arrived = sum(*arrived, *counter);
            if reason.verdict() == Verdict::Pass {
                *left = sum(*left, *counter);
            }
        }
        traffic
    }

    /// What came from either side.
    pub(super) fn arrived(&self) -> Counter {
        sum(self.in_from_source, self.in_from_destination)
    }

    fn dropped_packets(&self) -> u64 {
        let left = sum(self.out_to_destination, self.out_to_source);
        self.arrived().packets.wrapping_sub(left.packets)
    }

    /// Tells it on a page.
    pub(super) fn tell(&self, page: &mut Page, name: &str) {
        for (packets, bytes, counter) in [
            (metric::AWS_PACKETS_IN_SOURCE, metric::AWS_BYTES_IN_SOURCE, self.in_from_source),
            (
                metric::AWS_PACKETS_OUT_DESTINATION,
                metric::AWS_BYTES_OUT_DESTINATION,
                self.out_to_destination,
            ),
            (
                metric::AWS_PACKETS_IN_DESTINATION,
                metric::AWS_BYTES_IN_DESTINATION,
                self.in_from_destination,
            ),
            (metric::AWS_PACKETS_OUT_SOURCE, metric::AWS_BYTES_OUT_SOURCE, self.out_to_source),
        ] {
            page.add(packets, [name], counter.packets);
            page.add(bytes, [name], counter.bytes);
        }
        page.add(metric::AWS_DROPS, [name], self.dropped_packets());
    }
}

/// How many of a table's live flows, by state, are active: a connection that both sides closed or
/// one reset is remembered for its last packets only.
pub(super) fn active(flows: &[u64; FlowState::ALL.len()]) -> u64 {
    let is_active = |state: &FlowState| !matches!(state, FlowState::TimeWait | FlowState::Closed);
    FlowState::ALL.iter().filter(|it| is_active(it)).map(|&state| flows[state as usize]).sum()
}

/// Tells of connections: every flow that inside opened is an attempt, and is established once both
/// sides took part in it so that it moved to the table of established flows.
pub(super) fn tell_connections(page: &mut Page, name: &str, events: &[(FlowEvent, u64)]) {
    for &(event, count) in events {
        match event {
            FlowEvent::Created => page.add(metric::AWS_ATTEMPTS, [name], count),
            FlowEvent::Promoted => page.add(metric::AWS_ESTABLISHED, [name], count),
            FlowEvent::Expired => page.add(metric::AWS_IDLE, [name], count),
            FlowEvent::EstablishedFull
            | FlowEvent::HostShareFull
            | FlowEvent::HostOverflow
            | FlowEvent::HostRecycled
            | FlowEvent::Changed
            | FlowEvent::Closed
            | FlowEvent::Reset
            | FlowEvent::Deleted
            | FlowEvent::Revoked
            | FlowEvent::Replaced
            | FlowEvent::RecordLost => {}
        }
    }
}

/// The highest rates of the last minute.
#[derive(Debug, Default)]
pub(super) struct Peaks {
    /// The gateway, when it was last looked at, and what had arrived by then.
    last: Option<(u32, Instant, Counter)>,
    /// Packets and bytes per second.
    means: VecDeque<(f64, f64)>,
}

impl Peaks {
    /// Notes what had arrived at the gateway with this id by `now`.
    pub(super) fn note(&mut self, id: u32, now: Instant, arrived: Counter) {
        let before = self.last.replace((id, now, arrived));
        let Some((_, then, before)) = before.filter(|(of, ..)| *of == id) else {
            self.means.clear();
            return;
        };
        let secs = (now - then).as_secs_f64();
        if secs == 0.0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / secs;
        if self.means.len() == MEANS {
            self.means.pop_front();
        }
        let packets = rate(arrived.packets, before.packets);
        self.means.push_back((packets, rate(arrived.bytes, before.bytes)));
    }

    /// There is no gateway.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Tells the peaks on a page, if there is a mean yet.
    pub(super) fn tell(&self, page: &mut Page, name: &str) {
        let highest =
            self.means.iter().copied().reduce(|(packets, bytes), mean| {
                (f64::max(packets, mean.0), f64::max(bytes, mean.1))
            });
        if let Some((packets, bytes)) = highest {
            page.add(metric::AWS_PEAK_PACKETS, [name], packets);
            page.add(metric::AWS_PEAK_BYTES, [name], bytes);
        }
    }
}

/// Both together.
pub(super) fn sum(ours: Counter, others: Counter) -> Counter {
    Counter {
        packets: ours.packets.wrapping_add(others.packets),
        bytes: ours.bytes.wrapping_add(others.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::page::Value, *};

    #[test]
    fn what_arrives_leaves_or_is_dropped() {
        let page = told(|page| Traffic::of(&verdicts()).tell(page, "wan"));
        let count = |metric| page.values(metric, &[("gateway", "wan")]);
        // Outbound: 5 pass, 2 are dropped; inbound: 11 pass, 3 are dropped.
        assert_eq!(count(metric::AWS_PACKETS_IN_SOURCE), [Value::Count(7)]);
        assert_eq!(count(metric::AWS_PACKETS_OUT_DESTINATION), [Value::Count(5)]);
        assert_eq!(count(metric::AWS_PACKETS_IN_DESTINATION), [Value::Count(14)]);
        assert_eq!(count(metric::AWS_PACKETS_OUT_SOURCE), [Value::Count(11)]);
        assert_eq!(count(metric::AWS_DROPS), [Value::Count(5)]);
        assert_eq!(count(metric::AWS_BYTES_IN_SOURCE), [Value::Count(700)]);
        assert_eq!(count(metric::AWS_BYTES_OUT_DESTINATION), [Value::Count(500)]);
        assert_eq!(count(metric::AWS_BYTES_IN_DESTINATION), [Value::Count(1_400)]);
        assert_eq!(count(metric::AWS_BYTES_OUT_SOURCE), [Value::Count(1_100)]);
    }

    #[test]
    fn what_is_closed_is_not_active() {
        let one = |state: FlowState| {
            let mut flows = [0; FlowState::ALL.len()];
            flows[state as usize] = 1;
            active(&flows)
        };
        let inactive: Vec<_> = FlowState::ALL.into_iter().filter(|&it| one(it) == 0).collect();
        assert_eq!(inactive, [FlowState::TimeWait, FlowState::Closed]);
    }

    #[test]
    fn connections_are_flows_that_were_opened_established_and_idle() {
        let events: Vec<_> = FlowEvent::ALL.into_iter().zip(1..).collect();
        let page = told(|page| tell_connections(page, "wan", &events));
        for (metric, event) in [
            (metric::AWS_ATTEMPTS, FlowEvent::Created),
            (metric::AWS_ESTABLISHED, FlowEvent::Promoted),
            (metric::AWS_IDLE, FlowEvent::Expired),
        ] {
            assert_eq!(page.values(metric, &[]), [Value::Count(event as u64 + 1)], "{event:?}");
        }
    }

    #[test]
    fn a_peak_lasts_a_minute_and_belongs_to_one_gateway() {
        let (mut peaks, mut now, mut arrived) = (Peaks::default(), Instant::now(), 0);
        let mut after = |id, packets: u64| {
            arrived += packets;
            peaks.note(id, now, Counter { packets: arrived, bytes: arrived * 100 });
            now += MEAN_OVER;
            let page = told(|page| peaks.tell(page, "wan"));
            let value = |metric| page.values(metric, &[]).first().copied();
            (value(metric::AWS_PEAK_PACKETS), value(metric::AWS_PEAK_BYTES))
        };
        let peak =
            |packets: f64| (Some(Value::Measure(packets)), Some(Value::Measure(packets * 100.0)));
        assert_eq!(after(1, 0), (None, None), "nothing to compare with");
        assert_eq!(after(1, 50), peak(5.0));
        assert_eq!(after(1, 900), peak(90.0));
        for _ in 0..5 {
            assert_eq!(after(1, 10), peak(90.0));
        }
        assert_eq!(after(1, 10), peak(1.0));
        assert_eq!(after(2, 7_000), (None, None), "another gateway");
    }

    fn verdicts() -> Vec<(Direction, Reason, Counter)> {
        let first = |verdict| {
            let found = Reason::ALL.iter().find(|reason| reason.verdict() == verdict);
            *found.expect("there are reasons for both verdicts")
        };
        let (pass, drop) = (first(Verdict::Pass), first(Verdict::Drop));
        let count = |packets| Counter { packets, bytes: packets * 100 };
        vec![
            (Direction::Outbound, pass, count(5)),
            (Direction::Outbound, drop, count(2)),
            (Direction::Inbound, pass, count(11)),
            (Direction::Inbound, drop, count(3)),
        ]
    }

    fn told(tell: impl FnOnce(&mut Page)) -> Page {
        let mut page = Page::default();
        tell(&mut page);
        page
    }
}
