//! Gateways in other network namespaces than the command.

use gateway_userspace::datapath::{DatapathError, HookChoice, TcChoice};
use tests::{bpffs::Bpffs, netns::Netns, unique};

use crate::{Site, attach};

/// Reading and detaching work from anywhere, also where filters have to be removed by netlink.
#[test]
fn a_gateway_is_read_and_detached_from_another_namespace() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Clsact).expect("attached");
    let (_, ingress, egress) = site.peer.run(|| site.attached()).remove(0);
    assert!(ingress.is_some() && egress.is_some());
    site.peer.run(|| site.detach());
    // A filter left behind would be taken for somebody else's.
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Clsact).expect("the place is free again");
}

#[test]
fn a_name_that_is_used_in_another_namespace_is_refused() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let error = site
        .peer
        .run(|| attach(&site.bpffs, &site.name, &["pe1"], HookChoice::Auto, TcChoice::Auto))
        .unwrap_err();
    assert!(matches!(error, DatapathError::OtherNetns { .. }), "{error}");
    assert_eq!(site.attached().len(), 1);
}

#[test]
fn a_gateway_outlives_its_namespace_and_can_be_detached() {
    let site = Site::new();
    let gone = Netns::new(&format!("{}-gone", unique::stem()));
    gone.ip("link add up0 type veth peer name up1");
    gone.run(|| attach(&site.bpffs, &site.name, &["up0"], HookChoice::Tc, TcChoice::Clsact))
        .expect("attached");
    drop(gone);
    tests::wait::until_true("the namespace to go", || {
        site.attached() == [("up0".to_owned(), None, None)]
    });
    site.detach();
}

#[test]
fn gateways_of_one_name_live_side_by_side_on_two_file_systems() {
    let site = Site::new();
    let elsewhere = Bpffs::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    site.host
        .run(|| attach(&elsewhere, &site.name, &["up1"], HookChoice::Auto, TcChoice::Auto))
        .expect("attached elsewhere");
    site.detach();
    assert_eq!(elsewhere.entries().iter().filter(|path| path.ends_with("wan")).count(), 1);
}
