//! `eigw top`: what it shows, and what it does to a terminal.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use gateway_common::tuple::Family;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    eigw::{Hook, binary},
    socket,
    topology::{INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

/// The screen before the one of a program that fills it comes back.
const LEAVE_SCREEN: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// The greatest talker comes first, with rates; what flows carried is what `flow show` says.
#[test]
fn talkers_have_their_rates_and_their_sums() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let _services = [Family::Ipv4, Family::Ipv6]
        .map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (family, bytes) in [(Family::Ipv4, 20), (Family::Ipv6, 900)] {
            let (lab, is_over) = (&lab, &is_over);
            scope.spawn(move || {
                let server = OUTSIDE.port(family, 7);
                let client = socket::udp_client(&lab.inside, server, PATIENCE).expect("a socket");
                while !is_over.load(Ordering::Relaxed) {
                    client.send(&vec![0; bytes]).expect("sent");
                    client.recv(&mut [0; 2_000]).expect("an answer");
                    thread::sleep(Duration::from_millis(2));
                }
            });
        }
        wait::until_true("both flows", || lab.flows().len() == 2);
        let top = lab.eigw_json(&["top", "--once", "--interval", "0.5"]);
        is_over.store(true, Ordering::Relaxed);
        let talkers: Vec<_> = names(&top["talkers"]);
        let [v4, v6] = [Family::Ipv4, Family::Ipv6].map(|family| INSIDE.ip(family).to_string());
        assert_eq!(talkers, [v6, v4], "{top:#}");
        for list in ["talkers", "destinations", "flows"] {
            for line in top[list].as_array().expect("an array") {
                for rate in ["packets_out_per_sec", "bits_out_per_sec", "bits_in_per_sec"] {
                    assert!(line[rate].as_f64() > Some(0.0), "{rate} of {line:#}");
                }
            }
        }
        assert!(top["inbound"]["packets_per_sec"].as_f64() > Some(0.0), "{top:#}");
        assert!(top["interval_ms"].as_u64() >= Some(500), "{top:#}");
        assert_eq!(top["uplinks"][0]["hook"], "xdp", "{top:#}");
    });
    let top = lab.eigw_json(&["top", "--once", "--interval", "0.1"]);
    let flows = lab.flows();
    for field in ["packets_out", "bytes_out", "packets_in", "bytes_in"] {
        let sum: u64 = flows.iter().map(|flow| flow[field].as_u64().expect("a number")).sum();
        assert_eq!(top["total"][field], sum, "{field}: {top:#}");
        for list in ["talkers", "destinations", "flows"] {
            let lines = top[list].as_array().expect("an array").iter();
            let of_list = lines.map(|line| line[field].as_u64().expect("a number"));
            assert_eq!(of_list.sum::<u64>(), sum, "{field} of {list}: {top:#}");
        }
    }
    let filtered = lab.eigw_json(&[
        "top",
        "--once",
        "--interval",
        "0.1",
        "--local",
        &INSIDE.ip(Family::Ipv4).to_string(),
    ]);
    assert_eq!(names(&filtered["talkers"]), [INSIDE.ip(Family::Ipv4).to_string()]);
    let screen = lab.eigw(&["top", "--interval", "0.1"]).success();
    assert!(screen.contains("gateway wan") && screen.contains("[1 talkers]"), "{screen}");
    assert!(!screen.contains('\x1b'), "{screen:?}");
}

/// Keys work, and the terminal is as before after `q` and after a signal.
#[test]
fn the_terminal_is_as_before_however_it_ends() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    for signal in [None, Some(Signal::SIGTERM)] {
        let mut session = Session::start(&lab);
        session.expect("[1 talkers]");
        session.press("4");
        session.expect("REASON");
        session.press("?");
        // Blanks are not drawn where there were some before.
        session.expect("shorter");
        match signal {
            None => {
                session.press("x");
                session.press("q");
            }
            Some(signal) => kill(session.pid(), signal).expect("eigw runs"),
        }
        let shown = session.end();
        let after = shown.rsplit_once(LEAVE_SCREEN).unwrap_or_else(|| panic!("{shown:?}")).1;
        assert!(shown.contains(SHOW_CURSOR), "{shown:?}");
        assert!(after.contains("ended with 0"), "{after:?}");
        let settings: Vec<_> = after.split_whitespace().collect();
        for mode in ["icanon", "echo", "isig"] {
            assert!(settings.contains(&mode), "no {mode} in {after}");
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    let lines = list.as_array().expect("an array").iter();
    lines.map(|line| line["name"].as_str().expect("a name")).collect()
}

/// `eigw top` on a terminal of its own, and what it wrote there.
struct Session {
    directory: TempDir,
    script: Child,
}

impl Session {
    fn start(lab: &Lab) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let command = format!(
            "stty rows 24 cols 80; \
             sh -c 'echo $$ >{pid}; exec {eigw} --netns {netns} --bpffs {bpffs} top --interval 0.1'; \
             echo ended with $?; stty -a",
            pid = path("pid"),
            eigw = binary().display(),
            netns = lab.gateway.name(),
            bpffs = lab.bpffs.path().display(),
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--command", &command]).arg(path("typescript"));
        script.stdin(Stdio::piped()).stdout(Stdio::null()).env("TERM", "xterm");
        Self { script: script.spawn().expect("script starts"), directory }
    }

    fn pid(&self) -> Pid {
        let text = fs::read_to_string(self.directory.path().join("pid")).expect("it runs");
        Pid::from_raw(text.trim().parse().expect("a number"))
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.script.stdin.as_mut().expect("it is a pipe");
        stdin.write_all(keys.as_bytes()).expect("script reads");
    }

    fn shown(&self) -> String {
        let bytes = fs::read(self.directory.path().join("typescript")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn expect(&self, part: &str) {
        wait::until_true(&format!("'{part}' on the screen"), || self.shown().contains(part));
    }

    /// Waits for the end.
    fn end(&mut self) -> String {
        wait::until("the end", || self.script.try_wait().expect("it is our child"));
        self.shown()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        _ = self.script.kill();
        _ = self.script.wait();
    }
}
