//! The tests that run on every kernel, by binary and name. A name that is none is a failure: as many
//! have to pass as there are here.
//!
//! In an emulated machine the verifier takes seconds for what takes a tenth of one otherwise, so
//! each attach counts: these show everything that depends on the kernel with few of them.

use super::series::Expectation;

/// Tests of one binary, as a step in the guest.
pub(super) struct Selection {
    /// What the step is called, and its column.
    pub(super) name: &'static str,
    /// The binary's name.
    pub(super) binary: &'static str,
    pub(super) tests: &'static [&'static str],
    /// How long they may take, on a machine that does much else.
    pub(super) limit_secs: u64,
}

/// Every program loads, and how much work that is for the verifier.
pub(super) const LOADS: Selection =
    Selection { name: "loads", binary: "loads", tests: &["every_program_loads"], limit_secs: 300 };

/// On kernels that the gateway works on.
pub(super) const WORKS: [Selection; 4] = [
    LOADS,
    // Every packet of the conformance table, through both programs for packets from outside.
    Selection {
        name: "rows",
        binary: "rows_kernel",
        tests: &["every_row_holds", "segments_that_nobody_counted_are_counted"],
        limit_secs: 600,
    },
    // Every hook that the kernel has, and clsact where it has no TCX.
    Selection {
        name: "hooks",
        binary: "datapath",
        tests: &[
            "hooks::a_clsact_of_others_stays",
            "hooks::every_change_of_hook_replaces_what_was_there",
        ],
        limit_secs: 600,
    },
    // Real hosts and the real `eigw`.
    Selection {
        name: "e2e",
        binary: "e2e",
        tests: &[
            "lifecycle::attaching_again_keeps_flows::xdp",
            "lifecycle::detaching_leaves_plain_networking::tc",
            "machine::a_processor_that_leaves_takes_nothing_along",
            "policy::commands::reload_takes_the_file_that_there_was",
            "traffic::what_inside_opens_is_answered::tc",
            "traffic::what_inside_opens_is_answered::xdp",
            "unsolicited::what_outside_starts_is_dropped::xdp_generic",
            "vlan::a_vlan_device_is_protected_and_so_is_what_carries_it",
        ],
        limit_secs: 1200,
    },
];

/// On kernels that are too old.
pub(super) const REFUSED: [Selection; 1] = [Selection {
    name: "refusal",
    binary: "e2e",
    tests: &["machine::a_kernel_that_is_too_old_is_refused"],
    limit_secs: 300,
}];

/// The steps for kernels of which this is expected; if `names` are given, of these only those.
pub(super) fn of(expectation: Expectation, names: &[&str]) -> Vec<&'static Selection> {
    let all: &[Selection] = match expectation {
        Expectation::Works => &WORKS,
        Expectation::Refused => &REFUSED,
    };
    all.iter().filter(|step| names.is_empty() || names.contains(&step.name)).collect()
}

/// The step of that name.
///
/// # Errors
/// When there is none.
pub(super) fn step(name: &str) -> Result<&'static str, String> {
    let mut names = WORKS.iter().chain(&REFUSED).map(|selection| selection.name);
    names.clone().find(|step| *step == name).ok_or_else(|| {
        names.by_ref().fold("there are only".to_owned(), |text, step| text + " " + step)
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::process::workspace;

    #[test]
    fn steps_are_chosen_by_name() {
        let names = |expectation, steps: &[&str]| {
            of(expectation, steps).iter().map(|selection| selection.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Expectation::Works, &[]), ["loads", "rows", "hooks", "e2e"]);
        assert_eq!(names(Expectation::Works, &["e2e", "refusal"]), ["e2e"]);
        assert_eq!(names(Expectation::Refused, &[]), ["refusal"]);
        assert_eq!(step("rows"), Ok("rows"));
        assert!(step("row").is_err_and(|text| text.contains("rows")));
    }

    /// Names are checked against the binary in every guest; this finds most slips without one.
    #[test]
    fn every_test_is_in_the_sources() {
        for Selection { binary, tests, .. } in WORKS.iter().chain(&REFUSED) {
            let directory = workspace().join("tests/tests");
            let mut text =
                fs::read_to_string(directory.join(format!("{binary}.rs"))).unwrap_or_default();
            let mut open = vec![directory.join(binary)];
            while let Some(path) = open.pop() {
                for entry in fs::read_dir(path).into_iter().flatten() {
                    let path = entry.expect("readable").path();
                    text += &fs::read_to_string(&path).unwrap_or_default();
                    open.push(path);
                }
            }
            for test in *tests {
                let is_hook = |name: &&str| ["xdp", "xdp_generic", "tc"].contains(name);
                let name = test.rsplit("::").find(|name| !is_hook(name));
                let name = name.expect("a test has a name");
                assert!(text.contains(&format!("fn {name}(")), "{binary} has no {test}");
            }
            assert_eq!(tests.iter().collect::<BTreeSet<_>>().len(), tests.len(), "{binary}");
        }
    }
}
