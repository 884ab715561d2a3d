//! Starting other programs: quick ones, long ones with a sign of life, and finding them.

use std::{
    env,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How often a long step says that it still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// How much of a failed step's output is shown.
const TAIL_LINES: usize = 40;

/// The directory of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The cargo that runs this program, started in the workspace: with no package named, it works
/// on the default members.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Cargo for what looks at the host's sources alone, so that a BPF program that does not link hides
/// nothing. A target directory of its own keeps the empty object out of builds.
pub(crate) fn cargo_without_object() -> Command {
    let mut command = cargo();
    command.env("EIGW_EBPF_SKIP", "1").env("CARGO_TARGET_DIR", workspace().join("target/lint"));
    command
}

/// Runs a quick command and returns what it printed on stdout, trimmed.
///
/// # Errors
/// When it cannot be started or fails; with what it printed on stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command on this terminal.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn attended(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{} failed: {status}", brief(command));
    }
    Ok(())
}

/// Runs a long command: says `what` happens, gives a sign of life, and shows the command's
/// output only in the error when it fails or runs into `limit`.
///
/// # Errors
/// When it cannot be started, fails or takes longer than `limit`.
pub(crate) fn step(what: &str, mut command: Command, limit: Option<Duration>) -> Result<()> {
    println!("==> {what}");
    let mut log = tempfile::tempfile().context("creating a file for a step's output")?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let status = wait(&mut child, started, limit)?;
    let seconds = started.elapsed().as_secs_f32();
    match status {
        Some(status) if status.success() => {
            println!("    done in {seconds:.1} s");
            Ok(())
        }
        Some(status) => bail!("{} failed: {status}\n{}", brief(&command), tail(&mut log)?),
        None => bail!("{} was stopped after {seconds:.0} s", brief(&command)),
    }
}

/// Looks for an executable on PATH and where system tools live, which an ordinary user's PATH
/// often leaves out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Waits for the end; `None` when the limit came first and the child was killed.
fn wait(
    child: &mut Child,
    started: Instant,
    limit: Option<Duration>,
) -> Result<Option<ExitStatus>> {
    let mut next_sign = SIGN_OF_LIFE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = started.elapsed();
        if limit.is_some_and(|limit| elapsed >= limit) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        if elapsed >= next_sign {
            println!("    still running, {} s", next_sign.as_secs());
            std::io::stdout().flush()?;
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(POLL);
    }
}

fn tail(log: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    log.seek(SeekFrom::Start(0))?;
    log.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

/// Program and arguments, without the environment that `Debug` prints.
pub(crate) fn brief(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_shows_the_output_of_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo to stdout; echo to stderr >&2; exit 3"]);
        let error = step("a step that fails", command, None).expect_err("exit 3 is a failure");
        let text = error.to_string();
        assert!(text.contains("to stdout") && text.contains("to stderr"), "{text}");
    }

    #[test]
    fn step_stops_what_takes_too_long() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let limit = Some(Duration::from_millis(100));
        let error = step("a step that hangs", command, limit).expect_err("600 s > 100 ms");
        assert!(error.to_string().contains("was stopped"), "{error}");
    }

    #[test]
    fn capture_trims_stdout_and_reports_stderr() {
        let printed = capture(Command::new("echo").arg("hello")).expect("echo works");
        assert_eq!(printed, "hello");
        let error = capture(Command::new("sh").args(["-c", "echo why >&2; exit 1"]))
            .expect_err("exit 1 is a failure");
        assert!(error.to_string().contains("why"), "{error}");
    }

    #[test]
    fn programs_are_found_on_path_only_when_they_exist() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
