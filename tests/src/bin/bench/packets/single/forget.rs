//! Deleting flows at an operator's request, by the program that does it.

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, Pod, TestRun as _, TestRunOptions,
    maps::{HashMap, MapData},
    programs::SchedClassifier,
};
use gateway_common::{
    abi::name,
    flow::FlowEntry,
    host::HostKey,
    tuple::{Family, FlowKey},
};

use super::super::{BATCH, flow::Ends};
use crate::{
    cpu,
    object::{self, SIZES},
};

/// The program and its tables.
pub(super) struct Forget {
    ebpf: Ebpf,
}

impl Forget {
    /// Loads it.
    pub(super) fn load() -> Result<Self> {
        let mut ebpf = object::load(SIZES)?;
        let program = ebpf.program_mut(name::FORGET).context("the object has no such program")?;
        object::load_program(name::FORGET, program)?;
        Ok(Self { ebpf })
    }

    /// Stores flows of one host and deletes them: the mean time of one, in nanoseconds.
    pub(super) fn turn(&mut self) -> Result<f64> {
        let keys: Vec<_> =
            (0..BATCH).map(|number| Ends::numbered(Family::Ipv6, 0, number).tcp_key()).collect();
        let host = HostKey::of(&keys[0]);
        for key in &keys {
            self.map::<FlowKey, _>(name::ESTABLISHED)?.insert(key, FlowEntry::default(), 0)?;
        }
        self.map::<HostKey, _>(name::HOLDERS)?.insert(host, u64::from(BATCH), 0)?;

        let program: &SchedClassifier =
            self.ebpf.program(name::FORGET).context("the object has this program")?.try_into()?;
        let mut total_ns = 0;
        for key in &keys {
            let bytes = bytes(key);
            let options = TestRunOptions { data_in: Some(&bytes), ..TestRunOptions::new() };
            let result = program.test_run(options).context("deleting a flow")?;
            ensure!(result.return_value == 1, "there was no flow to delete: {key:?}");
            total_ns += result.duration.as_nanos();
        }
        let held: u64 = self.map::<HostKey, _>(name::HOLDERS)?.get(&host, 0)?;
        ensure!(held == 0, "a host without flows counts as holding {held}");
        Ok(cpu::mean_ns(total_ns, BATCH))
    }

    fn map<K: Pod, V: Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        map.try_into().with_context(|| format!("opening map {name}"))
    }
}

/// The key as it lies in memory, which is how the program reads it.
fn bytes(key: &FlowKey) -> Vec<u8> {
    let FlowKey { inside, outside, inside_port, outside_port, vlan, protocol, family, zero } = *key;
    let ports = [inside_port, outside_port, vlan.outer, vlan.inner].map(u16::to_ne_bytes);
    [
        &inside.octets(),
        &outside.octets(),
        ports.as_flattened(),
        &[protocol, family],
        &zero.to_ne_bytes(),
    ]
    .concat()
}
