//! Differences about ICMP.

use gateway_common::tuple::Direction::{Inbound, Outbound};

use crate::{
    arena::CtState,
    difference::Difference,
    step::{Content, IcmpError, Query, QueryKind, Step},
};

/// The smallest MTU of an IPv6 link.
const IPV6_MTU_MIN: u32 = 1280;

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "echo-code",
        what: "matches echo replies, and errors about requests, by their identifier; nftables also \
               by their code, which is always 0",
        why: "RFC 5508 REQ-1 maps queries by their identifier; RFC 792 and RFC 4443 section 4.2 \
              give the code no meaning.",
        parts_ways: false,
        covers: |case| {
            let (step, code) = match &case.step().content {
                Content::Query(query) if query.kind == QueryKind::EchoReply => {
                    (case.step(), query.code)
                }
                Content::Error(error) => match echo(&error.quoted, QueryKind::EchoRequest) {
                    Some(quoted) if error.quoted.direction == Outbound => {
                        (&*error.quoted, quoted.code)
                    }
                    _ => return false,
                },
                Content::Query(_) | Content::Tcp(_) | Content::Udp(_) => return false,
            };
            let has_request = |code_counts: bool| {
                case.before().any(|(before, _)| {
                    before.direction == Outbound
                        && before.outside == step.outside
                        && before.shift.inside == step.shift.inside
                        && echo(before, QueryKind::EchoRequest)
                            .is_some_and(|it| !code_counts || it.code == code)
                })
            };
            case.passed_eigw_only()
                && case.step().direction == Inbound
                && has_request(false)
                && !has_request(true)
        },
    },
    Difference {
        name: "old-queries",
        what: "lets no answers to information, address mask and node information requests pass, \
               and no errors about those; nftables takes them for flows like echo",
        why: "RFC 6918 has deprecated types 15 to 18, and RFC 5508 REQ-10 leaves them out; \
              RFC 4890 section 4.3.5 wants node information dropped at a border.",
        parts_ways: false,
        covers: |case| {
            case.passed_reference_only()
                && case.step().direction == Inbound
                && match &case.step().content {
                    Content::Query(query) => is_old_answer(query),
                    Content::Error(error) => quotes_old_request(error),
                    Content::Tcp(_) | Content::Udp(_) => false,
                }
        },
    },
    Difference {
        name: "error-types",
        what: "drops source quench, redirects and unassigned ICMPv6 errors about a flow; nftables \
               lets them pass as related",
        why: "RFC 6633 wants source quench ignored; RFC 5508 REQ-10 and RFC 4890 section 4.3.1 \
              name the errors that must pass, and its section 4.3.4 leaves unassigned ones to \
              policy. Redirects are from a host's own router only (RFC 1122 section 3.2.2.2).",
        parts_ways: false,
        covers: |case| {
            let Content::Error(error) = &case.step().content else { return false };
            case.observation().reference == Some(CtState::Related)
                && case.passed_reference_only()
                && case.step().direction == Inbound
                && is_refused_type(error, case.is_ipv6)
        },
    },
    Difference {
        name: "packet-too-small",
        what: "drops Packet Too Big with an MTU below 1280; nftables lets it pass as related",
        why: "RFC 8201 section 4: no IPv6 link has such an MTU, and a node must discard the \
              message.",
        parts_ways: false,
        covers: |case| {
            let Content::Error(error) = &case.step().content else { return false };
            case.observation().reference == Some(CtState::Related)
                && case.passed_reference_only()
                && case.step().direction == Inbound
                && case.is_ipv6
                && error.kind == 2
                && error.value < IPV6_MTU_MIN
        },
    },
];

/// The message, if it is an echo of this kind.
fn echo(step: &Step, kind: QueryKind) -> Option<&Query> {
    match &step.content {
        Content::Query(query) if query.kind == kind => Some(query),
        Content::Query(_) | Content::Tcp(_) | Content::Udp(_) | Content::Error(_) => None,
    }
}

/// Information, address mask and node information replies.
const fn is_old_answer(query: &Query) -> bool {
    matches!(query.kind, QueryKind::Other(16 | 18 | 140))
}

fn quotes_old_request(error: &IcmpError) -> bool {
    let Content::Query(query) = &error.quoted.content else { return false };
    error.quoted.direction == Outbound && matches!(query.kind, QueryKind::Other(15 | 17 | 139))
}

const fn is_refused_type(error: &IcmpError, is_ipv6: bool) -> bool {
    if is_ipv6 { !matches!(error.kind, 1..=4) } else { matches!(error.kind, 4 | 5) }
}
