//! Watching a gateway until somebody has seen enough: what `drop watch`, `drop capture` and
//! `flow watch` have in common.

mod clock;
mod scene;

use std::{pin::pin, time::Duration};

use anyhow::Context as _;
use gateway_common::observe::{Watch, WatchCount};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

pub(super) use scene::Scene;

use super::{Context, Failure, Result, select};
use crate::{
    datapath::{GatewayName, Observation, Observer},
    output,
};

/// The time between two looks at the ring. In so long it does not fill unless far more happens than
/// anybody could watch.
const LOOK: Duration = Duration::from_millis(20);
/// How many observations are taken before signals are looked at again.
const BATCH: usize = 512;
/// The time between two looks at the gateway itself, and two reports of what is missing.
const SURVEY: Duration = Duration::from_secs(1);

/// Who watches.
pub(super) trait Watcher {
    /// What to watch for.
    fn watch(&mut self, scene: &Scene) -> Result<Watch>;

    /// The watch has begun; false if nothing more is needed.
    fn begin(&mut self, scene: &Scene) -> Result<bool>;

    /// Takes what was seen; false if that is enough.
    fn take(&mut self, seen: &Observation, scene: &mut Scene) -> Result<bool>;

    /// Everything that was seen by now was taken.
    fn flush(&mut self) -> Result<()>;

    /// Tells what is missing; at the end, and whenever that has changed.
    fn tell(&mut self, count: &WatchCount, is_last: bool) -> Result<()>;
}

/// Watches a gateway until the watcher has seen enough, a signal asks to stop, or the gateway is
/// detached, which is a failure.
pub(super) fn run(
    context: &Context,
    name: Option<&GatewayName>,
    watcher: &mut impl Watcher,
) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start waiting for signals")?;
    runtime.block_on(async {
        let mut session = Session::open(context, name, watcher)?;
        let ended = if watcher.begin(&session.scene)? {
            session.work(watcher).await
        } else {
            Ok(End::Enough)
        };
        session.finish(watcher, ended)
    })
}

/// Why a watch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The watcher has seen enough.
    Enough,
    /// A signal asked for it.
    Stopped,
    /// There is nothing to watch any more.
    Detached,
}

struct Session {
    scene: Scene,
    observer: Observer,
    interrupted: Signal,
    terminated: Signal,
    told: WatchCount,
}

impl Session {
    fn open(
        context: &Context,
        name: Option<&GatewayName>,
        watcher: &mut impl Watcher,
    ) -> Result<Self> {
        let cannot_wait = "cannot wait for signals";
        let interrupted = signal(SignalKind::interrupt()).context(cannot_wait)?;
        let terminated = signal(SignalKind::terminate()).context(cannot_wait)?;
        let scene = Scene::new(context.bpffs.clone(), select::open(context, name)?)?;
        let watch = watcher.watch(&scene)?;
        let observer = Observer::open(&context.bpffs, scene.name(), &watch)?;
        Ok(Self { scene, observer, interrupted, terminated, told: WatchCount::default() })
    }

    async fn work(&mut self, watcher: &mut impl Watcher) -> Result<End> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut survey_due = Instant::now() + SURVEY;
        let mut has_more = false;
        loop {
            let next_look = pin!(next_look(&mut looks, has_more));
            tokio::select! {
                biased;
                _ = self.interrupted.recv() => return Ok(End::Stopped),
                _ = self.terminated.recv() => return Ok(End::Stopped),
                () = next_look => {}
            }
            match self.take(watcher, BATCH)? {
                Taken::Enough => return Ok(End::Enough),
                Taken::All => has_more = false,
                Taken::Some => has_more = true,
            }
            if Instant::now() >= survey_due {
                survey_due = Instant::now() + SURVEY;
                if !self.observer.is_attached() {
                    return Ok(End::Detached);
                }
                self.scene.refresh()?;
                self.tell_missing(watcher)?;
            }
        }
    }

    /// Hands over what there is, but not more than `most`.
    fn take(&mut self, watcher: &mut impl Watcher, most: usize) -> Result<Taken> {
        for taken in 0..most {
            let Some(seen) = self.observer.next() else {
                if taken > 0 {
                    watcher.flush()?;
                }
                return Ok(Taken::All);
            };
            if taken == 0 {
                self.scene.look()?;
            }
            if !watcher.take(&seen, &mut self.scene)? {
                watcher.flush()?;
                return Ok(Taken::Enough);
            }
        }
        watcher.flush()?;
        Ok(Taken::Some)
    }

    fn tell_missing(&mut self, watcher: &mut impl Watcher) -> Result<()> {
        let count = self.observer.counts()?;
        if (count.limited, count.lost) != (self.told.limited, self.told.lost) {
            watcher.tell(&count, false)?;
            self.told = count;
        }
        Ok(())
    }

    /// Ends the watch, so that what was seen and what is missing add up.
    fn finish(mut self, watcher: &mut impl Watcher, ended: Result<End>) -> Result<()> {
        // After a failure there is nobody to hand anything to.
        let end = ended?;
        self.observer.stop()?;
        if end != End::Enough {
            while self.take(watcher, usize::MAX)? == Taken::Some {}
        }
        watcher.tell(&self.observer.counts()?, true)?;
        match end {
            End::Enough | End::Stopped => Ok(()),
            End::Detached => Err(Failure::operation(format!(
                "gateway {} was detached, so there is nothing to watch any more",
                self.scene.name()
            ))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// There was no more.
    All,
    /// There may be more.
    Some,
    /// The watcher wants no more.
    Enough,
}

async fn next_look(looks: &mut Interval, has_more: bool) {
    if has_more {
        // Lets signals be noticed.
        task::yield_now().await;
    } else {
        looks.tick().await;
    }
}

/// Tells people what is missing from what they were shown.
pub(super) fn tell_people(what: &str, count: &WatchCount, shown: u64, is_last: bool) {
    let WatchCount { limited, lost, .. } = count;
    let missing = match (limited, lost) {
        (0, 0) => String::new(),
        (limited, 0) => format!("; {limited} more were beyond the limit of --rate"),
        (0, lost) => format!("; {lost} more were lost, because they came too fast"),
        (limited, lost) => format!(
            "; {limited} more were beyond the limit of --rate, and {lost} were lost, because they \
             came too fast"
        ),
    };
    if is_last || !missing.is_empty() {
        output::tell(format_args!("{what}: {shown}{missing}"));
    }
}

/// A number of reports a second, such as `1000` or `1000/s`; zero is no limit.
pub(super) fn rate(text: &str) -> std::result::Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| format!("'{text}' is not a number a second such as 100 or 100/s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_a_second() {
        assert_eq!((rate("100"), rate("100/s"), rate("0")), (Ok(100), Ok(100), Ok(0)));
        for wrong in ["", "/s", "-1", "100/m", "1.5", "100 /s"] {
            let complaint = rate(wrong).expect_err(wrong);
            assert!(complaint.contains("100/s"), "{complaint}");
        }
    }
}
