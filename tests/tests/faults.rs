//! Commands that are killed, refused by the kernel or robbed of their interface, at a sample of
//! their system calls. `cargo xtask faults` tries all of them. Needs root.

#![cfg(target_arch = "x86_64")]

use std::path::Path;

use tests::faults::{self, Disturbance, Job, Loss, Row, Sample, Site, Way};

/// E153: whenever a command is killed, the uplink is protected completely or not at all, the live
/// flow goes on, the command can be repeated and everything can be detached.
#[test]
fn commands_killed_at_any_call_can_be_repeated() {
    disturb(
        any(&Way::ALL),
        &Disturbance::KILLS,
        &[(Job::Attach, 82), (Job::Again, 37), (Job::Repair, 33), (Job::Detach, 17)],
    );
    disturb(Way::Xdp, &Disturbance::KILLS, &[(Job::Reload, 15), (Job::Confirm, 24)]);
}

/// A command that the kernel refuses something fails with one message and changes nothing.
#[test]
fn commands_refused_at_any_call_change_nothing() {
    disturb(
        any(&Way::ALL),
        &Disturbance::REFUSALS,
        &[(Job::Attach, 55), (Job::Again, 37), (Job::Repair, 33), (Job::Detach, 25)],
    );
    disturb(Way::Xdp, &Disturbance::REFUSALS, &[(Job::Reload, 10), (Job::Confirm, 12)]);
}

/// An interface that goes away meanwhile makes a command fail, or not; nothing of the gateway is
/// left on it when that is detached.
#[test]
fn an_uplink_may_go_away_at_any_call() {
    for loss in Loss::ALL {
        let (job, every) = any(&[(Job::Attach, 55), (Job::Again, 37)]);
        let way = any(&Way::ALL);
        println!("{job} by {way}, {loss}");
        expect_sound(&faults::lose(job, way, loss, sample(every)));
    }
}

/// Disturbs jobs, each at one boundary in so many.
#[track_caller]
fn disturb(way: Way, disturbances: &[Disturbance], jobs: &[(Job, usize)]) {
    let site = Site::new(way, Path::new(env!("CARGO_BIN_EXE_faults")));
    for &(job, every) in jobs {
        println!("{job} by {way}");
        expect_sound(&faults::sweep(&site, job, disturbances, sample(every), false));
    }
}

/// One boundary in so many, others each time.
fn sample(every: usize) -> Sample {
    let sample = Sample { every, offset: fastrand::usize(..every) };
    println!("one boundary in {every}, from number {} on", sample.offset);
    sample
}

fn any<T: Copy>(all: &[T]) -> T {
    all[fastrand::usize(..all.len())]
}

#[track_caller]
fn expect_sound(row: &Row) {
    assert!(row.tried > 0, "nothing was tried: {row:?}");
    assert!(row.findings.is_empty(), "{}", row.findings.join("\n"));
}
