//! Packets that are only once what they are: the first of a flow is not the first when it is
//! repeated.
//!
//! So each case judges many different packets, each once, and the kernel's own clock around each
//! run is summed up. Two things differ from repeating one packet: the time includes reading that
//! clock, and every packet finds its part of the tables, and often the program too, out of the
//! caches, because the system calls in between have used them. The empty program runs in the
//! same manner on the same packets, so the difference to it is what counts; a flow's later
//! packets stand beside as the measure for what cold caches alone do.

mod case;
mod forget;

use anyhow::{Context as _, Result, ensure};
use gateway_common::{counter::FlowEvent, tuple::Family, verdict::Reason};
use tests::{prog_run::Program, state::State};

use self::{case::Case, forget::Forget};
use super::{
    BATCH, Options,
    flow::{Ends, Flow},
    gateway::{Gateway, check_events},
    series::{self, Series, Subject},
};
use crate::{cpu, empty::Empty, object::SIZES, report::Table};

/// In the gateway whose table is full, each inside host opens so many flows, far fewer than it
/// may: so these evict the least recently used ones, not each other.
const OPENINGS_PER_HOST: u32 = 1024;

/// The gateways of the cases, and programs that do nothing.
struct Stage {
    empty: Empty,
    /// Has room for every flow of a turn, and its one inside host may open them all.
    roomy: Gateway,
    /// Its inside host may open hardly anything; a turn's flows beyond that fill the places that
    /// there are for them.
    strict: Gateway,
    /// Its table of half-open flows is full.
    full: Gateway,
    forget: Forget,
    next_flow: u32,
}

/// Measures all cases.
pub(super) fn run(options: &Options, cpu: usize) -> Result<Table> {
    eprintln!("packets: filling a flow table");
    let mut stage = Stage {
        empty: Empty::load()?,
        roomy: Gateway::load(),
        strict: Gateway::load_strict(BATCH),
        full: Gateway::load(),
        forget: Forget::load()?,
        next_flow: 0,
    };
    stage.fill();
    let full = stage.full.state();

    let mut all = Case::ALL.map(|case| Series::new(case.name(), case.subject()));
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {}, each packet once", options.rounds);
        for (case, series) in Case::ALL.into_iter().zip(&mut all) {
            series.ns.push(stage.turn(case)?);
        }
    }
    stage.check(&full, options.rounds).context("the cases did not do what they say")?;
    Ok(table(&all, options, cpu))
}

impl Stage {
    /// Opens flows until there is room for no other.
    fn fill(&mut self) {
        // Free entries wait in a list of each CPU, where this one does not reach them all; from
        // some point on it only evicts.
        for _ in 0..2 * SIZES.half_open_max {
            let frame = Flow::tcp(self.next_of_many_hosts()).opening.frame();
            self.full.time(Program::EgressTc, &frame, Reason::FlowCreated, 1);
        }
    }

    /// One turn of one case: the mean time of a packet, in nanoseconds.
    fn turn(&mut self, case: Case) -> Result<f64> {
        if case == Case::Forget {
            return self.forget.turn();
        }
        let frames = self.prepare(case);
        let gateway = if matches!(case, Case::CreateBeyond | Case::CreateRecycling) {
            &mut self.strict
        } else if case == Case::CreateEvicting {
            &mut self.full
        } else {
            &mut self.roomy
        };
        let mut total_ns = 0;
        for frame in &frames {
            total_ns += match case.subject() {
                Subject::Gateway(program, reason) => gateway.time(program, frame, reason, 1),
                Subject::Empty(hook) => self.empty.run_ns(hook, frame, 1)?,
                Subject::Forget => unreachable!("it had its turn above"),
            };
        }
        self.roomy.clear();
        self.strict.clear();
        Ok(cpu::mean_ns(total_ns, BATCH))
    }

    /// Does what has to happen before the packets that are measured, which it returns.
    fn prepare(&mut self, case: Case) -> Vec<Vec<u8>> {
        if let Case::Same | Case::Further = case {
            let flow = Flow::tcp_with_options(self.next());
            flow.establish(&mut self.roomy);
            let replies = 0..BATCH;
            let number = |reply| if case == Case::Further { reply } else { 0 };
            return replies.map(|reply| flow.later_reply(number(reply)).frame()).collect();
        }
        if let Case::CreateBeyond | Case::CreateRecycling = case {
            // The first is within the allowance, and uses it up.
            let earlier = if case == Case::CreateRecycling { 1 + BATCH } else { 1 };
            for _ in 0..earlier {
                Flow::tcp(self.next()).open(&mut self.strict);
            }
        }
        (0..BATCH).map(|_| self.prepare_flow(case)).collect()
    }

    /// The same for one flow of many.
    fn prepare_flow(&mut self, case: Case) -> Vec<u8> {
        if case == Case::CreateEvicting {
            return Flow::tcp(self.next_of_many_hosts()).opening.frame();
        }
        let ends = self.next();
        if case == Case::CreateUdp {
            return Flow::udp(ends).opening.frame();
        }
        if case == Case::CreateOptions {
            return Flow::tcp_with_options(ends).opening.frame();
        }
        let flow = Flow::tcp(ends);
        if matches!(case, Case::Refresh | Case::Reply) {
            flow.establish(&mut self.roomy);
        } else if case == Case::Promote {
            flow.answered(&mut self.roomy);
        }
        let packet = if case == Case::Reply {
            flow.reply
        } else if matches!(case, Case::Refresh | Case::Promote) {
            flow.outbound
        } else {
            flow.opening
        };
        packet.frame()
    }

    /// The same inside host and another outside host.
    fn next(&mut self) -> Ends {
        self.next_flow += 1;
        Ends::numbered(Family::Ipv6, 0, self.next_flow)
    }

    fn next_of_many_hosts(&mut self) -> Ends {
        self.next_flow += 1;
        let inside = self.next_flow / OPENINGS_PER_HOST;
        Ends::numbered(Family::Ipv6, inside, self.next_flow)
    }

    /// Checks that all packets of all turns did what their cases say; `full` is what was in the
    /// full table before.
    fn check(&self, full: &State, rounds: u32) -> Result<()> {
        let turns = |turns_per_round: u32| u64::from(rounds) * u64::from(turns_per_round);
        let roomy = self.roomy.check()?;
        // A batch of each of `Refresh`, `Reply` and `Promote`; one flow of `Same` and `Further`.
        check_events(&roomy, FlowEvent::Promoted, turns(3 * BATCH + 2))?;
        check_events(&roomy, FlowEvent::HostOverflow, 0)?;

        let strict = self.strict.check()?;
        check_events(&strict, FlowEvent::HostOverflow, turns(3 * BATCH))?;
        check_events(&strict, FlowEvent::HostRecycled, turns(BATCH))?;

        let now = self.full.check()?;
        check_events(&now, FlowEvent::HostOverflow, 0)?;
        let (then, now) = (full.flows.len(), now.flows.len());
        // Entries are evicted some at a time.
        ensure!(
            now.abs_diff(then) < BATCH as usize / 2,
            "{} new flows in a full table, which had {then} and has {now} flows",
            turns(BATCH)
        );
        Ok(())
    }
}

fn table(all: &[Series], options: &Options, cpu: usize) -> Table {
    Table {
        title: "Time per packet, every packet of another flow",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN of {BATCH} different packets, each once: mean of a turn, then \
                 median [min – max] of {} interleaved rounds, in nanoseconds of the kernel's \
                 clock on CPU {cpu}. The time holds two readings of that clock and finds caches \
                 as system calls leave them, so only the difference to the empty program in the \
                 last column means something, and it does not compare with the table above.",
                options.rounds
            ),
            format!(
                "Every flow is IPv6, from one inside host to another outside host each. Tables \
                 hold {} half-open and {} established flows, of which an inside host may have {} \
                 half-open ones, and are empty at first. For the rows beyond the allowance that \
                 is one flow, and {BATCH} places are kept for more; the row that evicts has a full \
                 table and many inside hosts. Two rows are of one flow only: what recording a \
                 segment's numbers costs is the difference between them.",
                SIZES.half_open_max,
                SIZES.established_max,
                Gateway::shares().half_open
            ),
        ],
        columns: series::columns(),
        rows: series::rows(&all.iter().collect::<Vec<_>>(), 0),
        pictures: Vec::new(),
    }
}
