//! What fuzzers check of a flow log from within. Each function takes whatever it is given, and
//! panics when something does not hold.

use std::time::{Duration, UNIX_EPOCH};

use gateway_common::{
    config::Config, counter::FlowEvent, flow::FlowEntry, timeouts::Ticks, tuple::FlowKey,
};

use super::{
    Field,
    baseline::Baselines,
    journal::{Entry, encode, entries_in},
    line::{Clock, FlowReport, Silence, Writer},
    recovery::recover,
};
use crate::settings::{FlowLogFormat, FlowLogSettings};

/// A boot that no journal of a fuzzer knows by chance.
const BOOT_ID: &str = "b";

/// A journal that anybody may have written is read up to the first entry that is not complete, and
/// what was read is put together without harm.
///
/// # Panics
/// When that does not hold.
pub fn check_journal(bytes: &[u8]) {
    check_what_was_read(entries_in(bytes));
}

/// Entries that are complete but say anything at all: `bodies` are their texts, one after the other.
///
/// # Panics
/// When that does not hold.
pub fn check_entries(mut bodies: &[u8]) {
    let mut entries: Vec<Entry> = Vec::new();
    while let Ok((entry, behind)) = postcard::take_from_bytes(bodies)
        && entries.len() < 64
    {
        entries.push(entry);
        bodies = behind;
    }
    check_what_was_read(entries);
}

/// What was read, written once more, is read as the same; cut anywhere, it is read up to there.
fn check_what_was_read(entries: Vec<Entry>) {
    let written: Vec<_> = entries.iter().map(encode).collect();
    let whole = written.concat();
    assert_eq!(entries_in(&whole), entries);
    let mut end = 0;
    for (index, bytes) in written.iter().enumerate() {
        for cut in [end, end + 1, end + bytes.len() - 1] {
            assert_eq!(entries_in(&whole[..cut]), entries[..index], "cut at {cut}");
        }
        end += bytes.len();
    }
    // Files that entries name are not to be looked for.
    let is_harmless = |entry: &Entry| !matches!(entry, Entry::Append(it) if it.path.is_some());
    let known = recover(entries.into_iter().filter(is_harmless).collect(), BOOT_ID, [7; 16]);
    drop(known);
}

/// Lines about a flow, however its entry looks, have as many words as there are fields, and are
/// as many as is said; JSON is JSON.
///
/// # Panics
/// When that does not hold.
pub fn check_lines(
    settings: &FlowLogSettings,
    key: &FlowKey,
    entries: &[FlowEntry; 2],
    at: Ticks,
    config: &Config,
) {
    let writer = Writer::new(settings.clone());
    let clock = Clock::new(at, UNIX_EPOCH + Duration::from_secs(1_700_000_000), config);
    let mut baselines = Baselines::new([1; 16]);
    let mut text = writer.header();
    let mut lines = u64::from(!text.is_empty());
    for (entry, end) in entries.iter().zip([None, Some(FlowEvent::Expired)]) {
        let (_, deltas) = baselines.advance(1, entry);
        let report = FlowReport {
            interface: "eth0",
            key,
            entry,
            at,
            config,
            deltas,
            end,
            clock: &clock,
            window_start: 1_700_000_000,
        };
        lines += writer.flow(&mut text, &report);
    }
    lines += writer.silence(&mut text, "eth0", Silence::NoData, (1, 2));
    assert_eq!(text.lines().count() as u64, lines, "{text}");
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines() {
        if settings.format == FlowLogFormat::Json {
            let read: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(read.is_object(), "{line}");
        } else {
            let fields = settings.fields.as_deref().unwrap_or_else(|| Field::default_line());
            assert_eq!(line.split(' ').count(), fields.len(), "{line}");
            assert!(!line.contains(char::is_control), "{line}");
        }
    }
}
