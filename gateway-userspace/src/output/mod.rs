//! The only place that prints.

pub mod pcapng;
mod plain;
mod table;
pub(crate) mod units;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Stdout, Write},
};

use crate::view::View;
pub(crate) use units::plural;

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned tables for people.
    Plain,
    /// One JSON document on a line.
    Json,
    /// One indented JSON document.
    JsonPretty,
}

/// A list whose lines are written one by one, so that its columns have fixed widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowingList {
    /// Of packets.
    Packets,
    /// Of what happens to flows.
    FlowEvents,
}

/// Where answers go.
#[derive(Debug)]
pub struct Output<W> {
    writer: W,
    format: Format,
    /// Whether the writer is a terminal, which can be redrawn.
    terminal: bool,
}

impl Output<Stdout> {
    /// Standard output.
    #[must_use]
    pub fn stdout(format: Format) -> Self {
        let writer = io::stdout();
        let terminal = writer.is_terminal();
        Self { writer, format, terminal }
    }
}

impl<W> Output<W> {
    /// Any writer that is no terminal.
    #[must_use]
    pub fn new(writer: W, format: Format) -> Self {
        Self { writer, format, terminal: false }
    }

    /// How answers are written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The writer, with everything that was written.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Output<W> {
    /// Writes one answer.
    ///
    /// # Errors
    ///
    /// The writer's; [`io::ErrorKind::BrokenPipe`] means that the reader has seen enough.
    pub fn print(&mut self, view: &View) -> io::Result<()> {
        let mut text = match self.format {
            Format::Plain => plain::render(view),
            Format::Json => serde_json::to_string(view)?,
            Format::JsonPretty => serde_json::to_string_pretty(view)?,
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// Whether answers are for people.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.format == Format::Plain
    }

    /// Writes what stands above a list that grows while it is read, where people read it.
    ///
    /// # Errors
    ///
    /// As [`Output::print`].
    pub fn head(&mut self, list: GrowingList) -> io::Result<()> {
        if self.format != Format::Plain {
            return Ok(());
        }
        let headings = match list {
            GrowingList::Packets => plain::packet_headings(),
            GrowingList::FlowEvents => plain::flow_event_headings(),
        };
        self.writer.write_all(headings.as_bytes())?;
        self.writer.flush()
    }

    /// Writes an answer that replaces the one before, where the writer can do that.
    ///
    /// # Errors
    ///
    /// As [`Output::print`].
    pub fn reprint(&mut self, view: &View) -> io::Result<()> {
        if self.terminal && self.format == Format::Plain {
            const HOME_AND_CLEAR: &[u8] = b"\x1b[H\x1b[2J";
            self.writer.write_all(HOME_AND_CLEAR)?;
        }
        self.print(view)
    }
}

/// Tells the operator something on standard error, each line with the program's name. That
/// nobody reads it is no reason to fail.
pub fn tell(message: impl Display) {
    let mut text = String::new();
    for line in message.to_string().lines() {
        text.push_str("eigw: ");
        text.push_str(line);
        text.push('\n');
    }
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{DetachView, FlowListView, TextView};

    #[test]
    fn answers_end_in_one_line_feed_in_every_format() {
        let view = View::Detach(DetachView { detached: vec!["wan".to_owned()], notes: Vec::new() });
        assert_eq!(printed(&view, Format::Plain), "detached wan\n");
        assert_eq!(printed(&view, Format::Json), "{\"detached\":[\"wan\"],\"notes\":[]}\n");
        assert_eq!(
            printed(&view, Format::JsonPretty),
            "{\n  \"detached\": [\n    \"wan\"\n  ],\n  \"notes\": []\n}\n"
        );
        let text = View::Text(TextView { text: "a\nb\n".to_owned() });
        assert_eq!(printed(&text, Format::Plain), "a\nb\n");
        let nothing = View::FlowList(FlowListView { flows: Vec::new() });
        assert_eq!(printed(&nothing, Format::Json), "[]\n");
    }

    #[test]
    fn only_plain_text_on_a_terminal_is_redrawn() {
        let view = View::Detach(DetachView { detached: Vec::new(), notes: Vec::new() });
        for (terminal, format, redrawn) in [
            (true, Format::Plain, true),
            (false, Format::Plain, false),
            (true, Format::Json, false),
        ] {
            let mut output = Output { writer: Vec::new(), format, terminal };
            output.reprint(&view).expect("memory takes everything");
            assert_eq!(output.writer.starts_with(b"\x1b"), redrawn, "{terminal} {format:?}");
        }
    }

    #[test]
    fn a_reader_that_left_is_an_error_and_no_panic() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Gone, Format::Plain);
        let error =
            output.print(&View::Detach(DetachView { detached: Vec::new(), notes: Vec::new() }));
        assert_eq!(error.expect_err("nobody reads").kind(), io::ErrorKind::BrokenPipe);
    }

    fn printed(view: &View, format: Format) -> String {
        let mut output = Output::new(Vec::new(), format);
        output.print(view).expect("memory takes everything");
        String::from_utf8(output.into_inner()).expect("text")
    }
}
