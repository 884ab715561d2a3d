//! What the machine lacks, or loses.

use std::{env, fs, time::Duration};

use gateway_common::tuple::Family;
use gateway_userspace::datapath::{KERNEL_MIN, KERNEL_MIN_NAME, kernel_release, kernel_version};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use tests::{
    eigw::{Hook, NAME},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::{self, PATIENCE},
};

/// The processor that leaves.
const PROCESSOR: usize = 1;
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
/// How long outside waits for what must not come.
const BRIEFLY: Duration = Duration::from_millis(300);

/// A kernel that is too old is named, with what is needed, and nothing is changed.
#[test]
#[ignore = "needs a kernel that is too old: `cargo xtask kernels` runs it in one"]
fn a_kernel_that_is_too_old_is_refused() {
    let release = kernel_release();
    assert!(kernel_version(&release) < Some(KERNEL_MIN), "{release} is new enough");
    let lab = Lab::new();
    let links = || lab.gateway.ip_output("-details link show");
    // What the links do by themselves is not the command's doing.
    wait::until_true("carriers on the links", || !links().contains("NO-CARRIER"));
    let before = links();
    let complaint = lab.eigw(&["attach", "--uplink", UPLINK, "--name", NAME]).failure(1);
    for part in [&release, KERNEL_MIN_NAME] {
        assert!(complaint.contains(part), "{part:?} is not in {complaint}");
    }
    assert_eq!(complaint.trim().lines().count(), 1, "{complaint}");
    assert_eq!(links(), before);
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
}

/// A processor goes offline and comes back: what was counted on it stays, flows go on, and the uplink
/// is protected throughout.
#[test]
#[ignore = "takes a processor offline: `cargo xtask kernels` runs it in a guest"]
fn a_processor_that_leaves_takes_nothing_along() {
    assert!(env::var_os("EIGW_TEST_GUEST").is_some(), "this machine's processors stay");
    let lab = Lab::new();
    let server = OUTSIDE.port(Family::Ipv6, 7);
    let target = INSIDE.port(Family::Ipv6, 9);
    let _service = socket::udp_echo(&lab.outside, server);
    let _unreachable = socket::udp_echo(&lab.inside, target);
    lab.attach(Hook::Xdp);
    let client = socket::udp_client(&lab.inside, server, PATIENCE).expect("a socket");
    let ask = |payload: &[u8]| {
        let mut answer = [0; 16];
        client.send(payload).expect("inside may ask");
        let len = client.recv(&mut answer).expect("and is answered");
        assert_eq!(&answer[..len], payload);
    };
    let intrude = || {
        lab.expect_drops("no-flow", 1, || {
            let answer = socket::udp_exchange(&lab.outside, target, b"hello?", BRIEFLY);
            assert!(answer.is_err(), "outside is answered");
        });
    };
    stay_on(PROCESSOR);
    for number in 0..5 {
        ask(&[b'a', number]);
    }
    intrude();
    let counted = || ["flow", "no-flow"].map(|reason| lab.packets("in", reason));
    let before = (counted(), lab.flows().len());
    assert!(before.0[0] >= 5 && before.1 > 0, "{before:?}");

    let processor = Offline::take();
    assert_eq!((counted(), lab.flows().len()), before);
    ask(b"b");
    intrude();
    let meanwhile = counted();
    assert_eq!(meanwhile[0], before.0[0] + 1);

    drop(processor);
    stay_on(PROCESSOR);
    assert_eq!(counted(), meanwhile);
    ask(b"c");
    intrude();
    assert_eq!(counted()[0], meanwhile[0] + 1);
}

fn stay_on(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor).expect("a number of a processor");
    sched_setaffinity(Pid::from_raw(0), &only).expect("the processor is there");
}

/// A processor that is offline for so long.
struct Offline;

impl Offline {
    fn take() -> Self {
        fs::write(ONLINE, "0").expect("the processor can leave");
        assert_eq!(fs::read_to_string(ONLINE).expect("a setting").trim(), "0");
        Self
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        fs::write(ONLINE, "1").expect("the processor comes back");
    }
}
