//! Sets of uplinks that change.

use gateway_userspace::datapath::{DatapathError, GatewayName, HookChoice, TcChoice};

use crate::{Site, attach};

#[test]
fn uplinks_come_and_go_with_updates() {
    let site = Site::new();
    for (uplinks, created) in [
        (&["up0"][..], &[true][..]),
        (&["up0", "up1"], &[false, true]),
        (&["up1"], &[false]),
        (&["up0"], &[true]),
        (&["up1", "up0"], &[true, false]),
    ] {
        let outcome = site.attach(uplinks, HookChoice::Xdp, TcChoice::Auto).expect("attached");
        let done: Vec<bool> = outcome.uplinks.iter().map(|uplink| uplink.created).collect();
        assert_eq!(done, created, "{uplinks:?}");
        let mut attached: Vec<String> = site.attached().into_iter().map(|it| it.0).collect();
        attached.sort();
        let mut wanted = uplinks.to_vec();
        wanted.sort_unstable();
        assert_eq!(attached, wanted);
        for name in ["up0", "up1"] {
            let is_protected = !site.interface(name).xdp.is_empty();
            assert_eq!(is_protected, uplinks.contains(&name), "{name} of {uplinks:?}");
        }
    }
    site.detach();
}

/// An uplink that vanished and came back is another interface of the same name, be it that it
/// even got the old one's number.
#[test]
fn an_uplink_that_came_back_is_attached_again() {
    let ways = [TcChoice::Auto, TcChoice::Clsact];
    for (tc, same_index) in ways.into_iter().flat_map(|tc| [(tc, false), (tc, true)]) {
        let site = Site::new();
        site.attach(&["up0", "up1"], HookChoice::Tc, tc).expect("attached");
        let old_index = site.interface("up0").index;
        let index = if same_index { old_index } else { old_index + 100 };
        site.host.ip("link del up0");
        assert_eq!(site.attached()[0], ("up0".to_owned(), None, None));
        let peer = site.peer.name();
        site.host.ip(&format!("link add up0 index {index} type veth peer name pe0 netns {peer}"));
        assert_eq!(site.attached()[0], ("up0".to_owned(), None, None));
        let outcome = site.attach(&["up0", "up1"], HookChoice::Tc, tc).expect("attached again");
        let created: Vec<bool> = outcome.uplinks.iter().map(|uplink| uplink.created).collect();
        assert_eq!(created, [true, false], "{tc:?}, same index: {same_index}");
        assert_eq!(site.interface("up0").index, index);
        for (name, ingress, egress) in site.attached() {
            assert!(ingress.is_some() && egress.is_some(), "{name}");
        }
        site.detach();
    }
}

#[test]
fn an_uplink_has_one_gateway() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    let other = GatewayName::new("other").expect("a valid name");
    let error = site
        .host
        .run(|| attach(&site.bpffs, &other, &["up1", "up0"], HookChoice::Tc, TcChoice::Auto))
        .unwrap_err();
    assert!(
        matches!(
            &error,
            DatapathError::UplinkTaken { uplink, gateway } if uplink == "up0" && gateway == "wan"
        ),
        "{error}"
    );
}

#[test]
fn what_is_no_uplink_is_refused() {
    let site = Site::new();
    site.host.ip("tuntap add tun0 mode tun");
    let refusal = |uplinks: &[&str]| {
        site.attach(uplinks, HookChoice::Auto, TcChoice::Auto).unwrap_err().to_string()
    };
    for (uplinks, part) in [
        (&[][..], "no uplink is given"),
        (&["up0", "up0"], "up0 is given twice"),
        (&["up0", "up7"], "up7 does not exist"),
        (&["lo"], "loopback"),
        (&["up0", "tun0"], "tun0 is not an Ethernet device"),
        (&["up0"; 17], "at most 16"),
    ] {
        let said = refusal(uplinks);
        assert!(said.contains(part), "{uplinks:?}: {said}");
        assert!(site.bpffs.entries().is_empty(), "{uplinks:?}");
    }
}
