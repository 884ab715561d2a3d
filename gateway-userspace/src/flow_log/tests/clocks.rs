//! The clock on the wall is set, as happens to machines that learn the time from the network. The
//! packet path's clock goes on.

use super::crashes::{INTERVAL_SECS, World};

const HOUR_SECS: i64 = 3_600;

/// Windows end as often as before, forward or backward, and no byte is lost or told twice.
#[test]
fn windows_go_on_when_the_clock_is_set() {
    for jump_secs in [HOUR_SECS, 30, 1, -1, -30, -HOUR_SECS, -400 * 24 * HOUR_SECS] {
        let mut world = World::new();
        let mut random = fastrand::Rng::with_seed(1);
        world.open_flow(&mut random);
        world.pass(false);
        world.open_flow(&mut random);
        world.ahead_secs = jump_secs;
        let begun = world.secs;
        world.pass(false);
        // One that ends late by less than it is long is not cut short.
        let took = world.secs - begun;
        assert!(took <= 2 * INTERVAL_SECS, "{jump_secs} s: nothing was told for {took} s");
        world.open_flow(&mut random);
        world.pass(false);
        world.pass(false);
        world.flush();
        assert_eq!(world.logged(), world.counted, "{jump_secs} s");
        expect_sound_windows(&world.text(), jump_secs);
    }
}

/// The same when nobody was there to see it.
#[test]
fn windows_go_on_when_the_clock_was_set_between_two_processes() {
    for jump_secs in [HOUR_SECS, -HOUR_SECS] {
        let mut world = World::new();
        let mut random = fastrand::Rng::with_seed(1);
        world.open_flow(&mut random);
        world.pass(false);
        world.flush();
        world.ahead_secs = jump_secs;
        world.reopen();
        world.pass(false);
        world.open_flow(&mut random);
        world.pass(false);
        world.flush();
        assert_eq!(world.logged(), world.counted, "{jump_secs} s");
        expect_sound_windows(&world.text(), jump_secs);
    }
}

/// No line ends before it begins.
fn expect_sound_windows(text: &str, jump_secs: i64) {
    assert!(!text.is_empty());
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [start, end]: [u64; 2] = [words[10], words[11]].map(|it| it.parse().expect("a time"));
        assert!(start <= end, "{jump_secs} s: {line}");
    }
}
