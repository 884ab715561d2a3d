//! What fuzzers check of the text of a policy.

use super::{
    Counted, PolicySource,
    document::{Block, Document},
    in_force,
};
use crate::{policy::doubts, settings::Policy};

/// See [`check_policy_text`](crate::datapath::fuzzing::check_policy_text).
pub(in super::super) fn check_text(blocks: &[Block]) {
    let Ok(document) = Document::decode(blocks, None) else { return };
    let again = document.encode();
    let read = Document::decode(&again, None).expect("it was written just now");
    assert_eq!(read.encode(), again, "it is read as what was written");
    let hits = vec![gateway_common::counter::Hits::default(); document.places()];
    let read = Counted { document: read, hits: hits.clone() };
    let shown = in_force(&Counted { document, hits }, Some(&read));
    assert_eq!(shown.rules.len(), shown.policy.rules.len());
    assert_eq!(shown.subnets.len(), shown.policy.subnets.len());
    for rule in &shown.policy.rules {
        for addresses in rule.from.iter().chain(&rule.to) {
            assert!(!shown.policy.describe(addresses).is_empty());
        }
    }
    drop(doubts::of(&shown.policy));
}

/// See [`policy_text`](crate::datapath::fuzzing::policy_text).
pub(in super::super) fn text(policy: &Policy) -> Vec<u8> {
    let document = Document::new(policy, &PolicySource::default(), 1, None, None);
    document.encode().as_flattened().to_vec()
}
