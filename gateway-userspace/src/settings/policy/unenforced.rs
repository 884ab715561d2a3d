//! What the packet path does not enforce yet, so that nobody relies on it.

use gateway_common::policy::Route;

use super::raw::RawPolicy;
use crate::settings::{problem::Problem, reader::Located};

/// The keys of a policy that would have an effect, in the order of lines; of several subnets or
/// rules the first. Lists are none of them: without rules they mean nothing.
pub(in super::super) fn unenforced(
    default_route: Option<&Located<Route>>,
    raw: &RawPolicy,
) -> Vec<Problem> {
    // Names every field, so that no key can be added to the policy and forgotten here.
    let RawPolicy {
        subnets,
        rules,
        lists: _,
        endpoint_independent_filtering,
        unsolicited_ipsec,
        delayed_reject,
        port_control,
        transparent,
    } = raw;
    let mut found = Vec::new();
    if let Some(Located { line, value }) = default_route
        && *value != Route::EgressOnly
    {
        let message = format!("'default_route' in [gateway] is \"{}\"", value.name());
        found.push(Problem::new(*line, message));
    }
    found.extend(first_of("[[subnet]]", subnets.iter().map(|subnet| subnet.line)));
    found.extend(first_of("[[rule]]", rules.iter().map(|rule| rule.line)));
    for (key, switch) in [
        ("endpoint_independent_filtering", endpoint_independent_filtering),
        ("unsolicited_ipsec", unsolicited_ipsec),
        ("delayed_reject", delayed_reject),
        ("port_control", port_control),
        ("transparent", transparent),
    ] {
        if let Some(Located { line, value: true }) = switch {
            found.push(Problem::new(*line, format!("'{key}' in [rfc6092] is true")));
        }
    }
    found.sort();
    found
}

/// The first of the tables with `heading`, which stand on `lines`, and how many there are.
fn first_of(heading: &str, mut lines: impl ExactSizeIterator<Item = usize>) -> Option<Problem> {
    let count = lines.len();
    let line = lines.next()?;
    let message = match count {
        1 => format!("there is a {heading}"),
        _ => format!("there are {count} {heading}, here the first"),
    };
    Some(Problem::new(line, message))
}
