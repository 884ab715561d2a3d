//! Bad usage: what the command line says, and with which exit code.

use std::process::Command;
use std::{
    fs, io::Write as _, os::unix::fs::PermissionsExt as _, os::unix::process::CommandExt as _,
};

use tests::{
    eigw::{Answer, Hook, NAME, binary},
    icmp,
    topology::{INSIDE, Lab, UPLINK},
};

/// Who is nobody.
const NOBODY: u32 = 65_534;

/// Bad usage is 2, with a complaint on stderr and nothing on stdout.
#[test]
fn bad_usage_is_refused_with_code_2() {
    let usages: [&[&str]; 6] = [
        &["frobnicate"],
        &["attach", "--hook", "sideways"],
        &["flow", "show", "--local", "10.0.0.0/99"],
        &["flow", "show", "--state", "asleep"],
        &["detach", "--name", "a", "--all"],
        &["check"],
    ];
    for usage in usages {
        let complaint = run(usage).failure(2);
        assert!(complaint.starts_with("error"), "{usage:?}: {complaint}");
    }
}

/// An unknown key is refused with its line and what was probably meant.
#[test]
fn an_unknown_key_is_refused_with_line_and_suggestion() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"[gateway]\nname = \"wan\"\nuplink = [\"eth9\"]\n").expect("written");
    let path = file.path().to_str().expect("a path of ASCII");
    for command in ["check", "attach"] {
        let complaint = run(&[command, "-c", path]).failure(2);
        for part in [path, "3", "uplink", "uplinks"] {
            assert!(complaint.contains(part), "{part:?} is not in {complaint}");
        }
    }
}

/// Not root.
#[test]
fn whoever_is_not_root_is_told_so() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), open).expect("it is ours");
    let copy = directory.path().join("eigw");
    fs::copy(binary(), &copy).expect("the binary can be copied");
    let mut command = Command::new(copy);
    command.arg("--bpffs").arg(lab.bpffs.path());
    command.args(["attach", "--uplink", UPLINK]).uid(NOBODY).gid(NOBODY);
    let answer: Answer = lab.gateway.output(&mut command).expect("eigw starts").into();
    let complaint = answer.failure(1);
    assert!(complaint.contains("root"), "{complaint}");
    icmp::ping(&lab.outside, INSIDE.v4.into()).expect("nothing is filtered");
}

/// Attaching twice is fine; detaching what is not there fails and says what to do.
#[test]
fn attaching_twice_works_and_detaching_twice_does_not() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    lab.attach(Hook::Xdp);
    lab.detach();
    let complaint = lab.eigw(&["detach", "--name", NAME]).failure(1);
    assert!(complaint.contains(NAME), "{complaint}");
    for command in [["flow", "show"], ["stats", "show"], ["flow", "flush"]] {
        let complaint = lab.eigw(&command).failure(1);
        assert!(complaint.contains("attach"), "{complaint}");
    }
    // Nothing to detach is nothing to complain of when all are meant.
    lab.eigw(&["detach", "--all"]).success();
}

/// A namespace that does not exist.
#[test]
fn a_missing_namespace_is_named() {
    let complaint = run(&["--netns", "nowhere", "status"]).failure(1);
    assert!(complaint.contains("nowhere"), "{complaint}");
}

/// Prefixes of commands, `list` for `show`, JSON of both kinds.
#[test]
fn the_grammar_is_forgiving() {
    let lab = Lab::new();
    lab.attach(Hook::Tc);
    icmp::ping(&lab.inside, tests::topology::OUTSIDE.v4.into()).expect("an echo reply");
    for spelling in [&["flow", "show"][..], &["flow", "list"], &["flow"], &["fl", "sh"]] {
        assert_eq!(lab.eigw_json(spelling).as_array().map(Vec::len), Some(1), "{spelling:?}");
    }
    let pretty = lab.eigw(&["-p", "flow"]).success();
    assert!(pretty.lines().count() > 10, "{pretty}");
    let plain = lab.eigw(&["flow"]).success();
    assert!(plain.contains("icmp") && plain.contains("10.77.3.2"), "{plain}");
    assert!(lab.eigw(&["attach", "help"]).success().contains("--uplink"));
}

fn run(arguments: &[&str]) -> Answer {
    Command::new(binary()).args(arguments).output().expect("eigw starts").into()
}
