//! The process that `eigw attach --confirm` leaves behind: it detaches the gateway unless somebody
//! confirms it. When it is killed as well, the packet path lets everything pass by itself; only
//! what is left of the gateway stays.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use gateway_common::timeouts::Ticks;
use nix::unistd;

use super::{Context, Result, values};
use crate::datapath::{self, GatewayName, Retraction};

/// Detach a gateway unless it is confirmed in time; started by 'attach --confirm'
#[derive(Args, Debug)]
pub(super) struct GuardArgs {
    /// The gateway
    #[arg(long, value_parser = values::gateway_name)]
    name: GatewayName,
    /// The moment on the packet path's clock until which it has to be confirmed
    #[arg(long)]
    confirm_by: u64,
}

/// What the process says once nothing that ends its parent ends it too.
const READY: &[u8] = b"ready";

/// How often it looks whether it is still needed.
const LOOK: Duration = Duration::from_secs(1);

/// Leaves the process behind. It stays in the caller's network namespace.
pub(super) fn start(
    context: &Context,
    name: &GatewayName,
    confirm_by: Ticks,
) -> anyhow::Result<()> {
    let bpffs = path::absolute(&context.bpffs).context("cannot tell where the gateways are")?;
    // By this path it is found even if the binary was replaced or removed meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("eigw").arg("--bpffs").arg(bpffs).args(["guard", "--name", name.as_str()]);
    command.args(["--confirm-by", &confirm_by.0.to_string()]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Not waited for: it outlives this process.
    let mut guard = command.spawn().context("cannot start another eigw")?;
    let mut said = Vec::new();
    let mut stdout = guard.stdout.take().context("its output was piped")?;
    stdout.read_to_end(&mut said).context("cannot read what it says")?;
    ensure!(said == READY, "it ended at once");
    Ok(())
}

/// The process itself.
pub(super) fn run(context: &Context, args: &GuardArgs) -> Result<()> {
    // A hang-up of the terminal and its Ctrl-C are for the session that this was started in.
    unistd::setsid().context("cannot leave the session")?;
    let null = File::options().write(true).open("/dev/null").context("cannot open /dev/null")?;
    let mut stdout = io::stdout();
    stdout.write_all(READY).and_then(|()| stdout.flush()).context("cannot say that all is well")?;
    unistd::dup2_stdout(null).context("cannot let go of the output")?;
    watch(context, &args.name, Ticks(args.confirm_by))
}

fn watch(context: &Context, name: &GatewayName, confirm_by: Ticks) -> Result<()> {
    let unconfirmed = || datapath::unconfirmed(&context.bpffs, name);
    let is_ours = |confirmation: &datapath::Unconfirmed| confirmation.confirm_by == confirm_by;
    let Some(begun) = unconfirmed()?.filter(is_ours) else { return Ok(()) };
    let deadline = Instant::now() + begun.left;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(LOOK));
        // What cannot be read now may be readable when it counts.
        if unconfirmed().is_ok_and(|found| !found.as_ref().is_some_and(is_ours)) {
            return Ok(());
        }
    }
    loop {
        match datapath::retract(&context.bpffs, name, confirm_by)? {
            // The two clocks differ by less than a tick.
            Retraction::Early(left) => thread::sleep(left),
            Retraction::Detached(_) | Retraction::Settled => return Ok(()),
        }
    }
}
