//! Commands that are killed, refused by the kernel or robbed of their interface, at a sample of
//! their system calls. `cargo xtask faults` tries all of them. Needs root.

#![cfg(target_arch = "x86_64")]

use std::path::Path;

use tests::faults::{self, Disturbance, Job, Loss, Row, Sample, Site, Way};

/// E153: whenever a command is killed, the uplink is protected completely or not at all, the live
/// flow goes on, the command can be repeated and everything can be detached.
#[test]
fn commands_killed_at_any_call_can_be_repeated() {
    for (job, every) in [
        (Job::Attach, 41),
        (Job::Again, 19),
        (Job::Reload, 8),
        (Job::Confirm, 12),
        (Job::Repair, 17),
        (Job::Detach, 11),
    ] {
        expect_sound(&disturb(job, &Disturbance::KILLS, every));
    }
}

/// A command that the kernel refuses something fails with one message and changes nothing.
#[test]
fn commands_refused_at_any_call_change_nothing() {
    for (job, every) in [
        (Job::Attach, 31),
        (Job::Again, 13),
        (Job::Reload, 7),
        (Job::Confirm, 8),
        (Job::Repair, 16),
        (Job::Detach, 13),
    ] {
        expect_sound(&disturb(job, &Disturbance::REFUSALS, every));
    }
}

/// An interface that goes away meanwhile makes a command fail, or not; nothing of the gateway is
/// left on it when that is detached.
#[test]
fn an_uplink_may_go_away_at_any_call() {
    for (number, loss) in Loss::ALL.into_iter().enumerate() {
        for (job, way, every) in
            [(Job::Attach, Way::ALL[number % 3], 33), (Job::Again, Way::ALL[(number + 1) % 3], 17)]
        {
            expect_sound(&faults::lose(job, way, loss, sample(every)));
        }
    }
}

/// Disturbs a job on each kind of hook where it makes a difference, at one boundary in so many.
fn disturb(job: Job, disturbances: &[Disturbance], every: usize) -> Row {
    let way = if job.leaves_hooks_alone() { Way::Xdp } else { any(&Way::ALL) };
    println!("{job} by {way}");
    let site = Site::new(way, Path::new(env!("CARGO_BIN_EXE_faults")));
    faults::sweep(&site, job, disturbances, sample(every), false)
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
