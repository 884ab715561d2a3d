//! The ring in which records wait.

use gateway_common::{counter::FlowEvent, limits::RECORDS_BYTES, record::FlowRecord};
use gateway_userspace::datapath::{HostLimits, Records};

use super::{Road, brief};

const UNLIMITED: HostLimits =
    HostLimits { half_open: Some(1_000_000), established: Some(1_000_000) };

/// While nobody takes records they wait; what finds no room is counted and seen to be missing.
#[test]
fn records_wait_for_a_sweeper_and_those_without_room_are_counted() {
    let road = Road::new(UNLIMITED);
    // More than the ring has room for, each ended before the next begins.
    let flows = RECORDS_BYTES / size_of::<FlowRecord>() + 1_000;
    let end = |number: usize| {
        let port = u16::try_from(number % 50_000).expect("small") + 1_000;
        let flow = brief(1, port);
        assert!(road.out(&flow.out()));
        assert!(road.gateway.forget(&flow.key).expect("the program runs"));
    };
    (0..flows).for_each(end);
    let lost = road.event(FlowEvent::RecordLost);
    assert!(lost >= 1_000, "{lost} lost");

    let mut sweep = road.sweep();
    let kept = flows - usize::try_from(lost).expect("few");
    sweep.until("the records that waited", |book| book.records.len() == kept);
    sweep.pass();
    end(flows);
    sweep.until("one more record", |book| book.records.len() == kept + 1);
    let stats = sweep.stats();
    assert_eq!((stats.records, stats.records_missing), (kept as u64 + 1, lost));
    assert_eq!(stats.records_waiting_max, 8_192, "as many as are taken in one go");
    sweep.book(|book| {
        assert!(book.records[..kept].iter().map(|record| record.serial).eq(0..kept as u64));
        assert_eq!(book.records[kept].serial, flows as u64);
    });
    assert_eq!(road.event(FlowEvent::Deleted), flows as u64 + 1);
}

/// Whoever stops in the middle leaves the rest to the next one.
#[test]
fn another_process_goes_on_where_one_stopped() {
    let road = Road::new(UNLIMITED);
    for port in 0..100 {
        let flow = brief(1, 1_000 + port);
        assert!(road.out(&flow.out()) && road.gateway.forget(&flow.key).expect("it runs"));
    }
    let open = || Records::open(road.site.bpffs.path(), &road.site.name).expect("it opens");
    let mut first = open();
    for serial in 0..40 {
        assert_eq!(first.take(|record| record.serial), Some(serial));
    }
    drop(first);
    let mut second = open();
    let rest: Vec<_> = std::iter::from_fn(|| second.take(|record| record.serial)).collect();
    assert!(rest.iter().copied().eq(40..100), "{rest:?}");
    assert_eq!(second.written().expect("a number"), 100);
}
