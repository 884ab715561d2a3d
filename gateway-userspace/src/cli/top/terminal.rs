//! The screen on a terminal.

use std::{env, sync::mpsc, thread, time::Duration};

use anyhow::Context as _;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc as asynchronous,
};

use super::{
    super::{Result, flow::Filter},
    order::Order,
    render::{self, Look},
    sampler::Sampler,
    screen::{Screen, Wish},
};
use crate::view::TopView;

/// What is to be read.
#[derive(Clone)]
struct Request {
    filter: Filter,
    order: Order,
    interval: Duration,
    is_paused: bool,
}

impl Request {
    fn of(screen: &Screen) -> Self {
        let &Screen { order, interval, is_paused, .. } = screen;
        Self { filter: screen.filter.clone(), order, interval, is_paused }
    }
}

/// Shows the screen until a key or a signal ends it. However it ends, the terminal is as it was
/// before; ratatui sees to that when there is a panic.
pub(super) fn run(sampler: Sampler, mut screen: Screen) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start waiting for keys")?;
    let (ask, asked) = mpsc::channel();
    let (tell, mut told) = asynchronous::channel(1);
    let first = Request::of(&screen);
    // A thread of its own, so that keys work while a million flows are read. It ends when nobody
    // asks any more.
    let reader = thread::Builder::new().name("reader".to_owned());
    let reader = reader.spawn(move || read(sampler, first, &asked, &tell));
    reader.context("cannot start a thread")?;
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let result = runtime.block_on(serve(&mut terminal, &mut screen, &ask, &mut told));
    ratatui::try_restore().context("cannot restore the terminal")?;
    result
}

async fn serve(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    ask: &mpsc::Sender<Request>,
    told: &mut asynchronous::Receiver<Result<TopView>>,
) -> Result<()> {
    let cannot_wait = "cannot wait for signals";
    let mut interrupted = signal(SignalKind::interrupt()).context(cannot_wait)?;
    let mut terminated = signal(SignalKind::terminate()).context(cannot_wait)?;
    let mut hung_up = signal(SignalKind::hangup()).context(cannot_wait)?;
    let mut keys = EventStream::new();
    let look = Look { has_colour: env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) };
    loop {
        terminal
            .draw(|frame| render::draw(frame, screen, look))
            .context("cannot write to the terminal")?;
        let event = tokio::select! {
            event = keys.next() => event,
            view = told.recv() => {
                match view {
                    Some(view) => screen.view = view?,
                    None => return Ok(()),
                }
                continue;
            }
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        };
        let Some(event) = event.transpose().context("cannot read keys")? else { return Ok(()) };
        let Event::Key(key) = event else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match screen.press(key) {
            Wish::Draw => {}
            // If the reader is gone, that is told in a moment.
            Wish::Read => drop(ask.send(Request::of(screen))),
            Wish::Quit => return Ok(()),
        }
    }
}

/// Reads whenever it is time.
fn read(
    mut sampler: Sampler,
    mut request: Request,
    asked: &mpsc::Receiver<Request>,
    tell: &asynchronous::Sender<Result<TopView>>,
) {
    loop {
        let mut pause = Duration::MAX;
        if !request.is_paused {
            let view = sampler.read(&request.filter, request.order);
            let is_over = view.is_err();
            let took = view.as_ref().map_or(0, |view| view.read_ms);
            pause = Screen::rest(request.interval, Duration::from_millis(took));
            if tell.blocking_send(view).is_err() || is_over {
                return;
            }
        }
        match asked.recv_timeout(pause) {
            Ok(next) => request = asked.try_iter().last().unwrap_or(next),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}
