//! The programs and the verifier of the kernel that runs this. Needs root.

use gateway_common::config::Config;
use tests::prog_run::Programs;

/// Any rate does where nothing waits.
const TICKS_PER_SEC: u32 = 250;

/// The verifier accepts every program; how many instructions it looked at is printed.
#[test]
fn every_program_loads() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let verified = programs.verified_instructions();
    assert!(verified.len() >= 3, "{verified:?}");
    for (program, count) in verified {
        assert!(count > 0, "{program} was not verified");
        println!("verified {program} {count}");
    }
}
