//! `eigw top`: what goes on right now, on one screen.
//!
//! ```text
//! tables ─► sampler ─► TopView ─┬─► render ─► terminal
//!                keys ─► screen ┘        └──► plain text, JSON
//! ```

mod order;
mod render;
mod sampler;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _, Write},
    thread,
    time::Duration,
};

use clap::Args;
use order::{Column, Order};
use ratatui::{buffer::Buffer, layout::Rect};
use render::Look;
use sampler::Sampler;
use screen::Screen;

use super::{Context, Result, flow::Filter, select, stats, values};
use crate::{
    datapath::GatewayName,
    output::{Format, Output},
    view::{TextView, View},
};

/// The size of a screen that is printed.
const PLAIN: Rect = Rect { x: 0, y: 0, width: 100, height: 40 };

/// Show talkers, flows, destinations, drops and rules with their rates
///
/// Needs no daemon; what traffic cost is there if one keeps accounts. Where standard output is no
/// terminal, one screen is printed.
#[derive(Args, Debug)]
pub(super) struct TopArgs {
    /// The gateway, needed when there are several
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
    /// Seconds between two looks, from 0.1 to 3600
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = stats::interval_secs)]
    interval: Duration,
    /// What comes first
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t)]
    sort: Column,
    /// The least first
    #[arg(long)]
    reverse: bool,
    /// Print one screen after one interval
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    filter: Filter,
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: TopArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let TopArgs { name, interval, sort, reverse, once, filter } = args;
    let gateway = select::open(context, name.as_ref())?;
    let order = Order { column: sort, is_reversed: reverse };
    let mut sampler = Sampler::new(context.clone(), gateway);
    let is_screen = io::stdout().is_terminal() && io::stdin().is_terminal();
    let mut screen = Screen::new(order, filter, interval);
    if is_screen && !once && output.format() == Format::Plain {
        return terminal::run(sampler, screen);
    }
    let first = sampler.read(&screen.filter, order)?;
    thread::sleep(Screen::rest(interval, Duration::from_millis(first.read_ms)));
    screen.view = sampler.read(&screen.filter, order)?;
    let view = match output.format() {
        Format::Plain => View::Text(TextView { text: plain(&screen) }),
        Format::Json | Format::JsonPretty => View::Top(Box::new(screen.view)),
    };
    Ok(output.print(&view)?)
}

/// The screen as lines of text, with all lists that fit.
fn plain(screen: &Screen) -> String {
    let mut buffer = Buffer::empty(PLAIN);
    render::screen_into(screen, Look { has_colour: false }, PLAIN, &mut buffer);
    let mut text = String::new();
    // Keys do nothing here.
    for row in 0..PLAIN.height - 1 {
        let cells = (0..PLAIN.width).map(|column| buffer[(column, row)].symbol());
        let line: String = cells.collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
