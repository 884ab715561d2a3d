//! SCTP packets that belong to no association, or that no host sends.

use super::{super::prelude::*, INSIDE_TAG, OTHER_TAG, OUTSIDE_TAG, association, back, chunk, out};

pub(super) fn rows() -> impl Iterator<Item = Row> {
    FAMILIES.into_iter().flat_map(|family| {
        [wrong_tags(family), impossible(family), malformed(family), opens_nothing(family)]
    })
}

fn wrong_tags(family: Family) -> Row {
    let a = association(family);
    let every = [
        chunk::DATA,
        chunk::SACK,
        chunk::HEARTBEAT,
        chunk::HEARTBEAT_ACK,
        chunk::ABORT,
        chunk::SHUTDOWN,
        chunk::SHUTDOWN_ACK,
        chunk::ERROR,
        chunk::COOKIE_ECHO,
        chunk::COOKIE_ACK,
        chunk::SHUTDOWN_COMPLETE,
    ];
    let refuse = |row: Row, tag| {
        every.iter().fold(row, |row, chunk| {
            row.inbound(back(family, tag, &[chunk]), refused(Reason::SctpTag))
        })
    };
    let row = row(
        &["E148", "RFC6092-REC-38"],
        format!("{family:?}: SCTP from someone who does not know the tag"),
    );
    let row = refuse(row.opening(family), OTHER_TAG)
        .inbound(
            back(family, OTHER_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]),
            refused(Reason::SctpTag),
        )
        .inbound(back(family, INSIDE_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]), belongs_to(&a))
        .outbound(
            out(family, OUTSIDE_TAG, &[chunk::COOKIE_ECHO]),
            belongs_to(&a).promoted().with_tags(INSIDE_TAG, OUTSIDE_TAG),
        );
    refuse(refuse(row, OTHER_TAG), OUTSIDE_TAG)
}

fn impossible(family: Family) -> Row {
    let a = association(family);
    let (init, init_ack) = (chunk::init(OTHER_TAG), chunk::init_ack(OTHER_TAG));
    let nobody = (chunk::init(0), chunk::init_ack(0));
    let packets: [(u32, &[&[u8]]); 10] = [
        (0, &[chunk::DATA]),
        (0, &[chunk::ABORT]),
        (0, &[&init_ack]),
        (0, &[&init, chunk::DATA]),
        (0, &[&nobody.0]),
        (INSIDE_TAG, &[&nobody.1]),
        (INSIDE_TAG, &[&init]),
        (INSIDE_TAG, &[&init_ack, chunk::SACK]),
        (INSIDE_TAG, &[chunk::SACK, &init]),
        (INSIDE_TAG, &[chunk::SACK, chunk::SHUTDOWN_COMPLETE]),
    ];
    let row = row(&["RFC6092-REC-38"], format!("{family:?}: SCTP packets that no host sends"));
    let row = packets.iter().fold(row, |row, &(tag, chunks)| {
        row.inbound(back(family, tag, chunks), refused(Reason::NoFlow))
            .outbound(out(family, tag, chunks), passed(Reason::Stateless))
    });
    packets
        .iter()
        .fold(row.opening(family), |row, &(tag, chunks)| {
            row.inbound(back(family, tag, chunks), refused(Reason::SctpChunks))
                .outbound(out(family, tag, chunks), passed(Reason::Stateless))
        })
        .inbound(back(family, INSIDE_TAG, &[&init_ack]), belongs_to(&a))
}

fn malformed(family: Family) -> Row {
    let a = association(family);
    let bad = [chunk::ZERO_LENGTH, chunk::TOO_LONG];
    let row = row(
        &["E148", "RFC6092-REC-38"],
        format!("{family:?}: SCTP chunks that are not as long as they say"),
    );
    let row = row.associated(family).inbound(
        back(family, INSIDE_TAG, &[chunk::DATA]).cut_transport(15),
        refused(Reason::TransportMalformed),
    );
    bad.iter()
        .fold(row, |row, chunk| {
            let second = [chunk::SACK, *chunk];
            row.inbound(back(family, INSIDE_TAG, &[chunk]), refused(Reason::TransportMalformed))
                .outbound(out(family, OUTSIDE_TAG, &[chunk]), refused(Reason::TransportMalformed))
                .inbound(back(family, INSIDE_TAG, &second), refused(Reason::SctpChunks))
                .outbound(out(family, OUTSIDE_TAG, &second), passed(Reason::Stateless))
        })
        // What is behind data, or less than a chunk, is the host's to judge.
        .inbound(back(family, INSIDE_TAG, &[chunk::DATA, chunk::ZERO_LENGTH]), belongs_to(&a))
        .inbound(back(family, INSIDE_TAG, &[chunk::SACK, &[6, 0]]), belongs_to(&a))
}

fn opens_nothing(family: Family) -> Row {
    let init_ack = chunk::init_ack(INSIDE_TAG);
    let row =
        row(&["RFC6092-REC-38"], format!("{family:?}: SCTP packets that must not open a way in"));
    [
        &*init_ack,
        chunk::ABORT,
        chunk::ABORT_REFLECTED,
        chunk::SHUTDOWN_ACK,
        chunk::SHUTDOWN_COMPLETE,
        chunk::SHUTDOWN_COMPLETE_REFLECTED,
        chunk::COOKIE_ACK,
        chunk::ERROR,
    ]
    .into_iter()
    .fold(row, |row, chunk| {
        row.outbound(out(family, OUTSIDE_TAG, &[chunk]), passed(Reason::Stateless))
            .inbound(back(family, INSIDE_TAG, &[chunk::DATA]), refused(Reason::NoFlow))
    })
}
