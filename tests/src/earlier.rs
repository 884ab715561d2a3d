//! A gateway of the version before this one.
//!
//! `EIGW_EARLIER` may name that version's binary, which attaches it then; `cargo xtask upgrade`
//! builds one. Otherwise `fixtures/` has that version's BPF programs, as its build made them but for
//! debug information: a gateway of this version gets them in the places of its own, and loses the
//! maps that version did not have. The programs, the maps that they declare, the pins and `META` are
//! then what that version leaves behind.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, Map, MapData},
    programs::{
        SchedClassifier, Xdp,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use aya_obj::Object;
use gateway_common::{abi::name, config::Config};

use crate::{
    eigw::{Answer, Hook, NAME, binary},
    topology::{Lab, UPLINK},
};

/// That version's layout of maps.
pub const ABI: u32 = 4;
/// What this version added.
const ADDED: [&str; 2] = [name::PRESENCE, name::PRESENCE_CONTROL];
const META: &str = "META";
/// The operator decides how many entries these have.
const SIZED: [&str; 3] = [name::HALF_OPEN, name::ESTABLISHED, name::OVERFLOW];

/// How `META` stores its value, and where in it the layout's version is.
type MetaWords = [u64; 69];
const ABI_WORD: usize = 1;

/// Attaches a gateway of the earlier version to the lab's uplink, after which `prepare` was done with
/// it, by that version or another with the same tables: it is given a way to run `eigw`.
///
/// # Panics
/// If that fails.
pub fn attach(lab: &Lab, hook: Hook, prepare: impl FnOnce(&dyn Fn(&[&str]) -> String)) {
    let named = env::var_os("EIGW_EARLIER");
    let program = named.clone().unwrap_or_else(|| OsString::from(binary()));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--netns", lab.gateway.name(), "--bpffs"]).arg(lab.bpffs.path());
        let output = command.args(arguments).output();
        Answer::from(output.unwrap_or_else(|error| panic!("start {command:?}: {error}"))).success()
    };
    run(&["attach", "--uplink", UPLINK, "--name", NAME, "--hook", hook.name()]);
    prepare(&run);
    if named.is_none() {
        replace(lab);
    }
    assert_eq!(meta_of(lab).get(&0, 0).expect("META has a value")[ABI_WORD], u64::from(ABI));
}

/// Makes the gateway of this version one of the earlier version, without a gap.
///
/// # Panics
/// If a map that both have differs, or the kernel refuses.
pub fn replace(lab: &Lab) {
    let maps = directory(lab).join("maps");
    expect_same_maps(&maps);
    // First: this version's programs go by it as well.
    let mut config: Array<MapData, Config> = open(&maps.join(name::CONFIG));
    for slot in 0..2 {
        let value = config.get(&slot, 0).expect("the configuration is readable");
        if value.is_valid() {
            config.set(slot, Config { abi_version: ABI, ..value }, 0).expect("written");
        }
    }
    let mut programs = load(&maps);
    for link in files(&directory(lab).join("links")) {
        attach_to(&mut programs, &link);
    }
    for pin in files(&directory(lab).join("programs")) {
        let name = pin.file_name().and_then(|name| name.to_str()).expect("a name of ASCII");
        fs::remove_file(&pin).expect("the pin goes");
        programs.program_mut(name).expect("it is in the object").pin(&pin).expect("pinned");
    }
    for map in ADDED {
        fs::remove_file(maps.join(map)).expect("the pin goes");
    }
    set_abi(lab, ABI);
}

/// Has the gateway claim to be of a version.
///
/// # Panics
/// If it is none.
pub fn set_abi(lab: &Lab, abi: u32) {
    let mut meta = meta_of(lab);
    let mut words = meta.get(&0, 0).expect("META has a value");
    words[ABI_WORD] = abi.into();
    meta.set(0, words, 0).expect("written");
}

/// Where the lab's gateway is pinned.
#[must_use]
pub fn directory(lab: &Lab) -> PathBuf {
    lab.bpffs.path().join("eigw").join(NAME)
}

/// The object of the earlier version.
fn object() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| {
        let path = format!("{}/fixtures/abi-{ABI}.o.gz", env!("CARGO_MANIFEST_DIR"));
        let mut gzip = Command::new("gzip");
        let output = gzip.args(["-dc", &path]).stdin(Stdio::null()).output().expect("gzip starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    })
}

/// Makes sure that every pinned map is what the earlier version declares, and none is missing.
fn expect_same_maps(maps: &Path) {
    let object = Object::parse(object()).expect("the object is valid");
    for pin in files(maps) {
        let name = pin.file_name().and_then(|name| name.to_str()).expect("a name of ASCII");
        if name == META || ADDED.contains(&name) {
            continue;
        }
        let declared = object.maps.get(name).unwrap_or_else(|| panic!("{name} is new"));
        let info = MapData::from_pin(&pin).and_then(|map| map.info()).expect("a map");
        assert_eq!(
            (info.key_size(), info.value_size()),
            (declared.key_size(), declared.value_size()),
            "{name}"
        );
        if !SIZED.contains(&name) {
            assert_eq!(info.max_entries(), declared.max_entries(), "{name}");
        }
    }
}

/// Loads the earlier version's programs with the maps of a gateway.
fn load(maps: &Path) -> Ebpf {
    let pins = files(maps);
    let mut loader = EbpfLoader::new();
    loader.override_global("AYA_LOG_LEVEL", &0_u8, true);
    for pin in &pins {
        let name = pin.file_name().and_then(|name| name.to_str()).expect("a name of ASCII");
        loader.map_pin_path(name, pin);
    }
    let mut object = loader.load(object()).expect("the object loads");
    xdp(&mut object).load().expect("the verifier accepts it");
    for program in [name::INGRESS_TC, name::EGRESS_TC, name::CLOCK, name::FORGET, name::RECLAIM] {
        classifier(&mut object, program).load().expect("the verifier accepts it");
    }
    object
}

/// Puts the program that belongs there into a link, whose pin tells the hook.
fn attach_to(programs: &mut Ebpf, pin: &Path) {
    let link = FdLink::from(PinnedLink::from_pin(pin).expect("a link"));
    let name = pin.file_name().and_then(|name| name.to_str()).expect("a name of ASCII");
    if name.ends_with("ingress_xdp") {
        let link = XdpLink::try_from(link).expect("an XDP link");
        xdp(programs).attach_to_link(link).expect("replaced");
        return;
    }
    let program = if name.ends_with("egress_tcx") { name::EGRESS_TC } else { name::INGRESS_TC };
    let link = link.try_into().expect("a TC link");
    classifier(programs, program).attach_to_link(link).expect("replaced");
}

fn xdp(object: &mut Ebpf) -> &mut Xdp {
    let program = object.program_mut(name::INGRESS_XDP).expect("it is in the object");
    program.try_into().expect("it is an XDP program")
}

fn classifier<'a>(object: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    let program = object.program_mut(name).expect("it is in the object");
    program.try_into().expect("it is a classifier")
}

fn meta_of(lab: &Lab) -> Array<MapData, MetaWords> {
    open(&directory(lab).join("maps").join(META))
}

fn open<V: Pod>(pin: &Path) -> Array<MapData, V> {
    let map = MapData::from_pin(pin).and_then(Map::from_map_data);
    map.and_then(TryInto::try_into).unwrap_or_else(|error| panic!("{}: {error}", pin.display()))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of the gateway");
    entries.map(|entry| entry.expect("it is readable").path()).collect()
}
