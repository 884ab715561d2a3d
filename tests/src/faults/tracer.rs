//! Programs that run under the eyes of a tracer, which can stop, kill or deceive them at every
//! system call.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _},
    process::{Command, Stdio},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{self, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{eigw::Answer, sys};

/// A system call that is about to happen, or just happened.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number, as in `libc::SYS_bpf`.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Whose it is.
    tracee: Pid,
}

impl Call {
    /// Four bytes of the caller's memory, as a number; zero if there is no such memory.
    #[must_use]
    pub fn u32_at(&self, address: u64) -> u32 {
        let word = ptrace::read(self.tracee, address as ptrace::AddressType).unwrap_or_default();
        let [a, b, c, d, ..] = word.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d])
    }
}

/// Where in a system call a program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it has happened.
    Before,
    /// It is done, and the program has not seen what came of it.
    After,
}

/// What to do to a program that stands at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Let it go on.
    GoOn,
    /// Kill it with all its threads.
    Kill,
    /// The call does not happen, and its caller gets this error. Only before it.
    Refuse(Errno),
}

/// How a traced program ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What it left. There is no exit code if it was killed.
    pub answer: Answer,
    /// Whether a reaction killed it.
    pub is_killed: bool,
}

/// Runs a program and asks `react` at the beginning and at the end of each of its system calls,
/// whichever thread or child makes them. All threads of other calls go on meanwhile.
///
/// # Panics
/// If the program cannot be traced.
pub fn run(command: &mut Command, react: impl FnMut(Moment, &Call) -> Reaction + Send) -> Ending {
    // What a thread traces and waits for is its own, so that others in this process can have
    // children of theirs.
    thread::scope(|scope| scope.spawn(|| Tracer::start(command, react).run()).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Tracer<F> {
    react: F,
    program: Pid,
    /// The calls that the threads are in.
    under_way: HashMap<Pid, Option<UnderWay>>,
    output: [File; 2],
    is_killed: bool,
}

/// A call between its beginning and its end.
struct UnderWay {
    call: Call,
    refused: Option<Errno>,
}

impl<F: FnMut(Moment, &Call) -> Reaction> Tracer<F> {
    #[expect(clippy::zombie_processes, reason = "`run` waits for it, by its pid")]
    fn start(command: &mut Command, react: F) -> Self {
        let output = [(); 2].map(|()| tempfile::tempfile().expect("a temporary file"));
        let [stdout, stderr] =
            output.each_ref().map(|file| file.try_clone().expect("another descriptor"));
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child =
            sys::start_traced(command).unwrap_or_else(|error| panic!("trace {command:?}: {error}"));
        let program = Pid::from_raw(child.id().cast_signed());
        let first = waitpid(program, Some(WaitPidFlag::__WALL)).expect("it is our child");
        assert!(matches!(first, WaitStatus::Stopped(..)), "the program is traced: {first:?}");
        ptrace::setoptions(
            program,
            Options::PTRACE_O_TRACESYSGOOD
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_EXITKILL,
        )
        .expect("it stands still");
        let tracer = Self { react, program, under_way: HashMap::new(), output, is_killed: false };
        Self::resume(program, None);
        tracer
    }

    fn run(mut self) -> Ending {
        let mut code = None;
        loop {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let status = match waitpid(None, Some(flags)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                // None of our children are left: all that we traced has ended.
                Err(_) => break,
            };
            match status {
                WaitStatus::Exited(pid, exit_code) if pid == self.program => code = Some(exit_code),
                WaitStatus::PtraceSyscall(pid) => {
                    self.meet(pid);
                    Self::resume(pid, None);
                }
                WaitStatus::PtraceEvent(pid, ..) => Self::resume(pid, None),
                WaitStatus::Stopped(pid, signal) => {
                    // A new thread begins with this signal, which nobody sent.
                    let is_new = self.under_way.insert(pid, None).is_none();
                    let signal = Some(signal).filter(|&it| !is_new || it != Signal::SIGSTOP);
                    Self::resume(pid, signal);
                }
                WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive => {}
            }
        }
        let [stdout, stderr] = self.output.map(|mut file| {
            let mut text = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut text)).expect("it is a file");
            String::from_utf8_lossy(&text).into_owned()
        });
        Ending { answer: Answer { code, stdout, stderr }, is_killed: self.is_killed }
    }

    /// A thread stands at the beginning or the end of a system call.
    fn meet(&mut self, pid: Pid) {
        // A thread that was killed meanwhile has no registers any more.
        let Ok(registers) = ptrace::getregs(pid) else { return };
        let entered = self.under_way.get_mut(&pid).and_then(Option::take);
        let Some(UnderWay { call, refused }) = entered else {
            let call = Call {
                number: registers.orig_rax.cast_signed(),
                arguments: [
                    registers.rdi,
                    registers.rsi,
                    registers.rdx,
                    registers.r10,
                    registers.r8,
                    registers.r9,
                ],
                tracee: pid,
            };
            let refused = match self.ask(Moment::Before, &call) {
                Reaction::Refuse(errno) => {
                    // There is no such call, so nothing happens.
                    let nothing = libc::user_regs_struct { orig_rax: u64::MAX, ..registers };
                    ptrace::setregs(pid, nothing).expect("the thread stands still");
                    Some(errno)
                }
                Reaction::GoOn | Reaction::Kill => None,
            };
            self.under_way.insert(pid, Some(UnderWay { call, refused }));
            return;
        };
        if let Some(errno) = refused {
            let rax = (-i64::from(errno as i32)).cast_unsigned();
            let failed = libc::user_regs_struct { rax, ..registers };
            ptrace::setregs(pid, failed).expect("the thread stands still");
        }
        self.ask(Moment::After, &call);
    }

    fn ask(&mut self, moment: Moment, call: &Call) -> Reaction {
        let reaction = (self.react)(moment, call);
        if reaction == Reaction::Kill {
            self.is_killed = true;
            signal::kill(self.program, Signal::SIGKILL).expect("it is our child");
        }
        reaction
    }

    /// Lets a thread go on to the next beginning or end of a call.
    fn resume(pid: Pid, signal: Option<Signal>) {
        match ptrace::syscall(pid, signal) {
            // It was killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("resume {pid}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that makes a directory, and says so.
    fn make_directory() -> (tempfile::TempDir, Command) {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("mkdir");
        command.arg("-v").arg(home.path().join("made"));
        (home, command)
    }

    fn is_mkdir(call: &Call) -> bool {
        [libc::SYS_mkdir, libc::SYS_mkdirat].contains(&call.number)
    }

    #[test]
    fn a_program_is_killed_before_or_after_a_call() {
        for at in [Moment::Before, Moment::After] {
            let (home, mut command) = make_directory();
            let ending = run(&mut command, |moment, call| {
                if moment == at && is_mkdir(call) { Reaction::Kill } else { Reaction::GoOn }
            });
            assert!(ending.is_killed && ending.answer.code.is_none(), "{ending:?}");
            assert_eq!(home.path().join("made").exists(), at == Moment::After, "{at:?}");
        }
    }

    #[test]
    fn a_call_is_refused_and_the_program_sees_why() {
        let (home, mut command) = make_directory();
        let ending = run(&mut command, |_, call| {
            if is_mkdir(call) { Reaction::Refuse(Errno::ENOSPC) } else { Reaction::GoOn }
        });
        assert_eq!(ending.answer.code, Some(1), "{ending:?}");
        assert!(ending.answer.stderr.contains("No space left"), "{ending:?}");
        assert!(!ending.is_killed && !home.path().join("made").exists());
    }

    #[test]
    fn a_program_that_is_left_alone_runs_to_its_end() {
        let (home, mut command) = make_directory();
        let mut seen = [0; 2];
        let ending = run(&mut command, |moment, call| {
            seen[usize::from(moment == Moment::After)] += u32::from(is_mkdir(call));
            Reaction::GoOn
        });
        assert_eq!(ending.answer.code, Some(0), "{ending:?}");
        assert!(!ending.answer.stdout.is_empty() && home.path().join("made").exists());
        assert_eq!(seen, [1, 1]);
    }
}
