//! What fuzzers begin with, and what they once found, holds.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use fastrand::Rng;
use tests::fuzz::{TARGETS, Target};

/// Every input that is kept is checked as a fuzzer would.
#[test]
fn kept_inputs_do_no_harm() {
    let mut failures = Vec::new();
    for target in TARGETS {
        let seeds = inputs(&target.seeds_dir());
        assert!(!seeds.is_empty(), "{}: no seeds", target.name);
        for path in seeds.iter().chain(&inputs(&target.regressions_dir())) {
            let input = fs::read(path).expect("a file of the repository");
            let checked = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            if checked.is_err() {
                failures.push(path.display().to_string());
            }
        }
    }
    assert!(failures.is_empty(), "see above: {failures:#?}");
}

/// The seeds are those that the conformance table gives; `UPDATE_SEEDS=1` writes them.
#[test]
fn seeds_are_up_to_date() {
    for target in TARGETS {
        let directory = target.seeds_dir();
        let expected = named(&target);
        if std::env::var_os("UPDATE_SEEDS").is_some_and(|value| value == "1") {
            write(&directory, &expected);
        }
        let found: Vec<_> = inputs(&directory);
        let names: Vec<_> = expected.iter().map(|(name, _)| directory.join(name)).collect();
        assert_eq!(found, names, "UPDATE_SEEDS=1 cargo test -p tests --test fuzz writes them");
        for (path, (_, seed)) in found.iter().zip(&expected) {
            assert!(fs::read(path).expect("it is there") == *seed, "{} is old", path.display());
        }
    }
}

/// Seeds with a few bytes changed: what a fuzzer would try first. `FUZZ_ROUNDS` says how many of
/// each target.
#[test]
fn changed_seeds_do_no_harm() {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(200, |text| text.parse().expect("a number"));
    for target in TARGETS {
        let seeds = (target.seeds)();
        let mut rng = Rng::with_seed(6092);
        for _ in 0..rounds {
            let mut input = seeds[rng.usize(..seeds.len())].clone();
            for _ in 0..rng.u8(..6) {
                if !input.is_empty() {
                    let at = rng.usize(..input.len());
                    input[at] = if rng.bool() { rng.u8(..) } else { input[at] ^ 1 << rng.u8(..8) };
                }
            }
            if rng.u8(..4) == 0 {
                input.truncate(rng.usize(..=input.len()));
            }
            let checked = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            assert!(checked.is_ok(), "{}, see above: {input:02x?}", target.name);
        }
    }
}

/// No input is a mistake of the checks themselves.
#[test]
fn little_inputs_do_no_harm() {
    for target in TARGETS {
        for len in 0..4 {
            for byte in [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff] {
                (target.run)(&vec![byte; len]);
            }
        }
    }
}

fn named(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut seeds = (target.seeds)();
    seeds.sort();
    seeds.dedup();
    (0..).zip(seeds).map(|(number, seed): (u32, _)| (format!("{number:03}"), seed)).collect()
}

fn write(directory: &Path, seeds: &[(String, Vec<u8>)]) {
    if directory.exists() {
        fs::remove_dir_all(directory).expect("the repository can be written");
    }
    fs::create_dir_all(directory).expect("the repository can be written");
    for (name, seed) in seeds {
        fs::write(directory.join(name), seed).expect("the repository can be written");
    }
}

/// The files of a directory, by name; none if there is no directory.
fn inputs(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}
