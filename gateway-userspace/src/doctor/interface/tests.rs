use super::*;
use crate::{doctor::Severity, net::interface::Interface};

const NATIVE: Option<XdpFeatures> = Some(XdpFeatures(1));
const NATIVE_WITH_FRAGMENTS: Option<XdpFeatures> = Some(XdpFeatures(1 | 1 << 5));

#[test]
fn a_plain_card_has_nothing_to_complain_of() {
    let findings = judge(&card());
    let bad: Vec<_> = findings.iter().filter(|it| it.verdict != Severity::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let names: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    let expected = [
        "link-type",
        "state",
        "driver",
        "native-xdp",
        "mtu",
        "offloads",
        "vlan",
        "port",
        "xdp-programs",
        "tc-programs",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_not_known_is_said_to_be_unknown_and_no_fault() {
    let facts =
        InterfaceFacts { driver: None, xdp: None, offloads: None, sees_programs: false, ..card() };
    let findings = judge(&facts);
    assert!(findings.iter().all(|it| it.verdict == Severity::Ok), "{findings:?}");
    for check in ["driver", "native-xdp", "offloads", "tc-programs"] {
        let finding = findings.iter().find(|it| it.check == check).expect("a finding");
        assert!(finding.found.starts_with("unknown"), "{finding:?}");
    }
}

#[test]
fn every_trouble_is_one_finding_with_its_remedy() {
    let veth = |facts: InterfaceFacts| {
        let link = Link { kind: Some("veth".to_owned()), ..facts.link };
        InterfaceFacts { link, ..facts }
    };
    let interface = |change: fn(&mut Interface)| {
        let mut facts = card();
        change(&mut facts.link.interface);
        facts
    };
    let jumbo = || interface(|it| it.mtu = 9_000);
    let offloads = |offloads| InterfaceFacts { offloads: Some(offloads), ..card() };
    let bonded = Some(("bond0".to_owned(), "bond".to_owned()));
    for (facts, check, verdict, remedy) in [
        (interface(|it| it.link_type = 65_534), "link-type", Severity::Problem, "Ethernet"),
        (interface(|it| it.up = false), "state", Severity::Warning, "ip link set eth0 up"),
        (veth(card()), "native-xdp", Severity::Warning, "--hook tc"),
        (InterfaceFacts { xdp: NATIVE, ..jumbo() }, "mtu", Severity::Warning, "about 3498"),
        (
            offloads(Offloads { lro: true, ..Offloads::default() }),
            "offloads",
            Severity::Warning,
            "ethtool -K eth0 lro off",
        ),
        (
            offloads(Offloads { gro_hw: true, ..Offloads::default() }),
            "offloads",
            Severity::Warning,
            "rx-gro-hw off",
        ),
        (
            InterfaceFacts {
                vlans: vec!["eth0.7".to_owned()],
                ..offloads(Offloads { rx_vlan: true, ..Offloads::default() })
            },
            "vlan",
            Severity::Warning,
            "ethtool -K eth0 rxvlan off",
        ),
        (
            InterfaceFacts { controller: bonded, ..card() },
            "port",
            Severity::Warning,
            "attach to bond0",
        ),
        (with_program("xdp"), "xdp-programs", Severity::Problem, "ip link set dev eth0 xdp off"),
        (with_program("egress"), "tc-programs", Severity::Warning, "meant to be there"),
    ] {
        let findings = judge(&facts);
        let bad: Vec<_> = findings.iter().filter(|it| it.verdict != Severity::Ok).collect();
        let [finding] = bad[..] else { panic!("{check}: one is bad: {findings:?}") };
        assert_eq!((finding.check, finding.verdict), (check, verdict));
        let advice = finding.advice.as_ref().expect("a remedy");
        assert!(advice.contains(remedy), "{remedy} is missing in: {advice}");
    }
}

#[test]
fn what_works_is_no_trouble() {
    let vlans = || vec!["eth0.7".to_owned()];
    let rx_vlan = Some(Offloads { rx_vlan: true, ..Offloads::default() });
    let mut jumbo = card();
    jumbo.link.interface.mtu = 9_000;
    for facts in [
        InterfaceFacts { xdp: Some(XdpFeatures(0)), ..jumbo.clone() },
        jumbo,
        InterfaceFacts { vlans: vlans(), ..card() },
        InterfaceFacts { vlans: vlans(), offloads: rx_vlan, xdp: Some(XdpFeatures(0)), ..card() },
        InterfaceFacts { controller: Some(("br0".to_owned(), "bridge".to_owned())), ..card() },
        owned(with_program("xdp")),
        owned(with_program("ingress")),
    ] {
        let findings = judge(&facts);
        assert!(findings.iter().all(|it| it.verdict == Severity::Ok), "{findings:?}");
    }
}

#[test]
fn what_cannot_be_an_uplink_is_no_problem_unless_it_shall_be_one() {
    let mut facts = card();
    facts.link.interface.link_type = 65_534;
    assert_eq!(judge(&facts)[0].verdict, Severity::Problem);
    facts.is_wanted = false;
    assert_eq!(judge(&facts)[0].verdict, Severity::Warning);
}

fn with_program(hook: &'static str) -> InterfaceFacts {
    let program = HookProgram { hook, id: 7, description: "7 (other)".to_owned() };
    InterfaceFacts { programs: vec![(program, None)], ..card() }
}

fn owned(mut facts: InterfaceFacts) -> InterfaceFacts {
    facts.programs[0].1 = Some("wan".to_owned());
    facts
}

fn card() -> InterfaceFacts {
    let interface = Interface {
        index: 2,
        name: "eth0".to_owned(),
        mtu: 1_500,
        link_type: 1,
        up: true,
        addresses: Vec::new(),
        xdp: Vec::new(),
    };
    InterfaceFacts {
        link: Link { interface, kind: None, lower: None, controller: None, vlan_id: None },
        is_wanted: true,
        driver: Some("ixgbe".to_owned()),
        xdp: NATIVE_WITH_FRAGMENTS,
        offloads: Some(Offloads { gro: true, tso: true, ..Offloads::default() }),
        vlans: Vec::new(),
        controller: None,
        sees_programs: true,
        programs: Vec::new(),
    }
}
