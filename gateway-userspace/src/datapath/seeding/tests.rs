use gateway_common::{
    seed::Stage,
    tuple::{Address, FlowKey},
};
use network_types::ip::IpProto;

use super::*;
use crate::settings::Settings;

const INSIDE: [u8; 4] = [192, 168, 0, 2];
const OUTSIDE: [u8; 4] = [198, 51, 100, 7];

#[test]
fn what_inside_opened_has_to_be_allowed() {
    let deny = "[[rule]]\ndirection = 'out'\naction = 'deny'\nproto = 'tcp'\nports = 443\n";
    let web = connection(Direction::Outbound, 40_000, 443);
    assert_eq!(marks("", &web), Some(0));
    assert_eq!(marks(deny, &web), None);
    assert_eq!(marks(deny, &connection(Direction::Outbound, 40_000, 80)), Some(0));
    assert_eq!(marks("[gateway]\ndefault_route = 'blocked'\n", &web), None);
}

#[test]
fn what_outside_opened_goes_on_unless_it_is_forbidden() {
    let rule = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n";
    let ssh = connection(Direction::Inbound, 22, 50_000);
    assert_eq!(marks("", &ssh), Some(0), "as if inside had opened it");
    assert_eq!(marks(rule, &ssh), Some(mark::ADMITTED));
    assert_eq!(marks("[gateway]\ndefault_route = 'internet'\n", &ssh), Some(mark::ADMITTED));
    assert_eq!(marks(&rule.replace("allow", "deny"), &ssh), None);
    assert_eq!(marks("[gateway]\ndefault_route = 'blocked'\n", &ssh), None);
    // A rule about what inside opens says nothing about it.
    let out = "[[rule]]\ndirection = 'out'\naction = 'deny'\n";
    assert_eq!(marks(out, &ssh), Some(0));
}

#[test]
fn a_forwarded_connection_must_have_an_address_of_inside() {
    let subnet = "[[subnet]]\nname = 'lan'\nprefix = '10.0.0.0/8'\n";
    let own = connection(Direction::Outbound, 40_000, 443);
    let forwarded = Connection { is_forwarded: true, ..own };
    assert_eq!(marks("", &forwarded), Some(mark::FORWARDED));
    assert_eq!(marks(subnet, &own), Some(0));
    assert_eq!(marks(subnet, &forwarded), None, "it is spoofed");
}

#[test]
fn what_was_left_out_is_told_with_its_reason() {
    let tally = Tally { established: 7, half_open: 1, forbidden: 2, no_room: 3 };
    let notes = tally.notes();
    assert_eq!((tally.entered(), tally.skipped(), notes.len()), (8, 5, 2));
    assert!(
        notes[0].starts_with("3 of 13 connections could not be seeded because the flow tables")
    );
    assert!(notes[1].starts_with("2 of 13 connections were not seeded because the policy forbids"));
    assert_eq!(Tally { established: 7, ..Tally::default() }.notes(), [""; 0]);
}

#[test]
fn sources_tell_what_they_had() {
    let survey = Survey { entries: 5, ..Survey::default() };
    assert_eq!(explain(&survey, "sockets"), "5 sockets were listed");
    let strange = Survey { unreadable: 2, ..survey.clone() };
    assert!(explain(&strange, "sockets").contains("2 could not be understood"));
    let missing = Survey { missing: Some("the kernel is small"), ..Survey::default() };
    assert_eq!(explain(&missing, "sockets"), "no sockets are seeded: the kernel is small");
    assert_eq!(zone_note(&survey), None);
    assert!(zone_note(&Survey { zoned: 4, ..survey }).is_some_and(|note| note.starts_with("4 ")));
}

fn connection(opened: Direction, inside_port: u16, outside_port: u16) -> Connection {
    let key = FlowKey {
        inside: Address::from_ipv4(INSIDE),
        outside: Address::from_ipv4(OUTSIDE),
        inside_port,
        outside_port,
        protocol: IpProto::Tcp as u8,
        family: 4,
        ..FlowKey::default()
    };
    Connection { key, stage: Stage::Open, opened, is_forwarded: false }
}

fn marks(text: &str, connection: &Connection) -> Option<u32> {
    let (settings, _) = Settings::parse(text, 1 << 30).expect("valid settings");
    let policy = NewPolicy::new(&settings.policy, super::super::PolicySource::default());
    policy_marks(&HostTables::new(policy.compiled()), connection)
}
