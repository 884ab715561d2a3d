//! The real programs in the real kernel, one packet at a time, attached to nothing.
//!
//! [`Programs`] loads the gateway's object with maps of its own, so tests that use it are
//! independent of each other. [`Programs::run`] puts a frame through one program;
//! [`Programs::state`] before and after shows everything that it changed.

mod context;
mod kept;
mod policy;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aya::{
    Ebpf, EbpfLoader, Pod, TestRun as _, TestRunOptions, TestRunResult,
    maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError, PerCpuArray},
    programs::{Program as AyaProgram, ProgramError, ProgramFd, SchedClassifier},
};
use gateway_common::{
    abi::name,
    config::Config,
    counter::{Counter, FlowEvent},
    endpoint::EndpointKey,
    flow::FlowEntry,
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::{Reason, Verdict},
};
use gateway_userspace::datapath::{LiveTables, OBJECT, Presence, share};
use policy::PolicyMaps;
use records::Records;

use crate::{netns::require_root, state::State, sys::bytes_of_key};

/// Entries of each flow table, unless a test asks for a number.
const FLOWS_MAX: u32 = 1024;

/// A program that packets go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The XDP program for packets from outside.
    IngressXdp,
    /// The TC program for packets from outside.
    IngressTc,
    /// The TC program for packets from inside.
    EgressTc,
}

impl Program {
    /// Both programs for packets from outside, which must agree on everything.
    pub const INGRESS: [Self; 2] = [Self::IngressXdp, Self::IngressTc];

    /// Its name in the object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IngressXdp => name::INGRESS_XDP,
            Self::IngressTc => name::INGRESS_TC,
            Self::EgressTc => name::EGRESS_TC,
        }
    }

    /// Whether the kernel gives this frame to the program in a test run. It refuses what holds no
    /// Ethernet header, and for TC programs what is larger than a page (with room for the kernel's
    /// own) or does not hold the IP header that it announces.
    #[must_use]
    pub fn can_run(self, frame: &[u8]) -> bool {
        const TC_BYTES_MAX: usize = 3_500;
        let (least, most) = match (self, frame.get(12..14)) {
            (_, None) => return false,
            (Self::IngressXdp, _) => (14, usize::MAX),
            (_, Some([0x08, 0x00])) => (14 + 20, TC_BYTES_MAX),
            (_, Some([0x86, 0xdd])) => (14 + 40, TC_BYTES_MAX),
            (_, Some(_)) => (14, TC_BYTES_MAX),
        };
        (least..=most).contains(&frame.len())
    }

    /// What the program's return value means.
    fn verdict(self, return_value: u32) -> Verdict {
        const TC_UNSPEC: u32 = u32::MAX;
        match (self, return_value) {
            (Self::IngressXdp, 2) | (Self::IngressTc | Self::EgressTc, 0 | TC_UNSPEC) => {
                Verdict::Pass
            }
            (Self::IngressXdp, 1) | (Self::IngressTc | Self::EgressTc, 2) => Verdict::Drop,
            (program, other) => panic!("{program:?} returned {other}"),
        }
    }
}

/// The gateway's object, loaded, with maps of its own.
pub struct Programs {
    ebpf: Ebpf,
    policies: PolicyMaps,
    presence: Presence,
    records: Records,
}

impl Programs {
    /// Loads all programs with small tables and this configuration in force.
    ///
    /// # Panics
    /// Without root, or if the kernel refuses the object.
    #[must_use]
    pub fn load(config: &Config) -> Self {
        Self::load_sized(config, FLOWS_MAX, FLOWS_MAX)
    }

    /// Loads all programs with flow tables of these sizes, in entries.
    ///
    /// # Panics
    /// Without root, or if the kernel refuses the object.
    #[must_use]
    pub fn load_sized(config: &Config, half_open_max: u32, established_max: u32) -> Self {
        let mut programs = Self::load_unconfigured(half_open_max, established_max);
        programs.configure(config);
        programs
    }

    /// Loads all programs as a fresh object is: with no configuration.
    ///
    /// # Panics
    /// Without root, or if the kernel refuses the object.
    #[must_use]
    pub fn load_unconfigured(half_open_max: u32, established_max: u32) -> Self {
        Self::load_tables(&[
            (name::HALF_OPEN, half_open_max),
            (name::ESTABLISHED, established_max),
            (name::OVERFLOW, half_open_max),
        ])
    }

    /// Loads all programs with tables of these sizes, in entries, and `entries` for everything else that
    /// is remembered: tables take as long to be read as they are large, also when they are empty.
    ///
    /// # Panics
    /// Without root, or if the kernel refuses the object.
    #[must_use]
    pub fn load_compact(half_open_max: u32, established_max: u32, entries: u32) -> Self {
        let others = [name::DATAGRAMS, name::PEERS, name::OPENERS, name::HOLDERS, name::ENDPOINTS];
        let flows = [
            (name::HALF_OPEN, half_open_max),
            (name::ESTABLISHED, established_max),
            (name::OVERFLOW, half_open_max),
        ];
        let others = others.into_iter().map(|name| (name, entries));
        Self::load_tables(&flows.into_iter().chain(others).collect::<Vec<_>>())
    }

    fn load_tables(sizes: &[(&'static str, u32)]) -> Self {
        require_root();
        let mut options = EbpfLoader::new();
        for (name, entries) in sizes {
            options.map_max_entries(name, *entries);
        }
        let mut ebpf = options
            .override_global("AYA_LOG_LEVEL", &0_u8, false)
            .load(OBJECT)
            .unwrap_or_else(|error| panic!("load the eBPF object: {}", chain(&error)));
        for (name, program) in ebpf.programs_mut() {
            let loaded = if let AyaProgram::Xdp(program) = program {
                program.load()
            } else {
                let program: &mut SchedClassifier = program.try_into().expect("XDP or TC");
                program.load()
            };
            loaded.unwrap_or_else(|error| panic!("load program {name}: {}", chain(&error)));
        }
        let policies = PolicyMaps::take(&mut ebpf);
        let records = Records::take(&mut ebpf);
        let mut presence = presence(&ebpf);
        presence.choose_secret().expect("nothing was opened yet");
        Self { ebpf, policies, presence, records }
    }

    /// How many instructions the verifier looked at for each program, by its name.
    ///
    /// # Panics
    /// If the kernel does not tell.
    #[must_use]
    pub fn verified_instructions(&self) -> BTreeMap<&str, u32> {
        let count = |program: &AyaProgram| {
            let info = if let AyaProgram::Xdp(program) = program {
                program.info()
            } else {
                <&SchedClassifier>::try_from(program).expect("XDP or TC").info()
            };
            info.expect("the program is loaded").verified_instruction_count().unwrap_or(0)
        };
        self.ebpf.programs().map(|(name, program)| (name, count(program))).collect()
    }

    /// Puts a configuration in force.
    ///
    /// # Panics
    /// If the map does not take it.
    pub fn configure(&mut self, config: &Config) {
        self.array_mut::<Config>(name::CONFIG).set(0, config, 0).expect("slot 0 exists");
        self.array_mut(name::ACTIVE).set(0, 0_u32, 0).expect("slot 0 exists");
    }

    /// Puts a frame through a program.
    ///
    /// # Panics
    /// If the kernel refuses to run it, which it does for less than 14 bytes, or if the program
    /// changed the frame.
    pub fn run(&self, program: Program, frame: &[u8]) -> Verdict {
        self.run_with(program, frame, None)
    }

    /// The mean time of one run, in nanoseconds as the kernel measures it (whole ones).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[must_use]
    pub fn run_ns(&self, program: Program, frame: &[u8], repeat: u32) -> u128 {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        self.test_run(program.name(), options).duration.as_nanos()
    }

    /// A program's descriptor, for a tail call into it.
    ///
    /// # Panics
    /// Never: all programs were loaded.
    #[must_use]
    pub fn program_fd(&self, program: Program) -> &ProgramFd {
        let loaded = self.ebpf.program(program.name()).expect("the object has all programs");
        let fd = if let AyaProgram::Xdp(program) = loaded {
            program.fd()
        } else {
            <&SchedClassifier>::try_from(loaded).expect("XDP or TC").fd()
        };
        fd.expect("all programs were loaded")
    }

    /// How many packets met this reason so far.
    ///
    /// # Panics
    /// If the map cannot be read.
    #[must_use]
    pub fn packets(&self, direction: Direction, reason: Reason) -> u64 {
        let counted =
            self.verdicts().into_iter().filter(|(way, why, _)| (*way, *why) == (direction, reason));
        counted.map(|(_, _, counter)| counter.packets).sum()
    }

    /// Deletes a flow as an operator does; whether there was one.
    ///
    /// # Panics
    /// If the kernel refuses to run the program.
    #[must_use]
    pub fn forget(&self, key: &FlowKey) -> bool {
        let options = TestRunOptions { data_in: Some(&bytes_of_key(key)), ..TestRunOptions::new() };
        self.test_run(name::FORGET, options).return_value != 0
    }

    /// Removes those of some flows, at most [`RECLAIMED_MAX`](gateway_common::limits::RECLAIMED_MAX)
    /// of which count, that expired a while ago; how many those were.
    ///
    /// # Panics
    /// If the kernel refuses to run the program, which it does without any flow.
    #[must_use]
    pub fn reclaim(&self, keys: &[FlowKey]) -> u32 {
        let keys: Vec<_> = keys.iter().flat_map(bytes_of_key).collect();
        let options = TestRunOptions { data_in: Some(&keys), ..TestRunOptions::new() };
        self.test_run(name::RECLAIM, options).return_value
    }

    /// The tick clock.
    ///
    /// # Panics
    /// If the kernel refuses to run the clock program.
    #[must_use]
    pub fn now(&self) -> Ticks {
        let mut out = [0; 64];
        let options = TestRunOptions {
            data_in: Some(&[0; 64]),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        self.test_run(name::CLOCK, options);
        let (ticks, _) = out.split_first_chunk().expect("64 are more than 8");
        Ticks(u64::from_ne_bytes(*ticks))
    }

    /// Everything that the programs remember.
    ///
    /// # Panics
    /// If a map cannot be read.
    #[must_use]
    pub fn state(&self) -> State {
        let (verdicts, events, hits) = (self.verdicts(), self.events(), self.hits());
        State { verdicts, events, hits, ends: self.ends(), ..self.tables_state() }
    }

    /// Everything that the programs remember, without what they only count, which takes longer to
    /// read.
    ///
    /// # Panics
    /// If a map cannot be read.
    #[must_use]
    pub fn tables_state(&self) -> State {
        let tables = [(Table::HalfOpen, name::HALF_OPEN), (Table::Established, name::ESTABLISHED)];
        let flows = tables.into_iter().flat_map(|(table, map)| {
            self.entries::<FlowKey, FlowEntry>(map).map(move |(key, entry)| ((table, key), entry))
        });
        let overflow_taken = self.overflow_taken();
        State {
            flows: flows.collect(),
            datagrams: self.entries(name::DATAGRAMS).collect(),
            peers: self.entries(name::PEERS).collect(),
            openers: self.entries::<_, u64>(name::OPENERS).map(|(k, v)| (k, Paid(v))).collect(),
            holders: self.entries(name::HOLDERS).collect(),
            overflow: self.overflow(overflow_taken),
            overflow_taken,
            endpoints: self.entries(name::ENDPOINTS).collect(),
            records: self.records.all(),
            ..State::default()
        }
    }

    /// The maps as user space looks into them, with the clock as it is now.
    ///
    /// # Panics
    /// If a map cannot be read.
    #[must_use]
    pub fn tables(&self) -> LiveTables {
        let open = |name| {
            self.policies
                .data(name)
                .map_or_else(|| share(name, self.data(name)), |map| share(name, map))
        };
        LiveTables::read(self.now(), open).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    fn data(&self, name: &str) -> &MapData {
        data(&self.ebpf, name)
    }

    /// The presence filter, to be made anew.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn presence(&self) -> Presence {
        presence(&self.ebpf)
    }

    /// Stores a flow.
    ///
    /// # Panics
    /// If the table is full.
    pub fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) {
        let name = match table {
            Table::HalfOpen => name::HALF_OPEN,
            Table::Established => name::ESTABLISHED,
        };
        self.presence.note(key);
        self.store(name, key, entry);
    }

    /// Notes that two hosts talk, until `deadline`.
    ///
    /// # Panics
    /// If the map does not take it.
    pub fn insert_peer(&mut self, key: &PeerKey, deadline: Ticks) {
        self.store(name::PEERS, key, &deadline.0);
    }

    /// Lets later fragments of a datagram in, until `deadline`.
    ///
    /// # Panics
    /// If the map does not take it.
    pub fn insert_datagram(&mut self, key: &DatagramKey, deadline: Ticks) {
        self.store(name::DATAGRAMS, key, &deadline.0);
    }

    /// Lets anybody answer to an inside endpoint, until `deadline`.
    ///
    /// # Panics
    /// If the map does not take it.
    pub fn insert_endpoint(&mut self, key: &EndpointKey, deadline: Ticks) {
        self.store(name::ENDPOINTS, key, &deadline.0);
    }

    /// Notes until when an inside host's openings are paid for.
    ///
    /// # Panics
    /// If the map does not take it.
    pub fn insert_paid(&mut self, host: &HostKey, paid: Paid) {
        self.store(name::OPENERS, host, &paid.0);
    }

    /// Gives a place to a flow that was opened beyond its host's allowance.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn insert_overflow(&mut self, place: u64, flow: &Overflow) {
        let place = u32::try_from(place).expect("places are few");
        self.array_mut::<Overflow>(name::OVERFLOW).set(place, flow, 0).expect("the place exists");
    }

    /// Forgets all flows, records, fragments, peers, hosts and endpoints. Counters and policies stay.
    ///
    /// # Panics
    /// If a map cannot be written.
    pub fn clear(&mut self) {
        for place in self.overflow(self.overflow_taken()).into_keys() {
            self.insert_overflow(place, &Overflow::default());
        }
        self.array_mut(name::OVERFLOW_TAKEN).set(0, 0_u64, 0).expect("there is one");
        self.clear_map::<HostKey, u64>(name::OPENERS);
        self.clear_map::<HostKey, u64>(name::HOLDERS);
        self.clear_map::<FlowKey, FlowEntry>(name::HALF_OPEN);
        self.clear_map::<FlowKey, FlowEntry>(name::ESTABLISHED);
        self.clear_map::<DatagramKey, u64>(name::DATAGRAMS);
        self.clear_map::<PeerKey, u64>(name::PEERS);
        self.clear_map::<EndpointKey, u64>(name::ENDPOINTS);
        self.presence.clear();
        self.records.forget();
    }

    fn run_with(&self, program: Program, frame: &[u8], context: Option<&[u8]>) -> Verdict {
        // XDP may not be given more than a page; the kernel says so itself.
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: context,
            ..TestRunOptions::new()
        };
        let result = self.test_run(program.name(), options);
        out.truncate(result.data_size_out as usize);
        assert!(out == frame, "{program:?} changed the frame {frame:02x?} to {out:02x?}");
        program.verdict(result.return_value)
    }

    fn test_run(&self, name: &str, options: TestRunOptions<'_>) -> TestRunResult {
        let program = self.ebpf.program(name).unwrap_or_else(|| panic!("no program {name}"));
        let len = options.data_in.map_or(0, <[u8]>::len);
        run_typed(program, options)
            .unwrap_or_else(|error| panic!("run {name} on {len} bytes: {}", chain(&error)))
    }

    fn verdicts(&self) -> Vec<(Direction, Reason, Counter)> {
        let map = self.ebpf.map(name::VERDICTS).expect("the object has this map");
        let counters: PerCpuArray<_, Counter> =
            PerCpuArray::try_from(map).expect("a per-CPU array of Counter");
        let slots = Direction::ALL
            .into_iter()
            .flat_map(|direction| Reason::ALL.iter().map(move |&reason| (direction, reason)));
        let sum = |(direction, reason): (Direction, Reason)| {
            let per_cpu = counters.get(&reason.slot(direction), 0).expect("every slot exists");
            let mut total = Counter::default();
            for counter in per_cpu.iter() {
                total.packets += counter.packets;
                total.bytes += counter.bytes;
            }
            (direction, reason, total)
        };
        slots.map(sum).filter(|(_, _, total)| *total != Counter::default()).collect()
    }

    fn events(&self) -> [u64; FlowEvent::ALL.len()] {
        let map = self.ebpf.map(name::FLOW_EVENTS).expect("the object has this map");
        let counts: PerCpuArray<_, u64> =
            PerCpuArray::try_from(map).expect("a per-CPU array of u64");
        FlowEvent::ALL
            .map(|event| counts.get(&(event as u32), 0).expect("every slot exists").iter().sum())
    }

    /// How many places for flows beyond their host's allowance have been taken so far.
    fn overflow_taken(&self) -> u64 {
        self.array(name::OVERFLOW_TAKEN).get(&0, 0).expect("there is one")
    }

    fn overflow(&self, taken: u64) -> std::collections::HashMap<u64, Overflow> {
        let places: Array<_, Overflow> = self.array(name::OVERFLOW);
        let read = |place: u32| places.get(&place, 0).expect("the place exists");
        let places = 0..places.len().min(u32::try_from(taken).unwrap_or(u32::MAX));
        places
            .map(|place| (place.into(), read(place)))
            .filter(|(_, flow)| flow.created != Ticks(0))
            .collect()
    }

    fn array<V: Pod>(&self, name: &str) -> Array<&MapData, V> {
        let map = self.ebpf.map(name).unwrap_or_else(|| panic!("no map {name}"));
        Array::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"))
    }

    fn array_mut<V: Pod>(&mut self, name: &str) -> Array<&mut MapData, V> {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        Array::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"))
    }

    fn entries<K: Pod, V: Pod>(&self, name: &str) -> impl Iterator<Item = (K, V)> {
        let map = self.ebpf.map(name).unwrap_or_else(|| panic!("no map {name}"));
        let map: BpfHashMap<&MapData, K, V> =
            BpfHashMap::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"));
        let entries: Result<Vec<_>, MapError> = map.iter().collect();
        entries.unwrap_or_else(|error| panic!("read map {name}: {error}")).into_iter()
    }

    fn store<K: Pod, V: Pod>(&mut self, name: &str, key: &K, value: &V) {
        self.map_mut::<K, V>(name)
            .insert(key, value, 0)
            .unwrap_or_else(|error| panic!("store in {name}: {}", chain(&error)));
    }

    fn clear_map<K: Pod, V: Pod>(&mut self, name: &str) {
        let keys: Vec<K> = self.entries::<K, V>(name).map(|(key, _)| key).collect();
        let mut map = self.map_mut::<K, V>(name);
        for key in keys {
            map.remove(&key).unwrap_or_else(|error| panic!("clear {name}: {}", chain(&error)));
        }
    }

    fn map_mut<K: Pod, V: Pod>(&mut self, name: &str) -> BpfHashMap<&mut MapData, K, V> {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        BpfHashMap::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"))
    }
}

fn data<'a>(ebpf: &'a Ebpf, name: &str) -> &'a MapData {
    let map = ebpf.map(name).unwrap_or_else(|| panic!("no map {name}"));
    if let Map::Array(map) | Map::HashMap(map) | Map::LruHashMap(map) = map {
        return map;
    }
    panic!("map {name} is a {map:?}");
}

fn presence(ebpf: &Ebpf) -> Presence {
    let control = share(name::PRESENCE_CONTROL, data(ebpf, name::PRESENCE_CONTROL));
    control
        .and_then(|control| Presence::of(data(ebpf, name::PRESENCE), control))
        .unwrap_or_else(|error| panic!("open the presence filter: {}", chain(&error)))
}

fn run_typed(
    program: &AyaProgram,
    options: TestRunOptions<'_>,
) -> Result<TestRunResult, ProgramError> {
    if let AyaProgram::Xdp(program) = program {
        return program.test_run(options);
    }
    let program: &SchedClassifier = program.try_into()?;
    program.test_run(options)
}

/// An error with everything that caused it: the kernel's log is at the bottom.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
