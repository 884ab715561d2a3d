//! The policy in force, read back from the packet path's configuration.

use gateway_common::{config::Config, timeouts::TimeoutClass};
use ipnet::IpNet;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::settings::prefix;

/// What the packet path does with packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// Flows that one inside host may hold before outside has answered and inside sent again.
    pub half_open_per_host: u64,
    /// Entries of the table of established flows that one inside host may hold.
    pub established_per_host: u32,
    /// Idle timeouts by their names in the configuration file.
    pub timeouts_secs: TimeoutsView,
    /// What may come in without a flow.
    pub allow: AllowView,
    /// Ethertypes that pass besides IP, ARP and link control, such as `0x88b5`.
    pub pass_ethertypes: Vec<String>,
    /// The martian rules.
    pub martians: MartiansView,
}

/// What may come in without a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AllowView {
    /// Echo requests.
    pub ping: bool,
    /// Replies to this host's DHCP client.
    pub dhcp_client: bool,
    /// `ICMPv6` redirects from the link.
    pub redirects: bool,
}

/// How addresses are treated that cannot exist on the other side of an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MartiansView {
    /// Whether they are refused.
    pub enabled: bool,
    /// Prefixes that are no martians here, including the one of a unique local uplink.
    pub except: Vec<IpNet>,
}

/// Idle timeouts in seconds with their names, in the order of the documentation: an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutsView(pub Vec<(&'static str, u64)>);

impl Serialize for TimeoutsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, secs) in &self.0 {
            map.serialize_entry(name, secs)?;
        }
        map.end()
    }
}

impl From<&Config> for PolicyView {
    fn from(config: &Config) -> Self {
        let secs =
            |class: TimeoutClass| config.timeout(class).0 / u64::from(config.ticks_per_sec.max(1));
        let exceptions = config.martian_exceptions.iter();
        let ethertypes = config.pass_ethertypes.iter();
        Self {
            half_open_per_host: half_open_per_host(config),
            established_per_host: config.established_per_host,
            timeouts_secs: TimeoutsView(
                TimeoutClass::ALL.iter().map(|&class| (class.name(), secs(class))).collect(),
            ),
            allow: AllowView {
                ping: config.allow_ping != 0,
                dhcp_client: config.allow_dhcp_client != 0,
                redirects: config.allow_redirects != 0,
            },
            pass_ethertypes: ethertypes
                .take(config.pass_ethertypes_used as usize)
                .map(|ethertype| format!("{ethertype:#06x}"))
                .collect(),
            martians: MartiansView {
                enabled: config.martians_enabled != 0,
                except: exceptions
                    .take(config.martian_exceptions_used as usize)
                    .map(prefix::from_packet_path)
                    .collect(),
            },
        }
    }
}

/// How many flows a host's allowance is worth. The packet path has it as the cost of one, rounded
/// down, beside the number of places for flows beyond it, which usually is the same.
fn half_open_per_host(config: &Config) -> u64 {
    let (credit, cost) = (config.opening_credit.0, config.opening_cost.0);
    let places = u64::from(config.overflow_slots);
    if credit.checked_div(places) == Some(cost) {
        return places;
    }
    // Without a cost there is no limit.
    credit.checked_div(cost).unwrap_or(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        datapath::{HostShares, TableSizes},
        settings::Settings,
    };

    #[test]
    fn the_policy_reads_back_as_it_was_set() {
        let text = "timeouts.udp = 77\nallow.ping = true\nlink.pass_ethertypes = [0x88b5]\n\
                    martians.except = ['10.0.0.0/8']";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let tables = TableSizes { half_open_max: 4_096, established_max: 16_384 };
        let shares = settings.hosts.within(tables);
        let config = shares.apply(&settings.to_config(250, true), shares.half_open);
        let view = PolicyView::from(&config);
        assert_eq!(
            serde_json::to_string(&view).expect("plain data"),
            concat!(
                r#"{"half_open_per_host":512,"established_per_host":12288,"#,
                r#""timeouts_secs":{"tcp_syn_sent":240,"tcp_syn_received":240,"#,
                r#""tcp_established":7440,"tcp_fin_wait":240,"tcp_close_wait":240,"#,
                r#""tcp_last_ack":240,"tcp_time_wait":120,"tcp_closed":240,"#,
                r#""udp_unreplied":120,"udp":77,"udp_dns":30,"icmp":60,"#,
                r#""sctp_half_open":240,"sctp_established":7440,"sctp_closing":240,"#,
                r#""dccp_half_open":480,"dccp_established":7440,"other":300},"allow":{"ping":true,"dhcp_client":true,"redirects":false},"#,
                r#""pass_ethertypes":["0x88b5"],"#,
                r#""martians":{"enabled":true,"except":["10.0.0.0/8","fc00::/7"]}}"#
            )
        );
    }

    #[test]
    fn limits_read_back_as_they_were_set_also_with_fewer_places() {
        let limit = |half_open, places| {
            let shares = HostShares { half_open, established: 1 };
            half_open_per_host(&shares.apply(&Config::new(250), places))
        };
        for half_open in [1, 100, 4_096, 100_000] {
            assert_eq!(limit(half_open, half_open), u64::from(half_open));
        }
        assert_eq!((limit(4_096, 7), limit(1_000, 1)), (4_096, 1_000));
        assert_eq!(half_open_per_host(&Config::new(250)), u64::from(u32::MAX), "no limit");
    }
}
