//! The library's `datapath` against the kernel, where the command line cannot reach: TC filters
//! on kernels that have something better, pins that somebody tampered with, tables of many flows.
//!
//! ```text
//!  namespace peer          namespace host
//!  pe0 ──────── veth ────── up0 ┐
//!                               ├ the gateway
//!  pe1 ──────── veth ────── up1 ┘
//! ```

mod damage;
mod foreign;
mod hooks;
mod hosts;
mod namespaces;
mod observers;
mod reading;
mod sweeper;
mod uplinks;

use std::path::PathBuf;

use gateway_common::config::Config;
use gateway_userspace::{
    datapath::{
        self, AttachOutcome, AttachRequest, DatapathError, Gateway, GatewayName, HookChoice,
        HostLimits, IngressHook, NewPolicy, TableSizes, TcChoice, TcMeans,
    },
    net::interface::{self, Interface},
};
use tests::{bpffs::Bpffs, netns::Netns, unique};

/// A host with two uplinks, and a BPF file system.
struct Site {
    host: Netns,
    peer: Netns,
    bpffs: Bpffs,
    name: GatewayName,
}

impl Site {
    fn new() -> Self {
        let stem = unique::stem();
        let host = Netns::new(&format!("{stem}-host"));
        let peer = Netns::new(&format!("{stem}-peer"));
        for link in 0..2 {
            host.ip(&format!(
                "link add up{link} type veth peer name pe{link} netns {}\nlink set up{link} up",
                peer.name()
            ));
            peer.ip(&format!("link set pe{link} up"));
        }
        let name = GatewayName::new("wan").expect("a valid name");
        Self { host, peer, bpffs: Bpffs::new(), name }
    }

    /// Attaches, or updates, the gateway of this site.
    fn attach(
        &self,
        uplinks: &[&str],
        hook: HookChoice,
        tc: TcChoice,
    ) -> Result<AttachOutcome, DatapathError> {
        self.host.run(|| attach(&self.bpffs, &self.name, uplinks, hook, tc))
    }

    fn detach(&self) {
        let outcome = datapath::detach(self.bpffs.path(), &self.name).expect("detached");
        assert_eq!(outcome.detached, [self.name.as_str()]);
        assert_eq!(self.bpffs.entries(), Vec::<PathBuf>::new());
    }

    fn open(&self) -> Result<Gateway, DatapathError> {
        Gateway::open(self.bpffs.path(), &self.name)
    }

    /// What is attached to each uplink, by name.
    fn attached(&self) -> Vec<(String, Option<IngressHook>, Option<TcMeans>)> {
        let uplinks = self.open().expect("the gateway opens").uplinks().expect("uplinks");
        uplinks
            .into_iter()
            .map(|uplink| {
                let ingress = uplink.ingress.map(|program| program.hook);
                (uplink.name, ingress, uplink.egress.map(|program| program.hook))
            })
            .collect()
    }

    fn interface(&self, name: &str) -> Interface {
        self.host.run(|| interface::find(name)).expect("the interface exists")
    }

    /// Where a map of the gateway is pinned.
    fn map(&self, name: &str) -> PathBuf {
        self.bpffs.path().join("eigw").join(self.name.as_str()).join("maps").join(name)
    }
}

/// How large the flow tables of every gateway here are.
const TABLES: TableSizes = TableSizes { half_open_max: 20_000, established_max: 20_000 };

/// Attaches a gateway to interfaces of this thread's network namespace.
fn attach(
    bpffs: &Bpffs,
    name: &GatewayName,
    uplinks: &[&str],
    hook: HookChoice,
    tc: TcChoice,
) -> Result<AttachOutcome, DatapathError> {
    attach_with(bpffs, name, uplinks, (hook, tc), HostLimits::default())
}

/// Attaches a gateway with limits of each host.
fn attach_with(
    bpffs: &Bpffs,
    name: &GatewayName,
    uplinks: &[&str],
    (hook, tc): (HookChoice, TcChoice),
    hosts: HostLimits,
) -> Result<AttachOutcome, DatapathError> {
    let uplinks: Vec<String> = uplinks.iter().map(|&uplink| uplink.to_owned()).collect();
    let config = Config::new(250);
    datapath::attach(&AttachRequest {
        bpffs: bpffs.path(),
        name,
        uplinks: &uplinks,
        keep_others: false,
        hook,
        tc,
        tables: TABLES,
        hosts,
        config: &config,
        confirm_secs: None,
        policy: &NewPolicy::default(),
        seed: true,
    })
}
