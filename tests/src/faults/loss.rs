//! Interfaces that go away while a command works on them.

use std::{fmt, process::Command, time::Instant};

use nix::errno::Errno;

use super::{
    boundary::Boundary,
    job::{Job, Way},
    site::{done, left_on, no_pins},
    sweep::{Row, Sample},
    tracer::{self, Ending, Moment, Reaction},
};
use crate::{
    bpffs::Bpffs,
    config::ConfigFile,
    eigw::{Answer, binary},
    netns::Netns,
    unique,
};

/// What happens to the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is removed.
    Removed,
    /// It gets another name.
    Renamed,
    /// It is moved to another network namespace.
    Moved,
    /// It is removed, and there is another one of its name.
    Replaced,
}

impl Loss {
    /// Every way to lose an interface.
    pub const ALL: [Self; 4] = [Self::Removed, Self::Renamed, Self::Moved, Self::Replaced];
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Moved => "moved",
            Self::Replaced => "replaced",
        })
    }
}

/// Does a job again and again, and takes the uplink away at one boundary after the other.
///
/// # Panics
/// If the job does not even work undisturbed.
#[must_use]
pub fn lose(job: Job, way: Way, loss: Loss, sample: Sample) -> Row {
    let begun = Instant::now();
    let place = Place::new(way);
    let boundaries = place
        .boundaries(job)
        .unwrap_or_else(|error| panic!("{job} by {way} does not work: {error}"));
    let mut row = Row { boundaries: boundaries.len(), ..Row::default() };
    for number in sample.of(boundaries.len()) {
        row.tried += 1;
        match place.attempt(job, loss, number, &mut row) {
            Ok(outcome) => *row.outcomes.entry(outcome.to_owned()).or_default() += 1,
            Err(finding) => {
                let boundary = boundaries[number];
                row.findings.push(format!(
                    "{job} by {way}, uplink {loss} at {number} ({boundary}): {finding}"
                ));
                _ = place.eigw(&["detach", "--all"]);
                place.remove();
            }
        }
    }
    row.took = begun.elapsed();
    row
}

/// The interface, under the name that it has at first.
const UPLINK: &str = "up0";
/// The name that it gets.
const RENAMED: &str = "up9";

/// A host with one interface, and another place for that.
struct Place {
    host: Netns,
    elsewhere: Netns,
    bpffs: Bpffs,
    file: ConfigFile,
    way: Way,
}

impl Place {
    fn new(way: Way) -> Self {
        let stem = unique::stem();
        let text = "[gateway]\nuplinks = [\"up0\"]\nname = \"wan\"\n\
                    [flows]\nhalf_open_max = 1024\nestablished_max = 1024\n";
        Self {
            host: Netns::new(&format!("{stem}-host")),
            elsewhere: Netns::new(&format!("{stem}-elsewhere")),
            bpffs: Bpffs::new(),
            file: ConfigFile::new(text),
            way,
        }
    }

    fn boundaries(&self, job: Job) -> Result<Vec<Boundary>, String> {
        self.build();
        self.prepare(job)?;
        let mut boundaries = Vec::new();
        let ending = self.perform(job, |boundary| boundaries.push(boundary));
        done(&ending.answer)?;
        done(&self.eigw(&["detach", "--all"]))?;
        self.remove();
        Ok(boundaries)
    }

    fn attempt(
        &self,
        job: Job,
        loss: Loss,
        number: usize,
        row: &mut Row,
    ) -> Result<&'static str, String> {
        self.build();
        self.prepare(job)?;
        let mut met = 0;
        let answer = self
            .perform(job, |_| {
                met += 1;
                if met == number + 1 {
                    self.apply(loss);
                }
            })
            .answer;
        let text = answer.stderr.trim();
        let outcome = match answer.code {
            Some(0) => "done",
            Some(1) if !text.is_empty() && !text.contains("panicked") => "refused",
            other => return Err(format!("it ended with {other:?}: {text}")),
        };
        if outcome == "refused" {
            *row.complaints.entry(text.to_owned()).or_default() += 1;
            if job == Job::Attach {
                no_pins(&self.bpffs).map_err(|what| format!("after {text:?}: {what}"))?;
            }
        }
        done(&self.eigw(&["status"]))?;
        done(&self.eigw(&["detach", "--all"]))?;
        no_pins(&self.bpffs)?;
        match loss {
            Loss::Removed => {}
            Loss::Renamed => left_on(&self.host, RENAMED)?,
            Loss::Moved => left_on(&self.elsewhere, UPLINK)?,
            Loss::Replaced => left_on(&self.host, UPLINK)?,
        }
        self.remove();
        Ok(outcome)
    }

    fn build(&self) {
        self.host.ip(&format!(
            "link add {UPLINK} type veth peer name pe0 netns {}\nlink set {UPLINK} up",
            self.elsewhere.name()
        ));
    }

    fn apply(&self, loss: Loss) {
        match loss {
            Loss::Removed => self.host.ip(&format!("link delete {UPLINK}")),
            // Interfaces that are up may be renamed since Linux 6.2, and before that not.
            Loss::Renamed => self.host.ip(&format!(
                "link set {UPLINK} down\nlink set {UPLINK} name {RENAMED}\nlink set {RENAMED} up"
            )),
            Loss::Moved => {
                self.host.ip(&format!("link set {UPLINK} netns {}", self.elsewhere.name()));
            }
            Loss::Replaced => {
                self.host.ip(&format!("link delete {UPLINK}"));
                self.build();
            }
        }
    }

    /// Removes the interface, wherever it is, by its other end.
    fn remove(&self) {
        let mut command = Command::new("ip");
        command.args(["link", "delete", "pe0"]);
        // It may be gone already.
        _ = self.elsewhere.output(&mut command).expect("ip (iproute2) starts");
    }

    fn prepare(&self, job: Job) -> Result<(), String> {
        match job {
            Job::Attach => Ok(()),
            Job::Again | Job::Reload | Job::Confirm | Job::Repair | Job::Detach => {
                done(&self.perform(Job::Attach, |_| ()).answer)
            }
        }
    }

    fn perform(&self, job: Job, mut meet: impl FnMut(Boundary) + Send) -> Ending {
        let path = self.file.path();
        let arguments = match job {
            Job::Attach | Job::Again => vec!["attach", "-c", path, "--hook", self.way.hook()],
            Job::Reload => vec!["reload", "-c", path],
            Job::Detach => vec!["detach", "--name", "wan"],
            Job::Confirm | Job::Repair => unreachable!("no interface is lost in {job}"),
        };
        tracer::run(&mut self.command(&arguments), |moment, call| {
            if moment == Moment::After {
                return Reaction::GoOn;
            }
            if self.way == Way::Clsact && Boundary::is_tcx(call) {
                return Reaction::Refuse(Errno::EINVAL);
            }
            if let Some(boundary) = Boundary::of(call) {
                meet(boundary);
            }
            Reaction::GoOn
        })
    }

    fn eigw(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().expect("eigw starts").into()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(["--netns", self.host.name(), "--bpffs"]).arg(self.bpffs.path());
        command.args(arguments);
        command
    }
}
