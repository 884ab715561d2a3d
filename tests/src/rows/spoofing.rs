//! Forged sources, where subnets say which addresses are inside (BCP 38).

use super::{
    prelude::*,
    subnets::{SUBNETS, office},
};

pub(super) fn rows() -> Vec<Row> {
    let rows = FAMILIES.into_iter().flat_map(|family| {
        [
            egress(family),
            egress_without_ports(family),
            egress_answers(family),
            egress_internet(family),
            ingress_pings(family),
            ingress_errors(family),
            egress_remembered(family),
            ingress(family),
            ingress_with_a_flow(family),
            ingress_whatever_rules_say(family),
            inside_destination(family),
            without_subnets(family),
        ]
    });
    rows.collect()
}

fn forged() -> Expect {
    refused(Reason::EgressSpoof).of_no_subnet()
}

fn egress(family: Family) -> Row {
    let forger = |protocol: fn(Packet) -> Packet| protocol(from(STRANGER, OUTSIDE, family));
    let own = Flow::tcp(STRANGER.ip(family), 40_000, OUTSIDE.ip(family), 443);
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-5", "RFC7084-S-1", "RFC7084-S-2"],
        format!(
            "{family:?}: hosts inside send from inside addresses only, this machine as it likes"
        ),
    )
    .policy(SUBNETS)
    .outbound(forger(|packet| packet.tcp(40_000, 443, flag::SYN)), forged())
    .forwarded()
    .outbound(forger(|packet| packet.tcp(40_000, 443, flag::ACK)), forged())
    .forwarded()
    .outbound(forger(|packet| packet.udp(40_000, 53)), forged())
    .forwarded()
    .outbound(forger(|packet| packet.echo_request(7, 1)), forged())
    .forwarded()
    .outbound(forger(|packet| packet.protocol(47, &[0; 8])), forged())
    .forwarded()
    .inbound(own.segment_back(SYN_ACK), refused(Reason::NoFlow).of_no_subnet())
    .outbound(own.segment_out(flag::SYN), opens(&own))
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .forwarded()
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .forwarded()
}

fn egress_without_ports(family: Family) -> Row {
    let u = Flow::udp(STRANGER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    let [_, second]: [Packet; 2] =
        u.out().payload(&[0x5a; 2_000]).fragments(7, 1_480).try_into().expect("two fragments");
    let (kind, code) = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    let error = from(STRANGER, OUTSIDE, family).icmp_error(kind, code, 0, &u.back().ip_bytes());
    let group = if family == Family::Ipv4 { "224.0.1.1" } else { "ff0e::1" };
    row(
        &["RFC6092-REC-5", "RFC7084-S-2"],
        format!("{family:?}: that holds for what has no flow as well"),
    )
    .policy(SUBNETS)
    .outbound(second.clone(), forged())
    .forwarded()
    .outbound(error.clone(), forged())
    .forwarded()
    .outbound(Packet::ip(STRANGER.ip(family), group).udp(1, 2), forged())
    .forwarded()
    .outbound(from(STRANGER, OUTSIDE, family).echo_reply(7, 1), forged())
    .forwarded()
    .outbound(second, passed(Reason::Stateless))
    .outbound(error, passed(Reason::Stateless))
}

fn egress_answers(family: Family) -> Row {
    let anywhere = r#"
        [[rule]]
        direction = "in"
        action = "allow"
        proto = ["tcp", "udp"]
        ports = 53
        [[rule]]
        direction = "in"
        action = "allow"
        proto = ["icmp"]
        icmp_types = [8]"#;
    let answer = || from(STRANGER, OUTSIDE, family);
    row(
        &["RFC6092-REC-5", "RFC7084-S-2"],
        format!("{family:?}: a forged source is not excused by looking like an answer"),
    )
    .policy([anywhere, SUBNETS].concat())
    .outbound(answer().udp(53, 5000), forged())
    .forwarded()
    .outbound(answer().tcp(53, 50_000, SYN_ACK), forged())
    .forwarded()
    .outbound(answer().tcp(53, 50_000, flag::ACK), forged())
    .forwarded()
    .outbound(answer().echo_reply(7, 1), forged())
    .forwarded()
    .outbound(answer().udp(53, 5000), passed(Reason::Published))
}

fn egress_internet(family: Family) -> Row {
    let u = Flow::udp(STRANGER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    row(&[], format!("{family:?}: with `default_route = \"internet\"` other addresses may talk"))
        .policy(["[gateway]\ndefault_route = 'internet'\n", SUBNETS].concat())
        .outbound(u.out(), opens(&u))
        .forwarded()
        .inbound(u.back(), belongs_to(&u))
}

fn egress_remembered(family: Family) -> Row {
    let theirs = Flow::udp(STRANGER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    let ours = Flow::udp(STRANGER.ip(family), 40_002, OUTSIDE.ip(family), 5000);
    let revoked = || refused(Reason::PolicyRevoked).of_no_subnet();
    row(
        &["RFC6092-REC-5", "RFC7084-S-2"],
        format!("{family:?}: a flow remembers that another host opened it"),
    )
    .outbound(theirs.out(), opens(&theirs))
    .forwarded()
    .answered(&ours)
    .policy(SUBNETS)
    .inbound(theirs.back(), revoked())
    .outbound(theirs.out(), revoked().ending(&theirs, FlowEvent::Revoked))
    .forwarded()
    .outbound(theirs.out(), forged())
    .forwarded()
    .inbound(ours.back(), belongs_to(&ours))
    .outbound(ours.out(), belongs_to(&ours).promoted())
}

fn ingress(family: Family) -> Row {
    let forger = || from(INSIDE_OTHER, INSIDE, family);
    let refused_as_inside = || refused(Reason::IngressSpoof).of_subnet(office(family));
    let beyond = from(INSIDE_OTHER, STRANGER, family).udp(40_001, 5000);
    row(
        &["RFC6092-REC-6", "RFC7084-S-1"],
        format!("{family:?}: outside does not send from inside addresses"),
    )
    .policy(SUBNETS)
    .inbound(forger().tcp(40_000, 22, flag::SYN), refused_as_inside())
    .inbound(forger().tcp(40_000, 22, flag::ACK), refused_as_inside())
    .inbound(forger().udp(40_001, 5000), refused_as_inside())
    .inbound(forger().echo_request(7, 1), refused_as_inside())
    .inbound(forger().protocol(253, &[0; 8]), refused_as_inside())
    .inbound(beyond, refused(Reason::IngressSpoof).of_no_subnet())
}

fn ingress_with_a_flow(family: Family) -> Row {
    let u = Flow::udp(INSIDE.ip(family), 40_001, INSIDE_OTHER.ip(family), 5000);
    let revoked = || refused(Reason::PolicyRevoked).of_subnet(office(family));
    row(
        &["RFC6092-REC-6"],
        format!("{family:?}: not even where a flow is left from before the subnets were declared"),
    )
    .answered(&u)
    .policy(SUBNETS)
    .inbound(u.back(), revoked())
    .outbound(u.out(), revoked().ending(&u, FlowEvent::Revoked))
    .inbound(u.back(), refused(Reason::IngressSpoof).of_subnet(office(family)))
}

fn ingress_whatever_rules_say(family: Family) -> Row {
    let everything = "[[rule]]\ndirection = 'in'\naction = 'allow'\n";
    let refused_as_inside = || refused(Reason::IngressSpoof);
    row(&["RFC6092-REC-6"], format!("{family:?}: no rule and no route excuses a forged source"))
        .policy([everything, SUBNETS].concat())
        .inbound(
            from(INSIDE_OTHER, INSIDE, family).udp(1, 2),
            refused_as_inside().of_subnet(office(family)),
        )
        .inbound(
            from(INSIDE, INSIDE_OTHER, family).udp(1, 2),
            refused_as_inside().of_subnet(2 + office(family)),
        )
        .inbound(from(STRANGER, INSIDE, family).udp(1, 2), passed(Reason::RuleAllowed).by_rule(0))
}

fn ingress_pings(family: Family) -> Row {
    let ping = |source| from(source, INSIDE, family).echo_request(7, 1);
    row(
        &["RFC6092-REC-6"],
        format!("{family:?}: `[allow] ping` is for pings that could have come from there"),
    )
    .config(|config| config.allow_ping = 1)
    .policy(SUBNETS)
    .inbound(ping(OUTSIDE), passed(Reason::PingAllowed))
    .inbound(ping(INSIDE_OTHER), refused(Reason::IngressSpoof).of_subnet(office(family)))
}

fn ingress_errors(family: Family) -> Row {
    let l = tcp_flow(family);
    let quote = l.segment_out(flag::ACK).ip_bytes();
    let (kind, code) = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    let error = |source| from(source, INSIDE, family).icmp_error(kind, code, 0, &quote);
    row(&["RFC6092-REC-6"], format!("{family:?}: nor do errors come from inside addresses"))
        .policy(SUBNETS)
        .established(&l)
        .inbound(error(ROUTER), related())
        .inbound(error(INSIDE_OTHER), refused(Reason::IngressSpoof).of_subnet(office(family)))
}

fn inside_destination(family: Family) -> Row {
    let out = || from(INSIDE, INSIDE_OTHER, family);
    let nowhere = || refused(Reason::InsideDestination).of_subnet(office(family));
    row(
        &["RFC6092-REC-6"],
        format!("{family:?}: what leaves for an inside address could not be answered"),
    )
    .policy(SUBNETS)
    .outbound(out().tcp(40_000, 22, flag::SYN), nowhere())
    .outbound(out().tcp(40_000, 22, flag::ACK), nowhere())
    .outbound(out().udp(40_001, 5000), nowhere())
    .forwarded()
    .outbound(out().echo_reply(7, 1), nowhere())
    .inbound(
        out().mirror().udp(5000, 40_001),
        refused(Reason::IngressSpoof).of_subnet(office(family)),
    )
}

fn without_subnets(family: Family) -> Row {
    let u = Flow::udp(STRANGER.ip(family), 40_001, OUTSIDE.ip(family), 5000);
    let inner = Flow::udp(INSIDE.ip(family), 40_001, INSIDE_OTHER.ip(family), 5000);
    row(&[], format!("{family:?}: without subnets nobody can tell what is forged"))
        .policy("[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'")
        .outbound(u.out(), opens(&u))
        .forwarded()
        .answered(&inner)
}
