//! A host beside the gateway that sends as fast as one CPU can, and counts what arrives.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    maps::{Array, PerCpuArray},
    programs::{
        TestRunAttrs, Xdp,
        xdp::{XdpLinkId, XdpMode},
    },
};
use nix::{net::if_::if_nametoindex, unistd::gettid};
use tests::netns::Netns;

use super::{
    napi::{self, Thread},
    programs,
    stream::{FRAME_BYTES, KINDS, Progress, Stream},
};
use crate::cpu;

/// Frames that the kernel makes, sends and takes back at a time.
const BATCH: u32 = 64;

/// What a generator sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Frames of each kind.
    pub(crate) frames: [u64; KINDS],
    pub(crate) elapsed: Duration,
}

/// A generator and a sink on one interface.
pub(crate) struct End {
    ebpf: Ebpf,
    interface: u32,
    _sink: XdpLinkId,
    _receiver: Thread,
}

impl End {
    /// Puts both on `interface` of `host`, to work on the first CPU.
    ///
    /// # Errors
    /// If the kernel refuses them.
    pub(crate) fn open(host: &Netns, interface: &str) -> Result<Self> {
        let mut ebpf = programs::load()?;
        for name in ["generate", "sink"] {
            xdp(&mut ebpf, name)?.load().with_context(|| format!("loading {name}"))?;
        }
        let sink = xdp(&mut ebpf, "sink")?;
        let sink = host.run(|| sink.attach(interface, XdpMode::Driver)).context("attaching")?;
        let receiver = napi::on_cpu(host, interface, cpu::first()?)?;
        let index = host.run(|| if_nametoindex(interface)).context("asking for an interface")?;
        Ok(Self { ebpf, interface: index, _sink: sink, _receiver: receiver })
    }

    /// Sends so many frames from the first CPU. `host` is where this end is.
    ///
    /// # Errors
    /// If the kernel refuses to.
    pub(crate) fn send(&mut self, host: &Netns, stream: &Stream, frames: u32) -> Result<Sent> {
        let stream = Stream { interface: self.interface, ..*stream };
        self.map::<Stream>("STREAM")?.set(0, stream, 0).context("telling what to send")?;
        self.map("PROGRESS")?.set(0, Progress::default(), 0).context("starting over")?;
        let program = xdp(&mut self.ebpf, "generate")?;
        let run = || -> Result<Duration> {
            cpu::stay_on(cpu::first()?)?;
            napi::prefer(gettid().as_raw(), napi::GENERATOR)?;
            let options = TestRunOptions {
                data_in: Some(&[0; FRAME_BYTES]),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            let started = Instant::now();
            program.test_run(options).context("sending live frames")?;
            Ok(started.elapsed())
        };
        let elapsed = host.run(run)?;
        let progress: Progress = self.map("PROGRESS")?.get(&0, 0)?;
        ensure!(
            progress.sent_total == u64::from(frames),
            "{} frames of {frames} were sent",
            progress.sent_total
        );
        Ok(Sent { frames: progress.sent, elapsed })
    }

    /// Frames of each kind that have arrived so far.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn arrived(&self) -> Result<[u64; KINDS]> {
        let map = self.ebpf.map("ARRIVED").context("the object has no map ARRIVED")?;
        let counts = PerCpuArray::<_, u64>::try_from(map)?;
        let mut arrived = [0; KINDS];
        for (kind, total) in (0..).zip(&mut arrived) {
            *total = counts.get(&kind, 0)?.iter().sum();
        }
        Ok(arrived)
    }

    fn map<T: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut aya::maps::MapData, T>> {
        let map = self.ebpf.map_mut(name);
        Ok(map.with_context(|| format!("the object has no map {name}"))?.try_into()?)
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name);
    Ok(program.with_context(|| format!("the object has no program {name}"))?.try_into()?)
}
