//! What the packet logic looks up, read-only: an attached gateway's maps, or nothing yet.

use gateway_common::{
    config::Config,
    endpoint::EndpointKey,
    flow::FlowEntry,
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    policy::{Decision, Query, Scope},
    tables::Table,
    timeouts::Ticks,
    tuple::FlowKey,
};

use crate::{
    datapath::{DatapathError, LiveTables},
    policy::{CompiledPolicy, HostTables},
};

/// The result of a look at something that may be in the kernel.
pub type Looked<T> = Result<T, DatapathError>;

/// What a gateway knows at one moment. Nothing here can be written.
pub trait Memory {
    /// The configuration in force.
    fn config(&self) -> &Config;

    /// The tick clock, which stands still while a packet is explained.
    fn now(&self) -> Ticks;

    /// What that much of the policy of `config` says to a packet.
    fn ask(&self, config: &Config, scope: Scope, query: &Query) -> Decision;

    /// A flow, live or not.
    ///
    /// # Errors
    /// It cannot be looked up; so with all methods below.
    fn flow(&self, table: Table, key: &FlowKey) -> Looked<Option<FlowEntry>>;

    /// Every flow of a table, live or not.
    ///
    /// # Errors
    /// As above.
    fn flows(&self, table: Table) -> Looked<Vec<(FlowKey, FlowEntry)>>;

    /// How many flows the table of established flows has room for.
    ///
    /// # Errors
    /// As above.
    fn established_max(&self) -> Looked<u32>;

    /// Until when later fragments of a datagram may come in.
    ///
    /// # Errors
    /// As above.
    fn datagram(&self, key: &DatagramKey) -> Looked<Option<Ticks>>;

    /// Until when two hosts count as talking.
    ///
    /// # Errors
    /// As above.
    fn peer(&self, key: &PeerKey) -> Looked<Option<Ticks>>;

    /// Until when anybody may answer to an inside endpoint.
    ///
    /// # Errors
    /// As above.
    fn endpoint(&self, key: &EndpointKey) -> Looked<Option<Ticks>>;

    /// How far a host's openings are paid for.
    ///
    /// # Errors
    /// As above.
    fn paid(&self, host: &HostKey) -> Looked<Option<Paid>>;

    /// How many established flows a host holds.
    ///
    /// # Errors
    /// As above.
    fn held(&self, host: &HostKey) -> Looked<Option<u64>>;

    /// What has the next of `slots` places for flows beyond their hosts' allowance.
    ///
    /// # Errors
    /// As above.
    fn next_place(&self, slots: u32) -> Looked<Option<Overflow>>;
}

impl Memory for LiveTables {
    fn config(&self) -> &Config {
        Self::config(self)
    }

    fn now(&self) -> Ticks {
        Self::now(self)
    }

    fn ask(&self, config: &Config, scope: Scope, query: &Query) -> Decision {
        Self::ask(self, config, scope, query)
    }

    fn flow(&self, table: Table, key: &FlowKey) -> Looked<Option<FlowEntry>> {
        Self::flow(self, table, key)
    }

    fn flows(&self, table: Table) -> Looked<Vec<(FlowKey, FlowEntry)>> {
        Self::flows(self, table)
    }

    fn established_max(&self) -> Looked<u32> {
        Self::established_max(self)
    }

    fn datagram(&self, key: &DatagramKey) -> Looked<Option<Ticks>> {
        Self::datagram(self, key)
    }

    fn peer(&self, key: &PeerKey) -> Looked<Option<Ticks>> {
        Self::peer(self, key)
    }

    fn endpoint(&self, key: &EndpointKey) -> Looked<Option<Ticks>> {
        Self::endpoint(self, key)
    }

    fn paid(&self, host: &HostKey) -> Looked<Option<Paid>> {
        Self::paid(self, host)
    }

    fn held(&self, host: &HostKey) -> Looked<Option<u64>> {
        Self::held(self, host)
    }

    fn next_place(&self, slots: u32) -> Looked<Option<Overflow>> {
        Self::next_place(self, slots)
    }
}

/// A gateway that was attached a moment ago: a configuration, and nothing seen yet.
#[derive(Clone, Debug)]
pub struct FreshMemory<'p> {
    config: Config,
    policy: HostTables<'p>,
}

impl<'p> FreshMemory<'p> {
    /// A gateway with this configuration, which is about this policy.
    #[must_use]
    pub fn new(config: &Config, policy: &'p CompiledPolicy) -> Self {
        Self { config: *config, policy: HostTables::new(policy) }
    }
}

impl Memory for FreshMemory<'_> {
    fn config(&self) -> &Config {
        &self.config
    }

    /// Long after zero, which means "never" in a flow.
    fn now(&self) -> Ticks {
        Ticks(1 << 33)
    }

    fn ask(&self, _: &Config, scope: Scope, query: &Query) -> Decision {
        self.policy.ask(scope, query)
    }

    fn flow(&self, _: Table, _: &FlowKey) -> Looked<Option<FlowEntry>> {
        Ok(None)
    }

    fn flows(&self, _: Table) -> Looked<Vec<(FlowKey, FlowEntry)>> {
        Ok(Vec::new())
    }

    fn established_max(&self) -> Looked<u32> {
        Ok(u32::MAX)
    }

    fn datagram(&self, _: &DatagramKey) -> Looked<Option<Ticks>> {
        Ok(None)
    }

    fn peer(&self, _: &PeerKey) -> Looked<Option<Ticks>> {
        Ok(None)
    }

    fn endpoint(&self, _: &EndpointKey) -> Looked<Option<Ticks>> {
        Ok(None)
    }

    fn paid(&self, _: &HostKey) -> Looked<Option<Paid>> {
        Ok(None)
    }

    fn held(&self, _: &HostKey) -> Looked<Option<u64>> {
        Ok(None)
    }

    fn next_place(&self, _: u32) -> Looked<Option<Overflow>> {
        Ok(None)
    }
}
