//! What a packet must change.

use gateway_common::{
    counter::FlowEvent,
    flow::mark,
    fragment::{DatagramKey, PeerKey},
    tuple::FlowKey,
    verdict::{Reason, Verdict},
};

use super::{conversation::Record, hosts::Flow};

/// What a packet changes besides its verdict's counter: nothing, unless said.
#[derive(Clone, Debug)]
#[must_use]
pub struct Expect {
    /// The reason, from which the verdict follows.
    pub reason: Reason,
    pub(super) bytes: Bytes,
    /// What it leaves in a flow.
    pub(super) trace: Option<Trace>,
    /// What else it does.
    pub(super) effects: Vec<Effect>,
}

/// Which bytes count.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes {
    /// Those of the IP packet.
    Packet,
    /// All of the frame.
    Frame,
    /// So many.
    Given(u64),
}

/// What a packet leaves in a flow besides being counted there.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) key: FlowKey,
    pub(super) peers: PeerKey,
    /// Whether it opens the flow.
    pub(super) opens: bool,
    /// How the flow ended that had its key until then.
    pub(super) replaces: Option<FlowEvent>,
    pub(super) refreshes: bool,
    pub(super) resets: bool,
    pub(super) marks: u32,
    pub(super) numbers: Numbers,
    /// The number behind the SYN, of a TCP segment that opens the flow. The row fills this in.
    pub(super) first: u64,
    /// What is written down of the side that sent it: all of it, if any of it changes. The row
    /// fills this in.
    pub(super) record: Option<Record>,
}

/// What becomes of a TCP segment's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They are written down, if the flow is one whose numbers are.
    Recorded,
    /// Only where its data end is written down.
    Overshot,
    /// They are not believed.
    Ignored,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Promote(FlowKey),
    End(FlowKey, FlowEvent),
    Renew(FlowKey),
    Close(FlowKey),
    Count(FlowEvent),
    Admit(DatagramKey),
    Hit(Place),
}

/// What the policy counts for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The rule at this index.
    Rule(u32),
    /// The subnet at this index.
    Subnet(u32),
    /// Addresses that no subnet covers.
    NoSubnet,
}

/// The packet is dropped.
///
/// # Panics
/// If this is no reason to drop one.
pub fn refused(reason: Reason) -> Expect {
    assert_eq!(reason.verdict(), Verdict::Drop, "{reason:?}");
    Expect::new(reason)
}

/// The packet passes.
///
/// # Panics
/// If this is no reason to let one pass.
pub fn passed(reason: Reason) -> Expect {
    assert_eq!(reason.verdict(), Verdict::Pass, "{reason:?}");
    Expect::new(reason)
}

/// An ICMP error passes, and leaves no trace.
pub fn related() -> Expect {
    passed(Reason::Related)
}

/// The packet opens a flow.
pub fn opens(flow: &Flow) -> Expect {
    let trace = Trace { opens: true, ..trace(flow, mark::OPENED) };
    passed(Reason::FlowCreated).leaving(trace).and(Effect::Count(FlowEvent::Created))
}

/// The packet is counted in the flow and refreshes it. From outside it also leaves the mark of
/// having answered.
pub fn belongs_to(flow: &Flow) -> Expect {
    passed(Reason::Flow).leaving(trace(flow, 0))
}

/// The packet is the first that only a host which outside reached would send: it opens the flow
/// that the policy lets outside open.
pub fn admits(flow: &Flow) -> Expect {
    opens(flow).marked(mark::ADMITTED | mark::PICKED_UP)
}

fn trace(flow: &Flow, marks: u32) -> Trace {
    Trace {
        key: flow.key,
        peers: flow.peers(),
        opens: false,
        replaces: None,
        refreshes: true,
        resets: false,
        marks,
        numbers: Numbers::Recorded,
        first: 0,
        record: None,
    }
}

impl Expect {
    const fn new(reason: Reason) -> Self {
        let bytes = if is_found_by_parser(reason) { Bytes::Frame } else { Bytes::Packet };
        Self { reason, bytes, trace: None, effects: Vec::new() }
    }

    /// It leaves these marks too.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn marked(mut self, more: u32) -> Self {
        self.trace_mut().marks |= more;
        self
    }

    /// It completes the exchange, so the flow moves to the established ones.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn promoted(mut self) -> Self {
        let key = self.trace_mut().key;
        self.marked(mark::CONFIRMED)
            .and(Effect::Promote(key))
            .and(Effect::Count(FlowEvent::Promoted))
    }

    /// It completes the exchange, but there is no room among the established flows.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn not_promoted(self) -> Self {
        self.marked(mark::CONFIRMED).and(Effect::Count(FlowEvent::EstablishedFull))
    }

    /// It completes the exchange, but its inside host holds its share of the established flows.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn beyond_share(self) -> Self {
        self.marked(mark::CONFIRMED).and(Effect::Count(FlowEvent::HostShareFull))
    }

    /// It opens a flow beyond its inside host's allowance.
    ///
    /// # Panics
    /// If it opens none.
    pub fn beyond_allowance(mut self) -> Self {
        assert!(self.trace_mut().opens, "{self:?}");
        self.marked(mark::OVERFLOW).and(Effect::Count(FlowEvent::HostOverflow))
    }

    /// This flow makes room for it.
    pub fn recycling(self, flow: &Flow) -> Self {
        self.ending(flow, FlowEvent::HostRecycled)
    }

    /// It is counted, but refreshes nothing and leaves no mark.
    ///
    /// # Panics
    /// If it belongs to no flow that was there before.
    pub fn without_refresh(mut self) -> Self {
        let trace = self.trace_mut();
        assert!(!trace.opens, "{trace:?}");
        trace.refreshes = false;
        self
    }

    /// It resets the connection, and refreshes nothing.
    ///
    /// # Panics
    /// If it belongs to no flow that was there before.
    pub fn resetting(mut self) -> Self {
        self.trace_mut().resets = true;
        self.without_refresh()
    }

    /// It goes beyond the window, but not far: that is written down, and all.
    ///
    /// # Panics
    /// If it belongs to no flow that was there before.
    pub fn overshooting(mut self) -> Self {
        self.trace_mut().numbers = Numbers::Overshot;
        self.without_refresh()
    }

    /// Its numbers do not fit. As it comes from inside, nothing is checked from here on.
    ///
    /// # Panics
    /// If it belongs to no flow.
    pub fn out_of_step(mut self) -> Self {
        self.trace_mut().numbers = Numbers::Ignored;
        self.marked(mark::UNCHECKED)
    }

    /// This rule counts it: it decided or, being a shadow rule, would have.
    pub fn by_rule(self, index: u32) -> Self {
        self.and(Effect::Hit(Place::Rule(index)))
    }

    /// It was refused, which counts for this subnet.
    pub fn of_subnet(self, index: u32) -> Self {
        self.and(Effect::Hit(Place::Subnet(index)))
    }

    /// It was refused, which counts for the addresses that no subnet covers.
    pub fn of_no_subnet(self) -> Self {
        self.and(Effect::Hit(Place::NoSubnet))
    }

    /// It opens its flow in place of one with the same key, which ended this way.
    ///
    /// # Panics
    /// If it opens none, or if this is no way for a flow to end.
    pub fn replacing(mut self, end: FlowEvent) -> Self {
        assert!(end.is_end() && self.trace_mut().opens, "{end:?}: {self:?}");
        self.trace_mut().replaces = Some(end);
        self
    }

    /// This flow ends, in this way.
    ///
    /// # Panics
    /// If this is no way for a flow to end.
    pub fn ending(self, flow: &Flow, end: FlowEvent) -> Self {
        assert!(end.is_end(), "{end:?}");
        self.and(Effect::End(flow.key, end))
    }

    /// The policy was asked about this flow before anything else became of it, and allows it.
    pub fn renewing(self, flow: &Flow) -> Self {
        self.and(Effect::Renew(flow.key))
    }

    /// Inside may not go on with this flow, which stays as one that was reset just now.
    pub fn closing(self, flow: &Flow) -> Self {
        self.and(Effect::Close(flow.key))
    }

    /// Later fragments of the datagram may follow.
    pub fn admitting(self, datagram: DatagramKey) -> Self {
        self.and(Effect::Admit(datagram))
    }

    /// All bytes of the frame count, not only those of the packet.
    pub fn counting_frame(self) -> Self {
        Self { bytes: Bytes::Frame, ..self }
    }

    /// So many bytes count: those of all segments on the wire.
    pub fn counting(self, bytes: u64) -> Self {
        Self { bytes: Bytes::Given(bytes), ..self }
    }

    /// Whether later steps build on what this one leaves behind.
    pub(super) fn changes_flows(&self) -> bool {
        self.trace.is_some() || !self.effects.is_empty()
    }

    fn leaving(self, trace: Trace) -> Self {
        Self { trace: Some(trace), ..self }
    }

    fn and(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    fn trace_mut(&mut self) -> &mut Trace {
        self.trace.as_mut().expect("the packet belongs to a flow")
    }
}

/// Whether the parser finds this: then the end of the IP packet may be unknown, and all bytes of
/// the frame count.
const fn is_found_by_parser(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Arp
            | Reason::LinkControl
            | Reason::EthertypeAllowed
            | Reason::EthertypeRefused
            | Reason::FrameTruncated
            | Reason::VlanDepth
            | Reason::Ipv4Malformed
            | Reason::Ipv4Checksum
            | Reason::Ipv4Option
            | Reason::SourceRoute
            | Reason::Ipv6Malformed
            | Reason::ExtensionHeader
            | Reason::ExtensionDepth
            | Reason::FragmentMalformed
            | Reason::FragmentTiny
            | Reason::TransportMalformed
            | Reason::NoConfiguration
            | Reason::Standby
    )
}
