//! What the screen shows and what keys do, without a terminal.

use std::time::Duration;

use clap::Parser;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{super::flow::Filter, order::Order};
use crate::view::TopView;

/// The shortest and the longest time between two readings.
pub(super) const INTERVAL_MIN: Duration = Duration::from_millis(100);
pub(super) const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// How many times as long as a reading takes the tables are left alone.
const REST_FACTOR: u32 = 9;

/// A list that fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Talkers,
    Flows,
    Destinations,
    Drops,
    Rules,
}

impl Pane {
    pub(super) const ALL: [Self; 5] =
        [Self::Talkers, Self::Flows, Self::Destinations, Self::Drops, Self::Rules];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Talkers => "talkers",
            Self::Flows => "flows",
            Self::Destinations => "destinations",
            Self::Drops => "drops",
            Self::Rules => "rules",
        }
    }

    const fn beside(self, step: usize) -> Self {
        Self::ALL[(self as usize + step) % Self::ALL.len()]
    }
}

/// What the person at the terminal wants to see.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub(super) pane: Pane,
    pub(super) order: Order,
    pub(super) filter: Filter,
    /// The filter as it was written.
    pub(super) filter_text: String,
    /// A filter that is being written.
    pub(super) editing: Option<String>,
    /// What is wrong with the last one.
    pub(super) complaint: Option<String>,
    pub(super) interval: Duration,
    pub(super) is_paused: bool,
    pub(super) has_help: bool,
    /// The first line of the list that is shown.
    pub(super) offset: usize,
    /// What was read last.
    pub(super) view: TopView,
}

/// What a key asks for beyond another look of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Draw,
    /// Other data: the order, the filter or the interval changed.
    Read,
    /// The end.
    Quit,
}

impl Screen {
    pub(super) fn new(order: Order, filter: Filter, interval: Duration) -> Self {
        Self {
            pane: Pane::default(),
            order,
            filter,
            filter_text: String::new(),
            editing: None,
            complaint: None,
            interval,
            is_paused: false,
            has_help: false,
            offset: 0,
            view: TopView::default(),
        }
    }

    /// How long the tables are left alone after they were read, so that reading takes a tenth of a
    /// processor at most.
    pub(super) fn rest(interval: Duration, read: Duration) -> Duration {
        interval.saturating_sub(read).max(read * REST_FACTOR)
    }

    /// Whether the interval is longer than it was asked for.
    pub(super) fn is_stretched(&self) -> bool {
        let read = Duration::from_millis(self.view.read_ms);
        read + Self::rest(self.interval, read) > self.interval + INTERVAL_MIN
    }

    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::Draw };
        }
        if let Some(text) = self.editing.take() {
            return self.edit(text, key.code);
        }
        if self.has_help {
            self.has_help = false;
            return Wish::Draw;
        }
        self.command(key.code)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing")]
    fn command(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char(digit @ '1'..='5') => {
                self.turn_to(Pane::ALL[digit as usize - '1' as usize]);
            }
            KeyCode::Tab | KeyCode::Right => self.turn_to(self.pane.beside(1)),
            KeyCode::BackTab | KeyCode::Left => self.turn_to(self.pane.beside(Pane::ALL.len() - 1)),
            KeyCode::Down => self.offset = self.offset.saturating_add(1),
            KeyCode::Up => self.offset = self.offset.saturating_sub(1),
            KeyCode::PageDown => self.offset = self.offset.saturating_add(10),
            KeyCode::PageUp => self.offset = self.offset.saturating_sub(10),
            KeyCode::Home => self.offset = 0,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                return Wish::Read;
            }
            KeyCode::Char('r') => {
                self.order.is_reversed = !self.order.is_reversed;
                return Wish::Read;
            }
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                return Wish::Read;
            }
            KeyCode::Char('+') => {
                self.interval = (self.interval * 2).min(INTERVAL_MAX);
                return Wish::Read;
            }
            KeyCode::Char('-') => {
                self.interval = (self.interval / 2).max(INTERVAL_MIN);
                return Wish::Read;
            }
            KeyCode::Char('/') => {
                self.complaint = None;
                self.editing = Some(self.filter_text.clone());
            }
            KeyCode::Char('?' | 'h') => self.has_help = true,
            _ => {}
        }
        Wish::Draw
    }

    fn turn_to(&mut self, pane: Pane) {
        (self.pane, self.offset) = (pane, 0);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing")]
    fn edit(&mut self, mut text: String, code: KeyCode) -> Wish {
        match code {
            KeyCode::Esc => return Wish::Draw,
            KeyCode::Enter => {
                match parse_filter(&text) {
                    Ok(filter) => (self.filter, self.filter_text) = (filter, text),
                    Err(complaint) => self.complaint = Some(complaint),
                }
                return Wish::Read;
            }
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(letter) => text.push(letter),
            _ => {}
        }
        self.editing = Some(text);
        Wish::Draw
    }
}

/// A line of filters.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct FilterLine {
    #[command(flatten)]
    filter: Filter,
}

/// Reads filters as `flow show` takes them, such as `--proto tcp --remote 192.0.2.0/24`; the hyphens
/// may be left out.
fn parse_filter(text: &str) -> Result<Filter, String> {
    let words = text.split_whitespace().enumerate().map(|(index, word)| {
        let is_flag = index % 2 == 0 && !word.starts_with('-');
        if is_flag { format!("--{word}") } else { word.to_owned() }
    });
    FilterLine::try_parse_from(words).map(|line| line.filter).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{super::order::Column, *};

    #[test]
    fn keys_turn_pages_and_change_what_is_read() {
        let mut screen = screen();
        for (key, wish, pane) in [
            ('3', Wish::Draw, Pane::Destinations),
            ('5', Wish::Draw, Pane::Rules),
            ('1', Wish::Draw, Pane::Talkers),
            ('s', Wish::Read, Pane::Talkers),
            ('r', Wish::Read, Pane::Talkers),
            ('+', Wish::Read, Pane::Talkers),
            ('p', Wish::Read, Pane::Talkers),
        ] {
            assert_eq!(screen.press(KeyCode::Char(key).into()), wish, "{key}");
            assert_eq!(screen.pane, pane, "{key}");
        }
        assert_eq!((screen.order.column, screen.order.is_reversed), (Column::Out, true));
        assert_eq!((screen.interval, screen.is_paused), (Duration::from_secs(2), true));
        screen.press(KeyCode::Tab.into());
        assert_eq!(screen.pane, Pane::Flows);
        screen.press(KeyCode::BackTab.into());
        screen.press(KeyCode::BackTab.into());
        assert_eq!(screen.pane, Pane::Rules);
        assert_eq!(screen.press(KeyCode::Char('q').into()), Wish::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.press(interrupt), Wish::Quit);
    }

    #[test]
    fn filters_are_those_of_flow_show() {
        let mut screen = screen();
        let mut enter = |text: &str| {
            screen.press(KeyCode::Char('/').into());
            while screen.editing.as_deref().is_some_and(|text| !text.is_empty()) {
                screen.press(KeyCode::Backspace.into());
            }
            text.chars().for_each(|letter| {
                assert_eq!(screen.press(KeyCode::Char(letter).into()), Wish::Draw);
            });
            assert_eq!(screen.press(KeyCode::Enter.into()), Wish::Read);
            (screen.filter.clone(), screen.complaint.take())
        };
        let (filter, complaint) = enter("--proto tcp --remote 192.0.2.0/24");
        assert!(complaint.is_none() && !filter.is_empty());
        assert_eq!(enter("proto tcp remote 192.0.2.0/24"), (filter.clone(), None));
        let (kept, complaint) = enter("port 7");
        assert_eq!(kept, filter);
        assert!(complaint.expect("told").contains("unexpected argument '--port'"));
        assert!(enter("").0.is_empty());
    }

    #[test]
    fn the_interval_stretches_when_reading_takes_long() {
        let ms = Duration::from_millis;
        assert_eq!(Screen::rest(ms(1000), ms(4)), ms(996));
        assert_eq!(Screen::rest(ms(1000), ms(100)), ms(900));
        assert_eq!(Screen::rest(ms(1000), ms(700)), ms(6300));
        let mut screen = screen();
        screen.view.read_ms = 90;
        assert!(!screen.is_stretched());
        screen.view.read_ms = 500;
        assert!(screen.is_stretched());
    }

    fn screen() -> Screen {
        Screen::new(Order::default(), Filter::default(), Duration::from_secs(1))
    }
}
