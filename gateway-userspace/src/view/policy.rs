//! The policy in force, read back from the packet path's configuration.

use gateway_common::{config::Config, timeouts::TimeoutClass};
use ipnet::IpNet;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::settings::prefix;

/// What the packet path does with packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_policy_reads_back_as_it_was_set() {
        let text = "timeouts.udp = 77\nallow.ping = true\nlink.pass_ethertypes = [0x88b5]\n\
                    martians.except = ['10.0.0.0/8']";
        let (settings, _) = Settings::parse(text).expect("valid file");
        let view = PolicyView::from(&settings.to_config(250, true));
        assert_eq!(
            serde_json::to_string(&view).expect("plain data"),
            concat!(
                r#"{"timeouts_secs":{"tcp_half_open":240,"tcp_established":7440,"#,
                r#""tcp_closing":240,"tcp_time_wait":120,"udp_unreplied":120,"udp":77,"#,
                r#""udp_dns":30,"icmp":60,"sctp_half_open":240,"sctp_established":7440,"#,
                r#""other":300},"allow":{"ping":true,"dhcp_client":true,"redirects":false},"#,
                r#""pass_ethertypes":["0x88b5"],"#,
                r#""martians":{"enabled":true,"except":["10.0.0.0/8","fc00::/7"]}}"#
            )
        );
    }
}
