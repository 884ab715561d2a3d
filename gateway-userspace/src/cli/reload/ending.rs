//! Which live flows a policy ends.

use gateway_common::{
    config::Config,
    flow::FlowEntry,
    policy::{Decision, NO_RULE, Query},
    timeouts::Ticks,
    tuple::FlowKey,
};

use crate::{
    cli::{Result, flow::LiveFlows},
    datapath::Gateway,
    policy::{CompiledPolicy, HostTables},
    settings::Policy,
    view::{EndingFlowView, FlowView, RuleRefView},
};

/// A live flow that a policy does not allow, with the policy's answer.
pub(super) struct EndingFlow {
    key: FlowKey,
    entry: FlowEntry,
    decision: Decision,
}

/// The live flows of a gateway that a policy ends, and what is needed to show them.
pub(super) struct EndingFlows {
    flows: Vec<EndingFlow>,
    now: Ticks,
    config: Config,
}

impl EndingFlows {
    /// Judges every live flow as the packet path would at its next packet.
    pub(super) fn find(gateway: &Gateway, policy: &CompiledPolicy) -> Result<Self> {
        let LiveFlows { flows, now, config, .. } = LiveFlows::read(gateway)?;
        Ok(Self { flows: ending(flows.into_iter(), policy), now, config })
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The flows for people; `policy` is the one that ends them.
    pub(super) fn views(&self, policy: &Policy) -> Vec<EndingFlowView> {
        let view = |EndingFlow { key, entry, decision }: &EndingFlow| EndingFlowView {
            flow: FlowView::new(key, entry, self.now, &self.config),
            reason: decision.ruling.reason().name(),
            rule: rule(decision, policy),
        };
        self.flows.iter().map(view).collect()
    }
}

fn ending(
    flows: impl Iterator<Item = (FlowKey, FlowEntry)>,
    policy: &CompiledPolicy,
) -> Vec<EndingFlow> {
    let tables = HostTables::new(policy);
    let judge = |(key, entry): (FlowKey, FlowEntry)| {
        let decision = tables.decide(&Query::of_flow(&key, entry.outbound.marks));
        (!decision.ruling.allows()).then_some(EndingFlow { key, entry, decision })
    };
    flows.filter_map(judge).collect()
}

fn rule(decision: &Decision, policy: &Policy) -> Option<RuleRefView> {
    let index = usize::try_from(decision.rule).ok().filter(|_| decision.rule != NO_RULE)?;
    let name = policy.rules.get(index)?.name.clone();
    Some(RuleRefView { number: index + 1, name })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gateway_common::{
        flow::{FlowHalf, mark},
        tuple::{Direction, VlanPath},
    };

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn only_what_is_forbidden_ends_and_says_by_what() {
        let text = "[[rule]]\ndirection = 'out'\naction = 'allow'\nproto = 'tcp'\nports = 443\n\
                    [[rule]]\nname = 'no-mail'\ndirection = 'out'\naction = 'deny'\n\
                    proto = 'tcp'\nports = 25\n\
                    [[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n\
                    [[subnet]]\nname = 'cut'\nprefix = '10.9.0.0/16'\nroute = 'blocked'\n\
                    [[subnet]]\nname = 'lan'\nprefix = '10.0.0.0/8'\n";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let policy = &settings.policy;
        let compiled = CompiledPolicy::new(policy);
        let judged = |inside, protocol, ports, marks| {
            let ending = ending([flow(inside, protocol, ports, marks)].into_iter(), &compiled);
            let answer = |flow: &EndingFlow| {
                (flow.decision.ruling.reason().name(), rule(&flow.decision, policy))
            };
            ending.first().map(answer)
        };
        let by_rule = RuleRefView { number: 2, name: Some("no-mail".to_owned()) };
        for (inside, protocol, ports, marks, answer) in [
            ("10.0.0.1", 6, (40_000, 443), 0, None),
            ("10.0.0.1", 6, (40_000, 25), 0, Some(("rule-denied", Some(by_rule)))),
            ("10.0.0.1", 6, (22, 25), mark::ADMITTED, None),
            ("10.0.0.1", 6, (23, 25), mark::ADMITTED, Some(("no-flow", None))),
            ("10.9.0.1", 17, (40_000, 53), 0, Some(("route-blocked", None))),
            ("192.0.2.1", 17, (40_000, 53), 0, None),
            ("192.0.2.1", 17, (40_000, 53), mark::FORWARDED, Some(("egress-spoof", None))),
        ] {
            assert_eq!(judged(inside, protocol, ports, marks), answer, "{inside} {ports:?}");
        }
    }

    #[test]
    fn queries_are_what_opened_the_flow() {
        let query = |protocol, ports, marks| {
            let (key, entry) = flow("10.0.0.1", protocol, ports, marks);
            let query = Query::of_flow(&key, entry.outbound.marks);
            (query.direction, query.selector)
        };
        assert_eq!(query(6, (40_000, 25), 0), (Direction::Outbound, 25));
        assert_eq!(query(6, (22, 40_000), mark::ADMITTED), (Direction::Inbound, 22));
        assert_eq!(query(1, (77, 0), 0), (Direction::Outbound, 8));
        assert_eq!(query(58, (77, 0), 0), (Direction::Outbound, 128));
        assert_eq!(query(1, (77, 13), 0), (Direction::Outbound, 13));
        assert_eq!(query(47, (0, 0), 0), (Direction::Outbound, 0));
    }

    fn flow(inside: &str, protocol: u8, ports: (u16, u16), marks: u32) -> (FlowKey, FlowEntry) {
        let key = FlowKey {
            inside: inside.parse::<IpAddr>().expect("address").into(),
            outside: "198.51.100.7".parse::<IpAddr>().expect("address").into(),
            inside_port: ports.0,
            outside_port: ports.1,
            vlan: VlanPath::default(),
            protocol,
            family: 4,
            zero: 0,
        };
        let outbound = FlowHalf { marks, ..FlowHalf::default() };
        (key, FlowEntry { outbound, ..FlowEntry::default() })
    }
}
