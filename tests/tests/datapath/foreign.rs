//! Things of others where the gateway keeps its own, and places that cannot be written.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use aya::{maps::MapData, programs::SchedClassifier};
use aya_obj::generated::bpf_map_type;
use gateway_common::abi::name;
use gateway_userspace::datapath::{self, DatapathError, HookChoice, TcChoice};
use nix::mount::{MsFlags, mount};

use crate::Site;

/// Programs and maps that somebody pinned where links belong are replaced or removed, and a
/// program that is attached elsewhere stays there.
#[test]
fn foreign_pins_among_links_are_cleared_away() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let links = site.bpffs.path().join("eigw/wan/links");
    let ours: Vec<PathBuf> =
        fs::read_dir(&links).expect("a directory").flatten().map(|it| it.path()).collect();
    assert_eq!(ours.len(), 2, "{ours:?}");
    for link in &ours {
        fs::remove_file(link).expect("it is there");
    }
    pin_program(&site, &ours[0]);
    pin_map(&ours[1]);
    pin_program(&site, &links.join("foreign"));
    tests::wait::until_true("the programs to go", || site.interface("up0").xdp.is_empty());
    assert_eq!(site.attached(), [("up0".to_owned(), None, None)], "what is no link is no link");
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached again");
    assert_eq!(site.interface("up0").xdp.len(), 1);
    site.detach();
    assert_eq!(site.interface("up0").xdp, []);
}

/// A pin in the place of a gateway's directory is no gateway: attaching says so, and detaching all
/// makes room, also for what an interrupted detach left of it.
#[test]
fn a_pin_in_place_of_a_gateway_is_removed_with_all() {
    let site = Site::new();
    let root = site.bpffs.path().join("eigw");
    fs::create_dir(&root).expect("made");
    pin_map(&root.join("wan"));
    let attach = || site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto);
    let refusal = attach().unwrap_err();
    assert!(matches!(refusal, DatapathError::Bpffs { .. }), "{refusal}");
    assert!(site.open().is_err());
    assert_eq!(site.bpffs.entries(), [root.join("wan")], "nothing else is left");
    assert_eq!(site.interface("up0").xdp, []);
    let outcome = datapath::detach_all(site.bpffs.path()).expect("detached");
    assert_eq!(outcome.detached, ["wan"]);
    pin_map(&root.join("wan+detaching"));
    attach().expect("the leftover is cleared away");
    site.detach();
}

/// A pin in the place of the directory of all gateways is named.
#[test]
fn a_pin_in_place_of_the_root_is_named() {
    let site = Site::new();
    let root = site.bpffs.path().join("eigw");
    pin_map(&root);
    let refusal = site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).unwrap_err();
    let text = refusal.to_string();
    assert!(matches!(refusal, DatapathError::Bpffs { .. }), "{text}");
    assert!(text.contains(&root.display().to_string()), "{text}");
    assert_eq!(datapath::list(site.bpffs.path()).expect("read"), []);
    datapath::detach_all(site.bpffs.path()).expect("nothing to detach");
    assert!(root.exists(), "what is not ours stays");
}

/// Each map that is missing, or a directory, is named; the uplink stays protected meanwhile.
#[test]
fn every_missing_map_is_named() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let maps = site.map(name::CONFIG).parent().expect("a directory").to_owned();
    let aside = site.bpffs.path().join("aside");
    let paths: Vec<PathBuf> =
        fs::read_dir(maps).expect("a directory").flatten().map(|it| it.path()).collect();
    assert!(paths.len() >= 30, "{paths:?}");
    for path in paths {
        fs::rename(&path, &aside).expect("it is a pin");
        expect_damaged(&site, &path);
        fs::create_dir(&path).expect("made");
        expect_damaged(&site, &path);
        fs::remove_dir(&path).expect("it is empty");
        fs::rename(&aside, &path).expect("it is a pin");
        site.open().unwrap_or_else(|error| panic!("{} is back: {error}", path.display()));
    }
    assert_eq!(site.interface("up0").xdp.len(), 1);
    site.detach();
}

fn expect_damaged(site: &Site, path: &Path) {
    let error = site.open().map(drop).unwrap_err();
    assert!(
        matches!(&error, DatapathError::Damaged { path: named, .. } if named == path),
        "{}: {error}",
        path.display()
    );
}

/// The kernel neither pins nor opens anything on a file system that is mounted read-only: every
/// command says so, the uplink stays protected, and all goes on when it can be written again.
#[test]
fn a_read_only_file_system_is_named() {
    let site = Site::new();
    let remount = |flags| {
        let flags = MsFlags::MS_REMOUNT | flags;
        mount(None::<&str>, site.bpffs.path(), None::<&str>, flags, None::<&str>)
            .expect("remounted");
    };
    let attach = || site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto);
    remount(MsFlags::MS_RDONLY);
    expect_read_only(&attach().unwrap_err());
    assert_eq!(site.interface("up0").xdp, []);
    remount(MsFlags::empty());
    attach().expect("attached");
    remount(MsFlags::MS_RDONLY);
    expect_read_only(&attach().unwrap_err());
    expect_read_only(&site.open().map(drop).unwrap_err());
    assert_eq!(site.interface("up0").xdp.len(), 1);
    expect_read_only(&datapath::detach(site.bpffs.path(), &site.name).unwrap_err());
    remount(MsFlags::empty());
    site.detach();
    assert_eq!(site.interface("up0").xdp, []);
}

fn expect_read_only(error: &DatapathError) {
    let text = error.to_string();
    assert!(text.contains("Read-only file system") && text.contains("remount,rw"), "{text}");
}

/// Whose directory it is and who may write there does not matter to root; directories that daemons
/// and observers left behind without holding them do not either.
#[test]
fn owners_and_stale_locks_do_not_matter() {
    /// `nobody`, by convention.
    const NOBODY: u32 = 65_534;
    let site = Site::new();
    let root = site.bpffs.path().join("eigw");
    fs::create_dir(&root).expect("made");
    chown(&root, Some(NOBODY), Some(NOBODY)).expect("root may");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o000)).expect("root may");
    for stale in ["wan+daemon", "wan+observer0"] {
        fs::create_dir(root.join(stale)).expect("made");
    }
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    assert!(!root.join("wan+daemon").exists() && !root.join("wan+observer0").exists());
    fs::create_dir(root.join("wan+daemon")).expect("made");
    assert!(!datapath::has_daemon(site.bpffs.path(), &site.name), "nobody holds it");
    site.detach();
}

/// Reading does not wait for a command that hangs.
#[test]
fn a_lock_that_nobody_lets_go_of_does_not_keep_anybody_from_reading() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let lock = File::open(site.bpffs.path().join("eigw")).expect("a directory");
    lock.lock().expect("nobody else has it");
    assert!(!datapath::has_daemon(site.bpffs.path(), &site.name));
    let daemon = site.bpffs.path().join("eigw/wan+daemon");
    fs::create_dir(&daemon).expect("made");
    assert!(!datapath::has_daemon(site.bpffs.path(), &site.name), "nobody holds it");
    let held = File::open(&daemon).expect("a directory");
    held.lock().expect("nobody else has it");
    assert!(datapath::has_daemon(site.bpffs.path(), &site.name), "this process holds it");
    drop((held, lock));
    site.detach();
}

fn pin_program(site: &Site, to: &Path) {
    let clock = site.map(name::CONFIG).ancestors().nth(2).expect("a directory").join("programs");
    let mut program = SchedClassifier::from_pin(clock.join(name::CLOCK)).expect("a program");
    program.pin(to).expect("pinned");
}

fn pin_map(to: &Path) {
    let array = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let map = MapData::create(aya_obj::Map::new_from_params(array, 4, 8, 1, 0), "foreign", None);
    map.expect("a map").pin(to).expect("pinned");
}
