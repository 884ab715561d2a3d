//! Associations that outside opens with a published service.

use super::{
    super::{
        admission::{ASSOCIATIONS, SERVICES, let_in, published},
        prelude::*,
    },
    INSIDE_TAG, OTHER_TAG, OUTSIDE_TAG, chunk,
};

pub(super) fn rows() -> impl Iterator<Item = Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| [life(family), opened_anew(family), refused_by_host(family)])
}

/// A packet from inside.
fn out(family: Family, tag: u32, chunks: &[&[u8]]) -> Packet {
    from(INSIDE, OUTSIDE, family).sctp(2905, 40_002, tag, &chunks.concat())
}

/// A packet from outside.
fn back(family: Family, tag: u32, chunks: &[&[u8]]) -> Packet {
    from(OUTSIDE, INSIDE, family).sctp(40_002, 2905, tag, &chunks.concat())
}

/// From E:40002 to I:2905.
fn association(family: Family) -> Flow {
    let data = out(family, OUTSIDE_TAG, &[chunk::DATA]);
    Flow::new(data, INSIDE.ip(family), 2905, OUTSIDE.ip(family), 40_002, 132)
}

impl Row {
    /// The four packets that open an association, without a flow.
    fn associates(self, family: Family) -> Self {
        self.inbound(back(family, 0, &[&chunk::init(OUTSIDE_TAG)]), let_in(ASSOCIATIONS))
            .outbound(out(family, OUTSIDE_TAG, &[&chunk::init_ack(INSIDE_TAG)]), published())
            .inbound(back(family, INSIDE_TAG, &[chunk::COOKIE_ECHO]), let_in(ASSOCIATIONS))
            .outbound(out(family, OUTSIDE_TAG, &[chunk::COOKIE_ACK]), published())
    }
}

fn life(family: Family) -> Row {
    let a = association(family);
    let (out, back) =
        (|bytes| out(family, OUTSIDE_TAG, &[bytes]), |bytes| back(family, INSIDE_TAG, &[bytes]));
    row(
        &["RFC6092-REC-38"],
        format!("{family:?}: a published association has a flow once inside goes on"),
    )
    .policy(SERVICES)
    .associates(family)
    .inbound(back(chunk::DATA), let_in(ASSOCIATIONS))
    .outbound(out(chunk::SACK), admits(&a))
    .inbound(back(chunk::DATA), belongs_to(&a).marked(mark::CONFIRMED))
    .outbound(out(chunk::SACK), belongs_to(&a).promoted())
    .inbound(back(chunk::SHUTDOWN), belongs_to(&a).marked(mark::CONFIRMED | mark::FIN))
    .outbound(out(chunk::SHUTDOWN_ACK), belongs_to(&a).marked(mark::FIN))
    .inbound(back(chunk::SHUTDOWN_COMPLETE), belongs_to(&a))
}

fn opened_anew(family: Family) -> Row {
    let a = association(family);
    let init = back(family, 0, &[&chunk::init(OTHER_TAG)]);
    let init_ack = out(family, OTHER_TAG, &[&chunk::init_ack(INSIDE_TAG)]);
    row(&["RFC6092-REC-38"], format!("{family:?}: outside restarts a published association"))
        .policy(SERVICES)
        .associates(family)
        .outbound(a.out(), admits(&a))
        .inbound(back(family, INSIDE_TAG, &[chunk::SACK]), belongs_to(&a).marked(mark::CONFIRMED))
        .inbound(init, let_in(ASSOCIATIONS))
        .outbound(init_ack, belongs_to(&a).without_refresh())
        .inbound(back(family, INSIDE_TAG, &[chunk::COOKIE_ECHO]), belongs_to(&a))
        .outbound(out(family, OTHER_TAG, &[chunk::COOKIE_ACK]), belongs_to(&a).promoted())
}

fn refused_by_host(family: Family) -> Row {
    row(&[], format!("{family:?}: nobody waits for the association that the policy publishes"))
        .policy(SERVICES)
        .inbound(back(family, 0, &[&chunk::init(OUTSIDE_TAG)]), let_in(ASSOCIATIONS))
        .outbound(out(family, OUTSIDE_TAG, &[chunk::ABORT_REFLECTED]), published())
        .inbound(back(family, OTHER_TAG, &[chunk::ABORT]), let_in(ASSOCIATIONS))
}
