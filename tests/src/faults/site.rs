//! A gateway with a live flow through it and somebody outside who wants in.

use std::{
    cell::Cell,
    fmt, io,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Command,
};

use gateway_common::tuple::Family;
use gateway_userspace::{
    datapath::{self, GatewayName, HookChoice, HookProgram, RepairRequest},
    net::interface,
};
use nix::errno::Errno;

use super::{
    boundary::Boundary,
    job::{Job, Way},
    tracer::{self, Call, Ending, Moment, Reaction},
};
use crate::{
    bpffs::Bpffs,
    config::ConfigFile,
    eigw::{Answer, NAME},
    netns::Netns,
    socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::{self, PATIENCE},
};

/// What a gateway does to its uplink, as `eigw status` tells and packets confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// There is none, and everything passes.
    Nothing,
    /// There is one, and everything passes.
    Standby,
    /// There is one, what comes in meets no program of it, and so everything passes.
    Lacking,
    /// It protects.
    Armed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "open",
            Self::Standby => "standby",
            Self::Lacking => "lacking",
            Self::Armed => "protected",
        })
    }
}

/// Where the flow is that always goes on.
const LIVE_PORT: u16 = 7;
/// Where nobody outside has any business.
const PRIVATE_PORT: u16 = 9;

/// A lab whose gateway is disturbed.
#[derive(Debug)]
pub struct Site {
    lab: Lab,
    way: Way,
    file: ConfigFile,
    repairer: PathBuf,
    /// The two ends of a flow that inside opened.
    live: [UdpSocket; 2],
    /// The two ends of one that outside wants to open.
    intrusion: [UdpSocket; 2],
    number: Cell<u64>,
}

impl Site {
    /// A site where nothing is attached. `repairer` is the program that [`repair`]s when it is told
    /// to by its arguments.
    ///
    /// # Panics
    /// Without root, or if the kernel lacks something.
    #[must_use]
    pub fn new(way: Way, repairer: &Path) -> Self {
        let lab = Lab::new();
        let bound = |host: &Netns, address| host.run(|| UdpSocket::bind(address)).expect("bound");
        let [server, target] = [
            bound(&lab.outside, OUTSIDE.port(Family::Ipv6, LIVE_PORT)),
            bound(&lab.inside, INSIDE.port(Family::Ipv6, PRIVATE_PORT)),
        ];
        let client = socket::udp_client(&lab.inside, server.local_addr().expect("bound"), PATIENCE);
        let client = client.expect("a socket");
        let intruder =
            socket::udp_client(&lab.outside, target.local_addr().expect("bound"), PATIENCE);
        client.send(b"hello").expect("sent");
        server.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        target.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let (_, from) = server.recv_from(&mut [0; 8]).expect("the way is open");
        server.connect(from).expect("connected");
        // Tables that take no time to make.
        let small = "[flows]\nhalf_open_max = 1024\nestablished_max = 1024\n";
        Self {
            lab,
            way,
            file: ConfigFile::of_lab(small),
            repairer: repairer.to_owned(),
            live: [client, server],
            intrusion: [intruder.expect("a socket"), target],
            number: Cell::new(0),
        }
    }

    /// How the gateway sits on its uplink.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// Brings the gateway into the state in which a job finds it.
    ///
    /// # Errors
    /// What went wrong.
    pub fn prepare(&self, job: Job) -> Result<(), String> {
        match job {
            Job::Attach => return self.clear(),
            Job::Again | Job::Reload | Job::Detach => {
                if self.told()? != State::Armed {
                    done(&self.perform(Job::Attach, |_, _| Reaction::GoOn).answer)?;
                }
            }
            Job::Confirm => {
                let arguments = [&self.attach_arguments()[..], &["--confirm", "600"]].concat();
                done(&self.lab.eigw(&arguments))?;
            }
            Job::Repair => {
                if self.told()? == State::Nothing {
                    done(&self.perform(Job::Attach, |_, _| Reaction::GoOn).answer)?;
                }
                self.rob();
            }
        }
        // The gateway may not know the flow any more, or never have.
        self.inside_first()?;
        self.inside_first()
    }

    /// Does a job under the eyes of `react`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn perform(
        &self,
        job: Job,
        mut react: impl FnMut(Moment, &Call) -> Reaction + Send,
    ) -> Ending {
        let has_no_tcx = self.way == Way::Clsact;
        tracer::run(&mut self.command(job), |moment, call| {
            if has_no_tcx && moment == Moment::Before && Boundary::is_tcx(call) {
                return Reaction::Refuse(Errno::EINVAL);
            }
            react(moment, call)
        })
    }

    /// The state of the gateway. Packets are sent to see whether it is true; when the gateway was
    /// `attached` before, outside may speak first on the live flow.
    ///
    /// # Errors
    /// What is wrong.
    ///
    /// # Panics
    /// When the target's socket cannot be told not to wait.
    pub fn examine(&self, was_attached: bool) -> Result<State, String> {
        let state = self.told()?;
        if was_attached {
            self.outside_first()?;
        }
        self.inside_first()?;
        self.outside_first()?;
        let [intruder, target] = &self.intrusion;
        let number = self.next();
        intruder.send(&number).map_err(|error| format!("the intruder cannot send: {error}"))?;
        if state == State::Armed {
            // What was sent later is there.
            self.outside_first()?;
            target.set_nonblocking(true).expect("it is a socket");
            let arrived = receive(target);
            target.set_nonblocking(false).expect("it is a socket");
            return match arrived {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(state),
                other => Err(format!("an intruder gets in although it is {state}: {other:?}")),
            };
        }
        match receive(target) {
            Ok(arrived) if arrived == number => Ok(state),
            other => Err(format!("packets are dropped although it is {state}: {other:?}")),
        }
    }

    /// Detaches everything, and makes sure that nothing is left.
    ///
    /// # Errors
    /// What is left, or why that failed.
    pub fn clear(&self) -> Result<(), String> {
        done(&self.lab.eigw(&["detach", "--all"]))?;
        self.is_clear()
    }

    /// Makes sure that nothing is left of any gateway.
    ///
    /// # Errors
    /// What is left.
    pub fn is_clear(&self) -> Result<(), String> {
        no_pins(&self.lab.bpffs)?;
        left_on(&self.lab.gateway, UPLINK)
    }

    /// Makes sure that no unfinished work of a command is left.
    ///
    /// # Errors
    /// What is left.
    pub fn is_tidy(&self) -> Result<(), String> {
        let mut entries = self.lab.bpffs.entries();
        entries.retain(|path| path.to_string_lossy().contains('+'));
        if entries.is_empty() { Ok(()) } else { Err(format!("unfinished work: {entries:?}")) }
    }

    /// What `eigw status` tells.
    fn told(&self) -> Result<State, String> {
        let answer = self.lab.eigw(&["-j", "status"]);
        done(&answer)?;
        let status: serde_json::Value =
            serde_json::from_str(&answer.stdout).map_err(|error| error.to_string())?;
        let gateways = status.as_array().ok_or_else(|| format!("status answers {status}"))?;
        let [gateway] = &gateways[..] else {
            return match gateways.len() {
                0 => Ok(State::Nothing),
                _ => Err(format!("status lists more than there is: {status}")),
            };
        };
        let uplink = &gateway["uplinks"][0];
        match gateway["mode"].as_str() {
            Some("standby") => Ok(State::Standby),
            Some("armed") if uplink["egress"].is_null() => Err(format!("no egress: {status}")),
            Some("armed") if uplink["ingress"].is_null() => Ok(State::Lacking),
            Some("armed") => Ok(State::Armed),
            _ => Err(format!("status makes no sense: {status}")),
        }
    }

    /// Inside sends on the live flow and is answered.
    fn inside_first(&self) -> Result<(), String> {
        let [client, server] = &self.live;
        self.pass("the live flow outwards", client, server)?;
        self.pass("an answer on the live flow", server, client)
    }

    /// Outside sends on the live flow.
    fn outside_first(&self) -> Result<(), String> {
        let [client, server] = &self.live;
        self.pass("the live flow inwards", server, client)
    }

    fn pass(&self, what: &str, from: &UdpSocket, to: &UdpSocket) -> Result<(), String> {
        let number = self.next();
        from.send(&number).map_err(|error| format!("{what}: cannot be sent: {error}"))?;
        match receive(to) {
            Ok(arrived) if arrived == number => Ok(()),
            other => Err(format!("{what} is broken: {other:?}")),
        }
    }

    fn next(&self) -> [u8; 8] {
        self.number.set(self.number.get() + 1);
        self.number.get().to_be_bytes()
    }

    fn command(&self, job: Job) -> Command {
        match job {
            Job::Attach | Job::Again => self.lab.eigw_command(&self.attach_arguments()),
            Job::Reload => {
                self.lab.eigw_command(&["reload", "-c", self.file.path(), "--name", NAME])
            }
            Job::Confirm => self.lab.eigw_command(&["confirm", "--name", NAME]),
            Job::Detach => self.lab.eigw_command(&["detach", "--name", NAME]),
            Job::Repair => {
                let mut command = Command::new(&self.repairer);
                command.args(["repair", self.lab.gateway.name(), self.way.hook()]);
                command.arg(self.lab.bpffs.path());
                command
            }
        }
    }

    fn attach_arguments(&self) -> [&str; 5] {
        ["attach", "-c", self.file.path(), "--hook", self.way.hook()]
    }

    /// Takes the program away that judges what comes in, as a stranger might.
    fn rob(&self) {
        if self.way == Way::Clsact {
            let mut command = Command::new("tc");
            command.args(["filter", "del", "dev", UPLINK, "ingress"]);
            let output = self.lab.gateway.output(&mut command).expect("tc (iproute2) starts");
            assert!(output.status.success(), "{output:?}");
        }
        for pin in self.lab.bpffs.entries() {
            let name = pin.file_name().unwrap_or_default().to_string_lossy();
            if pin.parent().is_some_and(|it| it.ends_with("links")) && name.contains("ingress") {
                std::fs::remove_file(&pin).expect("it was just listed");
            }
        }
        wait::until_true("the program to go", || {
            let found = programs_on(&self.lab.gateway, UPLINK);
            found.iter().all(|program| program.hook == "egress")
        });
    }
}

/// What the daemon does about an uplink that lacks a program, by a process that does nothing else.
///
/// # Errors
/// As [`datapath::repair()`], and when there is no such network namespace.
pub fn repair(netns: &str, hook: &str, bpffs: &Path) -> anyhow::Result<()> {
    let name = GatewayName::new(NAME)?;
    let hook = if hook == "tc" { HookChoice::Tc } else { HookChoice::Xdp };
    let uplinks = [UPLINK.to_owned()];
    let request = RepairRequest { bpffs, name: &name, uplinks: &uplinks, hook };
    Netns::open(netns)?.run(|| datapath::repair(&request))?;
    Ok(())
}

/// Makes sure that a command succeeded.
///
/// # Errors
/// What it said instead.
pub(super) fn done(answer: &Answer) -> Result<(), String> {
    if answer.code == Some(0) {
        return Ok(());
    }
    Err(format!("eigw failed with {:?}: {}", answer.code, answer.stderr.trim()))
}

/// Makes sure that no program and no queueing discipline for one is on an interface.
///
/// # Errors
/// What is there.
pub(super) fn no_pins(bpffs: &Bpffs) -> Result<(), String> {
    match bpffs.entries().as_slice() {
        [] => Ok(()),
        entries @ [first, ..] => {
            Err(format!("{} pins are left, such as {}", entries.len(), first.display()))
        }
    }
}

pub(super) fn left_on(host: &Netns, interface: &str) -> Result<(), String> {
    let programs = programs_on(host, interface);
    if !programs.is_empty() {
        return Err(format!("programs are left on {interface}: {programs:?}"));
    }
    let mut command = Command::new("tc");
    command.args(["qdisc", "show", "dev", interface]);
    let output = host.output(&mut command).expect("tc (iproute2) starts");
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("clsact") { Err(format!("a qdisc is left: {text}")) } else { Ok(()) }
}

fn programs_on(host: &Netns, name: &str) -> Vec<HookProgram> {
    host.run(|| {
        let interface = interface::find(name).expect("the interface exists");
        datapath::programs_on(&interface).expect("the kernel tells")
    })
}

fn receive(socket: &UdpSocket) -> io::Result<[u8; 8]> {
    let mut number = [0; 8];
    socket.recv(&mut number).map(|_| number)
}
