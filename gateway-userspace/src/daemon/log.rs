//! The daemon's log on standard error: for people at a terminal, for programs as JSON, and for the
//! journal, which has times of its own and takes priorities from the beginning of lines.

use std::{env, fmt, io::IsTerminal, os::unix::fs::MetadataExt};

use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// Overrides the level, as a filter in the syntax of `tracing-subscriber`.
const FILTER_VARIABLE: &str = "EIGW_LOG";
/// Where systemd says which stream leads to the journal.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Plain,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process, in detail if `is_verbose`.
///
/// # Errors
/// `EIGW_LOG` is no filter, or the process has a log already.
pub fn start(format: LogFormat, is_verbose: bool) -> anyhow::Result<()> {
    let level = if is_verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let filter = EnvFilter::builder().with_default_directive(level.into());
    let text = env::var(FILTER_VARIABLE).unwrap_or_default();
    let filter = filter.parse(&text).map_err(|error| {
        anyhow::anyhow!("{FILTER_VARIABLE}='{text}' is no filter ({error}); try 'info' or 'debug'")
    })?;
    let to_journal = leads_to_journal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Plain => log
            .with_ansi(std::io::stderr().is_terminal())
            .event_format(Plain { to_journal })
            .try_init(),
        LogFormat::Json => {
            let inner = tracing_subscriber::fmt::format().json().flatten_event(true);
            let inner = inner.with_target(false).with_current_span(false).with_span_list(false);
            log.fmt_fields(JsonFields::new()).event_format(AsJson { to_journal, inner }).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// Whether standard error is the stream that systemd connected to the journal; somebody may have
/// sent it elsewhere since.
fn leads_to_journal() -> bool {
    let Ok(stream) = env::var(JOURNAL_VARIABLE) else { return false };
    // Through the open descriptor, which is what both numbers are about.
    let Ok(metadata) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", metadata.dev(), metadata.ino())
}

/// The priority of the journal that a line begins with.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Time and level, where the journal does not have them itself, then the message and the fields.
struct Plain {
    to_journal: bool,
}

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let format = Format::default().with_target(false).with_ansi(writer.has_ansi_escapes());
        if !self.to_journal {
            return format.format_event(context, writer, event);
        }
        let mut text = String::new();
        let format = format.without_time().with_level(false);
        format.format_event(context, Writer::new(&mut text), event)?;
        prefixed(&mut writer, event, &text)
    }
}

/// One object a line.
struct AsJson {
    to_journal: bool,
    inner: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for AsJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.inner.format_event(context, Writer::new(&mut text), event)?;
        if self.to_journal { prefixed(&mut writer, event, &text) } else { writer.write_str(&text) }
    }
}

/// Every line with its priority, which the journal takes off again.
fn prefixed(writer: &mut Writer<'_>, event: &Event<'_>, text: &str) -> fmt::Result {
    let priority = priority(*event.metadata().level());
    text.lines().try_for_each(|line| writeln!(writer, "{priority}{}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing::{info, subscriber::with_default, warn};

    use super::*;

    #[test]
    fn the_journal_gets_priorities_and_no_times() {
        let log = Memory::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .event_format(Plain { to_journal: true })
            .finish();
        with_default(subscriber, || {
            info!(gateway = "wan", ifindex = 7, "attached");
            warn!("first\nsecond");
        });
        assert_eq!(log.text(), "<6>attached gateway=\"wan\" ifindex=7\n<4>first\n<4>second\n");
    }

    #[test]
    fn json_has_the_fields_beside_the_message() {
        let log = Memory::default();
        let inner = tracing_subscriber::fmt::format().json().flatten_event(true);
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .fmt_fields(JsonFields::new())
            .event_format(AsJson { to_journal: false, inner })
            .finish();
        with_default(subscriber, || warn!(gateway = "wan", ifindex = 7, "first\nsecond"));
        let line: Value = serde_json::from_str(&log.text()).expect("one document");
        assert_eq!(line["message"], "first\nsecond");
        assert_eq!(
            (&line["gateway"], &line["ifindex"], &line["level"]),
            (&"wan".into(), &7.into(), &"WARN".into())
        );
        assert!(line["timestamp"].is_string(), "{line}");
    }

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no test panics with it").clone()).expect("text")
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics with it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Memory {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }
}
