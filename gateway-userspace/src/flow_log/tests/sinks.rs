//! Files that are rotated, moved and full.

use std::fs;

use crate::{
    flow_log::{Place, Sink, Written},
    settings::{FlowLogSettings, LogPath},
};

#[test]
fn a_file_is_rotated_before_it_is_too_long() {
    let home = tempfile::tempdir().expect("temporary directory");
    let path = home.path().join("below").join("flows.log");
    let settings = FlowLogSettings {
        path: LogPath::File(path.clone()),
        max_size_bytes: 10,
        keep: 2,
        ..FlowLogSettings::default()
    };
    let mut sink = Sink::new(&settings);
    for line in ["a234\n", "b234\n", "c234\n", "d234\n", "e234\n", "f234\n", "g234567890123\n"] {
        write(&mut sink, line);
    }
    let read = |name: &str| fs::read_to_string(path.with_file_name(name)).ok();
    assert_eq!(read("flows.log").as_deref(), Some("g234567890123\n"), "however long it is");
    assert_eq!(read("flows.log.1").as_deref(), Some("e234\nf234\n"));
    assert_eq!(read("flows.log.2").as_deref(), Some("c234\nd234\n"));
    assert_eq!(read("flows.log.3"), None);
}

#[test]
fn a_file_that_somebody_moved_is_made_anew() {
    let home = tempfile::tempdir().expect("temporary directory");
    let path = home.path().join("flows.log");
    let settings =
        FlowLogSettings { path: LogPath::File(path.clone()), ..FlowLogSettings::default() };
    let mut sink = Sink::new(&settings);
    let first = write(&mut sink, "one\n");
    fs::rename(&path, home.path().join("moved")).expect("it is ours");
    let second = write(&mut sink, "two\n");
    assert_eq!((first.offset, second.offset), (0, 0));
    assert_ne!(first.identity, second.identity);
    assert_eq!(fs::read_to_string(home.path().join("moved")).expect("text"), "one\n");
    assert_eq!(fs::read_to_string(&path).expect("text"), "two\n");
}

/// `/dev/full` takes nothing, as a full disk does.
#[test]
fn what_a_full_disk_does_not_take_is_an_error() {
    let settings =
        FlowLogSettings { path: LogPath::File("/dev/full".into()), ..FlowLogSettings::default() };
    let mut sink = Sink::new(&settings);
    let place = sink.prepare(4).expect("it can be opened");
    let Written { bytes, error } = sink.write(&place, b"one\n");
    assert_eq!((bytes, error.and_then(|it| it.raw_os_error())), (0, Some(libc::ENOSPC)));
}

#[track_caller]
fn write(sink: &mut Sink, text: &str) -> Place {
    let place = sink.prepare(text.len()).expect("it is writable");
    let Written { bytes, error } = sink.write(&place, text.as_bytes());
    assert!(bytes == text.len() && error.is_none(), "{error:?}");
    place
}
