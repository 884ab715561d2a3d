use network_types::ip::IpProto;

use super::*;
use crate::{
    config::Config,
    flow::{
        FlowState, sctp,
        sctp::Message,
        tcp::{self, Segment},
    },
    packet::{SctpHeader, TcpHeader},
    timeouts::TimeoutClass,
    wire::tcp::flag,
};

const NOW: Ticks = Ticks(1_000_000);

fn key(protocol: IpProto) -> FlowKey {
    FlowKey { protocol: protocol as u8, ..FlowKey::default() }
}

fn seeded(protocol: IpProto, stage: Stage) -> (FlowKey, FlowEntry) {
    let key = key(protocol);
    (key, FlowEntry::seeded(&Seed::new(key, stage, 0, 7), NOW))
}

#[test]
fn a_stage_has_its_state_and_timeout() {
    use TimeoutClass as Class;
    for (protocol, stage, state, class) in [
        (IpProto::Tcp, Stage::Opening, FlowState::Established, Class::TcpSynSent),
        (IpProto::Tcp, Stage::Open, FlowState::Established, Class::TcpEstablished),
        (IpProto::Tcp, Stage::InsideClosed, FlowState::FinWait, Class::TcpFinWait),
        (IpProto::Tcp, Stage::OutsideClosed, FlowState::CloseWait, Class::TcpCloseWait),
        (IpProto::Tcp, Stage::BothClosed, FlowState::LastAck, Class::TcpLastAck),
        (IpProto::Udp, Stage::Opening, FlowState::Unreplied, Class::UdpUnreplied),
        (IpProto::Udp, Stage::Open, FlowState::Replied, Class::Udp),
        (IpProto::Icmp, Stage::Open, FlowState::Replied, Class::Icmp),
        (IpProto::Sctp, Stage::Opening, FlowState::Unreplied, Class::SctpHalfOpen),
        (IpProto::Sctp, Stage::Open, FlowState::Replied, Class::SctpEstablished),
        (IpProto::Esp, Stage::Open, FlowState::Replied, Class::Other),
    ] {
        let (key, entry) = seeded(protocol, stage);
        let found = (entry.state(&key), entry.timeout_class(&key));
        assert_eq!(found, (state, class), "{protocol:?} {stage:?}");
        assert_eq!((entry.generation, entry.created), (7, NOW));
    }
}

#[test]
fn a_seeded_flow_is_live_for_a_whole_timeout() {
    for ticks_per_sec in [100, 250, 1_000] {
        let config = Config::new(ticks_per_sec);
        for stage in Stage::ALL {
            for protocol in [IpProto::Tcp, IpProto::Udp, IpProto::Icmp, IpProto::Sctp] {
                let (key, entry) = seeded(protocol, stage);
                let timeout = config.timeout(entry.timeout_class(&key));
                assert!(entry.is_live(&key, NOW + timeout - Ticks(1), &config), "{stage:?}");
                assert!(!entry.is_live(&key, NOW + timeout, &config), "{stage:?}");
            }
        }
    }
}

/// Nothing is known of a connection's numbers, so any segment of it passes, from either side; an
/// opening from outside does not.
#[test]
fn numbers_of_a_seeded_connection_are_not_checked() {
    for stage in Stage::ALL {
        let (_, entry) = seeded(IpProto::Tcp, stage);
        for sequence in [0, 1, 0x8000_0000, u32::MAX] {
            let header = TcpHeader { sequence, flags: flag::ACK, ..TcpHeader::default() };
            for segment in [Segment::Ack, Segment::Fin, Segment::SynAck] {
                let trace = tcp::inbound(&entry, segment, &header);
                assert!(trace.is_ok_and(|trace| trace.refreshes), "{stage:?} {segment:?}");
            }
            for segment in [Segment::Ack, Segment::Fin] {
                let trace = tcp::outbound(&entry, segment, &header);
                assert!(trace.is_some_and(|trace| trace.refreshes), "{stage:?} {segment:?}");
            }
            assert_eq!(tcp::inbound(&entry, Segment::Syn, &header), Err(Reason::TcpState));
            assert_eq!(tcp::outbound(&entry, Segment::Syn, &header), None, "a new connection");
        }
    }
}

/// An opening becomes an established connection as one that was picked up does.
#[test]
fn a_seeded_opening_is_confirmed_by_its_packets() {
    let (key, mut entry) = seeded(IpProto::Tcp, Stage::Opening);
    let header = TcpHeader { flags: flag::ACK, ..TcpHeader::default() };
    let answer = tcp::inbound(&entry, Segment::SynAck, &header).expect("an answer");
    entry.apply(&FlowUpdate {
        direction: Direction::Inbound,
        marks: answer.marks,
        seen: NOW,
        ..FlowUpdate::default()
    });
    let confirmation = tcp::outbound(&entry, Segment::Ack, &header).expect("it goes on");
    assert_ne!(confirmation.marks & mark::CONFIRMED, 0);
    assert_eq!(entry.timeout_class(&key), TimeoutClass::TcpEstablished);
}

#[test]
fn tags_of_a_seeded_association_are_not_checked() {
    let (_, entry) = seeded(IpProto::Sctp, Stage::Open);
    let header = SctpHeader { tag: 5, ..SctpHeader::default() };
    let trace = sctp::inbound(&entry, Message::Data, &header).expect("it goes on");
    assert!(trace.refreshes);
    assert_eq!(sctp::inbound(&entry, Message::Init, &header), Err(Reason::SctpState));
}

#[test]
fn outcomes_are_known_by_their_numbers() {
    for outcome in Entered::ALL {
        assert_eq!(Entered::of(outcome as u32), Some(outcome));
    }
    assert_eq!((Entered::of(0), Entered::of(5)), (None, None));
}
