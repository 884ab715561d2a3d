//! What holds for every packet under every policy.

mod reading;

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, mark, sctp::Message},
    gateway::find_packet,
    packet::{Packet as Parsed, TransportKind},
    parse,
    tuple::{Direction, Family},
    verdict::{Reason, Verdict},
};
use gateway_userspace::policy::CompiledPolicy;
use proptest::{collection::vec, prelude::*};
use reading::{Word, answered, inbound, outbound, read};
use tests::{
    fuzz::policies::policy,
    model::Model,
    rows::check::TICKS_PER_SEC,
    state::{Entry, State},
};

use crate::mutation::{Travelling, traffic};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// RFC4787-REQ-11, E150: whatever the policies are, and while they replace each other, nothing
    /// that arrives opens, moves or ends a flow or anything else that is remembered of inside; and
    /// what is dropped ends flows of inside's own at most.
    #[test]
    fn nothing_that_arrives_opens_or_ends_a_flow(
        stretches in vec((policy(true), traffic(20)), 1..4),
        switches in any::<[bool; 2]>(),
    ) {
        let mut gateway = Gateway::new(switches);
        for (text, frames) in stretches {
            gateway.govern(&text);
            for travelling in frames {
                let before = gateway.model.state();
                let reason = gateway.run(&travelling);
                let change = gateway.model.state().since(&before);
                let is_inbound = travelling.direction == Direction::Inbound;
                for flow in &change.flows {
                    let is_allowed = match flow {
                        Entry::Added(..) => !is_inbound && reason.verdict() == Verdict::Pass,
                        Entry::Removed(..) => !is_inbound,
                        Entry::Changed(_, then, now) if is_inbound => {
                            then.outbound == now.outbound
                                && then.created == now.created
                                && reason.verdict() == Verdict::Pass
                        }
                        // To be asked about may do no more to a flow than renew it, or close it.
                        Entry::Changed(_, then, now) => {
                            let generation = now.generation;
                            let mut renewed = FlowEntry { generation, ..*then };
                            if reason == Reason::PolicyRevoked {
                                renewed.outbound.reset = now.outbound.reset;
                                renewed.outbound.marks |= now.outbound.marks & mark::REVOKED;
                            }
                            reason.verdict() == Verdict::Pass || renewed == *now
                        }
                    };
                    prop_assert!(is_allowed, "{reason:?}: {flow:?}");
                }
                if is_inbound {
                    prop_assert_eq!(change.events, [0; FlowEvent::ALL.len()]);
                    prop_assert_eq!((change.openers, change.holders), (vec![], vec![]));
                    prop_assert_eq!((change.peers, change.endpoints), (vec![], vec![]));
                }
            }
        }
    }

    /// Where nothing has left and no policy lets anything in, nothing passes but what the link
    /// lives on, and nothing is remembered.
    #[test]
    fn nothing_is_let_in_that_no_policy_lets_in(text in policy(false), frames in traffic(60)) {
        let mut gateway = Gateway::new([false, true]);
        gateway.govern(&text);
        let empty = gateway.model.state();
        for travelling in frames {
            let travelling = Travelling { direction: Direction::Inbound, ..travelling };
            let reason = gateway.run(&travelling);
            prop_assert!(reason.verdict() == Verdict::Drop || is_for_the_link(reason), "{reason:?}");
        }
        let State { verdicts, hits, .. } = empty.clone();
        prop_assert_eq!(State { verdicts, hits, ..gateway.model.state() }, empty);
    }

    /// What comes in without a flow passes or drops for the reason that reading the policy from the
    /// top gives; what has a flow has one.
    #[test]
    fn the_policy_means_what_it_says(
        stretches in vec((policy(true), traffic(20)), 1..4),
        switches in any::<[bool; 2]>(),
    ) {
        let mut gateway = Gateway::new(switches);
        for (text, frames) in stretches {
            gateway.govern(&text);
            let policy = read(&text);
            for travelling in frames {
                let before = gateway.model.state();
                let reason = gateway.run(&travelling);
                let Some(packet) = gateway.parse(&travelling) else { continue };
                let is_right = match travelling.direction {
                    Direction::Inbound => {
                        is_right_inbound(reason, inbound(&policy, &packet), &packet, &before)
                    }
                    Direction::Outbound => {
                        let answer = answered(&policy, &packet);
                        let word = outbound(&policy, &packet);
                        // What a live flow ignores needs no other permission than the flow, and
                        // the answer to a ping that `[allow]` lets in no rule.
                        let is_pong = gateway.config.allow_ping != 0 && is_pong(&packet);
                        is_right_outbound(reason, word, answer, &packet)
                            || reason == Reason::Stateless
                                && (has_flow(&packet, Direction::Outbound, &before)
                                    || is_pong && answer == Word::Unsolicited
                                    || is_redirect(&packet))
                    }
                };
                prop_assert!(is_right, "{reason:?}: {packet:?} under\n{text}");
            }
        }
    }
}

/// Whether reading the policy, which says `word`, can have led to `reason`.
fn is_right_inbound(reason: Reason, word: Word, packet: &Parsed, before: &State) -> bool {
    use Reason::{
        EgressSpoof, EndpointAllowed, Flow, FlowCreated, FlowExpired, FragmentUnsolicited,
        IcmpType, IngressSpoof, InsideDestination, NoFlow, NoPolicy, PingAllowed, PingRefused,
        Published, RouteAllowed, RouteBlocked, RuleAllowed, RuleDenied, SctpState, Stateless,
        TcpState,
    };
    let is_group = packet.network.destination.is_multicast();
    if matches!(reason, RuleAllowed | RuleDenied | RouteAllowed | RouteBlocked | IngressSpoof) {
        word == Word::Is(reason)
    } else if matches!(
        reason,
        NoFlow | FlowExpired | TcpState | SctpState | FragmentUnsolicited | PingAllowed
    ) || reason == PingRefused && !is_group
    {
        word == Word::Unsolicited
    } else if reason == EndpointAllowed {
        word == Word::Unsolicited && !before.endpoints.is_empty()
    } else if reason == IcmpType {
        matches!(word, Word::Unsolicited | Word::Is(RouteAllowed))
    } else if reason == Flow {
        has_flow(packet, Direction::Inbound, before)
    } else {
        let is_of_inside =
            matches!(reason, Published | FlowCreated | Stateless | EgressSpoof | InsideDestination);
        !is_of_inside && reason != NoPolicy
    }
}

/// The same for what goes out, where the packet that it may answer is judged as `answer`.
fn is_right_outbound(reason: Reason, word: Word, answer: Word, packet: &Parsed) -> bool {
    use Reason::{
        EgressSpoof, EndpointAllowed, FlowCreated, IngressSpoof, InsideDestination, NoFlow,
        NoPolicy, Published, RouteAllowed, RouteBlocked, RuleAllowed, RuleDenied, Stateless,
    };
    let is_answer = matches!(answer, Word::Is(RuleAllowed | RouteAllowed));
    let may_answer = is_answer && !is_opening(packet);
    let has_handshake = matches!(packet.transport.kind, TransportKind::Tcp | TransportKind::Sctp);
    // What a route lets in is answered like any other packet, where that can be a question as well.
    let is_nothing_else = has_handshake || packet.transport.kind == TransportKind::Icmp;
    let is_free = may_answer && (is_nothing_else || answer == Word::Is(RuleAllowed));
    if matches!(reason, FlowCreated | Stateless) {
        is_free || word == Word::Outbound
    } else if reason == Published {
        is_free
    } else if matches!(reason, RuleDenied | RouteBlocked | EgressSpoof | InsideDestination) {
        !is_free && word == Word::Is(reason)
    } else {
        let is_of_outside =
            matches!(reason, RuleAllowed | RouteAllowed | EndpointAllowed | IngressSpoof | NoFlow);
        !is_of_outside && reason != NoPolicy
    }
}

/// Whether a packet opens a connection, so that it answers nothing.
fn is_opening(packet: &Parsed) -> bool {
    const SYN: u8 = 0x02;
    const FIN_RST_ACK: u8 = 0x15;
    let is_syn = packet.transport.tcp.flags & (SYN | FIN_RST_ACK) == SYN;
    packet.is_tcp() && is_syn || packet.is_sctp() && packet.message() == Some(Message::Init)
}

fn has_flow(packet: &Parsed, direction: Direction, before: &State) -> bool {
    let key = packet.flow_key(direction);
    before.flows.keys().any(|(_, stored)| Some(*stored) == key)
}

/// Whether a packet answers a ping.
fn is_pong(packet: &Parsed) -> bool {
    let kind = if packet.network.family == Family::Ipv4 { 0 } else { 129 };
    packet.transport.kind == TransportKind::Icmp && packet.transport.icmp.kind == kind
}

/// What routers tell hosts on the link is no policy's.
fn is_redirect(packet: &Parsed) -> bool {
    packet.network.family == Family::Ipv6 && packet.transport.icmp.kind == 137
}

fn is_for_the_link(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Arp
            | Reason::LinkControl
            | Reason::NeighbourDiscovery
            | Reason::MulticastListener
            | Reason::DhcpClient
    )
}

/// A model under changing policies.
struct Gateway {
    model: Model,
    config: Config,
}

impl Gateway {
    /// With `[allow] ping` and filtering independent of endpoints, or not.
    fn new([ping, endpoints]: [bool; 2]) -> Self {
        let mut config = Config::new(TICKS_PER_SEC);
        config.allow_ping = ping.into();
        config.endpoint_independent = endpoints.into();
        Self { model: Model::new(&config, 64, 16), config }
    }

    fn govern(&mut self, text: &str) {
        let policy = CompiledPolicy::new(&read(text));
        self.config.generation += 1;
        self.config.policy = policy.summary;
        self.config.policy_slot = self.config.generation % 2;
        self.model.govern(&self.config, policy);
    }

    fn run(&mut self, travelling: &Travelling) -> Reason {
        self.model.advance(self.config.ticks(1));
        self.model.run(travelling.direction, &travelling.frame).reason
    }

    fn parse(&self, travelling: &Travelling) -> Option<Parsed> {
        let mut packet = Parsed::default();
        find_packet(&travelling.frame, &self.config, &mut packet).ok()?;
        if packet.is_sctp() {
            parse::sctp_chunks(&travelling.frame, &mut packet);
        }
        Some(packet)
    }
}
