//! `eigw subnet`: the subnets in force.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use clap::{Args, Subcommand};
use gateway_common::{counter::Hits, flow::FlowEntry, timeouts::Ticks, tuple::FlowKey};
use ipnet::IpNet;

use super::{Context, Result, flow::LiveFlows, select, values};
use crate::{
    datapath::{Gateway, GatewayName, PolicyInForce},
    view::{FlowSumView, SubnetHitsView, SubnetListView, age_ms},
};

/// What stands for the addresses that no subnet covers; no subnet can have this name.
const OTHER: &str = "(other)";

/// Show the subnets in force, their live flows and what was refused to them
#[derive(Args, Debug)]
pub(super) struct SubnetArgs {
    #[command(subcommand)]
    command: Option<SubnetCommand>,
    /// The gateway, needed when there are several
    #[arg(long, global = true, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum SubnetCommand {
    /// Show each subnet, and at the end the addresses that none covers
    #[command(visible_alias = "list")]
    Show,
}

pub(super) fn run(context: &Context, args: &SubnetArgs) -> Result<SubnetListView> {
    match args.command.unwrap_or(SubnetCommand::Show) {
        SubnetCommand::Show => show(&select::open(context, args.name.as_ref())?),
    }
}

fn show(gateway: &Gateway) -> Result<SubnetListView> {
    let in_force = gateway.policy()?;
    let LiveFlows { flows, now, config, .. } = LiveFlows::read(gateway)?;
    let prefixes: Vec<_> = in_force.policy.subnets.iter().map(|subnet| subnet.prefix).collect();
    let sums = sums(&prefixes, flows.into_iter());
    Ok(view(&in_force, &sums, now, config.ticks_per_sec))
}

/// One row for each subnet and one for the rest; `sums` has one element for each.
fn view(
    in_force: &PolicyInForce,
    sums: &[FlowSumView],
    now: Ticks,
    ticks_per_sec: u32,
) -> SubnetListView {
    let row = |name: &str, prefix, route, flows, drops: &Hits| SubnetHitsView {
        name: name.to_owned(),
        prefix,
        route,
        flows,
        dropped_packets: drops.count.packets,
        dropped_bytes: drops.count.bytes,
        last_drop_ms: age_ms(drops, now, ticks_per_sec),
    };
    let policy = &in_force.policy;
    let rows = policy.subnets.iter().zip(&in_force.subnets).zip(sums);
    let mut subnets: Vec<_> = rows
        .map(|((subnet, drops), flows)| {
            row(&subnet.name, Some(subnet.prefix), subnet.route.name(), *flows, drops)
        })
        .collect();
    let flows = sums.last().copied().unwrap_or_default();
    subnets.push(row(OTHER, None, policy.default_route.name(), flows, &in_force.uncovered));
    SubnetListView { subnets }
}

/// The flows of each prefix, of which the longest one counts, and at the end those of none.
fn sums(prefixes: &[IpNet], flows: impl Iterator<Item = (FlowKey, FlowEntry)>) -> Vec<FlowSumView> {
    let subnets: HashMap<IpNet, usize> = prefixes.iter().copied().zip(0..).collect();
    let lengths: BTreeSet<u8> = prefixes.iter().map(IpNet::prefix_len).collect();
    let subnet_of = |address: IpAddr| {
        let longest_first = lengths.iter().rev();
        let around = longest_first.filter_map(|len| IpNet::new(address, *len).ok());
        around.map(|prefix| prefix.trunc()).find_map(|prefix| subnets.get(&prefix).copied())
    };
    let mut sums = vec![FlowSumView::default(); prefixes.len() + 1];
    for (key, FlowEntry { outbound, inbound, .. }) in flows {
        let sum = &mut sums[subnet_of(key.inside.to_ip()).unwrap_or(prefixes.len())];
        sum.flows += 1;
        sum.packets_out = sum.packets_out.wrapping_add(outbound.packets);
        sum.bytes_out = sum.bytes_out.wrapping_add(outbound.bytes);
        sum.packets_in = sum.packets_in.wrapping_add(inbound.packets);
        sum.bytes_in = sum.bytes_in.wrapping_add(inbound.bytes);
    }
    sums
}

#[cfg(test)]
mod tests {
    use gateway_common::{
        counter::Counter,
        flow::FlowHalf,
        policy::Route,
        tuple::{Address, VlanPath},
    };

    use super::*;
    use crate::{datapath::PolicySource, settings::Settings};

    #[test]
    fn flows_belong_to_the_longest_prefix() {
        let prefixes = ["10.0.0.0/8", "10.1.0.0/16", "2a00:1::/32", "::/0"]
            .map(|text| text.parse::<IpNet>().expect("prefix"));
        let flows = ["10.0.0.1", "10.1.0.1", "10.1.0.2", "192.0.2.1", "2a00:1::1", "2a00:2::1"]
            .map(|address| flow(address, 2));
        let counts: Vec<_> =
            sums(&prefixes, flows.into_iter()).iter().map(|sum| sum.flows).collect();
        assert_eq!(counts, [1, 2, 1, 1, 1]);
    }

    #[test]
    fn both_directions_are_added_up() {
        let flows = [flow("10.0.0.1", 2), flow("10.0.0.2", 5)];
        let expected = FlowSumView {
            flows: 2,
            packets_out: 7,
            bytes_out: 700,
            packets_in: 14,
            bytes_in: 7_000,
        };
        assert_eq!(sums(&[], flows.into_iter()), [expected]);
    }

    #[test]
    fn every_subnet_has_its_row_and_so_has_the_rest() {
        let text = "gateway.default_route = 'blocked'\n[[subnet]]\nname = 'lan'\n\
                    prefix = '10.0.0.0/8'\nroute = 'internet'\n";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let drops =
            |packets, last| Hits { count: Counter { packets, bytes: 0 }, last: Ticks(last) };
        let in_force = PolicyInForce {
            generation: 1,
            source: PolicySource::default(),
            policy: settings.policy,
            list_sizes: Vec::new(),
            rules: Vec::new(),
            subnets: vec![drops(3, 100)],
            uncovered: drops(4, 0),
        };
        let sums = [FlowSumView { flows: 1, ..FlowSumView::default() }, FlowSumView::default()];
        let SubnetListView { subnets } = view(&in_force, &sums, Ticks(350), 250);
        let [lan, other] = &subnets[..] else { panic!("{subnets:#?}") };
        assert_eq!((lan.name.as_str(), lan.route), ("lan", Route::Internet.name()));
        assert_eq!((lan.flows.flows, lan.dropped_packets, lan.last_drop_ms), (1, 3, Some(1_000)));
        assert_eq!((other.name.as_str(), other.prefix, other.route), (OTHER, None, "blocked"));
        assert_eq!((other.flows.flows, other.dropped_packets, other.last_drop_ms), (0, 4, None));
    }

    /// A flow of an inside address that sent so many packets of 100 bytes and got twice as many of
    /// 500.
    fn flow(inside: &str, packets: u64) -> (FlowKey, FlowEntry) {
        let inside: Address = inside.parse::<IpAddr>().expect("address").into();
        let key = FlowKey {
            inside,
            outside: Address::from_ipv4([198, 51, 100, 1]),
            inside_port: 40_000,
            outside_port: 53,
            vlan: VlanPath::default(),
            protocol: 17,
            family: if inside.is_ipv4_mapped() { 4 } else { 6 },
            zero: 0,
        };
        let half = |packets, bytes| FlowHalf { packets, bytes, ..FlowHalf::default() };
        let outbound = half(packets, 100 * packets);
        let inbound = half(2 * packets, 2 * packets * 500);
        (key, FlowEntry { outbound, inbound, ..FlowEntry::default() })
    }
}
