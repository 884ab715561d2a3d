//! Every way of attaching, and every change from one to another.

use std::{path::PathBuf, process::Command};

use aya::util::KernelVersion;
use gateway_userspace::datapath::{DatapathError, HookChoice, IngressHook, TcChoice, TcMeans};
use tests::bpffs::Bpffs;

use crate::{Site, attach};

/// Every combination of ingress hook and TC attachment, in an order in which each ingress hook
/// follows each other one.
const WAYS: [(HookChoice, TcChoice, IngressHook, TcMeans); 13] = {
    use HookChoice::{Tc as OnTc, Xdp, XdpGeneric};
    use IngressHook::{Tc, XdpGeneric as Generic, XdpNative as Native};
    use TcChoice::{Clsact, Tcx};
    [
        (Xdp, Tcx, Native, TcMeans::Tcx),
        (XdpGeneric, Tcx, Generic, TcMeans::Tcx),
        (Xdp, Tcx, Native, TcMeans::Tcx),
        (OnTc, Tcx, Tc(TcMeans::Tcx), TcMeans::Tcx),
        (XdpGeneric, Tcx, Generic, TcMeans::Tcx),
        (OnTc, Clsact, Tc(TcMeans::Clsact), TcMeans::Clsact),
        (OnTc, Tcx, Tc(TcMeans::Tcx), TcMeans::Tcx),
        (OnTc, Clsact, Tc(TcMeans::Clsact), TcMeans::Clsact),
        (Xdp, Clsact, Native, TcMeans::Clsact),
        (XdpGeneric, Clsact, Generic, TcMeans::Clsact),
        (OnTc, Clsact, Tc(TcMeans::Clsact), TcMeans::Clsact),
        (OnTc, Clsact, Tc(TcMeans::Clsact), TcMeans::Clsact),
        (Xdp, Tcx, Native, TcMeans::Tcx),
    ]
};

#[test]
fn every_change_of_hook_replaces_what_was_there() {
    let site = Site::new();
    let possible = WAYS.into_iter().filter(|way| way.1 != TcChoice::Tcx || has_tcx());
    for (step, (hook, tc, ingress, egress)) in possible.enumerate() {
        let outcome = site.attach(&["up0"], hook, tc).expect("attached");
        assert_eq!(outcome.notes, Vec::<String>::new(), "step {step}");
        let uplink = &outcome.uplinks[0];
        assert_eq!((uplink.ingress, uplink.egress), (ingress, egress), "step {step}");
        assert_eq!((outcome.created, uplink.created), (step == 0, step == 0), "step {step}");
        let expected = ("up0".to_owned(), Some(ingress), Some(egress));
        assert_eq!(site.attached(), [expected], "step {step}");
        let xdp_programs = usize::from(!matches!(ingress, IngressHook::Tc(_)));
        assert_eq!(site.interface("up0").xdp.len(), xdp_programs, "step {step}");
        let uses_clsact = egress == TcMeans::Clsact;
        assert_eq!(has_clsact(&site), uses_clsact, "step {step}");
    }
    site.detach();
    assert!(site.interface("up0").xdp.is_empty());
}

/// The queueing discipline stays when it was there before us.
#[test]
fn a_clsact_of_others_stays() {
    let site = Site::new();
    tc(&site, "qdisc add dev up0 clsact");
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Clsact).expect("attached");
    site.detach();
    assert!(has_clsact(&site));
    assert_eq!(tc(&site, "filter show dev up0 ingress"), "");
}

/// With a program of others on the second uplink, the first one is left as it was.
#[test]
fn a_foreign_program_on_one_uplink_takes_all_back() {
    let site = Site::new();
    let elsewhere = Bpffs::new();
    site.peer
        .run(|| attach(&elsewhere, &site.name, &["pe1"], HookChoice::Tc, TcChoice::Auto))
        .expect("a program is loaded");
    let program = elsewhere.path().join("eigw/wan/programs/ingress_xdp");
    site.host.ip(&format!("link set up1 xdpgeneric pinned {}", program.display()));
    let others = site.interface("up1").xdp;
    for hook in [HookChoice::Auto, HookChoice::Xdp, HookChoice::XdpGeneric] {
        let error = site.attach(&["up0", "up1"], hook, TcChoice::Auto).unwrap_err();
        assert!(
            matches!(&error, DatapathError::ForeignXdp { interface, .. } if interface == "up1"),
            "{error}"
        );
        assert_eq!(site.bpffs.entries(), Vec::<PathBuf>::new());
        assert_eq!(site.interface("up0").xdp, []);
        assert_eq!(site.interface("up1").xdp, others);
    }
    let outcome = site.attach(&["up1"], HookChoice::Tc, TcChoice::Auto).expect("beside theirs");
    let note = format!("XDP program {}", others[0].program_id);
    assert!(outcome.notes.iter().any(|said| said.contains(&note)), "{:?}", outcome.notes);
}

/// A filter of others in the place where ours would be.
#[test]
fn a_foreign_filter_is_left_alone() {
    let site = Site::new();
    site.attach(&["up1"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    let program = site.map("../programs/egress_tc");
    tc(&site, "qdisc add dev up0 clsact");
    tc(
        &site,
        &format!(
            "filter add dev up0 egress prio 1 handle 0xe16 bpf direct-action object-pinned {}",
            program.display()
        ),
    );
    let before = tc(&site, "filter show dev up0 egress");
    let error = site.attach(&["up0", "up1"], HookChoice::Tc, TcChoice::Clsact).unwrap_err();
    assert!(
        matches!(&error, DatapathError::ForeignFilter { interface, .. } if interface == "up0"),
        "{error}"
    );
    assert_eq!(tc(&site, "filter show dev up0 egress"), before);
    assert_eq!(site.attached().len(), 1, "up1 alone is an uplink, as before");
}

/// TCX came with Linux 6.6.
fn has_tcx() -> bool {
    KernelVersion::current().expect("a version") >= KernelVersion::new(6, 6, 0)
}

fn has_clsact(site: &Site) -> bool {
    tc(site, "qdisc show dev up0").contains("clsact")
}

/// What the `tc` tool prints in the host's network namespace.
fn tc(site: &Site, arguments: &str) -> String {
    let mut command = Command::new("tc");
    command.args(arguments.split_whitespace());
    let output = site.host.output(&mut command).expect("tc (iproute2) starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tc {arguments}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
