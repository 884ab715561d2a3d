//! The gateway at work, as its user sees it, in a lab that this program makes and takes away.

mod attempts;
mod kept;
mod story;

use std::{
    net::UdpSocket,
    panic::{self, AssertUnwindSafe},
    process::{self, ExitCode},
    thread,
};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::geteuid,
};
use tests::{
    address::FAMILIES,
    bpffs::{self, Bpffs},
    icmp, netns,
    socket::{self, Server},
    topology::{self, INSIDE, Lab, OUTSIDE, Options},
    unique,
    wait::PATIENCE,
};

use crate::{attempts::BRIEFLY, kept::Kept, story::Story};

/// Where the lab's web servers listen.
const WEB: u16 = 80;
/// Where the lab's UDP echo services listen.
const ECHO: u16 = 7;

/// Shows the gateway at work: builds hosts and an internet out of network namespaces, protects
/// the inside with eigw, and tries both directions.
#[derive(Parser)]
#[command(name = "demo")]
struct Args {
    /// Leave the lab, protected and with its servers, and say how to play in it
    #[arg(long)]
    keep: bool,
    /// Remove the lab that --keep left
    #[arg(long, conflicts_with = "keep")]
    remove: bool,
    #[command(subcommand)]
    command: Option<HiddenCommand>,
}

#[derive(Subcommand)]
enum HiddenCommand {
    /// Serves in a kept lab's namespace until it is killed.
    #[command(hide = true)]
    Serve {
        /// The namespace.
        namespace: String,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !geteuid().is_root() {
        eprintln!("demo: network namespaces and BPF need root: run this as root, or with sudo");
        return ExitCode::FAILURE;
    }
    let outcome = match (args.command, args.remove) {
        (Some(HiddenCommand::Serve { namespace }), _) => kept::serve(&namespace),
        (None, true) => {
            kept::remove();
            println!("The demo's lab is gone.");
            Ok(())
        }
        (None, false) => run(args.keep),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(keep: bool) -> Result<()> {
    let (stem, bpffs_path) = if keep {
        kept::remove();
        (kept::STEM.to_owned(), kept::bpffs_path())
    } else {
        let stem = unique::stem();
        let path = std::env::temp_dir().join(format!("{stem}-bpf"));
        (stem, path)
    };
    let (names, mounted) = (topology::roles(&stem), bpffs_path.clone());
    clean_up_when_interrupted(move || {
        if keep {
            return kept::remove();
        }
        for name in &names {
            netns::remove(name);
        }
        bpffs::remove(&mounted);
    })?;
    // Building it takes a while the first time, and nothing works without it.
    _ = tests::eigw::binary();

    let mut story = Story::default();
    // A step that panics has said why; the lab still goes away and the exit code tells.
    let lab = panic::catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::named(&stem, Bpffs::at(&bpffs_path), Options::default());
        tell(&mut story, &lab, keep);
        lab
    }));
    let (held, all) = story.score();
    println!("\n{held} of {all} expectations held.");
    let Ok(lab) = lab else {
        anyhow::bail!("the demo could not go on; see above");
    };
    ensure!(held == all, "{} expectations did not hold; see the crosses above", all - held);
    if keep {
        Kept::hand_over(lab)?;
    }
    Ok(())
}

fn tell(story: &mut Story, lab: &Lab, keep: bool) {
    story.picture();
    story.chapter("Without a gateway, inside is open to everybody");
    let services = [&lab.inside, &lab.outside].map(|host| services_of(host, lab));
    let [inside_services, _outside_services] = &services;
    for family in FAMILIES {
        story.check(format!("outside fetches a page from inside at {}", INSIDE.ip(family)), || {
            let page = socket::http_get(&lab.outside, INSIDE.port(family, WEB), PATIENCE)?;
            Ok(format!("{page:?}"))
        });
    }
    let served_before = served(inside_services);

    story.chapter("One command protects the uplink");
    story.note(&format!(
        "The gateway is a network namespace, so each command gets `--netns {} --bpffs {}` here.",
        lab.gateway.name(),
        lab.bpffs.path().display()
    ));
    story.command(lab, &["attach", "--uplink", topology::UPLINK, "--name", tests::eigw::NAME]);
    if !story.holds() {
        // Without a gateway the rest would only fail for the same reason.
        return;
    }

    story.chapter("What inside opens is answered");
    requests(story, lab);

    story.chapter("What outside starts is dropped");
    attempts::all(story, lab);
    story.check("inside's services noticed nothing of it", || {
        let served = served(inside_services);
        ensure!(served == served_before, "{} requests arrived", served - served_before);
        Ok("no request arrived".into())
    });

    story.chapter("What the gateway saw");
    story.command(lab, &["flow", "show"]);
    story.command(lab, &["stats", "show"]);
    story.command(lab, &["status"]);
    if keep {
        return;
    }

    story.chapter("Detaching leaves plain networking");
    story.command(lab, &["detach", "--name", tests::eigw::NAME]);
    story.check("outside fetches a page from inside again", || {
        let page = socket::http_get(&lab.outside, INSIDE.port(FAMILIES[1], WEB), PATIENCE)?;
        Ok(format!("{page:?}"))
    });
    story.check("nothing of eigw is left pinned", || {
        let left = lab.bpffs.entries();
        ensure!(left.is_empty(), "{left:?}");
        Ok("the BPF file system is empty".into())
    });
}

/// Everything inside may do.
fn requests(story: &mut Story, lab: &Lab) {
    for family in FAMILIES {
        let (ip, web, echo) =
            (OUTSIDE.ip(family), OUTSIDE.port(family, WEB), OUTSIDE.port(family, ECHO));
        story.check(format!("inside fetches http://{web}/"), || {
            let page = socket::http_get(&lab.inside, web, PATIENCE)?;
            Ok(format!("{page:?}"))
        });
        story.check(format!("inside asks the UDP service at {echo}"), || {
            let answer = socket::udp_exchange(&lab.inside, echo, b"are you there?", PATIENCE)?;
            ensure!(answer == b"are you there?", "it answered {answer:?}");
            Ok("it answers".into())
        });
        story.check(format!("inside pings {ip}"), || {
            icmp::ping(&lab.inside, ip)?;
            Ok("it answers".into())
        });
        story.check(format!("the gateway itself fetches http://{web}/"), || {
            let page = socket::http_get(&lab.gateway, web, PATIENCE)?;
            Ok(format!("{page:?}"))
        });
    }
}

/// A web server and a UDP echo service of a host, in both families.
fn services_of(host: &netns::Netns, lab: &Lab) -> Vec<Server> {
    let (at, page) = if host.name() == lab.inside.name() {
        (INSIDE, kept::INSIDE_PAGE)
    } else {
        (OUTSIDE, kept::OUTSIDE_PAGE)
    };
    let both = FAMILIES.map(|family| {
        [
            socket::http(host, at.port(family, WEB), page),
            socket::udp_echo(host, at.port(family, ECHO)),
        ]
    });
    both.into_iter().flatten().collect()
}

fn served(services: &[Server]) -> u64 {
    services.iter().map(Server::served).sum()
}

/// A UDP socket that anybody may send to.
fn open_socket(lab: &Lab, at: std::net::SocketAddr) -> Result<UdpSocket> {
    let socket = lab.inside.run(|| UdpSocket::bind(at))?;
    socket.set_read_timeout(Some(BRIEFLY))?;
    Ok(socket)
}

/// Ctrl-C and termination take the lab along. The signals are blocked everywhere and awaited by
/// one thread, so cleaning up runs in no signal handler.
fn clean_up_when_interrupted(clean_up: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    thread::spawn(move || {
        let signal = signals.wait();
        clean_up();
        eprintln!("\ndemo: interrupted; the lab is gone");
        process::exit(128 + signal.map_or(0, |signal| signal as i32));
    });
    Ok(())
}
