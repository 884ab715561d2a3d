//! What `eigw doctor` says of interfaces in all kinds of states.

use serde_json::Value;
use tests::{
    eigw::{Hook, NAME},
    topology::{Lab, UPLINK},
};

/// Everything by its stable name, and nothing is changed.
#[test]
fn a_veth_is_described_whole() {
    let lab = Lab::new();
    let before = lab.gateway.ip_output("-details link show");
    let report = lab.eigw_json(&["doctor", UPLINK]);
    assert_eq!(
        names(&report["machine"]),
        ["kernel", "btf", "jit", "bpffs", "capabilities", "memory", "conntrack",]
    );
    assert_eq!(report["interfaces"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["interfaces"][0]["name"], UPLINK);
    assert_eq!(
        names(&report["interfaces"][0]["checks"]),
        [
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
        ]
    );
    assert_eq!(report["problems"], 0, "{report:#}");
    let found = |check: &str| finding(&report, check)["found"].as_str().expect("text").to_owned();
    assert_eq!((found("driver").as_str(), found("link-type").as_str()), ("veth", "Ethernet"));
    assert!(found("mtu").starts_with("1500 bytes"), "{report:#}");
    assert!(found("offloads").contains("tso on"), "{report:#}");
    let xdp = finding(&report, "native-xdp");
    assert_eq!(xdp["verdict"], "warning", "{xdp}");
    assert!(xdp["advice"].as_str().expect("a remedy").contains("--hook tc"), "{xdp}");
    assert_eq!(lab.gateway.ip_output("-details link show"), before);
    assert!(lab.bpffs.entries().is_empty());
}

/// Without a name all interfaces are looked at, and people get tables.
#[test]
fn all_interfaces_are_looked_at_in_tables() {
    let lab = Lab::new();
    let said = lab.eigw(&["doctor"]).success();
    for part in
        ["machine\n", "\ninterface inside\n", "\ninterface uplink\n", "CHECK", "0 problems,"]
    {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert!(!said.contains("interface lo\n"), "{said}");
}

/// What would make attaching fail is a problem, and the exit code says so.
#[test]
fn problems_are_told_and_counted() {
    let lab = Lab::new();
    let complaint = lab.eigw(&["doctor", "eth9"]).failure(1);
    assert!(complaint.contains("interface eth9 does not exist"), "{complaint}");

    let mut command = lab.eigw_command(&["-j", "doctor", "lo"]);
    let output = command.output().expect("eigw starts");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON all the same");
    assert_eq!(
        (&report["problems"], &finding(&report, "link-type")["verdict"]),
        (&1.into(), &"problem".into())
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("1 check found a problem"), "{stderr}");
}

/// The gateway's own programs are its own; states of the interface show.
#[test]
fn what_is_attached_and_what_is_above_is_seen() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    lab.gateway.ip(&format!(
        "link add br0 type bridge\nlink set inside master br0\nlink set {UPLINK} mtu 1400"
    ));
    let report = lab.eigw_json(&["doctor", UPLINK]);
    for check in ["xdp-programs", "tc-programs"] {
        let finding = finding(&report, check);
        assert_eq!(finding["found"], format!("those of gateway {NAME}"), "{finding}");
    }
    assert!(finding(&report, "mtu")["found"].as_str().expect("text").starts_with("1400 bytes"));
    let report = lab.eigw_json(&["doctor", "inside"]);
    let port = finding(&report, "port")["found"].as_str().expect("text").to_owned();
    assert!(port.starts_with("a port of bridge br0"), "{port}");
    lab.gateway.ip("link set inside down");
    let report = lab.eigw_json(&["doctor", "inside"]);
    assert_eq!(finding(&report, "state")["advice"], "ip link set inside up");
}

fn names(findings: &Value) -> Vec<&str> {
    let findings = findings.as_array().expect("an array").iter();
    findings.map(|finding| finding["check"].as_str().expect("a name")).collect()
}

/// The finding of that name about the first interface.
fn finding<'r>(report: &'r Value, check: &str) -> &'r Value {
    let findings = report["interfaces"][0]["checks"].as_array().expect("an array");
    findings.iter().find(|finding| finding["check"] == check).expect("a finding")
}
