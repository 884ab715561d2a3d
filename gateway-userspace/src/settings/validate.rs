//! From the file as written to settings that can be used, or to the list of what is wrong.

use std::path::Path;

use gateway_common::{
    limits::{MARTIAN_EXCEPTIONS_MAX, PASS_ETHERTYPES_MAX, UPLINKS_MAX},
    policy::Route,
    wire::ethernet,
};
use ipnet::IpNet;

use super::{
    Allow, Martians, Settings, cost,
    name::check_interface_name,
    policy::{self, Policy, Rfc6092},
    prefix,
    problem::Problem,
    profile::{Profile, TimeoutsSecs, rfc_floor},
    raw::{RawSettings, RawTimeout},
    reader::Located,
    sizes::TableSize,
};
use crate::datapath::{GatewayName, HostLimits, TableSizes};

/// Ethertypes that the gateway parses itself, so that they cannot pass unseen.
const PARSED_ETHERTYPES: [(u16, &str); 6] = [
    (ethernet::IPV4, "IPv4"),
    (ethernet::IPV6, "IPv6"),
    (ethernet::ARP, "ARP"),
    (ethernet::VLAN, "a VLAN tag"),
    (ethernet::SERVICE_VLAN, "a service VLAN tag"),
    (0x9100, "a VLAN tag of the old kind"),
];

/// One place in [`MARTIAN_EXCEPTIONS_MAX`] stays free for the uplink's own unique local prefix.
const EXCEPT_MAX: usize = MARTIAN_EXCEPTIONS_MAX - 1;

/// Judges `raw`, which names files in `directory`, for a machine with `memory_bytes` of memory.
/// The settings are of use only if no problem was added.
pub(super) fn validate(
    raw: RawSettings,
    directory: &Path,
    memory_bytes: u64,
    problems: &mut Vec<Problem>,
) -> Settings {
    let profile = raw.profile.as_ref().map_or(Profile::default(), |profile| profile.value);
    let mut timeouts_secs = TimeoutsSecs::of(profile);
    for timeout in &raw.timeouts {
        for class in &timeout.classes {
            timeouts_secs.set(*class, timeout.secs.value);
        }
    }
    let allow = Allow::default();
    let hosts = host_limits(&raw, memory_bytes, problems);
    let (policy, rfc6092) = policy(&raw, directory, problems);
    let metrics = raw.metrics.validate(problems);
    let cost = cost::validate(&raw.cost, problems);
    Settings {
        uplinks: uplinks(raw.uplinks.unwrap_or_default(), problems),
        name: gateway_name(raw.name, problems),
        hook: value_or(raw.hook.as_ref(), Settings::default().hook),
        profile,
        half_open_max: value_or(raw.half_open_max.as_ref(), TableSize::Auto),
        established_max: value_or(raw.established_max.as_ref(), TableSize::Auto),
        hosts,
        timeouts_secs,
        allow: Allow {
            ping: value_or(raw.ping.as_ref(), allow.ping),
            dhcp_client: value_or(raw.dhcp_client.as_ref(), allow.dhcp_client),
            redirects: value_or(raw.redirects.as_ref(), allow.redirects),
        },
        pass_ethertypes: pass_ethertypes(&raw.pass_ethertypes, problems),
        martians: Martians {
            enabled: value_or(raw.martians_enabled.as_ref(), Martians::default().enabled),
            except: martians_except(&raw.martians_except, problems),
        },
        policy,
        flow_log: raw.flow_log,
        rfc6092,
        metrics,
        cost,
    }
}

/// What works but is probably not meant.
pub(super) fn warnings(raw: &RawSettings) -> Vec<Problem> {
    let profile = raw.profile.as_ref().map_or(Profile::default(), |profile| profile.value);
    if profile != Profile::Rfc {
        return Vec::new();
    }
    raw.timeouts
        .iter()
        .filter_map(|RawTimeout { key, classes, secs: Located { line, value } }| {
            let mut floors = classes.iter().filter_map(|class| rfc_floor(*class));
            let (floor_secs, source) = floors.find(|(floor_secs, _)| value < floor_secs)?;
            let message = format!(
                "'{key}' in [timeouts] is {value} s, less than the {floor_secs} s that {source} \
                 asks for; hosts may lose connections that they believe are alive"
            );
            Some(Problem::new(*line, message))
        })
        .collect()
}

fn value_or<T: Copy>(located: Option<&Located<T>>, default: T) -> T {
    located.map_or(default, |located| located.value)
}

/// The limits of each inside host, none greater than its table.
fn host_limits(raw: &RawSettings, memory_bytes: u64, problems: &mut Vec<Problem>) -> HostLimits {
    let [half_open, established] = [&raw.half_open_max, &raw.established_max]
        .map(|size| value_or(size.as_ref(), TableSize::Auto));
    let tables = TableSizes::resolve(half_open, established, memory_bytes);
    let mut limit = |key, limit: &Option<Located<TableSize>>, table, size, entries| {
        let &Located { line, value: TableSize::Entries(flows) } = limit.as_ref()? else {
            return None;
        };
        if flows > entries {
            let what = match size {
                TableSize::Entries(_) => format!("'{table}', which is {entries}"),
                TableSize::Auto => format!("'{table}', which comes to {entries} on this machine"),
            };
            problems.push(Problem::new(
                line,
                format!("'{key}' in [flows] is {flows}, more than {what}"),
            ));
        }
        Some(flows)
    };
    HostLimits {
        half_open: limit(
            "half_open_per_host",
            &raw.half_open_per_host,
            "half_open_max",
            half_open,
            tables.half_open_max,
        ),
        established: limit(
            "established_per_host",
            &raw.established_per_host,
            "established_max",
            established,
            tables.established_max,
        ),
    }
}

fn policy(raw: &RawSettings, directory: &Path, problems: &mut Vec<Problem>) -> (Policy, Rfc6092) {
    let lists = policy::lists(&raw.policy, directory, problems);
    let mut policy = Policy {
        default_route: value_or(raw.default_route.as_ref(), Route::default()),
        subnets: policy::subnets(&raw.policy, problems),
        rules: policy::rules(&raw.policy, &lists, problems),
        lists,
    };
    let rfc6092 = policy::validate_rfc6092(&raw.policy, problems);
    policy::apply_rfc6092(rfc6092, &mut policy);
    (policy, rfc6092)
}

fn gateway_name(name: Option<Located<String>>, problems: &mut Vec<Problem>) -> Option<GatewayName> {
    let Located { line, value } = name?;
    GatewayName::new(value)
        .map_err(|why| problems.push(Problem::new(line, format!("'name' in [gateway]: {why}"))))
        .ok()
}

fn uplinks(uplinks: Vec<Located<String>>, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Located { line, value } in uplinks {
        let complaint = match check_interface_name(&value) {
            Err(why) => Some(why),
            Ok(()) if names.contains(&value) => Some(format!("'{value}' is listed twice")),
            Ok(()) if names.len() == UPLINKS_MAX => {
                Some(format!("'{value}' is one too many: a gateway has at most {UPLINKS_MAX}"))
            }
            Ok(()) => None,
        };
        match complaint {
            Some(why) => {
                problems.push(Problem::new(line, format!("'uplinks' in [gateway]: {why}")));
            }
            None => names.push(value),
        }
    }
    names
}

fn pass_ethertypes(ethertypes: &[Located<u16>], problems: &mut Vec<Problem>) -> Vec<u16> {
    let mut passed: Vec<u16> = Vec::new();
    for &Located { line, value } in ethertypes {
        let judged = PARSED_ETHERTYPES.iter().find(|(ethertype, _)| *ethertype == value);
        let complaint = match judged {
            Some((_, kind)) => {
                Some(format!("{value:#06x} is {kind}, which the gateway judges itself"))
            }
            None if passed.contains(&value) => Some(format!("{value:#06x} is listed twice")),
            None if passed.len() == PASS_ETHERTYPES_MAX => Some(format!(
                "{value:#06x} is one too many: at most {PASS_ETHERTYPES_MAX} can pass"
            )),
            None => None,
        };
        match complaint {
            Some(why) => {
                problems.push(Problem::new(line, format!("'pass_ethertypes' in [link]: {why}")));
            }
            None => passed.push(value),
        }
    }
    passed
}

fn martians_except(prefixes: &[Located<String>], problems: &mut Vec<Problem>) -> Vec<IpNet> {
    let mut except: Vec<IpNet> = Vec::new();
    for Located { line, value } in prefixes {
        match exception(value, &except) {
            Ok(prefix) => except.push(prefix),
            Err(why) => {
                problems.push(Problem::new(*line, format!("'except' in [martians]: {why}")));
            }
        }
    }
    except
}

/// Reads one exception; `before` are the ones above it.
fn exception(text: &str, before: &[IpNet]) -> Result<IpNet, String> {
    let prefix = prefix::parse(text)?;
    if prefix::touches_mapped_addresses(&prefix) {
        return Err(format!(
            "{prefix} covers IPv4-mapped addresses, which never pass; write IPv4 prefixes as such"
        ));
    }
    if let Some(other) = before
        .iter()
        .find(|other| other.contains(&prefix.network()) || prefix.contains(&other.network()))
    {
        return Err(format!("{prefix} and {other} overlap; keep the shorter one"));
    }
    if before.len() == EXCEPT_MAX {
        return Err(format!("{prefix} is one too many: at most {EXCEPT_MAX} are possible"));
    }
    Ok(prefix)
}
