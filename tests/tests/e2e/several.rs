//! Several gateways on one machine.

use serde_json::json;
use tests::{
    address::FAMILIES,
    eigw::{Hook, NAME},
    icmp, netns, socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::PATIENCE,
};

/// `--name`, `--netns`: gateways of two namespaces share a BPF file system and
/// nothing else.
#[test]
fn gateways_of_different_names_share_a_bpffs() {
    let (one, two) = (Lab::new(), Lab::new());
    let attach = |lab: &Lab, name| {
        let bpffs = one.bpffs.path().to_str().expect("a path of ASCII");
        let arguments = ["--bpffs", bpffs, "--netns", lab.gateway.name()];
        let command = ["attach", "--uplink", UPLINK, "--name", name];
        run(&[arguments.as_slice(), &command].concat()).success();
    };
    attach(&one, "one");
    attach(&two, "two");
    let status = one.eigw_json(&["status"]);
    let names: Vec<_> =
        status.as_array().expect("status is an array").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("one"), &json!("two")]);

    icmp::ping(&one.inside, OUTSIDE.v6.into()).expect("an echo reply");
    let count = |name| one.eigw_json(&["flow", "count", "--name", name]);
    assert_ne!(count("one"), count("two"), "they share flows");

    // Without a name nothing is guessed.
    let refusal = one.eigw(&["flow", "show"]).failure(1);
    assert!(refusal.contains("one") && refusal.contains("two"), "{refusal}");

    one.eigw(&["detach", "--name", "one"]).success();
    icmp::ping(&one.outside, INSIDE.v6.into()).expect("the first lab is open again");
    assert!(icmp::ping(&two.outside, INSIDE.v6.into()).is_err(), "the second lab is not");
    one.eigw(&["detach", "--all"]).success();
    icmp::ping(&two.outside, INSIDE.v6.into()).expect("the second lab is open again");
}

/// `--bpffs`: gateways of one name in two BPF file systems do not meet.
#[test]
fn gateways_of_one_name_live_in_different_bpffs() {
    let (one, two) = (Lab::new(), Lab::new());
    one.attach(Hook::Tc);
    two.attach(Hook::Xdp);
    icmp::ping(&one.inside, OUTSIDE.v4.into()).expect("an echo reply");
    assert_eq!((one.flows().len(), two.flows().len()), (1, 0));
    one.detach();
    assert!(icmp::ping(&two.outside, INSIDE.v4.into()).is_err(), "the other one is gone too");
}

/// Several uplinks share one flow table: what leaves on one uplink may be
/// answered on another.
#[test]
fn a_reply_may_come_in_on_another_uplink() {
    let lab = Lab::new();
    lab.gateway.ip(&format!(
        "link add uplink2 type veth peer name gateway2 netns {}\n\
         link set uplink2 up\n\
         address add 10.77.4.1/24 dev uplink2\n\
         address add 2a00:1:0:fe::1/64 dev uplink2 nodad\n",
        lab.router.name()
    ));
    lab.router.ip("link set gateway2 up\n\
         address add 10.77.4.2/24 dev gateway2\n\
         address add 2a00:1:0:fe::2/64 dev gateway2 nodad\n\
         route replace 10.77.1.0/24 via 10.77.4.1\n\
         route replace 2a00:1:0:a::/64 via 2a00:1:0:fe::1\n");
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    let both = ["attach", "--uplink", UPLINK, "--uplink", "uplink2", "--name", NAME];
    lab.eigw(&both).success();
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 7);
        let echoed = socket::udp_exchange(&lab.inside, server, b"round", PATIENCE);
        assert_eq!(echoed.expect("the reply on the other uplink"), b"round");
        lab.expect_drops("ping-refused", 1, || {
            icmp::ping(&lab.outside, INSIDE.ip(family)).expect_err("both are protected");
        });
    }
}

/// `--netns` takes a path as well as a name.
#[test]
fn the_namespace_may_be_given_as_a_path() {
    let lab = Lab::new();
    let path = netns::path(lab.gateway.name());
    let bpffs = lab.bpffs.path().to_str().expect("a path of ASCII");
    let path = path.to_str().expect("a path of ASCII");
    run(&["--netns", path, "--bpffs", bpffs, "attach", "--uplink", UPLINK]).success();
    // The first uplink names a gateway that has no other name.
    assert_eq!(lab.eigw_json(&["status"])[0]["name"], UPLINK);
}

fn run(arguments: &[&str]) -> tests::eigw::Answer {
    let mut command = std::process::Command::new(tests::eigw::binary());
    command.args(arguments).output().expect("eigw starts").into()
}
