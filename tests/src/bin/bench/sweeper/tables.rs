//! A gateway whose tables hold many flows.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData};
use gateway_common::{
    abi::name,
    config::Config,
    flow::FlowEntry,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Family, FlowKey},
};
use gateway_userspace::{
    datapath::{
        self, AttachRequest, Gateway, GatewayName, HookChoice, HostLimits, NewPolicy,
        ReloadRequest, TableSizes, TcChoice,
    },
    settings::ticks_per_sec,
};
use tests::{bpffs::Bpffs, netns::Netns, unique};

use crate::packets::flow::Ends;

/// Of so many flows one is among the new ones.
const HALF_OPEN_EACH: u32 = 5;
/// Longer than anybody measures.
const LONG_SECS: u32 = 1_000_000;

/// A gateway in a network namespace of its own, full of flows.
pub(super) struct Filled {
    bpffs: Bpffs,
    name: GatewayName,
    sizes: TableSizes,
    _host: Netns,
}

impl Filled {
    /// Attaches a gateway and stores flows.
    pub(super) fn with(flows: u32) -> Result<Self> {
        let host = Netns::new(&format!("{}-sweeper", unique::stem()));
        host.ip("link add up0 type veth peer name pe0\nlink set up0 up\nlink set pe0 up");
        let bpffs = Bpffs::new();
        let name = GatewayName::new("wan")?;
        let half_open = flows / HALF_OPEN_EACH;
        let room_for = |flows: u32| flows + flows / 4;
        let sizes = TableSizes {
            half_open_max: room_for(half_open),
            established_max: room_for(flows - half_open),
        };
        let config = config(LONG_SECS)?;
        let attached = host.run(|| {
            datapath::attach(&AttachRequest {
                bpffs: bpffs.path(),
                name: &name,
                uplinks: &["up0".to_owned()],
                keep_others: false,
                hook: HookChoice::Tc,
                tc: TcChoice::Auto,
                tables: sizes,
                hosts: HostLimits::default(),
                config: &config,
                confirm_secs: None,
                policy: &NewPolicy::default(),
                seed: false,
            })
        });
        attached.context("attaching a gateway")?;
        let filled = Self { bpffs, name, sizes, _host: host };
        filled.store(name::HALF_OPEN, 0..half_open)?;
        filled.store(name::ESTABLISHED, half_open..flows)?;
        Ok(filled)
    }

    pub(super) fn bpffs(&self) -> &Path {
        self.bpffs.path()
    }

    pub(super) const fn name(&self) -> &GatewayName {
        &self.name
    }

    /// Has the time of all flows over.
    pub(super) fn expire(&self) -> Result<()> {
        let request = ReloadRequest {
            bpffs: self.bpffs.path(),
            name: &self.name,
            tables: self.sizes,
            hosts: HostLimits::default(),
            config: &config(0)?,
            policy: &NewPolicy::default(),
        };
        datapath::reload(&request).context("reloading")?;
        Ok(())
    }

    fn store(&self, map: &str, numbers: std::ops::Range<u32>) -> Result<()> {
        let now = Gateway::open(self.bpffs.path(), &self.name)?.now()?;
        let path = self.bpffs.path().join("eigw").join(self.name.as_str()).join("maps").join(map);
        let data = MapData::from_pin(path)?;
        let mut table: HashMap<MapData, FlowKey, FlowEntry> =
            Map::from_map_data(data)?.try_into()?;
        let mut entry = FlowEntry { created: now, ..FlowEntry::default() };
        (entry.outbound.seen, entry.inbound.seen) = (now, now);
        for number in numbers {
            let key = Ends::numbered(Family::Ipv6, number, number).tcp_key();
            table.insert(key, entry, 0).with_context(|| format!("storing flow {number}"))?;
        }
        Ok(())
    }
}

fn config(timeout_secs: u32) -> Result<Config> {
    let rate = ticks_per_sec().context("asking for the kernel's tick")?;
    let mut config = Config::new(rate);
    for class in TimeoutClass::ALL {
        config.timeouts[class as usize] = Ticks(u64::from(timeout_secs) * u64::from(rate));
    }
    Ok(config)
}
