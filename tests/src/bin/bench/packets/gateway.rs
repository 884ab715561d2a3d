//! The gateway's programs, with an account of what every packet put through them should do.

use anyhow::{Result, ensure};
use gateway_common::{
    config::Config, counter::FlowEvent, gateway, tuple::Direction, verdict::Reason,
};
use gateway_userspace::{
    datapath::{HostLimits, HostShares, TableSizes},
    policy::CompiledPolicy,
};
use tests::{
    packet::Packet,
    prog_run::{Program, Programs},
    state::State,
};

use crate::object::{SIZES, SMALL_SIZES};

/// No kernel ticks faster, so timeouts are at least as long as they are meant to be.
const TICKS_PER_SEC: u32 = 1000;

/// A way through the programs, by the counter that it leaves a trace in.
type Trace = (Direction, Reason);

/// Programs of a gateway.
pub(crate) struct Gateway {
    programs: Programs,
    expected: Vec<(Trace, u64)>,
}

impl Gateway {
    /// A gateway as `eigw attach` sets it up with tables of [`SIZES`].
    pub(crate) fn load() -> Self {
        let shares = Self::shares();
        Self::with(&shares.apply(&Config::new(TICKS_PER_SEC), shares.half_open))
    }

    /// A gateway whose inside hosts may open hardly anything; `places` of their flows beyond that
    /// are kept at a time.
    pub(crate) fn load_strict(places: u32) -> Self {
        let config = Config::new(TICKS_PER_SEC).with_host_limits(1, u32::MAX);
        Self::with(&Config { overflow_slots: places, ..config })
    }

    /// A gateway with a policy, and tables of [`SMALL_SIZES`].
    pub(crate) fn load_governed(policy: &CompiledPolicy) -> Self {
        let TableSizes { half_open_max, established_max } = SMALL_SIZES;
        let shares = HostLimits::default().within(SMALL_SIZES);
        let config = Config { policy: policy.summary, ..Config::new(TICKS_PER_SEC) };
        let config = shares.apply(&config, shares.half_open);
        let mut programs = Programs::load_sized(&config, half_open_max, established_max);
        programs.govern(&config, policy);
        Self { programs, expected: Vec::new() }
    }

    /// What one inside host may hold in tables of [`SIZES`].
    pub(crate) fn shares() -> HostShares {
        HostLimits::default().within(SIZES)
    }

    fn with(config: &Config) -> Self {
        let TableSizes { half_open_max, established_max } = SIZES;
        let programs = Programs::load_sized(config, half_open_max, established_max);
        Self { programs, expected: Vec::new() }
    }

    /// Puts a packet through a program.
    ///
    /// # Panics
    /// If the verdict is not that of `reason`.
    pub(crate) fn judge(&mut self, program: Program, packet: &Packet, reason: Reason) {
        let verdict = self.programs.run(program, &packet.frame());
        assert_eq!(verdict, reason.verdict(), "{program:?} on {packet:?}");
        self.expect(program, reason, 1);
    }

    /// Notes the flow that an inbound packet would be of, so that the presence filter lets it through
    /// to the tables.
    ///
    /// # Panics
    /// If it could be of none.
    pub(crate) fn note(&self, packet: &Packet) {
        let (frame, mut parsed) = (packet.frame(), gateway_common::packet::Packet::default());
        gateway::find_packet(&frame.as_slice(), &Config::new(TICKS_PER_SEC), &mut parsed)
            .unwrap_or_else(|reason| panic!("{packet:?} is {}", reason.name()));
        let key = parsed.flow_key(Direction::Inbound).expect("packets of it have flows");
        self.programs.presence().note(&key);
    }

    /// Puts a frame through a program `runs` times: the mean time of one, in nanoseconds of the
    /// kernel's clock.
    pub(crate) fn time(
        &mut self,
        program: Program,
        frame: &[u8],
        reason: Reason,
        runs: u32,
    ) -> u128 {
        let ns = self.programs.run_ns(program, frame, runs);
        self.expect(program, reason, runs);
        ns
    }

    fn expect(&mut self, program: Program, reason: Reason, packets: u32) {
        let trace = (direction(program), reason);
        let packets = u64::from(packets);
        match self.expected.iter_mut().find(|(known, _)| *known == trace) {
            Some((_, expected)) => *expected += packets,
            None => self.expected.push((trace, packets)),
        }
    }

    /// Forgets all flows and hosts.
    pub(crate) fn clear(&mut self) {
        self.programs.clear();
    }

    /// Everything that the programs remember.
    pub(crate) fn state(&self) -> State {
        self.programs.state()
    }

    /// Checks that every packet so far took the way that was expected of it, and no other, and
    /// returns what the programs remember.
    pub(crate) fn check(&self) -> Result<State> {
        let state = self.state();
        let mut counted_total = 0;
        for (direction, reason, counter) in &state.verdicts {
            let trace = (*direction, *reason);
            let known = self.expected.iter().find(|(expected, _)| *expected == trace);
            let expected = known.map_or(0, |(_, packets)| *packets);
            ensure!(
                counter.packets == expected,
                "{} packets were counted as {direction:?} {}, not {expected}",
                counter.packets,
                reason.name()
            );
            counted_total += counter.packets;
        }
        let total: u64 = self.expected.iter().map(|(_, packets)| packets).sum();
        ensure!(counted_total == total, "{counted_total} of {total} packets were counted");
        Ok(state)
    }
}

/// Checks how often something happened to flows.
pub(crate) fn check_events(state: &State, event: FlowEvent, expected: u64) -> Result<()> {
    let events = state.events[event as usize];
    ensure!(events == expected, "{events} times {}, not {expected}", event.name());
    Ok(())
}

const fn direction(program: Program) -> Direction {
    match program {
        Program::IngressXdp | Program::IngressTc => Direction::Inbound,
        Program::EgressTc => Direction::Outbound,
    }
}
