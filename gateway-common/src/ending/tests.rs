//! Ends without packets: on tables that a test fills, with a claim that somebody else may have.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    vec::Vec,
};

use network_types::ip::IpProto;

use super::*;
use crate::{
    bytes::PacketBytes,
    endpoint::EndpointKey,
    flow::{FlowHalf, FlowUpdate},
    fragment::{DatagramKey, PeerKey},
    host::{Overflow, Paid},
    packet::Packet,
    policy::{Decision, Query, Scope},
    tables::{Commit, Opening, Promotion, Replace},
};

const TICKS_PER_SEC: u32 = 250;
const OPENED: Ticks = Ticks(1 << 20);

/// A way to bring a flow under a timeout, and how it ends there.
struct Case {
    protocol: IpProto,
    outside_port: u16,
    /// Marks of inside's half and of outside's.
    marks: [u32; 2],
    is_reset: bool,
    class: TimeoutClass,
    end: FlowEvent,
}

const fn case(
    protocol: IpProto,
    outside_port: u16,
    marks: [u32; 2],
    class: TimeoutClass,
    end: FlowEvent,
) -> Case {
    Case { protocol, outside_port, marks, is_reset: false, class, end }
}

const ANSWERED: [u32; 2] = [mark::OPENED, mark::OPENED];
const CONFIRMED: [u32; 2] = [mark::OPENED | mark::CONFIRMED, mark::OPENED];
const BOTH_FIN: [u32; 2] = [CONFIRMED[0] | mark::FIN, CONFIRMED[1] | mark::FIN];

fn cases() -> Vec<Case> {
    use FlowEvent::{Closed, Expired, Reset};
    use IpProto::{Dccp, Gre, Icmp, Ipv6Icmp, Sctp, Tcp, Udp};
    use TimeoutClass as Class;
    let opened = [mark::OPENED, 0];
    let fin = |side: usize| {
        let mut marks = CONFIRMED;
        marks[side] |= mark::FIN;
        marks
    };
    let time_wait = [BOTH_FIN[0] | mark::LAST_ACK, BOTH_FIN[1]];
    let associated = [CONFIRMED[0], CONFIRMED[1] | mark::CONFIRMED];
    let reset = |case: Case| Case { is_reset: true, ..case };
    std::vec![
        case(Tcp, 443, opened, Class::TcpSynSent, Expired),
        case(Tcp, 443, ANSWERED, Class::TcpSynReceived, Expired),
        case(Tcp, 443, CONFIRMED, Class::TcpEstablished, Expired),
        case(Tcp, 443, fin(0), Class::TcpFinWait, Expired),
        case(Tcp, 443, fin(1), Class::TcpCloseWait, Expired),
        case(Tcp, 443, BOTH_FIN, Class::TcpLastAck, Expired),
        case(Tcp, 443, time_wait, Class::TcpTimeWait, Closed),
        reset(case(Tcp, 443, opened, Class::TcpClosed, Reset)),
        reset(case(Tcp, 443, CONFIRMED, Class::TcpClosed, Reset)),
        reset(case(Tcp, 443, time_wait, Class::TcpClosed, Reset)),
        case(Udp, 443, opened, Class::UdpUnreplied, Expired),
        case(Udp, 443, ANSWERED, Class::Udp, Expired),
        case(Udp, 53, ANSWERED, Class::UdpDns, Expired),
        case(Icmp, 0, opened, Class::Icmp, Expired),
        case(Ipv6Icmp, 0, ANSWERED, Class::Icmp, Expired),
        case(Sctp, 9, opened, Class::SctpHalfOpen, Expired),
        case(Sctp, 9, associated, Class::SctpEstablished, Expired),
        case(Sctp, 9, fin(1), Class::SctpClosing, Closed),
        reset(case(Sctp, 9, associated, Class::SctpClosing, Reset)),
        reset(case(Sctp, 9, fin(0), Class::SctpClosing, Reset)),
        case(Dccp, 9, opened, Class::DccpHalfOpen, Expired),
        case(Dccp, 9, ANSWERED, Class::DccpEstablished, Expired),
        case(Gre, 0, ANSWERED, Class::Other, Expired),
    ]
}

impl Case {
    fn key(&self) -> FlowKey {
        let (protocol, outside_port) = (self.protocol as u8, self.outside_port);
        FlowKey { outside_port, protocol, ..FlowKey::default() }
    }

    fn entry(&self) -> FlowEntry {
        let reset = if self.is_reset { OPENED } else { Ticks(0) };
        let [outbound, inbound] =
            self.marks.map(|marks| FlowHalf { seen: OPENED, marks, ..FlowHalf::default() });
        let inbound = FlowHalf { reset, ..inbound };
        FlowEntry { outbound, inbound, created: OPENED, ..FlowEntry::default() }
    }
}

#[test]
fn every_timeout_has_its_end() {
    let mut seen = [false; TimeoutClass::ALL.len()];
    for case in cases() {
        let (key, mut entry) = (case.key(), case.entry());
        assert_eq!(entry.timeout_class(&key), case.class);
        assert_eq!(entry.natural_end(&key), case.end, "{:?}", case.class);
        // Whatever became of it afterwards, it was the policy that ended it.
        entry.outbound.marks |= mark::REVOKED;
        assert_eq!(entry.natural_end(&key), FlowEvent::Revoked, "{:?}", case.class);
        seen[case.class as usize] = true;
    }
    assert_eq!(seen, [true; TimeoutClass::ALL.len()]);
}

#[test]
fn an_end_is_recorded_counted_and_gives_back_what_was_held() {
    for table in TABLES {
        let fake = Fake::default();
        let (key, entry) = fake.store(table, CONFIRMED);
        fake.held.set(1);
        assert!(end(&key, FlowEvent::Deleted, &fake));
        let marks = entry.outbound.marks | mark::ENDED;
        let outbound = FlowHalf { marks, ..entry.outbound };
        assert_eq!(fake.recorded(), [(key, FlowEvent::Deleted, FlowEntry { outbound, ..entry })]);
        assert_eq!(fake.events.take(), [FlowEvent::Deleted]);
        assert_eq!((fake.flows(), fake.held.get()), (0, u64::from(table == Table::HalfOpen)));
        assert!(!end(&key, FlowEvent::Deleted, &fake));
        assert_eq!((fake.recorded(), fake.events.take()), (vec![], vec![]));
    }
}

#[test]
fn what_somebody_else_ends_is_left_alone() {
    for table in TABLES {
        let fake = Fake::default();
        let (key, _) = fake.store(table, [CONFIRMED[0] | mark::ENDED, CONFIRMED[1]]);
        fake.held.set(1);
        let slot = fake.find(table, &key).expect("it was just stored");
        assert!(!end(&key, FlowEvent::Deleted, &fake));
        assert!(!end_in(table, &key, &slot, FlowEvent::HostRecycled, &fake));
        fake.now.set(fake.deadline(&key, &slot) + Ticks(u64::from(TICKS_PER_SEC)));
        assert!(!reclaim(&key, &fake));
        // What is left of an established flow is overtaken by the new one, which is half open.
        assert_eq!(
            make_way(&key, fake.now.get(), &fake.config, &fake),
            table == Table::Established
        );
        assert_eq!((fake.recorded(), fake.events.take()), (vec![], vec![]));
        assert_eq!((fake.flows(), fake.held.get()), (1, 1));
    }
}

#[test]
fn a_flow_is_reclaimed_a_second_after_its_time() {
    let grace = u64::from(TICKS_PER_SEC);
    for table in TABLES {
        for (late, is_due) in [(0, false), (grace - 1, false), (grace, true), (1 << 40, true)] {
            let fake = Fake::default();
            let (key, _) = fake.store(table, CONFIRMED);
            fake.held.set(1);
            let slot = fake.find(table, &key).expect("it was just stored");
            fake.now.set(fake.deadline(&key, &slot) + Ticks(late));
            assert_eq!(reclaim(&key, &fake), is_due, "{late} ticks late");
            let expected = if is_due { vec![FlowEvent::Expired] } else { vec![] };
            assert_eq!(fake.events.take(), expected);
            assert_eq!((fake.flows(), fake.recorded().len()), (1 - expected.len(), expected.len()));
            let is_held = !is_due || table == Table::HalfOpen;
            assert_eq!(fake.held.get(), u64::from(is_held));
        }
    }
}

/// A claim may hit what took the flow's memory meanwhile; such a flow goes in the end. Whoever really
/// is about to end it is not robbed of that.
#[test]
fn an_abandoned_flow_is_claimed_anew_a_minute_after_its_time() {
    let fake = Fake::default();
    let (key, _) = fake.store(Table::HalfOpen, [CONFIRMED[0] | mark::ENDED, CONFIRMED[1]]);
    let slot = fake.find(Table::HalfOpen, &key).expect("it was just stored");
    let minute = Ticks(60 * u64::from(TICKS_PER_SEC));
    fake.now.set(fake.deadline(&key, &slot) + minute - Ticks(1));
    assert!(!reclaim(&key, &fake));
    assert!(slot.read().outbound.has(mark::ENDED));
    fake.now.set(fake.deadline(&key, &slot) + minute);
    assert!(!reclaim(&key, &fake));
    assert_eq!((fake.flows(), fake.events.take()), (1, vec![]));
    assert!(reclaim(&key, &fake));
    assert_eq!((fake.flows(), fake.events.take()), (0, vec![FlowEvent::Expired]));
}

#[test]
fn nothing_is_reclaimed_without_a_valid_configuration() {
    let mut fake = Fake::default();
    let (key, _) = fake.store(Table::HalfOpen, CONFIRMED);
    fake.now.set(OPENED + Ticks(1 << 40));
    fake.config.abi_version += 1;
    assert!(!reclaim(&key, &fake));
    fake.config.abi_version -= 1;
    assert!(reclaim(&key, &fake));
}

#[test]
fn whoever_makes_way_leaves_its_record_and_stays_for_now() {
    let later = OPENED + Ticks(1 << 40);
    let time_wait = [BOTH_FIN[0] | mark::LAST_ACK, BOTH_FIN[1]];
    let revoked = [CONFIRMED[0] | mark::REVOKED, CONFIRMED[1]];
    for (marks, now, event) in [
        (CONFIRMED, OPENED, FlowEvent::Replaced),
        (CONFIRMED, later, FlowEvent::Expired),
        (time_wait, OPENED, FlowEvent::Closed),
        (time_wait, later, FlowEvent::Closed),
        (revoked, OPENED, FlowEvent::Revoked),
    ] {
        for table in TABLES {
            let fake = Fake::default();
            let (key, _) = fake.store(table, marks);
            assert!(make_way(&key, now, &fake.config, &fake));
            assert_eq!((fake.flows(), fake.events.take()), (1, vec![event]));
            let [(recorded, its, entry)] = fake.recorded()[..] else { panic!("one record") };
            assert_eq!((recorded, its, entry.outbound.has(mark::ENDED)), (key, event, true));
        }
    }
    let fake = Fake::default();
    assert!(make_way(&FlowKey::default(), OPENED, &fake.config, &fake), "there was nothing");
    assert_eq!((fake.recorded(), fake.events.take()), (vec![], vec![]));
}

const TABLES: [Table; 2] = [Table::Established, Table::HalfOpen];

/// The surroundings as far as ends need them.
#[derive(Debug)]
struct Fake {
    config: Config,
    now: Cell<Ticks>,
    flows: RefCell<HashMap<(Table, FlowKey), Slot>>,
    held: Cell<u64>,
    events: RefCell<Vec<FlowEvent>>,
    records: RefCell<Vec<(FlowKey, FlowEvent, FlowEntry)>>,
}

#[derive(Clone, Debug)]
struct Slot(Rc<Cell<FlowEntry>>);

impl Default for Fake {
    fn default() -> Self {
        Self {
            config: Config::new(TICKS_PER_SEC),
            now: Cell::new(OPENED),
            flows: RefCell::default(),
            held: Cell::default(),
            events: RefCell::default(),
            records: RefCell::default(),
        }
    }
}

impl Fake {
    fn store(&self, table: Table, marks: [u32; 2]) -> (FlowKey, FlowEntry) {
        let case = case(IpProto::Tcp, 443, marks, TimeoutClass::Other, FlowEvent::Expired);
        let (key, entry) = (case.key(), case.entry());
        self.flows.borrow_mut().insert((table, key), Slot(Rc::new(Cell::new(entry))));
        (key, entry)
    }

    fn deadline(&self, key: &FlowKey, slot: &Slot) -> Ticks {
        slot.read().deadline(key, &self.config)
    }

    fn flows(&self) -> usize {
        self.flows.borrow().len()
    }

    fn recorded(&self) -> Vec<(FlowKey, FlowEvent, FlowEntry)> {
        self.records.take()
    }
}

impl FlowSlot for Slot {
    fn read(&self) -> FlowEntry {
        self.0.get()
    }

    fn commit(&self, update: &FlowUpdate) -> Commit {
        unreachable!("ends change nothing else: {update:?}")
    }

    fn renew(&self, _: u32) {
        unreachable!("ends ask no policy")
    }

    fn claim(&self) -> bool {
        let mut entry = self.0.get();
        let is_ours = !entry.outbound.has(mark::ENDED);
        entry.outbound.marks |= mark::ENDED;
        self.0.set(entry);
        is_ours
    }

    fn disclaim(&self) {
        let mut entry = self.0.get();
        entry.outbound.marks &= !mark::ENDED;
        self.0.set(entry);
    }
}

/// What no end has to do with.
macro_rules! never {
    ($( $name:ident($( $type:ty ),*) -> $result:ty; )*) => {
        $( fn $name(&self, $( _: $type ),*) -> $result {
            unreachable!(stringify!($name))
        } )*
    };
}

impl Tables for Fake {
    type Slot = Slot;

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn now(&self) -> Ticks {
        self.now.get()
    }

    fn find(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        self.flows.borrow().get(&(table, *key)).cloned()
    }

    fn remove(&self, table: Table, key: &FlowKey) -> bool {
        self.flows.borrow_mut().remove(&(table, *key)).is_some()
    }

    fn release(&self, _: &HostKey) {
        self.held.set(self.held.get() - 1);
    }

    fn count(&self, event: FlowEvent) {
        self.events.borrow_mut().push(event);
    }

    fn announce(&self, key: &FlowKey, slot: &Slot, event: FlowEvent) {
        self.records.borrow_mut().push((*key, event, slot.read()));
    }

    never! {
        open(&FlowKey, &FlowEntry, Replace) -> Opening;
        promote(&FlowKey, &Slot, &mut FlowEntry) -> Promotion;
        follow(&FlowKey, &Slot, &FlowUpdate) -> ();
        update_paid(&HostKey, impl Fn(Paid) -> Option<Paid>) -> bool;
        take_place(u32, &Overflow) -> Option<Overflow>;
        held(&HostKey) -> u64;
        hold(&HostKey) -> ();
        datagram(&DatagramKey) -> Option<Ticks>;
        admit_datagram(&DatagramKey, Ticks) -> ();
        peer(&PeerKey) -> Option<Ticks>;
        note_peer(&PeerKey, Ticks) -> ();
        ask(&Config, Scope, &Query, &mut Decision) -> ();
        hit(&Config, u32, &Packet) -> ();
        endpoint(&EndpointKey) -> Option<Ticks>;
        note_endpoint(&EndpointKey, Ticks) -> ();
        tell(&FlowKey, FlowEvent) -> ();
    }

    fn report<B: PacketBytes>(&self, _: &B, _: &FlowKey, _: usize, _: usize) {
        unreachable!("ends report nothing")
    }
}
