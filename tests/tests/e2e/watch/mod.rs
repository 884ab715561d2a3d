//! Watching a gateway: `drop watch`, `drop capture` and `flow watch`.

mod capture;
mod drops;
mod flows;
mod places;

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
};

use aya::maps::{Array, Map, MapData};
use gateway_common::{abi::name, limits::OBSERVERS_MAX, observe::Watch, tuple::Family};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    eigw::NAME,
    packet::{Packet, flag},
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait,
};

/// A command that watches, in the background.
struct Watcher {
    child: Child,
    directory: TempDir,
}

impl Watcher {
    /// Starts a command, and returns when the packet path knows what it wants to see.
    #[track_caller]
    fn start(lab: &Lab, arguments: &[&str]) -> Self {
        let before = watched_places(lab).len();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name| File::create(directory.path().join(name)).expect("the directory is ours");
        let mut command = lab.eigw_command(arguments);
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().expect("eigw starts");
        let mut this = Self { child, directory };
        wait::until_true(&format!("{arguments:?} to watch"), || {
            if let Some(status) = this.child.try_wait().expect("it is our child") {
                panic!("{arguments:?} ended with {status}: {}", this.stderr());
            }
            watched_places(lab).len() == before + 1
        });
        this
    }

    /// What it has printed so far, a document in each line; the last one may not be whole.
    #[track_caller]
    fn documents(&self) -> Vec<Value> {
        let text = self.stdout();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
            })
            .collect()
    }

    /// Interrupts it, and returns what it printed: what it has seen, and at last what is missing.
    #[track_caller]
    fn interrupt(mut self) -> (Vec<Value>, Value) {
        let status = self.end(Signal::SIGINT);
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
        self.ended()
    }

    /// What a command that has ended by itself printed.
    #[track_caller]
    fn ended(&self) -> (Vec<Value>, Value) {
        let mut documents = self.documents();
        let missing = documents.pop().expect("the last document tells what is missing");
        assert_eq!(missing["event"], "missing", "{missing}");
        documents.retain(|document| document["event"] != "missing");
        (documents, missing)
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> ExitStatus {
        self.send(signal);
        self.wait()
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        wait::until("a watcher to end", || self.child.try_wait().expect("it is our child"))
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("it is our child");
    }

    fn stdout(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).expect("text")
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).expect("text")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The places at which somebody is watching.
fn watched_places(lab: &Lab) -> Vec<usize> {
    let watches: Array<MapData, Watch> = array(lab, name::WATCHES);
    let wants = |place: &usize| {
        let place = u32::try_from(*place).expect("there are few");
        watches.get(&place, 0).expect("it can be read").wants
    };
    let places: Vec<_> = (0..OBSERVERS_MAX).filter(|place| wants(place) != 0).collect();
    let all = places.iter().fold(0, |all, place| all | wants(place));
    // Between two writes they differ; then the places are asked for again.
    if observed(lab) == all { places } else { watched_places(lab) }
}

/// What the packet path looks at for every packet.
fn observed(lab: &Lab) -> u32 {
    let observed: Array<MapData, u32> = array(lab, name::OBSERVED);
    observed.get(&0, 0).expect("it can be read")
}

fn array<V: aya::Pod>(lab: &Lab, name: &str) -> Array<MapData, V> {
    let path: PathBuf = [lab.bpffs.path().to_str().expect("text"), "eigw", NAME, "maps", name]
        .into_iter()
        .collect();
    let map = MapData::from_pin(path).expect("the map is pinned");
    Map::from_map_data(map).and_then(Array::try_from).expect("an array")
}

/// A packet from outside to inside, as the router forwards it.
fn inbound(family: Family) -> Packet {
    Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC)
}

/// A SYN that nobody asked for.
fn syn(family: Family, source_port: u16, destination_port: u16) -> Vec<u8> {
    inbound(family).tcp(source_port, destination_port, flag::SYN).frame()
}
