//! What the machine lacks.

use gateway_userspace::datapath::{KERNEL_MIN, KERNEL_MIN_NAME, kernel_release, kernel_version};
use tests::{
    eigw::NAME,
    topology::{Lab, UPLINK},
};

/// A kernel that is too old is named, with what is needed, and nothing is changed.
#[test]
#[ignore = "needs a kernel that is too old: `cargo xtask kernels` runs it in one"]
fn a_kernel_that_is_too_old_is_refused() {
    let release = kernel_release();
    assert!(kernel_version(&release) < Some(KERNEL_MIN), "{release} is new enough");
    let lab = Lab::new();
    let links = || lab.gateway.ip_output("-details link show");
    let before = links();
    let complaint = lab.eigw(&["attach", "--uplink", UPLINK, "--name", NAME]).failure(1);
    for part in [&release, KERNEL_MIN_NAME] {
        assert!(complaint.contains(part), "{part:?} is not in {complaint}");
    }
    assert_eq!(complaint.trim().lines().count(), 1, "{complaint}");
    assert_eq!(links(), before);
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
}
