//! TCP segments as such: flags and lengths.

use super::prelude::*;

/// The first of the reserved bits that nobody has given a meaning.
const RESERVED: u16 = 0x200;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                nonsense_flags(family),
                flags_that_do_not_matter(family),
                data_offset(family),
                truncated(family),
                inbound_syn(family),
                wrong_checksum(family),
                stateless_nonsense(family),
            ]
        })
        .collect()
}

/// Flag combinations that no host sends.
const NONSENSE: [u16; 9] = [
    0,
    flag::FIN,
    flag::PSH | flag::URG,
    flag::SYN | flag::FIN,
    flag::SYN | flag::RST,
    flag::FIN | flag::PSH | flag::URG,
    flag::RST | flag::FIN,
    flag::SYN | flag::ACK | flag::URG,
    flag::SYN | flag::FIN | flag::RST | flag::PSH | flag::ACK | flag::URG,
];

fn nonsense_flags(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["E125"], format!("{family:?}: flags that no host sends, on a live flow"));
    NONSENSE.into_iter().fold(row.established(&l), |row, flags| {
        row.inbound(l.segment_back(flags), refused(Reason::TcpFlags))
            .outbound(l.segment_out(flags), passed(Reason::Stateless))
    })
}

fn stateless_nonsense(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["E125", "E135"], format!("{family:?}: flags that no host sends open nothing"));
    NONSENSE.into_iter().fold(row, |row, flags| {
        row.outbound(l.segment_out(flags), passed(Reason::Stateless))
            .inbound(l.segment_back(flags), refused(Reason::TcpFlags))
    })
}

fn flags_that_do_not_matter(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(
        &["RFC9293-RSVD", "RFC9293-ECN"],
        format!("{family:?}: flags that make no difference on a live flow"),
    );
    [
        flag::PSH,
        flag::URG,
        flag::ECE,
        flag::CWR,
        flag::AE,
        RESERVED,
        RESERVED << 1 | RESERVED << 2 | flag::PSH,
    ]
    .into_iter()
    .fold(row.established(&l), |row, flags| {
        row.inbound(l.segment_back(flag::ACK | flags), belongs_to(&l))
            .outbound(l.segment_out(flag::ACK | flags), belongs_to(&l))
    })
}

fn data_offset(family: Family) -> Row {
    let l = tcp_flow(family);
    let offset = |words: u8| l.segment_back(flag::ACK).set_transport(12, &[words << 4]);
    row(&["E127"], format!("{family:?}: a header length that cannot be"))
        .established(&l)
        .inbound(offset(4), refused(Reason::TransportMalformed))
        .inbound(offset(0), refused(Reason::TransportMalformed))
        .inbound(offset(15), refused(Reason::TransportMalformed))
        .inbound(offset(15).trailer(&[0; 40]), refused(Reason::TransportMalformed))
        .inbound(offset(15).payload(&[0; 40]), belongs_to(&l))
        .outbound(offset(4).mirror(), refused(Reason::TransportMalformed))
}

fn truncated(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E128"], format!("{family:?}: less than a TCP header"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).cut_transport(12), refused(Reason::TransportMalformed))
        .inbound(l.segment_back(flag::ACK).cut_transport(19), refused(Reason::TransportMalformed))
        .outbound(l.segment_out(flag::ACK).cut_transport(19), refused(Reason::TransportMalformed))
}

fn inbound_syn(family: Family) -> Row {
    let l = tcp_flow(family);
    let syn = || l.segment_back(flag::SYN);
    row(
        &["RFC5961-4.2", "E131"],
        format!("{family:?}: a SYN from outside opens no connection on the ports of another"),
    )
    .established(&l)
    .inbound(syn(), refused(Reason::TcpState))
    .inbound(syn().sequence(u32::MAX), refused(Reason::TcpState))
    .inbound(l.segment_back(flag::SYN | flag::URG), refused(Reason::TcpState))
    .outbound(l.segment_out(flag::FIN | flag::ACK), belongs_to(&l).marked(mark::FIN))
    .inbound(syn(), refused(Reason::TcpState))
    .inbound(l.segment_back(flag::FIN | flag::ACK), belongs_to(&l).marked(mark::FIN))
    .inbound(syn(), refused(Reason::TcpState))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .inbound(syn(), refused(Reason::TcpState))
    .then(&l, FlowState::TimeWait)
}

fn wrong_checksum(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-CSUM"], format!("{family:?}: the host checks TCP's checksum"))
        .established(&l)
        .inbound(l.segment_back(flag::ACK).bad_checksum(), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).no_checksum(), belongs_to(&l))
}
