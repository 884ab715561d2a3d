//! Who keeps accounts of flows, and what they get to see.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use gateway_common::{
    config::Config, counter::FlowEvent, flow::FlowEntry, record::FlowRecord, tables::Table,
    timeouts::Ticks, tuple::FlowKey,
};
use tracing::error;

/// Keeps accounts of a gateway's flows.
///
/// All calls come from the sweeper's thread. A pass over the tables is one [`begin`](Self::begin),
/// a [`flow`](Self::flow) for each entry, and one [`finish`](Self::finish); if the gateway is
/// detached meanwhile the last of these is missing. [`ended`](Self::ended) comes at any time, in a
/// pass or between two, soon after the flow ended.
///
/// They should be quick: what they cost counts as the sweeper's own time, and makes it slower. They
/// must not add ledgers.
pub trait Ledger: Send {
    /// A pass over the tables begins.
    fn begin(&mut self, _start: &PassStart) {}

    /// A flow that is in a table, once in each pass. It may have ended or changed since it was read.
    fn flow(&mut self, _flow: &FlowSight<'_>) {}

    /// A flow ended: each once, in the order of the ring of records. That is the order of the serial
    /// numbers, except that of flows which end on several CPUs at the same moment any may be first.
    /// A process that is killed during this call leaves the record to the next one.
    fn ended(&mut self, _record: &FlowRecord) {}

    /// The pass over the tables is complete.
    fn finish(&mut self, _summary: &PassSummary) {}
}

/// A pass over the flow tables that begins.
#[derive(Clone, Debug)]
pub struct PassStart {
    /// Counts the passes of this process over this gateway's tables, from zero.
    pub number: u64,
    /// The packet path's clock.
    pub at: Ticks,
    /// The configuration in force, which has the rate of that clock and the timeouts.
    pub config: Config,
}

/// A flow as it was read from its table.
#[derive(Clone, Copy, Debug)]
pub struct FlowSight<'a> {
    /// The table it was found in. A flow that moves during a pass is seen before it moves, or after.
    pub table: Table,
    /// Its key.
    pub key: &'a FlowKey,
    /// What is remembered of it.
    pub entry: &'a FlowEntry,
    /// Whether its time was not over yet. What is not live is about to be reclaimed.
    pub is_live: bool,
    /// The packet path's clock when it was read.
    pub at: Ticks,
}

/// How many flows a table held, as a pass met them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCount {
    /// Flows whose time was not over.
    pub live: u64,
    /// Flows whose time was over.
    pub expired: u64,
}

/// What a complete pass over the flow tables came to.
#[derive(Clone, Debug)]
pub struct PassSummary {
    /// The number of the pass.
    pub number: u64,
    /// When it began, by the packet path's clock.
    pub begun: Ticks,
    /// When it was complete.
    pub at: Ticks,
    /// How long it took, pauses included.
    pub duration: Duration,
    /// The CPU time it took.
    pub cpu: Duration,
    /// The table of new flows.
    pub half_open: TableCount,
    /// The table of established flows.
    pub established: TableCount,
    /// Flows that were reclaimed.
    pub reclaimed: u64,
    /// Bits of the presence filter that are set now that only flows in the tables have theirs.
    pub filter_bits: u64,
    /// How often each kind of event happened since the gateway was attached, read at the end.
    pub events: Vec<(FlowEvent, u64)>,
    /// Flows since the gateway was attached that the kernel recycled in `half_open` without a
    /// record; see [`Tally`](super::tally::Tally) for how exact that is. It never goes down.
    pub recycled: u64,
}

/// The ledgers that the sweeper fills. Clones share them.
#[derive(Clone, Default)]
pub struct Ledgers(Arc<Mutex<Vec<Member>>>);

struct Member {
    ledger: Weak<Mutex<dyn Ledger>>,
    /// Whether it has seen the beginning of the pass, so that it may see the rest.
    is_in_pass: bool,
}

impl Ledgers {
    /// Has a ledger kept for as long as its owner holds it. It sees whatever ends from now on, and
    /// flows from the next pass on. The owner locks it to read it, and should not do so for long.
    ///
    /// When a call of it panics it gets no further ones, and its lock is poisoned.
    pub fn keep<L: Ledger + 'static>(&self, ledger: &Arc<Mutex<L>>) {
        let ledger: Weak<Mutex<L>> = Arc::downgrade(ledger);
        self.members().push(Member { ledger, is_in_pass: false });
    }

    /// Tells all that a pass begins.
    pub(super) fn begin(&self, start: &PassStart) {
        self.tell(|member, ledger| {
            member.is_in_pass = true;
            ledger.begin(start);
        });
    }

    /// Shows some flows to all that saw the pass begin.
    pub(super) fn flows(&self, flows: &[FlowSight<'_>]) {
        self.tell(|member, ledger| {
            if member.is_in_pass {
                for flow in flows {
                    ledger.flow(flow);
                }
            }
        });
    }

    /// Tells all of an end.
    pub(super) fn ended(&self, record: &FlowRecord) {
        self.tell(|_, ledger| ledger.ended(record));
    }

    /// Tells all that saw the pass begin that it is complete.
    pub(super) fn finish(&self, summary: &PassSummary) {
        self.tell(|member, ledger| {
            if member.is_in_pass {
                member.is_in_pass = false;
                ledger.finish(summary);
            }
        });
    }

    /// Calls every ledger, and forgets those that are gone or that panic.
    fn tell(&self, mut call: impl FnMut(&mut Member, &mut dyn Ledger)) {
        self.members().retain_mut(|member| {
            let Some(shared) = member.ledger.upgrade() else { return false };
            let told = panic::catch_unwind(AssertUnwindSafe(|| {
                let Ok(mut ledger) = shared.lock() else { return false };
                call(member, &mut *ledger);
                true
            }));
            told.unwrap_or_else(|_| {
                error!("a ledger of flows panicked and is kept no longer");
                false
            })
        });
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_sees_whole_passes_and_every_end_while_it_is_held() {
        let ledgers = Ledgers::default();
        let first = Arc::new(Mutex::new(Notes::default()));
        ledgers.keep(&first);
        ledgers.begin(&start(0));
        let late = Arc::new(Mutex::new(Notes::default()));
        ledgers.keep(&late);
        see(&ledgers, 2);
        ledgers.ended(&record(7));
        ledgers.finish(&summary(0));
        assert_eq!(notes(&first), ["begin 0", "flow", "flow", "ended 7", "finish 0"]);
        assert_eq!(notes(&late), ["ended 7"]);

        drop(first);
        ledgers.ended(&record(8));
        // The next pass begins although this one was broken off.
        for number in [1, 2] {
            ledgers.begin(&start(number));
            see(&ledgers, 1);
        }
        ledgers.finish(&summary(2));
        assert_eq!(notes(&late), ["ended 8", "begin 1", "flow", "begin 2", "flow", "finish 2"]);
        assert_eq!(ledgers.members().len(), 1);
    }

    #[test]
    fn a_ledger_that_panics_does_not_spoil_the_others() {
        struct Broken;
        impl Ledger for Broken {
            fn ended(&mut self, record: &FlowRecord) {
                panic!("record {}", record.serial);
            }
        }
        let ledgers = Ledgers::default();
        let broken = Arc::new(Mutex::new(Broken));
        let sound = Arc::new(Mutex::new(Notes::default()));
        ledgers.keep(&broken);
        ledgers.keep(&sound);
        for serial in 0..3 {
            ledgers.ended(&record(serial));
        }
        assert!(broken.is_poisoned());
        assert_eq!(notes(&sound), ["ended 0", "ended 1", "ended 2"]);
    }

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Ledger for Notes {
        fn begin(&mut self, start: &PassStart) {
            self.0.push(format!("begin {}", start.number));
        }

        fn flow(&mut self, _flow: &FlowSight<'_>) {
            self.0.push("flow".to_owned());
        }

        fn ended(&mut self, record: &FlowRecord) {
            self.0.push(format!("ended {}", record.serial));
        }

        fn finish(&mut self, summary: &PassSummary) {
            self.0.push(format!("finish {}", summary.number));
        }
    }

    /// What was noted since this was last asked.
    fn notes(ledger: &Mutex<Notes>) -> Vec<String> {
        std::mem::take(&mut ledger.lock().expect("it does not panic").0)
    }

    fn see(ledgers: &Ledgers, count: usize) {
        let (key, entry) = (FlowKey::default(), FlowEntry::default());
        let (table, at) = (Table::HalfOpen, Ticks(1));
        let sight = FlowSight { table, key: &key, entry: &entry, is_live: true, at };
        ledgers.flows(&vec![sight; count]);
    }

    fn start(number: u64) -> PassStart {
        PassStart { number, at: Ticks(1), config: Config::new(250) }
    }

    fn summary(number: u64) -> PassSummary {
        PassSummary {
            number,
            begun: Ticks(1),
            at: Ticks(2),
            duration: Duration::ZERO,
            cpu: Duration::ZERO,
            half_open: TableCount::default(),
            established: TableCount::default(),
            reclaimed: 0,
            filter_bits: 0,
            events: Vec::new(),
            recycled: 0,
        }
    }

    fn record(serial: u64) -> FlowRecord {
        let (key, entry) = (FlowKey::default(), FlowEntry::default());
        FlowRecord { serial, at: Ticks(1), entry, key, event: FlowEvent::Expired as u32 }
    }
}
